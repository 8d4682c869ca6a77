"""The standing searches: each saved search as it is matched, with its owner's present rights, in one index."""

import gc
import logging
from collections.abc import Collection
from dataclasses import dataclass

import orjson

from command_center.changes.wakeups import TimeSlice
from command_center.database.connections import Connection, Row
from command_center.search.filter_ast import Filter
from command_center.search.index.search_index import Index
from command_center.search.parser import load as load_filter
from command_center.search.references import keep_ids, named_keys
from command_center.search.scope import Owner, Scope, scope
from models.enums import Role, SavedSearchState
from models.viewers import Viewer
from models.visibility import visible_keys

PAGE = 500
PROGRESS = 100_000
_SELECT = (
    "SELECT s.id, s.team_id, s.owner_id, s.definition, s.state, s.created_at, u.role FROM saved_searches s"
    " JOIN users u ON u.id = s.owner_id WHERE "
)
# Owner by owner, so that what each may see is asked once, and in the order of an index, so that no page is sorted.
_NEXT = "(s.owner_id, s.created_at, s.id) > (?, ?, ?) ORDER BY s.owner_id, s.created_at, s.id LIMIT ?"
_logger = logging.getLogger("command_center.matcher")


@dataclass(frozen=True, slots=True)
class StandingSearch:
    """One saved search, ready to be matched: only ids its owner can see, and the range their role gives."""

    id: int
    team_id: int
    owner_id: int
    state: SavedSearchState
    scope: Scope
    filter: Filter


async def load(connection: Connection, search_ids: Collection[int], before: bool = False) -> list[StandingSearch]:
    """The saved searches with these ids that exist. `before`: by the rights that their owners had before these."""
    if not search_ids:
        return []
    rows = await connection.fetch(_SELECT + connection.in_any("s.id"), connection.array_param(search_ids))
    if before:
        # There are two roles, and a change of rights is a change of the role.
        rows = [row | {"role": Role.MEMBER if row["role"] == Role.ADMIN else Role.ADMIN} for row in rows]
    return [
        StandingSearch(row["id"], row["team_id"], row["owner_id"], SavedSearchState(row["state"]), ranged, filter)
        for row, ranged, filter in await _resolve(rows)
    ]


async def load_all(connection: Connection, index: Index) -> int:
    """Files every saved search in the index, with a line of progress for every 100,000; how many."""
    after = (0, 0, 0)
    time_slice = TimeSlice()
    while True:
        # Not the next page beside the present one: its thread would only compete for the interpreter.
        rows = await connection.fetch(_SELECT + _NEXT, *after, PAGE)
        for row, ranged, filter in await _resolve(rows):
            index.add(row["id"], ranged, filter)
            if len(index) % PROGRESS == 0:
                _logger.info("%s saved searches are filed", f"{len(index):,}")
            await time_slice.yield_if_due()
        if len(rows) < PAGE:
            return len(index)
        after = (rows[-1]["owner_id"], rows[-1]["created_at"], rows[-1]["id"])
        # The collector need not walk through this for ever: it has no cycles, what is taken out is freed at once.
        gc.freeze()


async def _resolve(rows: list[Row]) -> list[tuple[Row, Scope, Filter]]:
    """With each row the range and the filter it has by its owner's present rights."""
    viewers = {row["owner_id"]: Viewer(row["owner_id"], row["team_id"], Role(row["role"])) for row in rows}
    time_slice = TimeSlice()
    filters: list[Filter] = []
    named: dict[int, set[tuple[str, int]]] = {owner: set() for owner in viewers}
    for row in rows:
        filters.append(load_filter(_json(row["definition"])))
        named[row["owner_id"]].update(named_keys(filters[-1]))
        await time_slice.yield_if_due()
    visible = {owner: await visible_keys(viewer, named[owner]) for owner, viewer in viewers.items()}
    owners = {each.user_id: Owner(each.user_id, each.team_id, each.admin) for each in viewers.values()}
    found: list[tuple[Row, Scope, Filter]] = []
    for row, filter in zip(rows, filters, strict=True):
        kept = keep_ids(filter, visible[row["owner_id"]])
        found.append((row, scope(kept, owners[row["owner_id"]]), kept))
        await time_slice.yield_if_due()
    return found


def _json(value: object) -> dict[str, object]:
    return orjson.loads(value) if isinstance(value, str) else value  # type: ignore[return-value]
