"""Imports people in batches, each in one unit of work.

Importing the same file twice has the same result as once.

The validation is the same as for a person created through the API. Reading files is not part of this module: the
caller provides the rows, with their line numbers for the report.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from command_center.actions.context import ActionContext
from command_center.actions.inputs import check_line, has_lone_surrogate
from command_center.actions.people import NewPerson, add_to_group, unsubscribe_all, validate
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row as StoredRow
from command_center.email_addresses import InvalidAddress, comparison_key, lookup_key
from command_center.errors import ErrorCollector, user_error
from command_center.search.text import fold
from models.enums import ChangeCauseKind, InvalidationKind, UserErrorCode
from models.teams import Team
from models.users import User
from models.viewers import Viewer

_COLUMNS = (
    *("name", "name_folded", "address", "address_folded", "address_search"),
    *("title", "company", "company_folded", "phone", "first_name"),
)
_SELECT_EXISTING = (
    "SELECT id, owner_id, shared, address_folded, name, title, company, phone, first_name FROM people WHERE team_id = ?"
)
_SELECT_GROUP = "SELECT id FROM person_groups WHERE owner_id = ? AND team_id = ? AND name = ? ORDER BY id LIMIT 1"
_SELECT_SUBSCRIBED = "SELECT id FROM people WHERE team_id = ? AND unsubscribed_at IS NULL AND "
_UPDATE_PERSON = (
    "UPDATE people SET name=?, name_folded=?, title=?, company=?, company_folded=?, phone=?, first_name=? WHERE id=?"
)


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One row of a file, and the line at which it begins.

    A row with a fault is refused, but the opt-out of an existing person still takes effect.
    """

    line: int
    new: NewPerson
    opted_out: bool = False
    fault: str | None = None


