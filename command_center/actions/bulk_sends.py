"""Writing to many: one separate message to each person, accepted all together or not at all, never a draft.

Who may not be written to is no mistake: that email fails and the others go. So does, later, one whose dynamic fields
cannot be filled in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from command_center.actions import campaigns, request_ids, suppression
from command_center.actions.access import seen
from command_center.actions.bodies import LONG_CHARACTERS, add_body
from command_center.actions.context import ActionContext
from command_center.actions.inputs import SUBJECT, ErrorCollector
from command_center.actions.markup.inspection import BodyReport
from command_center.actions.people import named_people
from command_center.actions.request_ids import Made
from command_center.actions.suppression import Suppressed
from command_center.changes.unit_of_work import UnitOfWork
from command_center.email_addresses import without_number
from command_center.search.text import fold
from models.campaigns import BulkSend
from models.enums import ChangeCauseKind, EmailStatus, InvalidationKind, SendKind, UserErrorCode
from models.folders import folder_of
from models.viewers import Viewer

_EMAIL = (
    "INSERT INTO emails (team_id, sender_id, person_id, bulk_send_id, send_kind, campaign_id, template_id, cc, bcc,"
    " subject, subject_folded, body, shared_body, status, scheduled_at, due_at, failed_at, failure_code,"
    " failure_message, archived, success, created_at, updated_at, views, clicks, replies, attempts)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, '[]', '[]', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)"
)


_SPACING_MICROS = 0.5
"""What an email with a long body waits for each character of the one before it, about twice what sending it takes."""
Reports = Mapping[str, BodyReport]
"""What was found in each body."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a message says."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Edit:
    """What is said to one person instead; None leaves it as it is said to all."""

    person_id: str
    subject: str | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectAndSend:
    """`at` in microseconds; None is now."""

    person_ids: Sequence[str]
    subject: str
    body: str
    template_id: str | None = None
    campaign_id: str | None = None
    at: int | None = None
    edits: Sequence[Edit] = field(default=())
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSend:
    """`at` in microseconds; None is now."""

    group_id: str
    subject: str
    body: str
    template_id: str | None = None
    campaign_id: str | None = None
    at: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """A bulk send without a mistake: what to say to whom, by the people's keys."""

    kind: SendKind
    text: Text
    texts: Mapping[int, Text]
    template: int | None
    campaign: int | None
    at: int | None


async def send(ctx: ActionContext, viewer: Viewer, new: SelectAndSend | GroupSend) -> BulkSend:
    """Accepts a message to each of many people, now or at a moment to come; a group's are those who are in it now.

    A repeated `request_id` sends nothing again.
    """
    findings = ErrorCollector()
    request = request_ids.name(new.request_id, findings)
    mutation = "emailSelectAndSend" if isinstance(new, SelectAndSend) else "emailGroupSend"
    # Before the transaction, which others wait for.
    edited = (edit.body for edit in new.edits if edit.body is not None) if isinstance(new, SelectAndSend) else ()
    reports = await ctx.inspector.reports([new.body, *edited])
    arguments = {name: value for name, value in asdict(new).items() if name != "request_id"}
    async with ctx.writer.unit_of_work() as uow:
        key = None
        if request is not None and not findings.problems:
            key = await request_ids.first(uow, viewer, request, mutation, arguments, Made.BULK_SEND)
        if key is None:
            order = await _checked(ctx, uow, viewer, new, reports, findings)
            key = await _accept(ctx, uow, viewer, order)
            if request is not None:
                await request_ids.remember(uow, viewer, request, Made.BULK_SEND, key)
    return await BulkSend.get(id=key)


async def _checked(
    ctx: ActionContext,
    uow: UnitOfWork,
    viewer: Viewer,
    new: SelectAndSend | GroupSend,
    reports: Reports,
    findings: ErrorCollector,
) -> _Order:
    """Raises Refused with everything that is wrong."""
    subject = findings.line(new.subject, ("input", "subject"), "A subject", SUBJECT)
    text = Text(subject, add_body(findings, new.body, ("input", "body"), reports))
    if isinstance(new, SelectAndSend):
        kind, texts = SendKind.SELECT_AND_SEND, await _selected(ctx, viewer, new, text, reports, findings)
    else:
        kind, texts = SendKind.GROUP, dict.fromkeys(await _members(ctx, uow, viewer, new.group_id, findings), text)
    template = await seen(viewer, "Template", new.template_id, ("input", "templateId"), findings)
    campaign = await seen(viewer, "Campaign", new.campaign_id, ("input", "campaignId"), findings)
    await campaigns.going_on(uow, campaign, findings)
    if new.at is not None and new.at <= uow.now:
        findings.add(UserErrorCode.INVALID, ("input", "at"), "The moment to send at must be to come.")
    findings.raise_any()
    return _Order(kind, text, await _once_per_address(uow, texts), template, campaign, new.at)


async def _selected(
    ctx: ActionContext, viewer: Viewer, new: SelectAndSend, text: Text, reports: Reports, findings: ErrorCollector
) -> dict[int, Text]:
    path = ("input", "personIds")
    number, most = len(set(new.person_ids)), ctx.limits.select_and_send_people
    edits = _edited(new, text, reports, findings)
    if number > most:
        message = f"One Select and Send goes to at most {most} people, not {number}."
        findings.add(UserErrorCode.LIMIT_REACHED, path, message)
        return {}
    if not number:
        findings.add(UserErrorCode.BLANK, path, "A Select and Send needs somebody to go to.")
    people = await named_people(viewer, new.person_ids, path, findings)
    return {key: edits.get(text_id, text) for text_id, key in people.items()}


