"""Which emails the sender loop takes into its hands, and which it may not. Claimed and committed before any hand-over.

Of what is due: the suppressed fail, and so does what has fields that cannot be filled in; what is past the sender's
daily limit waits for the next day; the rest is claimed, and says from then on what it says to its person.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from command_center.actions import suppression, transitions
from command_center.actions.context import ActionContext
from command_center.actions.template_fields import Unresolved
from command_center.database.connections import Connection, Row
from command_center.database.fields import from_micros
from command_center.email_addresses import distinct
from command_center.mail import sending_days, texts
from command_center.mail.compose import OutgoingEmail, message_id
from command_center.mail.texts import FilledText
from models.emails import addresses
from models.enums import EmailStatus, FailureCode

BATCH = 50
MAX_BATCH_CHARACTERS = 2_000_000
"""The most that the bodies of a batch have together, unless it is one email: long ones are slow, and others wait."""
IN_HAND = 0
"""The `due_at` of what is claimed: no moment at all, and the index over it finds the few of them among the many due."""
_WAITING = f"e.status IN ({int(EmailStatus.SCHEDULED)}, {int(EmailStatus.IN_PROGRESS)})"
_DUE = (
    "SELECT e.id, e.team_id, e.sender_id, e.person_id, e.campaign_id, e.status, e.archived, e.cc, e.bcc, e.subject,"
    " e.body, e.shared_body, e.field_values, e.bulk_send_id, e.message_id,"
    " e.attempts, e.first_attempt_at, e.due_at, u.name AS from_name, u.address AS from_address,"
    " u.time_zone, p.name AS to_name, p.first_name, p.address AS to_address, p.title, p.company"
    " FROM emails e JOIN users u ON u.id = e.sender_id JOIN people p ON p.id = e.person_id"
    f" WHERE {_WAITING} AND e.due_at > {IN_HAND} AND e.due_at <= ? AND e.claimed_at IS NULL"
    " ORDER BY e.due_at, e.id LIMIT ?"
)
_NEXT = (
    f"SELECT e.due_at FROM emails e WHERE {_WAITING} AND e.due_at > {IN_HAND} AND e.claimed_at IS NULL"
    " ORDER BY e.due_at LIMIT 1"
)
# One statement sees one moment: in two, what is written down in between would be neither in hand nor gone.
_USED = (
    "SELECT (SELECT coalesce(sum(recipient_count), 0) FROM emails WHERE sender_id = ? AND sent_at >= ?)"
    f" + (SELECT coalesce(sum(recipient_count), 0) FROM emails WHERE sender_id = ? AND due_at = {IN_HAND}) AS number"
)
_ATTEMPT = "UPDATE emails SET attempts = ?, first_attempt_at = ?, message_id = ?, recipient_count = ? WHERE id = ?"
_LOST = (
    "SELECT id, team_id, sender_id, status, archived FROM emails"
    f" WHERE due_at = {IN_HAND} AND claimed_at <= ? AND status = {int(EmailStatus.IN_PROGRESS)} ORDER BY id LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class ClaimedEmail:
    """One email in the loop's hands since `claimed_at`, and how often it has been tried, this time included."""

    email: OutgoingEmail
    claimed_at: int
    attempts: int
    first_attempt_at: int

    @property
    def email_id(self) -> int:
        return self.email.email_id


@dataclass(slots=True)
class _Quota:
    """How many recipients a sender may still reach today, and where tomorrow begins."""

    left: int
    tomorrow: int


@dataclass(slots=True)
class _Filled:
    """Emails whose fields, if any, could be filled in, with the texts of those that have some; the others, by why."""

    sound: list[Row] = field(default_factory=list)
    texts: dict[int, FilledText] = field(default_factory=dict)
    unresolved: dict[str, list[Row]] = field(default_factory=dict)


async def next_due(connection: Connection) -> int | None:
    """The moment the earliest waiting email is due at."""
    row = await connection.fetch_one(_NEXT)
    return None if row is None else int(row["due_at"])


async def claim(
    ctx: ActionContext, domain: str, failed: Counter[FailureCode] | None = None
) -> tuple[list[ClaimedEmail], bool]:
    """Takes a batch of what is due; and whether there was anything due at all. Counts those that fail here.

    Raises TemplatesMissing, with nothing claimed.
    """
    async with ctx.writer.unit_of_work() as uow:
        tx, now = uow.connection, uow.now
        claims = await ctx.writer.restores.count_claim(tx)
        if claims is None:
            return [], False
        rows = await tx.fetch(_DUE + tx.for_update("UPDATE OF e SKIP LOCKED"), now, BATCH)
        await _add_shared_bodies(tx, rows)
        rows = _short_enough(rows)
        texts.require_templates(rows)
        quotas = await _quotas(tx, ctx.limits.emails_per_day, rows, now)
        filled = _filled_in(await suppression.hold_back(uow, ctx.limits, rows))
        for message, wrong in filled.unresolved.items():
            await transitions.change(uow, wrong, transitions.failure(FailureCode.UNRESOLVED_FIELD, message, now))
        taken, late = _within(filled.sound, quotas)
        for tomorrow, waiting in late.items():
            await transitions.change(uow, waiting, put_off(tomorrow))
        for row in taken:
            _prepare(row, domain, now)
        # The last step before the hand-over: from here on an email is never sent again by itself.
        held = {"status": EmailStatus.IN_PROGRESS, "claimed_at": now, "due_at": IN_HAND}
        # Of what was to go at once nothing changes that anyone could see, and a new text tells of itself.
        told = [row for row in taken if row["status"] == EmailStatus.SCHEDULED and row["id"] not in filled.texts]
        untold = [row for row in taken if row["status"] != EmailStatus.SCHEDULED or row["id"] in filled.texts]
        await transitions.change(uow, told, held)
        await transitions.change(uow, untold, held, edited=False, marked=False)
        reworded = ((row, filled.texts[row["id"]]) for row in taken if row["id"] in filled.texts)
        await transitions.reword(uow, [(row, text.subject, text.body, text.values) for row, text in reworded])
        await tx.execute_many(
            _ATTEMPT,
            [
                (row["attempts"], row["first_attempt_at"], row["message_id"], _recipient_count(row), row["id"])
                for row in taken
            ],
        )
    # Before anything is handed over: by it a restored database is told from the one that sent this.
    ctx.writer.restores.claimed(claims)
    if failed is not None:
        failed.update(FailureCode(row["failure_code"]) for row in rows if row["status"] == EmailStatus.FAILED)
    return [_claimed(row) for row in taken], bool(rows)


