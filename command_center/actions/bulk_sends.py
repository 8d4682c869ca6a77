"""The bulk sends: a separate email to each of many people.

All are created in one transaction, and never as drafts.

A suppressed recipient is not an input error: that email fails, and the others are sent. An email also fails later if
its dynamic fields cannot be filled in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from command_center.actions import campaigns, request_ids, suppression
from command_center.actions.access import visible_key
from command_center.actions.bodies import LONG_BODY_CHARACTERS, check_body
from command_center.actions.context import ActionContext
from command_center.actions.inputs import MAX_SUBJECT_CHARACTERS, check_line
from command_center.actions.markup.inspection import BodyReport
from command_center.actions.people import visible_people
from command_center.actions.request_ids import CreatedRow
from command_center.actions.suppression import Suppression
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import ColumnValue
from command_center.email_addresses import strip_number
from command_center.errors import ErrorCollector
from command_center.search.text import fold
from models.campaigns import BulkSend
from models.enums import ChangeCauseKind, EmailStatus, InvalidationKind, SendKind, UserErrorCode
from models.folders import folder_of
from models.viewers import Viewer

_INSERT_EMAIL = (
    "INSERT INTO emails (team_id, sender_id, person_id, bulk_send_id, send_kind, campaign_id, template_id, cc, bcc,"
    " subject, subject_folded, body, shared_body, status, scheduled_at, due_at, failed_at, failure_code,"
    " failure_message, archived, success, created_at, updated_at, views, clicks, replies, attempts)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, '[]', '[]', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)"
)


_SPACING_MICROS = 0.5
"""Microseconds of delay per character of the preceding long body: about twice the time that sending takes."""
Reports = Mapping[str, BodyReport]
"""The inspection report of each body."""


@dataclass(frozen=True, slots=True)
class EmailText:
    """The subject and the body of a message."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Edit:
    """The text for one person that replaces the common text of a bulk send.

    None as the subject or the body keeps the common one.
    """

    person_id: str
    subject: str | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectAndSend:
    """The input for a send to selected people.

    `at` is in microseconds; None means now.
    """

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
    """The input for a send to a group. `at` is in microseconds; None means now."""

    group_id: str
    subject: str
    body: str
    template_id: str | None = None
    campaign_id: str | None = None
    at: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """A validated bulk send.

    `texts` holds the text for each recipient by the person's key.
    """

    kind: SendKind
    text: EmailText
    texts: Mapping[int, EmailText]
    template: int | None
    campaign: int | None
    at: int | None


async def send(ctx: ActionContext, viewer: Viewer, new: SelectAndSend | GroupSend) -> BulkSend:
    """Create an email to each of many people, sent now or scheduled.

    The recipients of a group send are the group's present members. A repeated `request_id` returns the first bulk send
    and sends nothing. Raises: UserErrors if the input is invalid.
    """
    errors = ErrorCollector()
    request = request_ids.validate(new.request_id, errors)
    mutation = "emailSelectAndSend" if isinstance(new, SelectAndSend) else "emailGroupSend"
    # Before the transaction, because other transactions may wait for it.
    edited = (edit.body for edit in new.edits if edit.body is not None) if isinstance(new, SelectAndSend) else ()
    reports = await ctx.inspector.reports([new.body, *edited])
    arguments = {name: value for name, value in asdict(new).items() if name != "request_id"}
    async with ctx.writer.unit_of_work() as uow:
        key = None
        if request is not None and not errors:
            key = await request_ids.find_created(uow, viewer, request, mutation, arguments, CreatedRow.BULK_SEND)
        if key is None:
            order = await _validate(ctx, uow, viewer, new, reports, errors)
            key = await _accept(ctx, uow, viewer, order)
            if request is not None:
                await request_ids.store_created(uow, viewer, request, CreatedRow.BULK_SEND, key)
    return await BulkSend.get(id=key)


