"""Claims due emails for the outbox. Claims are committed before any hand-over.

Due emails to suppressed addresses fail, and so do those with dynamic fields that cannot be filled in. Emails beyond the
sender's daily limit wait for the next day. The rest is claimed, and its text with the filled-in fields is stored.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import cast

from command_center.actions import suppression, transitions
from command_center.actions.context import ActionContext
from command_center.actions.email_rows import DueEmail, EmailState
from command_center.actions.template_fields import UnresolvedField
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import ColumnValue, Connection
from command_center.database.fields import from_micros
from command_center.email_addresses import distinct_addresses
from command_center.mail import sending_days, texts
from command_center.mail.compose import OutgoingEmail, new_message_id
from command_center.mail.texts import FilledText
from models.emails import addresses
from models.enums import EmailStatus, FailureCode

MAX_BATCH_EMAILS = 50
MAX_BATCH_CHARACTERS = 2_000_000
"""The bodies of a batch have at most this many characters together, except for a batch of one email.

Long bodies take long to compose, and other emails wait meanwhile.
"""
CLAIMED_DUE_AT = 0
"""Claimed emails have this `due_at` instead of a moment, so that the index finds them quickly among the many due."""
_WAITING = f"e.status IN ({int(EmailStatus.SCHEDULED)}, {int(EmailStatus.IN_PROGRESS)})"
_DUE = (
    "SELECT e.id, e.team_id, e.sender_id, e.person_id, e.campaign_id, e.status, e.archived, e.cc, e.bcc, e.subject,"
    " e.body, e.shared_body, e.field_values, e.bulk_send_id, e.message_id,"
    " e.attempts, e.first_attempt_at, e.due_at, u.name AS from_name, u.address AS from_address,"
    " u.time_zone, p.name AS to_name, p.first_name, p.address AS to_address, p.title, p.company"
    " FROM emails e JOIN users u ON u.id = e.sender_id JOIN people p ON p.id = e.person_id"
    f" WHERE {_WAITING} AND e.due_at > {CLAIMED_DUE_AT} AND e.due_at <= ? AND e.claimed_at IS NULL"
    " ORDER BY e.due_at, e.id LIMIT ?"
)
_NEXT_DUE = (
    f"SELECT e.due_at FROM emails e WHERE {_WAITING} AND e.due_at > {CLAIMED_DUE_AT} AND e.claimed_at IS NULL"
    " ORDER BY e.due_at LIMIT 1"
)
# This must be one statement. Between two, an outcome could be recorded, and the email would be counted in neither.
_USED_QUOTA = (
    "SELECT (SELECT coalesce(sum(recipient_count), 0) FROM emails WHERE sender_id = ? AND sent_at >= ?)"
    " + (SELECT coalesce(sum(recipient_count), 0) FROM emails"
    f" WHERE sender_id = ? AND due_at = {CLAIMED_DUE_AT}) AS number"
)
_ATTEMPT = "UPDATE emails SET attempts = ?, first_attempt_at = ?, message_id = ?, recipient_count = ? WHERE id = ?"
_LOST_CLAIMS = (
    "SELECT id, team_id, sender_id, status, archived FROM emails"
    f" WHERE due_at = {CLAIMED_DUE_AT} AND claimed_at <= ? AND status = {int(EmailStatus.IN_PROGRESS)}"
    " ORDER BY id LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class ClaimedEmail:
    """Holds an email claimed at `claimed_at`.

    `attempts` includes the current attempt. Times are in microseconds.
    """

    email: OutgoingEmail
    claimed_at: int
    attempts: int
    first_attempt_at: int

    @property
    def email_id(self) -> int:
        return self.email.email_id


@dataclass(slots=True)
class _Quota:
    """Holds the number of recipients that a sender may still reach today.

    `tomorrow` is the moment at which the next day begins, in microseconds.
    """

    remaining: int
    tomorrow: int


@dataclass(slots=True)
class _FilledRows:
    """Holds the emails whose fields could be filled in.

    The others are in `unresolved` by their error message.

    `texts` holds the filled-in texts by email id. Emails without fields are not in it.
    """

    fillable: list[DueEmail] = field(default_factory=list)
    texts: dict[int, FilledText] = field(default_factory=dict)
    unresolved: dict[str, list[DueEmail]] = field(default_factory=dict)


async def next_due(connection: Connection) -> int | None:
    """Return when the next email is due, in microseconds, or None if no email waits."""
    row = await connection.fetch_one(_NEXT_DUE)
    return None if row is None else int(row["due_at"])


async def claim_batch(
    ctx: ActionContext, domain: str, failed: Counter[FailureCode] | None = None
) -> tuple[list[ClaimedEmail], bool]:
    """Claim a batch of due emails.

    Returns the claimed emails, and whether any email was due. `domain` is the domain of new Message-IDs. `failed`
    counts the emails that fail here. Raises: TemplatesMissing if long bodies must be parsed first; nothing is claimed
    then.
    """
    async with ctx.writer.unit_of_work() as uow:
        tx, now = uow.connection, uow.now
        claims = await ctx.writer.restores.count_claim(tx)
        if claims is None:
            return [], False
        rows = cast(
            list[DueEmail], await tx.fetch(_DUE + tx.for_update("UPDATE OF e SKIP LOCKED"), now, MAX_BATCH_EMAILS)
        )
        await _add_shared_bodies(tx, rows)
        rows = _limit_batch(rows)
        texts.require_templates(rows)
        quotas = await _quotas(tx, ctx.limits.emails_per_day, rows, now)
        filled = _fill_rows(await suppression.fail_suppressed(uow, ctx.limits, rows))
        for message, unresolved_rows in filled.unresolved.items():
            await transitions.update_emails(
                uow, unresolved_rows, transitions.failure_columns(FailureCode.UNRESOLVED_FIELD, message, now)
            )
        claimed_rows, postponed = _apply_quotas(filled.fillable, quotas)
        for tomorrow, postponed_rows in postponed.items():
            await transitions.update_emails(uow, postponed_rows, postponed_columns(tomorrow))
        for row in claimed_rows:
            _begin_attempt(row, domain, now)
        await _store_claims(uow, claimed_rows, filled.texts)
    # This must precede the hand-over. The number shows whether the database was restored to a state before this claim.
    ctx.writer.restores.record_claim(claims)
    if failed is not None:
        failed.update(FailureCode(row["failure_code"]) for row in rows if row["status"] == EmailStatus.FAILED)
    return [_claimed_email(row) for row in claimed_rows], bool(rows)


async def _store_claims(uow: UnitOfWork, rows: Sequence[DueEmail], filled_texts: Mapping[int, FilledText]) -> None:
    """Store the claims of these emails, and their filled-in texts by email id."""
    # After this commit an email whose outcome is lost is never sent again automatically.
    columns = {"status": EmailStatus.IN_PROGRESS, "claimed_at": uow.now, "due_at": CLAIMED_DUE_AT}
    # Only a change from SCHEDULED is visible to clients. `transitions.update_texts` announces a filled-in text.
    visible = [row for row in rows if row["status"] == EmailStatus.SCHEDULED and row["id"] not in filled_texts]
    silent = [row for row in rows if row["status"] != EmailStatus.SCHEDULED or row["id"] in filled_texts]
    await transitions.update_emails(uow, visible, columns)
    await transitions.update_emails(uow, silent, columns, edited=False, invalidate=False)
    filled = ((row, filled_texts[row["id"]]) for row in rows if row["id"] in filled_texts)
    await transitions.update_texts(uow, [(row, text.subject, text.body, text.values) for row, text in filled])
    await uow.connection.execute_many(
        _ATTEMPT,
        [
            (row["attempts"], row["first_attempt_at"], row["message_id"], _recipient_count(row), row["id"])
            for row in rows
        ],
    )


async def _add_shared_bodies(connection: Connection, rows: Iterable[DueEmail]) -> None:
    """Set the body of each row that shares it with its bulk send.

    The fields in it are not filled in.
    """
    shared = {row["bulk_send_id"] for row in rows if row["shared_body"] and row["bulk_send_id"] is not None}
    if not shared:
        return
    bulk_sends = await connection.fetch(
        f"SELECT id, body FROM bulk_sends WHERE {connection.in_any('id')}", connection.array_param(shared)
    )
    bodies = {row["id"]: row["body"] for row in bulk_sends}
    for row in rows:
        if row["shared_body"]:
            row["body"] = bodies[row["bulk_send_id"]]


def _limit_batch(rows: Sequence[DueEmail]) -> list[DueEmail]:
    """Return the first rows, up to the character limit of a batch but at least one."""
    lengths = accumulate(len(row["body"]) for row in rows)
    return [row for index, (row, length) in enumerate(zip(rows, lengths, strict=True))
            if not index or length <= MAX_BATCH_CHARACTERS]  # fmt: skip


def _fill_rows(rows: Iterable[DueEmail]) -> _FilledRows:
    filled = _FilledRows()
    for row in rows:
        try:
            text = texts.fill_text(row)
        except UnresolvedField as exc:
            filled.unresolved.setdefault(str(exc), []).append(row)
            continue
        filled.fillable.append(row)
        if text is not None:
            filled.texts[row["id"]] = text
    return filled


def _apply_quotas(
    rows: Iterable[DueEmail], quotas: Mapping[int, _Quota]
) -> tuple[list[DueEmail], dict[int, list[DueEmail]]]:
    """Split the rows by the daily limits of their senders.

    Returns the rows that may be sent today, and the others by the moment (microseconds) at which the sender's next day
    begins.
    """
    claimed_rows: list[DueEmail] = []
    postponed: dict[int, list[DueEmail]] = {}
    for row in rows:
        quota, number = quotas[row["sender_id"]], _recipient_count(row)
        if number <= quota.remaining:
            quota.remaining -= number
            claimed_rows.append(row)
        else:
            postponed.setdefault(quota.tomorrow, []).append(row)
    return claimed_rows, postponed


def _recipient_count(row: DueEmail) -> int:
    """Return the number of recipients. Copies count, and each address counts once."""
    copies = (*addresses(row["cc"]), *addresses(row["bcc"]))
    return 1 + len(distinct_addresses(copies, seen=[row["to_address"]])) if copies else 1


def _begin_attempt(row: DueEmail, domain: str, now: int) -> None:
    """Count another attempt to send an email, and give the email a Message-ID.

    All attempts have the same Message-ID, so that a mail program recognises duplicates. `now` is in microseconds.
    """
    row["message_id"] = row["message_id"] or new_message_id(row["id"], domain, secrets.token_hex(8))
    row["attempts"] += 1
    row["first_attempt_at"] = row["first_attempt_at"] or now


async def fail_lost_claims(ctx: ActionContext, before: int | None, batch: int = 500) -> int:
    """Fail up to `batch` emails that were claimed and have no outcome.

    Only claims before the moment `before` (microseconds) count, or all claims if it is None. Returns the number of
    emails. It is unknown whether they have left.
    """
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        limit = uow.now if before is None else before
        rows = await tx.fetch(_LOST_CLAIMS + tx.for_update("UPDATE SKIP LOCKED"), limit, batch)
        message = "The sending was interrupted, so it is unknown whether the message was sent. Retry sends it again."
        failed = transitions.failure_columns(FailureCode.OUTCOME_UNKNOWN, message, uow.now)
        await transitions.update_emails(uow, cast(list[EmailState], rows), failed)
    return len(rows)


def postponed_columns(until: int) -> dict[str, ColumnValue]:
    """Return the columns of an email that is scheduled again after it was due.

    `until` is the new time in microseconds.
    """
    return {"status": EmailStatus.SCHEDULED, "scheduled_at": until, "due_at": until, "claimed_at": None}


async def _quotas(tx: Connection, emails_per_day: int, rows: Iterable[DueEmail], now: int) -> dict[int, _Quota]:
    """Return the quota of each sender by key, and lock the senders until the commit.

    `now` is in microseconds.
    """
    zones = {row["sender_id"]: row["time_zone"] for row in rows}
    # Without the lock, two processes could both count before either claims. It is weak, so that emails can be added.
    await tx.fetch(
        f"SELECT id FROM users WHERE {tx.in_any('id')} ORDER BY id" + tx.for_update("NO KEY UPDATE"),
        tx.array_param(zones),
    )
    quotas: dict[int, _Quota] = {}
    for sender, zone in zones.items():
        today, tomorrow = sending_days.day_bounds(now, zone)
        used = await tx.fetch_one(_USED_QUOTA, sender, today, sender)
        quotas[sender] = _Quota(emails_per_day - int(used["number"] if used else 0), tomorrow)
    return quotas


def _claimed_email(row: DueEmail) -> ClaimedEmail:
    message_id, first_attempt_at = row["message_id"], row["first_attempt_at"]
    # `_begin_attempt` has set them.
    assert message_id is not None
    assert first_attempt_at is not None
    email = OutgoingEmail(
        email_id=row["id"],
        person_id=row["person_id"],
        message_id=message_id,
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
    return ClaimedEmail(email, row["claimed_at"], row["attempts"], first_attempt_at)
