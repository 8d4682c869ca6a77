"""The actions on saved searches.

They create, rename, refine, publish, adopt and delete.

Only the matcher writes memberships; an action queues an invalidation of the saved search.
"""

import json
from collections.abc import Mapping

from command_center import ids
from command_center.actions.context import ActionContext
from command_center.actions.inputs import check_line
from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import ColumnValues, Row
from command_center.errors import ErrorCollector, InputPath, UserError, UserErrors, not_found, user_error
from command_center.search.canonical import to_value
from command_center.search.filter_ast import Filter
from command_center.search.parser import parse_filter, parse_stored_filter
from command_center.search.references import id_references
from command_center.search.scope import Owner, view_as_errors, without_scope
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind, SavedSearchState, UserErrorCode
from models.searches import SavedSearch
from models.viewers import Viewer
from models.visibility import visible_keys


async def create(ctx: ActionContext, viewer: Viewer, name: str, raw: Mapping[str, object], shared: bool) -> SavedSearch:
    """Create a saved search.

    Raises: UserErrors if the input is invalid, or if the viewer has too many.
    """
    errors = ErrorCollector()
    name = check_line(errors, name, ("input", "name"), "A name")
    filter = await _validate(ctx, viewer, raw, ("input", "filter"), errors)
    async with ctx.writer.unit_of_work() as uow:
        key = await _insert(ctx, uow, viewer, name, filter, shared, ("input",))
    return await SavedSearch.get(id=key)


async def adopt(ctx: ActionContext, viewer: Viewer, shared_search_id: str, name: str | None) -> SavedSearch:
    """Create a saved search over the viewer's own emails from a published one.

    Copies its name if `name` is None.

    Raises: UserErrors if the viewer cannot see it or one of the objects that its filter names.
    """
    path = ("sharedSearchId",)
    key = ids.decode_key("SharedSearch", shared_search_id)
    source = await SavedSearch.get_or_none(SavedSearch.published(viewer), id=key or 0)
    if source is None:
        raise not_found(path, "shared search")
    errors = ErrorCollector()
    name = check_line(errors, source.name if name is None else name, ("name",), "A name")
    filter = without_scope(parse_stored_filter(source.definition))
    await _check_references(viewer, filter, errors, path)
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        key_of_copy = await _insert(ctx, uow, viewer, name, filter, False, path)
    return await SavedSearch.get(id=key_of_copy)


async def rename(ctx: ActionContext, viewer: Viewer, search_id: str, name: str) -> SavedSearch:
    """Rename one of the viewer's saved searches.

    Raises: UserErrors if the name is invalid or the viewer has no such saved search.
    """
    errors = ErrorCollector()
    name = check_line(errors, name, ("name",), "A name")
    errors.raise_any()
    return await _update(ctx, viewer, search_id, {"name": name})


async def share(ctx: ActionContext, viewer: Viewer, search_id: str, shared: bool) -> SavedSearch:
    """Publish a saved search to the viewer's team, or withdraw it.

    Raises: UserErrors (NOT_FOUND) if the viewer has no such saved search.
    """
    return await _update(ctx, viewer, search_id, {"shared": shared})


async def refine(ctx: ActionContext, viewer: Viewer, search_id: str, raw: Mapping[str, object]) -> SavedSearch:
    """Replace the filter of a list.

    Subscribers get one Reset message after the backfill of the list. Raises: UserErrors if the filter is invalid or the
    viewer has no such list.
    """
    errors = ErrorCollector()
    filter = await _validate(ctx, viewer, raw, ("filter",), errors)
    async with ctx.writer.unit_of_work() as uow:
        row = await _lock_own_search(uow, viewer, search_id)
        await uow.connection.execute(
            "UPDATE saved_searches SET definition = ?, updated_at = ? WHERE id = ?",
            *(json.dumps(to_value(filter)), uow.now, row["id"]),
        )
        # A backfill in progress uses the old filter, and would mark the list as complete too early.
        await uow.connection.execute(
            "DELETE FROM invalidations WHERE kind = ? AND subject_id = ?", int(InvalidationKind.SEARCH), row["id"]
        )
        uow.invalidate(InvalidationKind.SEARCH, viewer.team_id, row["id"], ChangeCauseKind.SEARCH_CHANGED)
    return await SavedSearch.get(id=row["id"])


async def delete(ctx: ActionContext, viewer: Viewer, search_id: str) -> int:
    """Delete a list, and return its key.

    Its SEARCH_DELETED entry is the last one about it in the log.

    Raises: UserErrors (NOT_FOUND) if the viewer has no such list.
    """
    async with ctx.writer.unit_of_work() as uow:
        row = await _lock_own_search(uow, viewer, search_id)
        await uow.connection.execute("DELETE FROM saved_searches WHERE id = ?", row["id"])
        uow.invalidate(InvalidationKind.SEARCH, viewer.team_id, row["id"], ChangeCauseKind.SEARCH_CHANGED)
        uow.log(LogEntry(viewer.team_id, ChangeKind.SEARCH_DELETED, viewer.user_id, row["id"]))
    return int(row["id"])


