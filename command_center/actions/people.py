"""The actions on people and groups.

They create and unsubscribe people, add them to groups and remove them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from command_center import ids
from command_center.actions import duplicates, suppression, transitions
from command_center.actions.access import lock_complete_list, visible_key
from command_center.actions.context import ActionContext
from command_center.actions.email_rows import EmailState
from command_center.actions.inputs import check_address, check_line, check_optional_line
from command_center.changes.unit_of_work import UnitOfWork
from command_center.email_addresses import comparison_key
from command_center.errors import ErrorCollector, InputPath, user_error
from command_center.search.text import fold
from models.enums import ChangeCauseKind, EmailStatus, FailureCode, InvalidationKind, UserErrorCode
from models.people import Group, Person
from models.viewers import Viewer
from models.visibility import visible_keys

_MAX_PHONE_CHARACTERS = 64
_NOT_ITS_OWNER = "Only its owner may change who is in a group."
# All statements insert people into a group in the order of their keys, to prevent deadlocks.
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
    """The input for a new person."""

    name: str
    address: str
    title: str | None = None
    company: str | None = None
    phone: str | None = None
    shared: bool = True
    first_name: str | None = None


async def create(ctx: ActionContext, viewer: Viewer, new: NewPerson) -> Person:
    """Create a person owned by the viewer.

    Raises: UserErrors if the input is invalid; TAKEN if any person of the team already has the address.
    """
    errors = ErrorCollector()
    path = ("input",)
    new = validate(new, errors, path)
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


def validate(new: NewPerson, errors: ErrorCollector, path: InputPath = ()) -> NewPerson:
    """Check a person, and return it as it is stored.

    Surrounding white space is removed, and blank values become None.
    """
    return NewPerson(
        name=check_line(errors, new.name, (*path, "name"), "A name"),
        address=check_address(errors, new.address, (*path, "address")),
        title=check_optional_line(errors, new.title, (*path, "title"), "A title"),
        company=check_optional_line(errors, new.company, (*path, "company"), "A company"),
        phone=check_optional_line(errors, new.phone, (*path, "phone"), "A phone number", _MAX_PHONE_CHARACTERS),
        shared=new.shared,
        first_name=check_optional_line(errors, new.first_name, (*path, "firstName"), "A first name"),
    )


async def unsubscribe(ctx: ActionContext, viewer: Viewer, person_id: str) -> Person:
    """Unsubscribe a person.

    Nothing is sent to them any more, and scheduled emails become FAILED.

    Repeating it changes nothing. Raises: UserErrors (NOT_FOUND) if the viewer cannot see such a person.
    """
    errors = ErrorCollector()
    key = await visible_key(viewer, "Person", person_id, ("id",), errors)
    errors.raise_any()
    await unsubscribe_by_key(ctx, int(key or 0))
    return await Person.get(id=key)


async def unsubscribe_by_key(ctx: ActionContext, key: int) -> None:
    """Unsubscribe the person with a key.

    The caller must have checked the permission: the viewer's rights, or a signed link.
    """
    async with ctx.writer.unit_of_work() as uow:
        await unsubscribe_all(uow, [key])


async def unsubscribe_all(uow: UnitOfWork, keys: Iterable[int]) -> None:
    """Unsubscribe these people and their duplicates.

    The emails that are scheduled to them fail.
    """
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


async def fail_scheduled(uow: UnitOfWork, column: str, key: int | None, code: FailureCode, message: str) -> None:
    """Fail all scheduled emails of a person or a campaign.

    `column` is the column of `emails` that refers to it, and `key` is its value. `code` and `message` explain the
    failure.
    """
    rows = await uow.connection.fetch(
        f"SELECT id, team_id, sender_id, status, archived FROM emails WHERE {column} = ? AND status = ? ORDER BY id"
        + uow.connection.for_update("NO KEY UPDATE"),
        key,
        int(EmailStatus.SCHEDULED),
    )
    await transitions.update_emails(
        uow, cast(list[EmailState], rows), transitions.failure_columns(code, message, uow.now)
    )


async def create_group(ctx: ActionContext, viewer: Viewer, name: str, shared: bool) -> Group:
    """Create an empty group. Raises: UserErrors if the name is invalid."""
    errors = ErrorCollector()
    name = check_line(errors, name, ("name",), "A name")
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
    """Add people to one of the viewer's own groups.

    Returns the group, and an error for each person that the viewer cannot see. Raises: UserErrors if the viewer does
    not own such a group.
    """
    errors = ErrorCollector()
    group = await _own_group(viewer, group_id)
    people = await visible_people(viewer, person_ids, ("personIds",), errors)
    async with ctx.writer.unit_of_work() as uow:
        await add_to_group(uow, viewer, group, people.values())
    return await Group.get(id=group), errors


async def add_to_group(uow: UnitOfWork, viewer: Viewer, group: int, people: Iterable[int]) -> None:
    """Add people to a group by their keys.

    The caller must have checked that the viewer may change the group.
    """
    tx = uow.connection
    rows = await tx.fetch(_ADD_PEOPLE.format(tx.in_any("id")), group, tx.array_param(people))
    _invalidate_group(uow, viewer, group, [row["person_id"] for row in rows])


async def remove_people(
    ctx: ActionContext, viewer: Viewer, group_id: str, person_ids: Sequence[str]
) -> tuple[Group, ErrorCollector]:
    """Remove people from one of the viewer's own groups.

    Those who are not in it are ignored.

    Returns the group, and an error for each person that the viewer cannot see. Raises: UserErrors if the viewer does
    not own such a group.
    """
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
        _invalidate_group(uow, viewer, group, [row["person_id"] for row in rows])
    return await Group.get(id=group), errors


async def add_members(ctx: ActionContext, viewer: Viewer, group_id: str, search_id: str) -> Group:
    """Add the recipients of a list's emails to one of the viewer's groups.

    The list must be one of the viewer's own.

    Raises: UserErrors if the viewer has no such list or group. WRONG_STATE during the backfill, when the list contains
    only some of its emails.
    """
    errors = ErrorCollector()
    group = await visible_key(viewer, "Group", group_id, ("id",), errors)
    if group is not None and (await Group.get(id=group)).owner_id != viewer.user_id:
        errors.add(UserErrorCode.FORBIDDEN, ("id",), _NOT_ITS_OWNER)
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        key = await lock_complete_list(tx, viewer, search_id, errors)
        errors.raise_any()
        # The query excludes emails that became invisible to the viewer since the matcher's last pass.
        rows = await tx.fetch(_ADD_MEMBERS, group, key, viewer.team_id, viewer.user_id, viewer.admin)
        _invalidate_group(uow, viewer, group or 0, [row["person_id"] for row in rows])
    return await Group.get(id=group)


async def _own_group(viewer: Viewer, text: str) -> int:
    """Return the key of one of the viewer's own groups.

    Raises: UserErrors if the viewer does not own it.
    """
    errors = ErrorCollector()
    key = await visible_key(viewer, "Group", text, ("id",), errors)
    errors.raise_any()
    group = await Group.get(id=key)
    if group.owner_id != viewer.user_id:
        raise user_error(UserErrorCode.FORBIDDEN, ("id",), _NOT_ITS_OWNER)
    return int(group.id)


async def visible_people(
    viewer: Viewer, texts: Iterable[str], path: InputPath, errors: ErrorCollector
) -> dict[str, int]:
    """Return the keys of visible people by global id.

    The result is in request order, without duplicates.

    Adds a NOT_FOUND error with the position of each id that names no visible person.
    """
    keys = [(text, ids.decode_key("Person", text)) for text in texts]
    visible = await visible_keys(viewer, (("Person", key) for _, key in keys if key is not None))
    visible_people_keys = visible.get("Person", set())
    for index, (_, key) in enumerate(keys):
        if key not in visible_people_keys:
            errors.add(UserErrorCode.NOT_FOUND, (*path, str(index)), "There is no such person.")
    return {text: key for text, key in keys if key is not None and key in visible_people_keys}


def _invalidate_group(uow: UnitOfWork, viewer: Viewer, group: int, people: list[int]) -> None:
    """Queue an invalidation of a group for the people who joined or left it, if any."""
    if people:
        uow.invalidate(InvalidationKind.GROUP, viewer.team_id, group, ChangeCauseKind.PERSON_CHANGED, people=people)
