"""The standing searches: each saved search as it is matched, with its owner's present rights, in one index."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from models.database import Connection, Row
from models.enums import Role, SavedSearchState
from models.viewers import Viewer
from models.visibility import visible_keys
from search.check import load as load_filter
from search.index import Index
from search.names import keep_ids, named_ids
from search.scope import Owner, Scope, scope
from search.tree import Filter

PAGE = 1000
_SELECT = (
    "SELECT s.id, s.team_id, s.owner_id, s.definition, s.state, u.role FROM saved_searches s"
    " JOIN users u ON u.id = s.owner_id WHERE "
)


@dataclass(frozen=True, slots=True)
class Standing:
    """One saved search, ready to be matched: only ids its owner can see, and the range their role gives."""

    id: int
    team_id: int
    owner_id: int
    state: SavedSearchState
    scope: Scope
    filter: Filter


async def load(connection: Connection, search_ids: Collection[int]) -> list[Standing]:
    """The saved searches with these ids that exist."""
    rows = await connection.rows(_SELECT + connection.within("s.id"), connection.listed(search_ids))
    return await _resolve(rows)


async def load_all(connection: Connection, index: Index) -> int:
    """Files every saved search in the index; how many."""
    after = 0
    while True:
        rows = await connection.rows(_SELECT + "s.id > ? ORDER BY s.id LIMIT ?", after, PAGE)
        for standing in await _resolve(rows):
            index.add(standing.id, standing.scope, standing.filter)
        if len(rows) < PAGE:
            return len(index)
        after = rows[-1]["id"]


async def _resolve(rows: list[Row]) -> list[Standing]:
    filters = {row["id"]: load_filter(_json(row["definition"])) for row in rows}
    named: dict[Viewer, set[tuple[str, int]]] = {}
    for row in rows:
        wanted = named.setdefault(_viewer(row), set())
        wanted.update((each.noun, each.key) for each in named_ids(filters[row["id"]]))
    visible = {viewer: await visible_keys(viewer, wanted) for viewer, wanted in named.items()}
    return [_standing(row, keep_ids(filters[row["id"]], visible[_viewer(row)])) for row in rows]


def _json(value: object) -> dict[str, object]:
    return json.loads(value) if isinstance(value, str) else value  # type: ignore[return-value]


def _viewer(row: Row) -> Viewer:
    return Viewer(row["owner_id"], row["team_id"], Role(row["role"]))


def _standing(row: Row, filter: Filter) -> Standing:
    viewer = _viewer(row)
    owner = Owner(viewer.user_id, viewer.team_id, viewer.admin)
    return Standing(
        row["id"], row["team_id"], row["owner_id"], SavedSearchState(row["state"]), scope(filter, owner), filter
    )