async def parse_query_filter(ctx: ActionContext, viewer: Viewer, raw: Mapping[str, object], path: InputPath) -> Filter:
    """Return the filter of a query.

    Ids of invisible objects are allowed, and match nothing.

    Raises: UserErrors if the filter is invalid in another way.
    """
    errors = ErrorCollector()
    filter = _parse(ctx, raw, path, errors)
    if filter is not None:
        errors.extend(await _view_as_errors(viewer, filter, path))
    errors.raise_any()
    return filter or Filter(())


async def _validate(
    ctx: ActionContext, viewer: Viewer, raw: Mapping[str, object], path: InputPath, errors: ErrorCollector
) -> Filter:
    """Return the filter of a saved search.

    Raises: UserErrors with all errors collected so far.
    """
    filter = _parse(ctx, raw, path, errors)
    if filter is not None:
        forbidden = await _view_as_errors(viewer, filter, path)
        errors.extend(forbidden)
        await _check_references(viewer, filter, errors, path)
    errors.raise_any()
    return filter or Filter(())


def _parse(ctx: ActionContext, raw: Mapping[str, object], path: InputPath, errors: ErrorCollector) -> Filter | None:
    """Parse a filter; adds the errors and returns None if it is invalid."""
    try:
        return parse_filter(raw, limits=ctx.limits.filter, path=path)
    except UserErrors as exc:
        errors.extend(exc.errors)
        return None


async def _view_as_errors(viewer: Viewer, filter: Filter, path: InputPath) -> list[UserError]:
    """Return the errors of a filter over other senders' emails.

    Only an admin has the right to use one.
    """
    references = [(reference.noun, reference.key) for reference in id_references(filter) if reference.noun == "User"]
    colleagues = (await visible_keys(viewer, references)).get("User", set())
    return view_as_errors(filter, Owner(viewer.user_id, viewer.team_id, viewer.admin), path, colleagues)


async def _check_references(viewer: Viewer, filter: Filter, errors: ErrorCollector, prefix: InputPath) -> None:
    """Add a NOT_FOUND error for each object in the filter that the viewer cannot see."""
    references = id_references(filter)
    visible = await visible_keys(viewer, ((reference.noun, reference.key) for reference in references))
    for reference in references:
        if reference.key not in visible.get(reference.noun, ()):
            message = f"There is no such {reference.noun.lower()}."
            errors.add(UserErrorCode.NOT_FOUND, (*prefix, *reference.path), message)


async def _insert(
    ctx: ActionContext, uow: UnitOfWork, viewer: Viewer, name: str, filter: Filter, shared: bool, path: InputPath
) -> int:
    """Insert a saved search, queue its backfill, and return its key.

    Raises: UserErrors (LIMIT_REACHED) at `path` if the viewer already has the maximum number of saved searches.
    """
    tx = uow.connection
    # The lock on the user prevents two simultaneous requests from exceeding the limit together.
    await tx.fetch_one("SELECT id FROM users WHERE id = ?" + tx.for_update(), viewer.user_id)
    count = await tx.fetch_one("SELECT COUNT(*) AS count FROM saved_searches WHERE owner_id = ?", viewer.user_id)
    limit = ctx.limits.searches_per_user
    if count is not None and count["count"] >= limit:
        raise user_error(UserErrorCode.LIMIT_REACHED, path, f"A user may have at most {limit} saved searches.")
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


async def _update(ctx: ActionContext, viewer: Viewer, search_id: str, values: ColumnValues) -> SavedSearch:
    """Set columns of one of the viewer's saved searches, and log the change.

    Raises: UserErrors (NOT_FOUND) if the viewer has no such saved search.
    """
    async with ctx.writer.unit_of_work() as uow:
        row = await _lock_own_search(uow, viewer, search_id)
        await uow.connection.execute(
            f"UPDATE saved_searches SET {', '.join(f'{column} = ?' for column in values)}, updated_at = ? WHERE id = ?",
            *(*values.values(), uow.now, row["id"]),
        )
        uow.log(LogEntry(viewer.team_id, ChangeKind.SEARCH_UPSERTED, viewer.user_id, row["id"]))
    return await SavedSearch.get(id=row["id"])


async def _lock_own_search(uow: UnitOfWork, viewer: Viewer, text: str) -> Row:
    """Lock one of the viewer's saved searches, and return a row with its id.

    `text` is its global id. Raises: UserErrors (NOT_FOUND) if the viewer has no such saved search.
    """
    key = ids.decode_key("SavedSearch", text)
    row = await uow.connection.fetch_one(
        "SELECT id FROM saved_searches WHERE id = ? AND team_id = ? AND owner_id = ?" + uow.connection.for_update(),
        *(key or 0, viewer.team_id, viewer.user_id),
    )
    if row is None:
        raise not_found(("id",), "saved search")
    return row