async def _add_shared_bodies(connection: Connection, rows: Iterable[Row]) -> None:
    """Give each row that shares its body with the others of its bulk send this body, with the fields in it."""
    shared = {row["bulk_send_id"] for row in rows if row["shared_body"]}
    if not shared:
        return
    found = await connection.fetch(
        f"SELECT id, body FROM bulk_sends WHERE {connection.in_any('id')}", connection.array_param(shared)
    )
    bodies = {row["id"]: row["body"] for row in found}
    for row in rows:
        if row["shared_body"]:
            row["body"] = bodies[row["bulk_send_id"]]


def _short_enough(rows: Sequence[Row]) -> list[Row]:
    """The first rows, as many as a batch may have."""
    lengths = accumulate(len(row["body"]) for row in rows)
    return [row for place, (row, length) in enumerate(zip(rows, lengths, strict=True))
            if not place or length <= MAX_BATCH_CHARACTERS]  # fmt: skip


def _filled_in(rows: Iterable[Row]) -> _Filled:
    filled = _Filled()
    for row in rows:
        try:
            text = texts.filled(row)
        except Unresolved as exc:
            filled.unresolved.setdefault(str(exc), []).append(row)
            continue
        filled.sound.append(row)
        if text is not None:
            filled.texts[row["id"]] = text
    return filled


def _within(rows: Iterable[Row], quotas: Mapping[int, _Quota]) -> tuple[list[Row], dict[int, list[Row]]]:
    """What its senders may still send today; and what waits, by the moment their tomorrow begins."""
    taken: list[Row] = []
    late: dict[int, list[Row]] = {}
    for row in rows:
        quota, number = quotas[row["sender_id"]], _recipient_count(row)
        if number <= quota.left:
            quota.left -= number
            taken.append(row)
        else:
            late.setdefault(quota.tomorrow, []).append(row)
    return taken, late


def _recipient_count(row: Row) -> int:
    """Return how many people an email goes to: the copies count, each address once."""
    copies = (*addresses(row["cc"]), *addresses(row["bcc"]))
    return 1 + len(distinct(copies, seen=[row["to_address"]])) if copies else 1


def _prepare(row: Row, domain: str, now: int) -> None:
    """One more attempt. A message keeps its id over all of them, so that a second copy can be told for one."""
    row["message_id"] = row["message_id"] or message_id(row["id"], domain, secrets.token_hex(8))
    row["attempts"] += 1
    row["first_attempt_at"] = row["first_attempt_at"] or now


async def abandon(ctx: ActionContext, before: int | None, batch: int = 500) -> int:
    """Fails what was claimed before a moment (None: ever) and never written down; how many. Nobody knows if it left."""
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        limit = uow.now if before is None else before
        rows = await tx.fetch(_LOST + tx.for_update("UPDATE SKIP LOCKED"), limit, batch)
        message = "The sending was interrupted, so nobody knows whether the message left. Retry sends it again."
        failed = transitions.failure(FailureCode.OUTCOME_UNKNOWN, message, uow.now)
        await transitions.change(uow, rows, failed)
    return len(rows)


def put_off(until: int) -> dict[str, Any]:
    """The columns of an email that goes back to Scheduled."""
    return {"status": EmailStatus.SCHEDULED, "scheduled_at": until, "due_at": until, "claimed_at": None}


async def _quotas(tx: Connection, most: int, rows: Iterable[Row], now: int) -> dict[int, _Quota]:
    zones = {row["sender_id"]: row["time_zone"] for row in rows}
    # Two workers must not both count before either claims. A weak lock: adding emails goes on meanwhile.
    await tx.fetch(
        f"SELECT id FROM users WHERE {tx.in_any('id')} ORDER BY id" + tx.for_update("NO KEY UPDATE"),
        tx.array_param(zones),
    )
    quotas: dict[int, _Quota] = {}
    for sender, zone in zones.items():
        today, tomorrow = sending_days.around(now, zone)
        used = await tx.fetch_one(_USED, sender, today, sender)
        quotas[sender] = _Quota(most - int(used["number"] if used else 0), tomorrow)
    return quotas


def _claimed(row: Row) -> ClaimedEmail:
    letter = OutgoingEmail(
        email_id=row["id"],
        person_id=row["person_id"],
        message_id=row["message_id"],
        from_name=row["from_name"],
        from_address=row["from_address"],
        to_name=row["to_name"],
        to_address=row["to_address"],
        subject=row["subject"],
        body=row["body"],
        moment=from_micros(row["claimed_at"]),
        cc=addresses(row["cc"]),
        bcc=addresses(row["bcc"]),
        shares_body=row["shared_body"],
        values=row["field_values"],
    )
    return ClaimedEmail(letter, row["claimed_at"], row["attempts"], row["first_attempt_at"])
