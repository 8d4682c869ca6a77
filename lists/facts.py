"""Present facts of emails, as the predicate wants them: one statement however many emails."""

from collections.abc import Collection, Sequence
from typing import Any

import orjson

from models.database import Connection
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind
from search.facts import Event, Facts

_EMAIL = (
    *("id", "team_id", "sender_id", "person_id", "campaign_id", "template_id", "bulk_send_id", "send_kind", "status"),
    *("archived", "success", "subject_folded", "address_folded", "company_folded"),
    *("created_at", "sent_at", "scheduled_at", "failed_at"),
    *("groups_of", "events"),
)
_EVENT = "g.kind, g.verdict, g.occurred_at, g.url_folded"


def _emails(postgres: bool) -> str:
    """Their columns, and as JSON their events and the groups of their people."""
    rows, row, value = (
        ("coalesce(json_agg", "json_build_array", ", '[]')") if postgres else ("(json_group_array", "json_array", ")")
    )
    return (
        "SELECT e.id, e.team_id, e.sender_id, e.person_id, e.campaign_id, e.template_id, e.bulk_send_id, e.send_kind,"
        " e.status, e.archived, e.success, e.subject_folded, p.address_folded, p.company_folded,"
        " e.created_at, e.sent_at, e.scheduled_at, e.failed_at,"
        f" (SELECT {rows}(m.group_id){value} FROM group_people m WHERE m.person_id = e.person_id) AS groups_of,"
        f" (SELECT {rows}({row}({_EVENT})){value} FROM engagements g WHERE g.email_id = e.id) AS events"
        " FROM emails e JOIN people p ON p.id = e.person_id WHERE "
    )


_EMAILS = {postgres: _emails(postgres) for postgres in (False, True)}

_STATUS = {int(value): value for value in EmailStatus}
_SEND_KIND = {int(value): value for value in SendKind}
_KIND = {int(value): value for value in EngagementKind}
_VERDICT = {int(value): value for value in EngagementVerdict}


async def load(connection: Connection, email_ids: Collection[int]) -> dict[int, Facts]:
    """Facts by email id; an email that is gone has none."""
    if not email_ids:
        return {}
    keys = connection.listed(email_ids)
    emails = await connection.tuples(_EMAIL, _EMAILS[connection.postgres] + connection.within("e.id"), keys)
    return {row[0]: _facts(row) for row in emails}


def _facts(row: Sequence[Any]) -> Facts:
    """From the values of _EMAIL, which come in the order of the fields."""
    send_kind, status, archived, success = row[7:11]
    # On SQLite they are JSON within JSON, or a text within it, as its planner has it.
    groups, events = (each if isinstance(each, list) else orjson.loads(each) for each in row[18:])
    made = tuple([Event(_KIND[kind], _VERDICT[verdict], at, url) for kind, verdict, at, url in events])
    named = (_SEND_KIND[send_kind], _STATUS[status], bool(archived), bool(success))
    flat = (*row[:7], *named, *row[11:18], frozenset(groups), made)
    return Facts(*flat)
