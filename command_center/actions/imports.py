"""People out of a file, batch by batch: each batch is one deed, and importing a file twice is the same as once.

The checks are those of a person made by hand. Whoever reads files hands over the rows, and their lines for the report.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from command_center.actions.context import ActionContext
from command_center.actions.inputs import ErrorCollector, broken
from command_center.actions.people import NewPerson, add_to_group, checked, unsubscribe_all
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row as Stored
from command_center.email_addresses import InvalidAddress, comparison_key, lookup_key
from command_center.errors import user_error
from command_center.search.text import fold
from models.enums import ChangeCauseKind, InvalidationKind, UserErrorCode
from models.teams import Team
from models.users import User
from models.viewers import Viewer

_COLUMNS = (
    *("name", "name_folded", "address", "address_folded", "address_search"),
    *("title", "company", "company_folded", "phone", "first_name"),
)
_KNOWN = (
    "SELECT id, owner_id, shared, address_folded, name, title, company, phone, first_name FROM people WHERE team_id = ?"
)
_GROUP = "SELECT id FROM person_groups WHERE owner_id = ? AND team_id = ? AND name = ? ORDER BY id LIMIT 1"
_SUBSCRIBED = "SELECT id FROM people WHERE team_id = ? AND unsubscribed_at IS NULL AND "
_UPDATE = (
    "UPDATE people SET name=?, name_folded=?, title=?, company=?, company_folded=?, phone=?, first_name=? WHERE id=?"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, and the line it begins at.

    A row with a fault is refused; the opt-out of a known person holds all the same.
    """

    line: int
    new: NewPerson
    opted_out: bool = False
    fault: str | None = None


@dataclass(slots=True)
class Tally:
    """What became of rows. `colleagues` are those of the unchanged whose person is somebody else's, `hidden` those of
    them that are private to somebody else, `unsubscribed` those who were not before."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    colleagues: int = 0
    hidden: int = 0
    unsubscribed: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Lines, each with the reason in words."""


async def owner(team: str, address: str) -> Viewer:
    """Whose the imported people will be. Raises Refused, with the paths `team` and `owner`."""
    found = None if broken(team) else await Team.get_or_none(name=team.strip())
    if found is None:
        raise user_error(UserErrorCode.NOT_FOUND, ("team",), f"There is no team named {team.strip()!r}.")
    user = None if broken(address) else await User.get_or_none(address_folded=lookup_key(address), team_id=found.id)
    if user is None:
        raise user_error(UserErrorCode.NOT_FOUND, ("owner",), f"The team has no user with the address {address!r}.")
    return Viewer(user.id, found.id, user.role)


class Import:
    """The import of one file. It remembers each address with its line, so that a repeat can be told for one."""

    def __init__(self, ctx: ActionContext, viewer: Viewer, group: str | None = None) -> None:
        """Puts everyone into the viewer's own group of that name, if one is given. Raises Refused for a bad name."""
        errors = ErrorCollector()
        self._group = None if group is None else errors.line(group, ("group",), "A name")
        errors.raise_any()
        self._ctx = ctx
        self._viewer = viewer
        self._lines: dict[str, int] = {}

    async def take(self, rows: Iterable[Row]) -> Tally:
        """One batch, in one transaction: new people are added, the viewer's own brought up to date.

        Everybody who has opted out is unsubscribed, whoever's they are, and nobody is subscribed again.
        """
        tally = Tally()
        listed = list(rows)
        people = self._sound(listed, tally)
        opted_out = {key for row in listed if row.opted_out and (key := _key(row.new.address)) is not None}
        if people or opted_out:
            async with self._ctx.writer.unit_of_work() as uow:
                if people:
                    await self._write(uow, people, tally)
                tally.unsubscribed = await _unsubscribe(uow, self._viewer, opted_out)
        return tally

    def _sound(self, rows: Iterable[Row], tally: Tally) -> dict[str, NewPerson]:
        """The people that may be kept, by comparison key; what is wrong with the others goes into the tally."""
        people: dict[str, NewPerson] = {}
        for row in rows:
            errors = ErrorCollector()
            new = checked(row.new, errors)
            if row.fault is not None:
                tally.refused.append((row.line, row.fault))
                continue
            if errors.problems:
                tally.refused.append((row.line, " ".join(problem.message for problem in errors.problems)))
                continue
            folded = comparison_key(new.address)
            first = self._lines.setdefault(folded, row.line)
            if first == row.line:
                people[folded] = new
            else:
                tally.refused.append((row.line, f"The same address as in line {first}."))
        return people

    async def _write(self, uow: UnitOfWork, people: Mapping[str, NewPerson], tally: Tally) -> None:
        added = await _add(uow, self._viewer, people)
        known = await _known(uow, self._viewer, [folded for folded in people if folded not in added])
        own = [row for row in known if row["owner_id"] == self._viewer.user_id]
        changed = await _bring_up_to_date(uow, self._viewer, own, people)
        tally.added, tally.changed, tally.unchanged = len(added), changed, len(known) - changed
        tally.colleagues = len(known) - len(own)
        hidden = {row["id"] for row in known if row["owner_id"] != self._viewer.user_id and not row["shared"]}
        tally.hidden = len(hidden)
        if self._group is not None:
            inside = {*added.values(), *(row["id"] for row in known)} - hidden
            await add_to_group(uow, self._viewer, await _own_group(uow, self._viewer, self._group), inside)


