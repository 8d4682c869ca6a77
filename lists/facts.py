"""Present facts of emails, as the predicate wants them: three statements however many emails."""

from collections.abc import Collection, Sequence
from typing import Any

from models.database import Connection
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind
from search.facts import Event, Facts

_EMAIL = (
    *("id", "team_id", "sender_id", "person_id", "campaign_id", "template_id", "bulk_send_id", "send_kind", "status"),
    *("archived", "success", "subject_folded", "address_folded", "company_folded"),
    *("created_at", "sent_at", "scheduled_at", "failed_at"),
)
_EMAILS = (
    "SELECT e.id, e.team_id, e.sender_id, e.person_id, e.campaign_id, e.template_id, e.bulk_send_id, e.send_kind,"
    " e.status, e.archived, e.success, e.subject_folded, p.address_folded, p.company_folded,"
    " e.created_at, e.sent_at, e.scheduled_at, e.failed_at FROM emails e JOIN people p ON p.id = e.person_id WHERE "
)
_EVENT = ("email_id", "kind", "verdict", "occurred_at", "url_folded")
_EVENTS = f"SELECT {', '.join(_EVENT)} FROM engagements WHERE "
_GROUP = ("person_id", "group_id")
_GROUPS = f"SELECT {', '.join(_GROUP)} FROM group_people WHERE "

_STATUS = {int(value): value for value in EmailStatus}
_SEND_KIND = {int(value): value for value in SendKind}
_KIND = {int(value): value for value in EngagementKind}
_VERDICT = {int(value): value for value in EngagementVerdict}


async def load(connection: Connection, email_ids: Collection[int]) -> dict[int, Facts]:
    """Facts by email id; an email that is gone has none."""
    if not email_ids:
        return {}
    keys = connection.listed(email_ids)
    emails = await connection.tuples(_EMAIL, _EMAILS + connection.within("e.id"), keys)
    events: dict[int, list[Event]] = {}
    for email_id, kind, verdict, at, url in await connection.tuples(
        _EVENT, _EVENTS + connection.within("email_id"), keys
    ):
        events.setdefault(email_id, []).append(Event(_KIND[kind], _VERDICT[verdict], at, url))
    groups: dict[int, set[int]] = {}
    people = connection.listed({person_id for _, _, _, person_id, *_ in emails})
    for person_id, group_id in await connection.tuples(_GROUP, _GROUPS + connection.within("person_id"), people):
        groups.setdefault(person_id, set()).add(group_id)
    return {row[0]: _facts(row, frozenset(groups.get(row[3], ())), tuple(events.get(row[0], ()))) for row in emails}


def _facts(row: Sequence[Any], groups: frozenset[int], events: tuple[Event, ...]) -> Facts:
    """From the values of _EMAIL, which come in the order of the fields."""
    send_kind, status, archived, success = row[7:11]
    flat = (*row[:7], _SEND_KIND[send_kind], _STATUS[status], bool(archived), bool(success), *row[11:], groups, events)
    return Facts(*flat)