def _edited(new: SelectAndSend, text: Text, reports: Reports, findings: ErrorCollector) -> dict[str, Text]:
    """What is said to those people to whom something of their own is said."""
    chosen = set(new.person_ids)
    edited: dict[str, Text] = {}
    for place, edit in enumerate(new.edits):
        path = ("input", "edits", str(place))
        if edit.person_id not in chosen:
            findings.add(UserErrorCode.INVALID, (*path, "personId"), "This person is not among the personIds.")
        elif edit.person_id in edited:
            findings.add(UserErrorCode.INVALID, (*path, "personId"), "What is said to this person is edited twice.")
        subject, body = text.subject, text.body
        if edit.subject is not None:
            subject = findings.line(edit.subject, (*path, "subject"), "A subject", SUBJECT)
        if edit.body is not None:
            body = add_body(findings, edit.body, (*path, "body"), reports)
        edited[edit.person_id] = Text(subject, body)
    return edited


async def _members(
    ctx: ActionContext, uow: UnitOfWork, viewer: Viewer, group_id: str, findings: ErrorCollector
) -> list[int]:
    """Everyone in a group that the viewer can see: a person in it is reachable through it."""
    path = ("input", "groupId")
    group = await seen(viewer, "Group", group_id, path, findings)
    if group is None:
        return []
    rows = await uow.connection.fetch("SELECT person_id FROM group_people WHERE group_id = ? ORDER BY person_id", group)
    most = ctx.limits.group_send_people
    if not rows:
        findings.add(UserErrorCode.INVALID, path, "There is nobody in this group.")
    if len(rows) > most:
        message = f"One Group Email goes to at most {most} people, not {len(rows)}."
        findings.add(UserErrorCode.LIMIT_REACHED, path, message)
    return [row["person_id"] for row in rows]


async def _once_per_address(uow: UnitOfWork, texts: Mapping[int, Text]) -> Mapping[int, Text]:
    """Leave out people who have the address of somebody before them: duplicates from before addresses had keys."""
    tx = uow.connection
    rows = await tx.fetch(
        f"SELECT id, address_folded FROM people WHERE {tx.in_any('id')} AND address_folded LIKE '% %'",
        tx.array_param(texts),
    )
    if not rows:
        return texts
    rows = await tx.fetch(f"SELECT id, address_folded FROM people WHERE {tx.in_any('id')}", tx.array_param(texts))
    keys = {row["id"]: without_number(row["address_folded"]) for row in rows}
    first: dict[str, int] = {}
    for person in texts:
        first.setdefault(keys[person], person)
    return {person: texts[person] for person in first.values()}


async def _accept(ctx: ActionContext, uow: UnitOfWork, viewer: Viewer, order: _Order) -> int:
    """The bulk send with all its emails, and its key."""
    tx = uow.connection
    made = await tx.fetch_one(
        "INSERT INTO bulk_sends (team_id, sender_id, send_kind, subject, body, email_count, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        *(viewer.team_id, viewer.user_id, int(order.kind), order.text.subject, order.text.body),
        *(len(order.texts), uow.now),
    )
    key = int(made["id"]) if made else 0
    pairs = ((person, order.campaign) for person in order.texts)
    no = await suppression.reasons(tx, ctx.limits, pairs, locked=True)
    folded = {text.subject: fold(text.subject) for text in order.texts.values()}
    await tx.execute_many(
        _EMAIL,
        (
            (
                *(viewer.team_id, viewer.user_id, person, key, int(order.kind), order.campaign, order.template),
                # The body that all of them have is stored with the bulk send alone.
                *(text.subject, folded[text.subject], "" if text.body == order.text.body else text.body),
                text.body == order.text.body,
                *_state(uow, order, no.get((person, order.campaign)), wait),
                *(False, False, uow.now, uow.now),
            )
            for (person, text), wait in zip(order.texts.items(), _waits(order.texts.values()), strict=True)
        ),
    )
    for row in await tx.fetch("SELECT id, status FROM emails WHERE bulk_send_id = ? ORDER BY id", key):
        uow.move_count(viewer.user_id, None, folder_of(EmailStatus(row["status"]), False))
        uow.invalidate(InvalidationKind.EMAIL, viewer.team_id, row["id"], ChangeCauseKind.EMAIL_CHANGED)
    uow.sends = True
    return key


def _waits(texts: Iterable[Text]) -> Iterator[int]:
    """The microseconds after which each is due. Between long emails the mail of others can leave."""
    wait = 0
    for text in texts:
        yield wait
        if len(text.body) > LONG_CHARACTERS:
            wait += int(len(text.body) * _SPACING_MICROS)


def _state(uow: UnitOfWork, order: _Order, no: Suppressed | None, wait: int) -> tuple[Any, ...]:
    """status, scheduled_at, due_at, failed_at, failure_code and failure_message of a new email."""
    if no is not None:
        return int(EmailStatus.FAILED), None, None, uow.now, int(no.code), no.message
    if order.at is not None:
        return int(EmailStatus.SCHEDULED), order.at, order.at + wait, None, None, None
    return int(EmailStatus.IN_PROGRESS), None, uow.now + wait, None, None, None
