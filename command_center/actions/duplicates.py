"""Finds people and users that became duplicates.

That happened when the comparison key of addresses changed.

The first row with an address has its comparison key, and each other row the key followed by a number from 2. New rows
cannot become duplicates.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from command_center.database.connections import Connection
from command_center.email_addresses import numbered_key, strip_number

_QUERY_NUMBERS = 8
"""Each query searches for this many numbers of duplicates per address."""
_SELECT_NUMBERED = "SELECT {} AS scope, address_folded FROM {} WHERE address_folded LIKE '% %'"
_SELECT_ROWS = (
    "SELECT r.id, r.name, r.address, t.name AS team FROM {} r JOIN teams t ON t.id = r.team_id WHERE {}"
    " ORDER BY r.address_folded, r.id"
)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One of several rows with the same address; `noun` is Person or User."""

    noun: str
    id: int
    team: str
    name: str
    address: str


async def with_duplicates(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Return the ids of these people and of all their duplicates.

    A duplicate is another person of the same team with the same address.
    """
    people = await connection.fetch(
        f"SELECT id, team_id, address_folded FROM people WHERE {connection.in_any('id')}", connection.array_param(ids)
    )
    keys = {strip_number(row["address_folded"]) for row in people}
    duplicates = [await _ids_with_keys(connection, "people", team, keys) for team in {row["team_id"] for row in people}]
    return {row["id"] for row in people}.union(*duplicates)


async def all_duplicates(connection: Connection) -> list[list[Duplicate]]:
    """Return one list of rows for each address that several rows share.

    The rows of a list are either people of one team, or users of any team.
    """
    ids_found: list[list[Duplicate]] = []
    # A person's address is unique within the team, a user's among all teams.
    for noun, table, scope in (("Person", "people", "team_id"), ("User", "users", "0")):
        numbered = await connection.fetch(_SELECT_NUMBERED.format(scope, table))
        for team, key in sorted({(row["scope"], strip_number(row["address_folded"])) for row in numbered}):
            ids = connection.array_param(await _ids_with_keys(connection, table, team or None, {key}))
            rows = await connection.fetch(_SELECT_ROWS.format(table, connection.in_any("r.id")), ids)
            ids_found.append([Duplicate(noun, row["id"], row["team"], row["name"], row["address"]) for row in rows])
    return ids_found


async def _ids_with_keys(connection: Connection, table: str, team_id: int | None, keys: set[str]) -> set[int]:
    """Return the ids of a table's rows whose addresses have these comparison keys.

    The stored key of a duplicate ends with a number; such rows are included. If `team_id` is None, rows of all teams
    count.
    """
    ids_found: set[int] = set()
    team = "" if team_id is None else f"team_id = {team_id} AND "
    start = 1
    while keys:
        by_stored_key = {
            numbered_key(key, number): key for key in keys for number in range(start, start + _QUERY_NUMBERS)
        }
        rows = await connection.fetch(
            f"SELECT id, address_folded FROM {table} WHERE {team}{connection.in_texts('address_folded')}",
            connection.text_array_param(by_stored_key),
        )
        ids_found.update(row["id"] for row in rows)
        last = {numbered_key(key, start + _QUERY_NUMBERS - 1) for key in keys}
        keys = {by_stored_key[row["address_folded"]] for row in rows if row["address_folded"] in last}
        start += _QUERY_NUMBERS
    return ids_found
