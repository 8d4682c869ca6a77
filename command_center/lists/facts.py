"""Loads the facts of emails, which the predicate evaluates.

One statement loads those of any number of emails.
"""

from collections.abc import Collection, Iterable
from typing import TypeAlias

import orjson

from command_center.database.connections import Connection, RowValues
from command_center.search.facts import Event, Facts
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind

_PLAIN_COLUMNS = {
    name: f"{table}.{name}"
    for table, names in (
        ("e", "id team_id sender_id person_id campaign_id template_id bulk_send_id send_kind status archived success"),
        ("e", "subject_folded"),
        ("p", "address_search company_folded"),
        ("e", "created_at sent_at scheduled_at failed_at"),
    )
    for name in names.split()
}
_EMAILS = "emails e JOIN people p ON p.id = e.person_id WHERE "


def _build_columns(postgres: bool) -> dict[str, str]:
    """Return the SQL expression of each column that is loaded for an email, by name.

    The columns are the fields of `Facts` in their order, then the email's memberships.

    The last three columns are JSON arrays.
    """
    rows, row, end = (
        ("coalesce(json_agg", "json_build_array", ", '[]')") if postgres else ("(json_group_array", "json_array", ")")
    )

    def build_json_list(value: str, source: str) -> str:
        return f"(SELECT {rows}({value}){end} FROM {source})"

    return _PLAIN_COLUMNS | {
        "group_ids": build_json_list("m.group_id", "group_people m WHERE m.person_id = e.person_id"),
        "events": build_json_list(
            f"{row}(g.kind, g.verdict, g.occurred_at, g.url_folded)", "engagements g WHERE g.email_id = e.id"
        ),
        "memberships": build_json_list(f"{row}(s.search_id, s.id)", "memberships s WHERE s.email_id = e.id"),
    }


_COLUMNS = {postgres: _build_columns(postgres) for postgres in (False, True)}
_COLUMN_NAMES = tuple(_COLUMNS[True])
_SELECT = {
    postgres: f"SELECT {', '.join(f'{value} AS {name}' for name, value in columns.items())} FROM {_EMAILS}"
    for postgres, columns in _COLUMNS.items()
}

Memberships: TypeAlias = dict[int, dict[int, int]]
"""By email id: the id of the membership in each list, by the list's id."""

_STATUS = {int(value): value for value in EmailStatus}
_SEND_KIND = {int(value): value for value in SendKind}
_KIND = {int(value): value for value in EngagementKind}
_VERDICT = {int(value): value for value in EngagementVerdict}


async def load_facts(connection: Connection, email_ids: Collection[int]) -> dict[int, Facts]:
    """Return the facts of emails by email id. A deleted email has none."""
    return (await load_with_memberships(connection, email_ids))[0] if email_ids else {}


async def load_with_memberships(
    connection: Connection, email_ids: Collection[int]
) -> tuple[dict[int, Facts], Memberships]:
    """Return the facts of emails, and their current memberships, both by email id.

    A deleted email has no facts, but may have memberships.
    """
    select = _SELECT[connection.postgres] + connection.in_any("e.id")
    facts, memberships = parse_rows(
        await connection.fetch_tuples(_COLUMN_NAMES, select, connection.array_param(email_ids))
    )
    if deleted := [key for key in email_ids if key not in facts]:
        for email_id, search_id, member_id in await connection.fetch_tuples(
            ("email_id", "search_id", "id"),
            f"SELECT email_id, search_id, id FROM memberships WHERE {connection.in_any('email_id')}",
            connection.array_param(deleted),
        ):
            memberships.setdefault(email_id, {})[search_id] = member_id
    return facts, memberships


def build_facts_subquery(email_id: str) -> str:
    """Return a PostgreSQL subquery that selects one email's facts as a JSON array.

    `parse_rows` parses such arrays.

    `email_id` is an expression of the outer query. OFFSET 0 keeps the planner from merging the two. So each email is
    looked up by its key, whatever number of rows the planner expects.
    """
    values = ", ".join(_COLUMNS[True].values())
    return f"SELECT json_build_array({values}) AS facts FROM {_EMAILS}e.id = {email_id} OFFSET 0"


def parse_rows(rows: Iterable[RowValues]) -> tuple[dict[int, Facts], Memberships]:
    """Return the facts and memberships in rows whose columns are `_COLUMN_NAMES`."""
    facts: dict[int, Facts] = {}
    memberships: Memberships = {}
    for row in rows:
        facts[row[0]] = _parse_facts(row)
        memberships[row[0]] = dict(_parse_json_list(row[20]))
    return facts, memberships


def _parse_json_list(value: list[object] | str) -> RowValues:
    """Return the elements of a JSON array.

    SQLite returns rows inside another JSON array. Depending on the query plan, the inner array is JSON there or text.
    """
    return value if isinstance(value, list) else orjson.loads(value)


def _parse_facts(row: RowValues) -> Facts:
    """Return the facts in a row whose columns are `_COLUMN_NAMES`."""
    send_kind, status, archived, success = row[7:11]
    groups, event_rows = _parse_json_list(row[18]), _parse_json_list(row[19])
    events = tuple([Event(_KIND[kind], _VERDICT[verdict], at, url) for kind, verdict, at, url in event_rows])
    enums = (_SEND_KIND[send_kind], _STATUS[status], bool(archived), bool(success))
    values = (*row[:7], *enums, *row[11:18], frozenset(groups), events)
    return Facts(*values)
