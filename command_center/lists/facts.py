"""Present facts of emails, as the predicate wants them: one statement however many emails."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

import orjson

from command_center.database.connections import Connection
from command_center.search.facts import Event, Facts
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind

_FLAT = {
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


def _columns(postgres: bool) -> dict[str, str]:
    """What facts are made of, in the order of the fields, and the emails' stays: the last three come as JSON."""
    rows, row, end = (
        ("coalesce(json_agg", "json_build_array", ", '[]')") if postgres else ("(json_group_array", "json_array", ")")
    )

    def listed(value: str, of: str) -> str:
        return f"(SELECT {rows}({value}){end} FROM {of})"

    return _FLAT | {
        "groups_of": listed("m.group_id", "group_people m WHERE m.person_id = e.person_id"),
        "events": listed(
            f"{row}(g.kind, g.verdict, g.occurred_at, g.url_folded)", "engagements g WHERE g.email_id = e.id"
        ),
        "stays": listed(f"{row}(s.search_id, s.id)", "memberships s WHERE s.email_id = e.id"),
    }


_COLUMNS = {postgres: _columns(postgres) for postgres in (False, True)}
_NAMES = tuple(_COLUMNS[True])
_SELECT = {
    postgres: f"SELECT {', '.join(f'{value} AS {name}' for name, value in columns.items())} FROM {_EMAILS}"
    for postgres, columns in _COLUMNS.items()
}

Memberships: TypeAlias = dict[int, dict[int, int]]
"""By email: the member id of each list it is in."""

_STATUS = {int(value): value for value in EmailStatus}
_SEND_KIND = {int(value): value for value in SendKind}
_KIND = {int(value): value for value in EngagementKind}
_VERDICT = {int(value): value for value in EngagementVerdict}


async def load(connection: Connection, email_ids: Collection[int]) -> dict[int, Facts]:
    """Facts by email id; an email that is gone has none."""
    return (await load_with_memberships(connection, email_ids))[0] if email_ids else {}


async def load_with_memberships(
    connection: Connection, email_ids: Collection[int]
) -> tuple[dict[int, Facts], Memberships]:
    """Facts by email id, and the present stays of all the emails, of those that are gone as well."""
    select = _SELECT[connection.postgres] + connection.in_any("e.id")
    facts, stays = read(await connection.fetch_tuples(_NAMES, select, connection.array_param(email_ids)))
    if gone := [key for key in email_ids if key not in facts]:
        for email_id, search_id, member_id in await connection.fetch_tuples(
            ("email_id", "search_id", "id"),
            f"SELECT email_id, search_id, id FROM memberships WHERE {connection.in_any('email_id')}",
            connection.array_param(gone),
        ):
            stays.setdefault(email_id, {})[search_id] = member_id
    return facts, stays


def beside(email_id: str) -> str:
    """On PostgreSQL, the row that `read` takes of the email that a query of many calls so: a subquery of it, which
    goes by that key whatever PostgreSQL thinks of the many."""
    values = ", ".join(_COLUMNS[True].values())
    return f"SELECT json_build_array({values}) AS facts FROM {_EMAILS}e.id = {email_id} OFFSET 0"


def read(rows: Iterable[Sequence[Any]]) -> tuple[dict[int, Facts], Memberships]:
    """The facts and stays that rows of _NAMES tell of."""
    facts: dict[int, Facts] = {}
    stays: Memberships = {}
    for row in rows:
        facts[row[0]] = _facts(row)
        stays[row[0]] = dict(_listed(row[20]))
    return facts, stays


def _listed(value: Any) -> list[Any]:
    """On SQLite it is JSON within JSON, or a text within it, as its planner has it."""
    return value if isinstance(value, list) else orjson.loads(value)


def _facts(row: Sequence[Any]) -> Facts:
    """From the values of _NAMES."""
    send_kind, status, archived, success = row[7:11]
    groups, events = _listed(row[18]), _listed(row[19])
    made = tuple([Event(_KIND[kind], _VERDICT[verdict], at, url) for kind, verdict, at, url in events])
    named = (_SEND_KIND[send_kind], _STATUS[status], bool(archived), bool(success))
    flat = (*row[:7], *named, *row[11:18], frozenset(groups), made)
    return Facts(*flat)
