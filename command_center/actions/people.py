"""People and groups: made, unsubscribed, put into groups and taken out again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from command_center import ids
from command_center.actions import duplicates, suppression, transitions
from command_center.actions.access import lock_complete_list, visible_key
from command_center.actions.context import ActionContext
from command_center.actions.inputs import ErrorCollector, Path
from command_center.changes.unit_of_work import UnitOfWork
from command_center.email_addresses import comparison_key
from command_center.errors import user_error
from command_center.search.text import fold
from models.enums import ChangeCauseKind, EmailStatus, FailureCode, InvalidationKind, UserErrorCode
from models.people import Group, Person
from models.viewers import Viewer
from models.visibility import visible_keys

_PHONE = 64
_NOT_ITS_OWNER = "Only its owner may change who is in a group."
# Whoever puts people into a group does it in the order of their keys, so that nobody waits in a circle.
_ADD_PEOPLE = (
    "INSERT INTO group_people (group_id, person_id) SELECT CAST(? AS BIGINT), id FROM people WHERE {} ORDER BY id"
    " ON CONFLICT (group_id, person_id) DO NOTHING RETURNING person_id"
)
_ADD_MEMBERS = (
    "INSERT INTO group_people (group_id, person_id) SELECT DISTINCT CAST(? AS BIGINT), e.person_id FROM memberships m"
    " JOIN emails e ON e.id = m.email_id WHERE m.search_id = ? AND e.team_id = ? AND (e.sender_id = ? OR ?)"
    " ORDER BY e.person_id ON CONFLICT (group_id, person_id) DO NOTHING RETURNING person_id"
)


@dataclass(frozen=True, slots=True)
class NewPerson:
    name: str
    address: str
    title: str | None = None
    company: str | None = None
    phone: str | None = None
    shared: bool = True
    first_name: str | None = None


async def create(ctx: ActionContext, viewer: Viewer, new: NewPerson) -> Person:
    """A person of the viewer's. An address that the team has already is TAKEN, whoever's it is."""
    errors = ErrorCollector()
    path = ("input",)
    new = checked(new, errors, path)
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        row = await uow.connection.fetch_one(
            "INSERT INTO people (team_id, owner_id, name, name_folded, first_name, address, address_folded,"
            " address_search, title, company, company_folded, phone, shared, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (team_id, address_folded) DO NOTHING RETURNING id",
            *(viewer.team_id, viewer.user_id, new.name, fold(new.name), new.first_name, new.address),
            *(comparison_key(new.address), fold(new.address), new.title, new.company),
            *(None if new.company is None else fold(new.company), new.phone, new.shared, uow.now),
        )
        if row is None:
            raise user_error(
                UserErrorCode.TAKEN, (*path, "address"), "The team has a person with this address already."
            )
    return await Person.get(id=row["id"])


def checked(new: NewPerson, errors: ErrorCollector, path: Path = ()) -> NewPerson:
    """The person as they are kept: without white space around, blank as absent. Adds what is wrong to the findings."""
    return NewPerson(
        name=errors.line(new.name, (*path, "name"), "A name"),
        address=errors.address(new.address, (*path, "address")),
        title=errors.optional_line(new.title, (*path, "title"), "A title"),
        company=errors.optional_line(new.company, (*path, "company"), "A company"),
        phone=errors.optional_line(new.phone, (*path, "phone"), "A phone number", _PHONE),
        shared=new.shared,
        first_name=errors.optional_line(new.first_name, (*path, "firstName"), "A first name"),
    )


async def unsubscribe(ctx: ActionContext, viewer: Viewer, person_id: str) -> Person:
    """Nothing is sent to the person any more; what is scheduled becomes FAILED. Twice is the same as once."""
    errors = ErrorCollector()
    key = await visible_key(viewer, "Person", person_id, ("id",), errors)
    errors.raise_any()
    await leave(ctx, int(key or 0))
    return await Person.get(id=key)


async def leave(ctx: ActionContext, key: int) -> None:
    """Unsubscribes the person of a key that was vouched for: by what a viewer sees, or by a signed link."""
    async with ctx.writer.unit_of_work() as uow:
        await unsubscribe_all(uow, [key])


async def unsubscribe_all(uow: UnitOfWork, keys: Iterable[int]) -> None:
    """Unsubscribe these people and their duplicates, and fail what is scheduled to them."""
    tx = uow.connection
    people = await tx.fetch(
        f"SELECT id, address, unsubscribed_at FROM people WHERE {tx.in_any('id')} ORDER BY id"
        + tx.for_update("NO KEY UPDATE"),
        tx.array_param(await duplicates.with_duplicates(tx, keys)),
    )
    subscribed = tx.array_param(row["id"] for row in people if row["unsubscribed_at"] is None)
    await tx.execute(f"UPDATE people SET unsubscribed_at = ? WHERE {tx.in_any('id')}", uow.now, subscribed)
    for row in people:
        message = suppression.unsubscribed_message(row["address"])
        await fail_scheduled(uow, "person_id", row["id"], FailureCode.UNSUBSCRIBED, message)


async def fail_scheduled(uow: UnitOfWork, column: str, key: Any, code: FailureCode, message: str) -> None:
    """Turns the scheduled emails of a person or a campaign into FAILED, whoever sends them."""
    rows = await uow.connection.fetch(
        f"SELECT id, team_id, sender_id, status, archived FROM emails WHERE {column} = ? AND status = ? ORDER BY id"
        + uow.connection.for_update("NO KEY UPDATE"),
        key,
        int(EmailStatus.SCHEDULED),
    )
    await transitions.change(uow, rows, transitions.failure(code, message, uow.now))


async def create_group(ctx: ActionContext, viewer: Viewer, name: str, shared: bool) -> Group:
    errors = ErrorCollector()
    name = errors.line(name, ("name",), "A name")
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        row = await uow.connection.fetch_one(
            "INSERT INTO person_groups (team_id, owner_id, name, shared, created_at) VALUES (?, ?, ?, ?, ?)"
            " RETURNING id",
            *(viewer.team_id, viewer.user_id, name, shared, uow.now),
        )
    return await Group.get(id=row["id"] if row else 0)


async def add_people(
    ctx: ActionContext, viewer: Viewer, group_id: str, person_ids: Sequence[str]
) -> tuple[Group, ErrorCollector]:
    """Puts people into one's own group. Each that cannot be seen is named by its place; the others are put in."""
    errors = ErrorCollector()
    group = await _own_group(viewer, group_id)
    people = await visible_people(viewer, person_ids, ("personIds",), errors)
    async with ctx.writer.unit_of_work() as uow:
        await add_to_group(uow, viewer, group, people.values())
    return await Group.get(id=group), errors


