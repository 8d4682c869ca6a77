"""Saved searches: created, renamed, refined, published, adopted, deleted. Their members are the matcher's."""

import json
from collections.abc import Mapping
from typing import Any

from command_center import ids
from command_center.actions.context import ActionContext
from command_center.actions.inputs import ErrorCollector, Path
from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row
from command_center.errors import UserError, UserErrors, not_found, user_error
from command_center.search.canonical import to_value
from command_center.search.filter_ast import Filter
from command_center.search.parser import check, load
from command_center.search.references import named_ids
from command_center.search.scope import Owner, view_as_problems, without_range
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind, SavedSearchState, UserErrorCode
from models.searches import SavedSearch
from models.viewers import Viewer
from models.visibility import visible_keys


async def create(ctx: ActionContext, viewer: Viewer, name: str, raw: Mapping[str, Any], shared: bool) -> SavedSearch:
    errors = ErrorCollector()
    name = errors.line(name, ("input", "name"), "A name")
    filter = await _checked(ctx, viewer, raw, ("input", "filter"), errors)
    async with ctx.writer.unit_of_work() as uow:
        key = await _insert(ctx, uow, viewer, name, filter, shared, ("input",))
    return await SavedSearch.get(id=key)


async def adopt(ctx: ActionContext, viewer: Viewer, shared_search_id: str, name: str | None) -> SavedSearch:
    """A list of one's own, over one's own mail, from what somebody of the team published."""
    path = ("sharedSearchId",)
    key = ids.decode_key("SharedSearch", shared_search_id)
    source = await SavedSearch.get_or_none(SavedSearch.published(viewer), id=key or 0)
    if source is None:
        raise not_found(path, "shared search")
    errors = ErrorCollector()
    name = errors.line(source.name if name is None else name, ("name",), "A name")
    filter = without_range(load(source.definition))
    await _name_visible(viewer, filter, errors, path)
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        made = await _insert(ctx, uow, viewer, name, filter, False, path)
    return await SavedSearch.get(id=made)


async def rename(ctx: ActionContext, viewer: Viewer, search_id: str, name: str) -> SavedSearch:
    errors = ErrorCollector()
    name = errors.line(name, ("name",), "A name")
    errors.raise_any()
    return await _update(ctx, viewer, search_id, {"name": name})


async def share(ctx: ActionContext, viewer: Viewer, search_id: str, shared: bool) -> SavedSearch:
    """Publishes the definition, or withdraws it."""
    return await _update(ctx, viewer, search_id, {"shared": shared})


async def refine(ctx: ActionContext, viewer: Viewer, search_id: str, raw: Mapping[str, Any]) -> SavedSearch:
    """Another filter for the same list: followers get one Reset once it is filled."""
    errors = ErrorCollector()
    filter = await _checked(ctx, viewer, raw, ("filter",), errors)
    async with ctx.writer.unit_of_work() as uow:
        row = await _own(uow, viewer, search_id)
        await uow.connection.execute(
            "UPDATE saved_searches SET definition = ?, updated_at = ? WHERE id = ?",
            *(json.dumps(to_value(filter)), uow.now, row["id"]),
        )
        # A fill under way is of the filter that was: it would call the list complete that has yet to begin.
        await uow.connection.execute(
            "DELETE FROM marks WHERE kind = ? AND subject_id = ?", int(InvalidationKind.SEARCH), row["id"]
        )
        uow.invalidate(InvalidationKind.SEARCH, viewer.team_id, row["id"], ChangeCauseKind.SEARCH_CHANGED)
    return await SavedSearch.get(id=row["id"])


async def delete(ctx: ActionContext, viewer: Viewer, search_id: str) -> int:
    """Deletes a list; nothing about it follows in the log."""
    async with ctx.writer.unit_of_work() as uow:
        row = await _own(uow, viewer, search_id)
        await uow.connection.execute("DELETE FROM saved_searches WHERE id = ?", row["id"])
        uow.invalidate(InvalidationKind.SEARCH, viewer.team_id, row["id"], ChangeCauseKind.SEARCH_CHANGED)
        uow.log(LogEntry(viewer.team_id, ChangeKind.SEARCH_DELETED, viewer.user_id, row["id"]))
    return int(row["id"])