@dataclass(slots=True)
class ImportResult:
    """Counts the results of the imported rows.

    `colleagues` counts the unchanged people that belong to another user, and `hidden` those of them that are private.
    `unsubscribed` counts the people who were subscribed before.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    colleagues: int = 0
    hidden: int = 0
    unsubscribed: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    """The line and the reason of each refused row."""


async def find_owner(team: str, address: str) -> Viewer:
    """Find the user who will own the imported people.

    Raises: UserErrors (NOT_FOUND), with the path `team` or `owner`, if there is no such team or user.
    """
    team_row = None if has_lone_surrogate(team) else await Team.get_or_none(name=team.strip())
    if team_row is None:
        raise user_error(UserErrorCode.NOT_FOUND, ("team",), f"There is no team named {team.strip()!r}.")
    user = (
        None
        if has_lone_surrogate(address)
        else await User.get_or_none(address_folded=lookup_key(address), team_id=team_row.id)
    )
    if user is None:
        raise user_error(UserErrorCode.NOT_FOUND, ("owner",), f"The team has no user with the address {address!r}.")
    return Viewer(user.id, team_row.id, user.role)


class Import:
    """Imports one file.

    Remembers the line of each address, so that repeated addresses are refused.
    """

    def __init__(self, ctx: ActionContext, viewer: Viewer, group: str | None = None) -> None:
        """Prepare an import for the viewer, who will own the people.

        Adds all imported people, except colleagues' private ones, to the viewer's own group named `group`.
        Raises: UserErrors if that name is invalid.
        """
        errors = ErrorCollector()
        self._group = None if group is None else check_line(errors, group, ("group",), "A name")
        errors.raise_any()
        self._ctx = ctx
        self._viewer = viewer
        self._lines: dict[str, int] = {}

    async def import_batch(self, rows: Iterable[ImportRow]) -> ImportResult:
        """Import one batch in one transaction.

        It adds new people, and updates those that the viewer owns.

        Unsubscribes each person who has opted out, regardless of the owner. Never subscribes anyone again.
        """
        tally = ImportResult()
        all_rows = list(rows)
        people = self._valid_people(all_rows, tally)
        opted_out = {key for row in all_rows if row.opted_out and (key := _comparison_key(row.new.address)) is not None}
        if people or opted_out:
            async with self._ctx.writer.unit_of_work() as uow:
                if people:
                    await self._write(uow, people, tally)
                tally.unsubscribed = await _unsubscribe(uow, self._viewer, opted_out)
        return tally

    def _valid_people(self, rows: Iterable[ImportRow], tally: ImportResult) -> dict[str, NewPerson]:
        """Return the valid people by comparison key.

        Adds the other rows to the refused ones of the tally.
        """
        people: dict[str, NewPerson] = {}
        for row in rows:
            errors = ErrorCollector()
            new = validate(row.new, errors)
            if row.fault is not None:
                tally.refused.append((row.line, row.fault))
                continue
            if errors:
                tally.refused.append((row.line, " ".join(error.message for error in errors)))
                continue
            folded = comparison_key(new.address)
            first_line = self._lines.setdefault(folded, row.line)
            if first_line == row.line:
                people[folded] = new
            else:
                tally.refused.append((row.line, f"The same address as in line {first_line}."))
        return people

    async def _write(self, uow: UnitOfWork, people: Mapping[str, NewPerson], tally: ImportResult) -> None:
        """Insert or update valid people, add them to the group, and count them."""
        added = await _insert_people(uow, self._viewer, people)
        existing = await _lock_existing(uow, self._viewer, [folded for folded in people if folded not in added])
        own = [row for row in existing if row["owner_id"] == self._viewer.user_id]
        changed = await _update_people(uow, self._viewer, own, people)
        tally.added, tally.changed, tally.unchanged = len(added), changed, len(existing) - changed
        tally.colleagues = len(existing) - len(own)
        hidden = {row["id"] for row in existing if row["owner_id"] != self._viewer.user_id and not row["shared"]}
        tally.hidden = len(hidden)
        if self._group is not None:
            member_keys = {*added.values(), *(row["id"] for row in existing)} - hidden
            group = await _find_or_create_group(uow, self._viewer, self._group)
            await add_to_group(uow, self._viewer, group, member_keys)


def _comparison_key(address: str) -> str | None:
    """Return the comparison key of an address, or None if the address is invalid."""
    try:
        return comparison_key(address)
    except InvalidAddress:
        return None


async def _unsubscribe(uow: UnitOfWork, viewer: Viewer, keys: Collection[str]) -> int:
    """Unsubscribe the team's people with these comparison keys.

    Returns the number of those who were subscribed.
    """
    if not keys:
        return 0
    tx = uow.connection
    rows = await tx.fetch(_SELECT_SUBSCRIBED + tx.in_texts("address_folded"), viewer.team_id, tx.text_array_param(keys))
    if rows:
        await unsubscribe_all(uow, [row["id"] for row in rows])
    return len(rows)


async def _insert_people(uow: UnitOfWork, viewer: Viewer, people: Mapping[str, NewPerson]) -> dict[str, int]:
    """Insert the people that the team does not have yet.

    Returns their ids by comparison key.

    The order of addresses prevents a deadlock between two imports.
    """
    tx = uow.connection
    values = [(*_text_columns(people[folded]), people[folded].shared) for folded in sorted(people)]
    source = "jsonb_array_elements(?::jsonb)" if tx.postgres else "json_each(?)"
    texts = ", ".join(f"value->>{index}" for index in range(len(_COLUMNS)))
    shared = f"(value->>{len(_COLUMNS)})::boolean" if tx.postgres else f"value->>{len(_COLUMNS)}"
    rows = await tx.fetch(
        f"INSERT INTO people (team_id, owner_id, created_at, shared, {', '.join(_COLUMNS)})"
        " SELECT CAST(? AS bigint), CAST(? AS bigint), CAST(? AS bigint),"
        f" {shared}, {texts} FROM {source} WHERE true"
        " ON CONFLICT (team_id, address_folded) DO NOTHING RETURNING id, address_folded",
        *(viewer.team_id, viewer.user_id, uow.now, json.dumps(values)),
    )
    return {row["address_folded"]: row["id"] for row in rows}


def _text_columns(new: NewPerson) -> tuple[str | None, ...]:
    """Return a person as a row of text values, in the order of _COLUMNS."""
    company = None if new.company is None else fold(new.company)
    address = (new.address, comparison_key(new.address), fold(new.address))
    return (new.name, fold(new.name), *address, new.title, new.company, company, new.phone, new.first_name)


async def _lock_existing(uow: UnitOfWork, viewer: Viewer, folded: Sequence[str]) -> list[StoredRow]:
    """Lock and return the team's people with these comparison keys.

    They have the order of their ids.
    """
    if not folded:
        return []
    tx = uow.connection
    return await tx.fetch(
        f"{_SELECT_EXISTING} AND {tx.in_texts('address_folded')} ORDER BY id" + tx.for_update("NO KEY UPDATE"),
        *(viewer.team_id, tx.text_array_param(folded)),
    )


async def _update_people(
    uow: UnitOfWork, viewer: Viewer, own: Iterable[StoredRow], people: Mapping[str, NewPerson]
) -> int:
    """Update the viewer's own people from the file.

    Returns the number of changed people.

    A blank value in the file does not clear the stored value.
    """
    updates = []
    for row in own:
        new = people[row["address_folded"]]
        before = (row["name"], row["title"], row["company"], row["phone"], row["first_name"])
        after = (
            *(new.name, new.title or row["title"], new.company or row["company"], new.phone or row["phone"]),
            new.first_name or row["first_name"],
        )
        if after != before:
            name, title, company, phone, first_name = after
            folded = None if company is None else fold(company)
            updates.append((name, fold(name), title, company, folded, phone, first_name, row["id"]))
            uow.invalidate(InvalidationKind.PERSON, viewer.team_id, row["id"], ChangeCauseKind.PERSON_CHANGED)
    await uow.connection.execute_many(_UPDATE_PERSON, updates)
    return len(updates)


async def _find_or_create_group(uow: UnitOfWork, viewer: Viewer, name: str) -> int:
    """Return the key of the viewer's own group with this name.

    The group is created if there is none.
    """
    tx = uow.connection
    # The lock prevents two simultaneous imports from creating a group each.
    await tx.fetch("SELECT id FROM users WHERE id = ?" + tx.for_update("NO KEY UPDATE"), viewer.user_id)
    row = await tx.fetch_one(_SELECT_GROUP, viewer.user_id, viewer.team_id, name) or await tx.fetch_one(
        "INSERT INTO person_groups (team_id, owner_id, name, shared, created_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
        *(viewer.team_id, viewer.user_id, name, False, uow.now),
    )
    return int(row["id"]) if row else 0