def _key(address: str) -> str | None:
    try:
        return comparison_key(address)
    except InvalidAddress:
        return None


async def _unsubscribe(uow: UnitOfWork, viewer: Viewer, keys: Collection[str]) -> int:
    """Unsubscribe the team's people with these comparison keys; return how many were subscribed."""
    if not keys:
        return 0
    tx = uow.connection
    rows = await tx.fetch(_SUBSCRIBED + tx.in_texts("address_folded"), viewer.team_id, tx.text_array(keys))
    if rows:
        await unsubscribe_all(uow, [row["id"] for row in rows])
    return len(rows)


async def _add(uow: UnitOfWork, viewer: Viewer, people: Mapping[str, NewPerson]) -> dict[str, int]:
    """Adds whom the team does not have; their ids by comparison key.

    In the order of addresses, so that two imports never wait for each other in a circle.
    """
    tx = uow.connection
    values = [(*_texts(people[folded]), people[folded].shared) for folded in sorted(people)]
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


def _texts(new: NewPerson) -> tuple[str | None, ...]:
    """The values of _COLUMNS."""
    company = None if new.company is None else fold(new.company)
    address = (new.address, comparison_key(new.address), fold(new.address))
    return (new.name, fold(new.name), *address, new.title, new.company, company, new.phone, new.first_name)


async def _known(uow: UnitOfWork, viewer: Viewer, folded: Sequence[str]) -> list[Stored]:
    """The people the team has already of those addresses, locked in the order of their keys."""
    if not folded:
        return []
    tx = uow.connection
    return await tx.fetch(
        f"{_KNOWN} AND {tx.in_texts('address_folded')} ORDER BY id" + tx.for_update("NO KEY UPDATE"),
        *(viewer.team_id, tx.text_array(folded)),
    )


async def _bring_up_to_date(
    uow: UnitOfWork, viewer: Viewer, own: Iterable[Stored], people: Mapping[str, NewPerson]
) -> int:
    """Takes over what the file says and the person does not; how many people that changed. Blank clears nothing."""
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
    await uow.connection.execute_many(_UPDATE, updates)
    return len(updates)


async def _own_group(uow: UnitOfWork, viewer: Viewer, name: str) -> int:
    """The viewer's own group of a name, which is made where there is none."""
    tx = uow.connection
    # Locked, lest two imports at once make a group each.
    await tx.fetch("SELECT id FROM users WHERE id = ?" + tx.for_update("NO KEY UPDATE"), viewer.user_id)
    row = await tx.fetch_one(_GROUP, viewer.user_id, viewer.team_id, name) or await tx.fetch_one(
        "INSERT INTO person_groups (team_id, owner_id, name, shared, created_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
        *(viewer.team_id, viewer.user_id, name, False, uow.now),
    )
    return int(row["id"]) if row else 0