async def _validate(
    ctx: ActionContext,
    uow: UnitOfWork,
    viewer: Viewer,
    new: SelectAndSend | GroupSend,
    reports: Reports,
    errors: ErrorCollector,
) -> _Order:
    """Validate the input of a bulk send.

    Raises: UserErrors with all validation errors.
    """
    subject = check_line(errors, new.subject, ("input", "subject"), "A subject", MAX_SUBJECT_CHARACTERS)
    text = EmailText(subject, check_body(errors, new.body, ("input", "body"), reports))
    if isinstance(new, SelectAndSend):
        kind, texts = SendKind.SELECT_AND_SEND, await _selected_people(ctx, viewer, new, text, reports, errors)
    else:
        kind, texts = SendKind.GROUP, dict.fromkeys(await _group_members(ctx, uow, viewer, new.group_id, errors), text)
    template = await visible_key(viewer, "Template", new.template_id, ("input", "templateId"), errors)
    campaign = await visible_key(viewer, "Campaign", new.campaign_id, ("input", "campaignId"), errors)
    await campaigns.check_campaign_active(uow, campaign, errors)
    if new.at is not None and new.at <= uow.now:
        errors.add(UserErrorCode.INVALID, ("input", "at"), "The time to send at must be in the future.")
    errors.raise_any()
    return _Order(kind, text, await _deduplicate_by_address(uow, texts), template, campaign, new.at)


async def _selected_people(
    ctx: ActionContext, viewer: Viewer, new: SelectAndSend, text: EmailText, reports: Reports, errors: ErrorCollector
) -> dict[int, EmailText]:
    """Return the text for each selected person by key.

    Adds an error for each invalid person or edit.
    """
    path = ("input", "personIds")
    number, limit = len(set(new.person_ids)), ctx.limits.select_and_send_people
    edits = _edited_texts(new, text, reports, errors)
    if number > limit:
        message = f"One Select and Send goes to at most {limit} people, not {number}."
        errors.add(UserErrorCode.LIMIT_REACHED, path, message)
        return {}
    if not number:
        errors.add(UserErrorCode.BLANK, path, "A Select and Send needs at least one person.")
    people = await visible_people(viewer, new.person_ids, path, errors)
    return {key: edits.get(text_id, text) for text_id, key in people.items()}


def _edited_texts(
    new: SelectAndSend, text: EmailText, reports: Reports, errors: ErrorCollector
) -> dict[str, EmailText]:
    """Return the texts that replace the common one, by the person's global id."""
    chosen = set(new.person_ids)
    edited: dict[str, EmailText] = {}
    for index, edit in enumerate(new.edits):
        path = ("input", "edits", str(index))
        if edit.person_id not in chosen:
            errors.add(UserErrorCode.INVALID, (*path, "personId"), "This person is not among the personIds.")
        elif edit.person_id in edited:
            errors.add(UserErrorCode.INVALID, (*path, "personId"), "The text for this person is edited twice.")
        subject, body = text.subject, text.body
        if edit.subject is not None:
            subject = check_line(errors, edit.subject, (*path, "subject"), "A subject", MAX_SUBJECT_CHARACTERS)
        if edit.body is not None:
            body = check_body(errors, edit.body, (*path, "body"), reports)
        edited[edit.person_id] = EmailText(subject, body)
    return edited


async def _group_members(
    ctx: ActionContext, uow: UnitOfWork, viewer: Viewer, group_id: str, errors: ErrorCollector
) -> list[int]:
    """Return the keys of all people in a group that the viewer can see.

    They include people who are only visible through the group.
    """
    path = ("input", "groupId")
    group = await visible_key(viewer, "Group", group_id, path, errors)
    if group is None:
        return []
    rows = await uow.connection.fetch("SELECT person_id FROM group_people WHERE group_id = ? ORDER BY person_id", group)
    limit = ctx.limits.group_send_people
    if not rows:
        errors.add(UserErrorCode.INVALID, path, "This group has no members.")
    if len(rows) > limit:
        message = f"One Group Email goes to at most {limit} people, not {len(rows)}."
        errors.add(UserErrorCode.LIMIT_REACHED, path, message)
    return [row["person_id"] for row in rows]