async def checked_query(ctx: ActionContext, viewer: Viewer, raw: Mapping[str, Any], path: Path) -> Filter:
    """The filter of a query: ids that cannot be seen match nothing there, all other mistakes are refused."""
    errors = ErrorCollector()
    filter = _checked_shape(ctx, raw, path, errors)
    if filter is not None:
        errors.problems.extend(await _view_as(viewer, filter, path))
    errors.raise_any()
    return filter or Filter(())


async def _checked(
    ctx: ActionContext, viewer: Viewer, raw: Mapping[str, Any], path: Path, errors: ErrorCollector
) -> Filter:
    filter = _checked_shape(ctx, raw, path, errors)
    if filter is not None:
        forbidden = await _view_as(viewer, filter, path)
        errors.problems.extend(forbidden)
        await _name_visible(viewer, filter, errors, path)
    errors.raise_any()
    return filter or Filter(())


def _checked_shape(ctx: ActionContext, raw: Mapping[str, Any], path: Path, errors: ErrorCollector) -> Filter | None:
    try:
        return check(raw, limits=ctx.limits.filter, path=path)
    except UserErrors as exc:
        errors.problems.extend(exc.problems)
        return None


async def _view_as(viewer: Viewer, filter: Filter, path: Path) -> list[UserError]:
    named = [(each.noun, each.key) for each in named_ids(filter) if each.noun == "User"]
    colleagues = (await visible_keys(viewer, named)).get("User", set())
    return view_as_problems(filter, Owner(viewer.user_id, viewer.team_id, viewer.admin), path, colleagues)


async def _name_visible(viewer: Viewer, filter: Filter, errors: ErrorCollector, prefix: Path) -> None:
    named = named_ids(filter)
    visible = await visible_keys(viewer, ((each.noun, each.key) for each in named))
    for each in named:
        if each.key not in visible.get(each.noun, ()):
            errors.add(UserErrorCode.NOT_FOUND, (*prefix, *each.path), f"There is no such {each.noun.lower()}.")


async def _insert(
    ctx: ActionContext, uow: UnitOfWork, viewer: Viewer, name: str, filter: Filter, shared: bool, path: Path
) -> int:
    tx = uow.connection
    # The user's row is locked so that two requests at once cannot both be the last one within the limit.
    await tx.fetch_one("SELECT id FROM users WHERE id = ?" + tx.for_update(), viewer.user_id)
    count = await tx.fetch_one("SELECT COUNT(*) AS count FROM saved_searches WHERE owner_id = ?", viewer.user_id)
    most = ctx.limits.searches_per_user
    if count is not None and count["count"] >= most:
        raise user_error(UserErrorCode.LIMIT_REACHED, path, f"A user may have at most {most} saved searches.")
    row = await tx.fetch_one(
        "INSERT INTO saved_searches (team_id, owner_id, name, definition, shared, state, member_count, created_at,"
        " updated_at) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?) RETURNING id",
        *(viewer.team_id, viewer.user_id, name, json.dumps(to_value(filter)), shared),
        *(int(SavedSearchState.BUILDING), uow.now, uow.now),
    )
    key = int(row["id"]) if row else 0
    uow.invalidate(InvalidationKind.SEARCH, viewer.team_id, key, ChangeCauseKind.SEARCH_CHANGED)
    uow.log(LogEntry(viewer.team_id, ChangeKind.SEARCH_UPSERTED, viewer.user_id, key))
    return key


async def _update(ctx: ActionContext, viewer: Viewer, search_id: str, values: Mapping[str, Any]) -> SavedSearch:
    async with ctx.writer.unit_of_work() as uow:
        row = await _own(uow, viewer, search_id)
        await uow.connection.execute(
            f"UPDATE saved_searches SET {', '.join(f'{column} = ?' for column in values)}, updated_at = ? WHERE id = ?",
            *(*values.values(), uow.now, row["id"]),
        )
        uow.log(LogEntry(viewer.team_id, ChangeKind.SEARCH_UPSERTED, viewer.user_id, row["id"]))
    return await SavedSearch.get(id=row["id"])


async def _own(uow: UnitOfWork, viewer: Viewer, text: str) -> Row:
    key = ids.decode_key("SavedSearch", text)
    row = await uow.connection.fetch_one(
        "SELECT id FROM saved_searches WHERE id = ? AND team_id = ? AND owner_id = ?" + uow.connection.for_update(),
        *(key or 0, viewer.team_id, viewer.user_id),
    )
    if row is None:
        raise not_found(("id",), "saved search")
    return row
