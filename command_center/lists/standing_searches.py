"""Loads saved searches as they are matched, and fills the index with them.

Each one has the current rights of its owner.
"""

import gc
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from command_center.changes.wakeups import TimeSlice
from command_center.database.connections import Connection
from command_center.search import parser
from command_center.search.filter_ast import Filter
from command_center.search.index.search_index import Index
from command_center.search.references import keep_visible_ids, referenced_keys
from command_center.search.scope import Owner, Scope, resolve_scope
from models.enums import Role, SavedSearchState
from models.viewers import Viewer
from models.visibility import visible_keys

PAGE_SEARCHES = 500
"""Saved searches that `load_all` reads with one statement."""
PROGRESS_SEARCHES = 100_000
"""Saved searches between two progress messages of `load_all`."""
_SELECT = (
    "SELECT s.id, s.team_id, s.owner_id, s.definition, s.state, s.created_at, u.role FROM saved_searches s"
    " JOIN users u ON u.id = s.owner_id WHERE "
)
# Ordered by owner, so that the visible ids of an owner are loaded about once. An index has this order, so no page needs
# a sort.
_NEXT_PAGE = "(s.owner_id, s.created_at, s.id) > (?, ?, ?) ORDER BY s.owner_id, s.created_at, s.id LIMIT ?"
_logger = logging.getLogger("command_center.matcher")


class _SearchRow(NamedTuple):
    """A saved search as it is stored, with the role of its owner.

    `definition` may be a JSON text.
    """

    id: int
    team_id: int
    owner_id: int
    definition: dict[str, object] | str
    state: int
    created_at: int
    role: int


@dataclass(frozen=True, slots=True)
class StandingSearch:
    """One saved search, ready to be matched.

    Its filter names only ids that its owner can see.
    """

    id: int
    team_id: int
    owner_id: int
    state: SavedSearchState
    scope: Scope
    """The emails that the owner's role lets the search cover."""
    filter: Filter


async def load_searches(
    connection: Connection, search_ids: Collection[int], before: bool = False
) -> list[StandingSearch]:
    """Return the saved searches with these ids that exist.

    If `before` is set, they have the rights that their owners had before the last change.
    """
    if not search_ids:
        return []
    stored_rows = await connection.fetch(_SELECT + connection.in_any("s.id"), connection.array_param(search_ids))
    rows = [_SearchRow(**row) for row in stored_rows]
    if before:
        # There are only two roles, and rights change only with the role. So the previous role is the other one.
        rows = [row._replace(role=Role.MEMBER if row.role == Role.ADMIN else Role.ADMIN) for row in rows]
    return [
        StandingSearch(row.id, row.team_id, row.owner_id, SavedSearchState(row.state), search_scope, filter)
        for row, search_scope, filter in await _resolve(rows)
    ]


async def load_all(connection: Connection, index: Index) -> int:
    """Add every saved search to the index, and log the progress. Return their number."""
    after = (0, 0, 0)
    time_slice = TimeSlice()
    while True:
        # Do not load the next page concurrently: its thread would only compete for the interpreter.
        stored_rows = await connection.fetch(_SELECT + _NEXT_PAGE, *after, PAGE_SEARCHES)
        rows = [_SearchRow(**row) for row in stored_rows]
        for row, search_scope, filter in await _resolve(rows):
            index.add(row.id, search_scope, filter)
            if len(index) % PROGRESS_SEARCHES == 0:
                _logger.info("%s saved searches are indexed", f"{len(index):,}")
            await time_slice.yield_if_due()
        if len(rows) < PAGE_SEARCHES:
            return len(index)
        after = (rows[-1].owner_id, rows[-1].created_at, rows[-1].id)
        # Exempt the index from garbage collection: it has no cycles, and reference counts free what is removed.
        gc.freeze()


async def _resolve(rows: list[_SearchRow]) -> list[tuple[_SearchRow, Scope, Filter]]:
    """Return the rows of saved searches, each with its scope and its filter.

    Scope and filter depend on the rights of the owner.
    """
    viewers = {row.owner_id: Viewer(row.owner_id, row.team_id, Role(row.role)) for row in rows}
    time_slice = TimeSlice()
    filters: list[Filter] = []
    named_ids: dict[int, set[tuple[str, int]]] = {owner: set() for owner in viewers}
    for row in rows:
        filters.append(parser.parse_stored_filter(_parse_json(row.definition)))
        named_ids[row.owner_id].update(referenced_keys(filters[-1]))
        await time_slice.yield_if_due()
    visible = {owner: await visible_keys(viewer, named_ids[owner]) for owner, viewer in viewers.items()}
    owners = {viewer.user_id: Owner(viewer.user_id, viewer.team_id, viewer.admin) for viewer in viewers.values()}
    resolved: list[tuple[_SearchRow, Scope, Filter]] = []
    for row, filter in zip(rows, filters, strict=True):
        visible_filter = keep_visible_ids(filter, visible[row.owner_id])
        resolved.append((row, resolve_scope(visible_filter, owners[row.owner_id]), visible_filter))
        await time_slice.yield_if_due()
    return resolved


def _parse_json(value: dict[str, object] | str) -> dict[str, object]:
    return orjson.loads(value) if isinstance(value, str) else value