async def add_to_group(uow: UnitOfWork, viewer: Viewer, group: int, people: Iterable[int]) -> None:
    """Puts people, by their keys, into a group that the viewer may change."""
    tx = uow.connection
    rows = await tx.fetch(_ADD_PEOPLE.format(tx.in_any("id")), group, tx.array_param(people))
    _mark(uow, viewer, group, [row["person_id"] for row in rows])


async def remove_people(
    ctx: ActionContext, viewer: Viewer, group_id: str, person_ids: Sequence[str]
) -> tuple[Group, ErrorCollector]:
    """Takes people out of one's own group. Who is not in it stays out."""
    errors = ErrorCollector()
    group = await _own_group(viewer, group_id)
    people = sorted((await visible_people(viewer, person_ids, ("personIds",), errors)).values())
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        rows = await tx.fetch(
            f"DELETE FROM group_people WHERE group_id = ? AND {tx.in_any('person_id')} RETURNING person_id",
            group,
            tx.array_param(people),
        )
        _mark(uow, viewer, group, [row["person_id"] for row in rows])
    return await Group.get(id=group), errors


async def add_members(ctx: ActionContext, viewer: Viewer, group_id: str, search_id: str) -> Group:
    """Puts everyone into one's own group to whom one's own list holds an email.

    While a list is being filled it holds only some of its emails, so nobody is put in from it then.
    """
    errors = ErrorCollector()
    group = await visible_key(viewer, "Group", group_id, ("id",), errors)
    if group is not None and (await Group.get(id=group)).owner_id != viewer.user_id:
        errors.add(UserErrorCode.FORBIDDEN, ("id",), _NOT_ITS_OWNER)
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        key = await lock_complete_list(tx, viewer, search_id, errors)
        errors.raise_any()
        # Nobody is reached through mail that is out of sight since the matcher last looked.
        rows = await tx.fetch(_ADD_MEMBERS, group, key, viewer.team_id, viewer.user_id, viewer.admin)
        _mark(uow, viewer, group or 0, [row["person_id"] for row in rows])
    return await Group.get(id=group)


async def _own_group(viewer: Viewer, text: str) -> int:
    errors = ErrorCollector()
    key = await visible_key(viewer, "Group", text, ("id",), errors)
    errors.raise_any()
    group = await Group.get(id=key)
    if group.owner_id != viewer.user_id:
        raise user_error(UserErrorCode.FORBIDDEN, ("id",), _NOT_ITS_OWNER)
    return int(group.id)


async def visible_people(viewer: Viewer, texts: Iterable[str], path: Path, errors: ErrorCollector) -> dict[str, int]:
    """The keys of people by their ids, each once and in the order named; who cannot be seen is told by place."""
    keys = [(text, ids.decode_key("Person", text)) for text in texts]
    visible = await visible_keys(viewer, (("Person", key) for _, key in keys if key is not None))
    known = visible.get("Person", set())
    for index, (_, key) in enumerate(keys):
        if key not in known:
            errors.add(UserErrorCode.NOT_FOUND, (*path, str(index)), "There is no such person.")
    return {text: key for text, key in keys if key is not None and key in known}


def _mark(uow: UnitOfWork, viewer: Viewer, group: int, people: list[int]) -> None:
    if people:
        uow.invalidate(InvalidationKind.GROUP, viewer.team_id, group, ChangeCauseKind.PERSON_CHANGED, people=people)