async def _deduplicate_by_address(uow: UnitOfWork, texts: Mapping[int, EmailText]) -> Mapping[int, EmailText]:
    """Leave out each person whose address an earlier person in the mapping has.

    `texts` holds a text by the key of each person. Such duplicates date from before addresses had comparison keys.
    """
    tx = uow.connection
    rows = await tx.fetch(
        f"SELECT id, address_folded FROM people WHERE {tx.in_any('id')} AND address_folded LIKE '% %'",
        tx.array_param(texts),
    )
    if not rows:
        return texts
    rows = await tx.fetch(f"SELECT id, address_folded FROM people WHERE {tx.in_any('id')}", tx.array_param(texts))
    keys = {row["id"]: strip_number(row["address_folded"]) for row in rows}
    first: dict[str, int] = {}
    for person in texts:
        first.setdefault(keys[person], person)
    return {person: texts[person] for person in first.values()}


async def _accept(ctx: ActionContext, uow: UnitOfWork, viewer: Viewer, order: _Order) -> int:
    """Insert the bulk send with all its emails, and return its key."""
    tx = uow.connection
    bulk_send = await tx.fetch_one(
        "INSERT INTO bulk_sends (team_id, sender_id, send_kind, subject, body, email_count, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        *(viewer.team_id, viewer.user_id, int(order.kind), order.text.subject, order.text.body),
        *(len(order.texts), uow.now),
    )
    key = int(bulk_send["id"]) if bulk_send else 0
    pairs = ((person, order.campaign) for person in order.texts)
    suppressions = await suppression.find_suppressions(tx, ctx.limits, pairs, locked=True)
    folded = {text.subject: fold(text.subject) for text in order.texts.values()}
    await tx.execute_many(
        _INSERT_EMAIL,
        (
            (
                *(viewer.team_id, viewer.user_id, person, key, int(order.kind), order.campaign, order.template),
                # The common body is stored only once, with the bulk send.
                *(text.subject, folded[text.subject], "" if text.body == order.text.body else text.body),
                text.body == order.text.body,
                *_status_columns(uow, order, suppressions.get((person, order.campaign)), delay),
                *(False, False, uow.now, uow.now),
            )
            for (person, text), delay in zip(order.texts.items(), _delays_micros(order.texts.values()), strict=True)
        ),
    )
    for row in await tx.fetch("SELECT id, status FROM emails WHERE bulk_send_id = ? ORDER BY id", key):
        uow.move_count(viewer.user_id, None, folder_of(EmailStatus(row["status"]), False))
        uow.invalidate(InvalidationKind.EMAIL, viewer.team_id, row["id"], ChangeCauseKind.EMAIL_CHANGED)
    uow.sends_due = True
    return key


def _delays_micros(texts: Iterable[EmailText]) -> Iterator[int]:
    """Yield each email's delay after the start of the bulk send, in microseconds.

    Each long body delays the emails after it, so that emails of other sends can leave in between.
    """
    delay = 0
    for text in texts:
        yield delay
        if len(text.body) > LONG_BODY_CHARACTERS:
            delay += int(len(text.body) * _SPACING_MICROS)


def _status_columns(
    uow: UnitOfWork, order: _Order, suppressed: Suppression | None, delay: int
) -> tuple[ColumnValue, ...]:
    """Return the columns of a new email that depend on its state.

    They are status, scheduled_at, due_at, failed_at, failure_code and failure_message. `delay` is in microseconds.
    """
    if suppressed is not None:
        return int(EmailStatus.FAILED), None, None, uow.now, int(suppressed.code), suppressed.message
    if order.at is not None:
        return int(EmailStatus.SCHEDULED), order.at, order.at + delay, None, None, None
    return int(EmailStatus.IN_PROGRESS), None, uow.now + delay, None, None, None
