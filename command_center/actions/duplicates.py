"""People and users that became duplicates when the comparison key of addresses changed.

The first row of an address is stored with its comparison key, the others with a number from 2 behind it. New rows
cannot become duplicates.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from command_center.database.connections import Connection
from command_center.email_addresses import numbered_key, without_number

_STEP = 8
"""Numbers that one statement looks for."""
_NUMBERED = "SELECT {} AS scope, address_folded FROM {} WHERE address_folded LIKE '% %'"
_ROWS = (
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
    """Return these people of one team and all others of the team with their addresses, by id."""
    people = await connection.fetch(
        f"SELECT id, team_id, address_folded FROM people WHERE {connection.in_any('id')}", connection.array_param(ids)
    )
    keys = {without_number(row["address_folded"]) for row in people}
    same = [await _same(connection, "people", team, keys) for team in {row["team_id"] for row in people}]
    return {row["id"] for row in people}.union(*same)


async def all_duplicates(connection: Connection) -> list[list[Duplicate]]:
    """Return the people and users that share an address with another one, in one list for each address."""
    found: list[list[Duplicate]] = []
    # A person's address is unique within the team, a user's among all teams.
    for noun, table, scope in (("Person", "people", "team_id"), ("User", "users", "0")):
        numbered = await connection.fetch(_NUMBERED.format(scope, table))
        for team, key in sorted({(row["scope"], without_number(row["address_folded"])) for row in numbered}):
            ids = connection.array_param(await _same(connection, table, team or None, {key}))
            rows = await connection.fetch(_ROWS.format(table, connection.in_any("r.id")), ids)
            found.append([Duplicate(noun, row["id"], row["team"], row["name"], row["address"]) for row in rows])
    return found


async def _same(connection: Connection, table: str, team_id: int | None, keys: set[str]) -> set[int]:
    """Return the ids of all rows with these comparison keys, numbered or not."""
    found: set[int] = set()
    team = "" if team_id is None else f"team_id = {team_id} AND "
    start = 1
    while keys:
        names = {numbered_key(key, number): key for key in keys for number in range(start, start + _STEP)}
        rows = await connection.fetch(
            f"SELECT id, address_folded FROM {table} WHERE {team}{connection.in_texts('address_folded')}",
            connection.text_array(names),
        )
        found.update(row["id"] for row in rows)
        last = {numbered_key(key, start + _STEP - 1) for key in keys}
        keys = {names[row["address_folded"]] for row in rows if row["address_folded"] in last}
        start += _STEP
    return found
