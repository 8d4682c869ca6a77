"""Present facts of emails, as the predicate wants them: three statements however many emails."""

from collections.abc import Collection
from typing import Any

from models.database import Connection, Row
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind
from search.facts import Event, Facts

_EMAILS = (
    "SELECT e.id, e.team_id, e.sender_id, e.person_id, e.campaign_id, e.template_id, e.bulk_send_id, e.send_kind,"
    " e.status, e.archived, e.success, e.subject_folded, e.created_at, e.sent_at, e.scheduled_at, e.failed_at,"
    " p.address_folded, p.company_folded FROM emails e JOIN people p ON p.id = e.person_id WHERE "
)
_EVENTS = "SELECT email_id, kind, verdict, occurred_at, url_folded FROM engagements WHERE "
_GROUPS = "SELECT person_id, group_id FROM group_people WHERE "

_STATUS = {int(value): value for value in EmailStatus}
_SEND_KIND = {int(value): value for value in SendKind}
_KIND = {int(value): value for value in EngagementKind}
_VERDICT = {int(value): value for value in EngagementVerdict}


async def load(connection: Connection, email_ids: Collection[int]) -> dict[int, Facts]:
    """Facts by email id; an email that is gone has none."""
    emails = await connection.rows(_EMAILS + connection.within("e.id"), connection.listed(email_ids))
    if not emails:
        return {}
    events: dict[int, list[Event]] = {}
    for row in await connection.rows(_EVENTS + connection.within("email_id"), connection.listed(email_ids)):
        events.setdefault(row["email_id"], []).append(_event(row))
    groups: dict[int, set[int]] = {}
    people = {row["person_id"] for row in emails}
    for row in await connection.rows(_GROUPS + connection.within("person_id"), connection.listed(people)):
        groups.setdefault(row["person_id"], set()).add(row["group_id"])
    return {
        row["id"]: _facts(row, frozenset(groups.get(row["person_id"], ())), tuple(events.get(row["id"], ())))
        for row in emails
    }


def _event(row: Row) -> Event:
    return Event(_KIND[row["kind"]], _VERDICT[row["verdict"]], row["occurred_at"], row["url_folded"])


def _facts(row: dict[str, Any], groups: frozenset[int], events: tuple[Event, ...]) -> Facts:
    return Facts(
        id=row["id"],
        team_id=row["team_id"],
        sender_id=row["sender_id"],
        person_id=row["person_id"],
        campaign_id=row["campaign_id"],
        template_id=row["template_id"],
        bulk_send_id=row["bulk_send_id"],
        send_kind=_SEND_KIND[row["send_kind"]],
        status=_STATUS[row["status"]],
        archived=bool(row["archived"]),
        success=bool(row["success"]),
        subject=row["subject_folded"],
        address=row["address_folded"],
        company=row["company_folded"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        scheduled_at=row["scheduled_at"],
        failed_at=row["failed_at"],
        groups=groups,
        events=events,
    )
