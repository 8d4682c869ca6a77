"""Joins and leaves: decided as values from present facts, then written with their log rows in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from changes.deeds import Deed
from changes.entries import Entry
from lists.marks import all_or_none, claim
from models.enums import ChangeCauseKind, ChangeKind, SavedSearchState
from search.facts import Facts
from search.index import Index

_LIST = ("team_id", "owner_id", "state")
_OF_LIST = ", ".join(f"s.{name}" for name in _LIST)
_STAY = {
    "search_id": "bigint",
    "email_id": "bigint",
    "joined_at": "bigint",
    "cause_kind": "smallint",
    "cause_engagement_id": "bigint",
}
_PLACE = {"place": "int"}
"""Keys are given out in the order of the verdicts."""
_COUNTS = {"id": "bigint", "by": "int"}
_MEMBER = ("id", "search_id", "email_id")
_AGAIN = "ON CONFLICT (search_id, email_id) DO NOTHING"


@dataclass(frozen=True, slots=True)
class Cause:
    """The newest thing that happened to an email since the last look."""

    kind: ChangeCauseKind
    engagement_id: int | None = None


class Join(NamedTuple):
    search_id: int
    email_id: int
    cause: Cause


class Leave(NamedTuple):
    member_id: int
    search_id: int
    email_id: int
    cause: Cause


class _Moved(NamedTuple):
    """A stay that began or ended, and whose list it is."""

    joined: bool
    member_id: int
    search_id: int
    email_id: int
    team_id: int
    owner_id: int
    state: int


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one look decided."""

    joins: tuple[Join, ...] = ()
    leaves: tuple[Leave, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.joins or self.leaves)

    def searches(self) -> set[int]:
        """Whose members change."""
        return {join.search_id for join in self.joins} | {leave.search_id for leave in self.leaves}


def decide(
    index: Index, email_id: int, cause: Cause, known: Facts | None, current: Mapping[int, int], now: int
) -> Verdicts:
    """Which lists an email joins and leaves. `known` is None where it is gone: then it leaves all.

    `current` are its memberships, by list, which are what held at the last look: what holds now is joined unless it is
    among them, and of them only what the index did not find is judged again.
    """
    found = set() if known is None else index.matching(known, now)
    joins = [Join(search_id, email_id, cause) for search_id in sorted(found.difference(current))]
    leaves: list[Leave] = []
    for search_id, member_id in current.items():
        # A list that is not filed is being deleted: its members go with it, unannounced.
        if search_id in found or search_id not in index:
            continue
        if known is None or not index.matches(search_id, known, now):
            leaves.append(Leave(member_id, search_id, email_id, cause))
    return Verdicts(tuple(joins), tuple(leaves))


async def write(deed: Deed, verdicts: Verdicts, announce: bool = True, done: Sequence[int] = ()) -> None:
    """Carries out verdicts, and says each one that really changed something. Raises Superseded where one of the marks
    that are `done` with them is gone.

    The saved searches are locked first: one deleted meanwhile keeps its word that nothing follows its deletion. A list
    that is still filling is changed in silence, its Reset says it all.
    """
    tx = deed.connection
    joins = {(join.search_id, join.email_id): join for join in verdicts.joins}
    leaves = {leave.member_id: leave for leave in verdicts.leaves}
    change: Counter[int] = Counter()
    for moved in await (_in_one_go if tx.postgres else _by_steps)(deed, verdicts, done):
        change[moved.search_id] += 1 if moved.joined else -1
        if not announce or moved.state != SavedSearchState.LIVE:
            continue
        cause = (joins[moved.search_id, moved.email_id] if moved.joined else leaves[moved.member_id]).cause
        deed.say(
            Entry(
                team_id=moved.team_id,
                kind=ChangeKind.MEMBER_JOINED if moved.joined else ChangeKind.MEMBER_LEFT,
                owner_id=moved.owner_id,
                search_id=moved.search_id,
                member_id=moved.member_id,
                email_id=moved.email_id,
                engagement_id=cause.engagement_id,
                cause_kind=cause.kind,
            )
        )
    if counts := [(key, by) for key, by in change.items() if by]:
        given, values = tx.given(_COUNTS, counts)
        deed.close_with(
            f"UPDATE saved_searches SET member_count = member_count + given.by FROM {given}"
            " WHERE saved_searches.id = given.id",
            values,
        )


async def _by_steps(deed: Deed, verdicts: Verdicts, done: Sequence[int]) -> list[_Moved]:
    """What has really changed: those who left, then those who joined, each in the order of the verdicts."""
    tx = deed.connection
    await claim(tx, done)
    found = await tx.tuples(
        ("id", *_LIST),
        f"SELECT id, {', '.join(_LIST)} FROM saved_searches WHERE {tx.within('id')} ORDER BY id",
        tx.listed(verdicts.searches()),
    )
    searches = {key: of for key, *of in found}
    leaves = [leave for leave in verdicts.leaves if leave.search_id in searches]
    joins = [join for join in verdicts.joins if join.search_id in searches]
    there: set[int] = set()
    if leaves:
        listed = tx.listed(leave.member_id for leave in leaves)
        there = {
            key for (key,) in await tx.tuples(("id",), f"SELECT id FROM memberships WHERE {tx.within('id')}", listed)
        }
        await tx.run(f"DELETE FROM memberships WHERE {tx.within('id')}", listed)
    made = await tx.insert("memberships", _STAY, [_stay(join, deed.now) for join in joins], _AGAIN, _MEMBER)
    keys = {(search_id, email_id): key for key, search_id, email_id in made}
    return [
        _Moved(False, leave.member_id, leave.search_id, leave.email_id, *searches[leave.search_id])
        for leave in leaves
        if leave.member_id in there
    ] + [
        _Moved(True, keys[join.search_id, join.email_id], join.search_id, join.email_id, *searches[join.search_id])
        for join in joins
        if (join.search_id, join.email_id) in keys
    ]


async def _in_one_go(deed: Deed, verdicts: Verdicts, done: Sequence[int]) -> list[_Moved]:
    """The same in one statement of PostgreSQL's: a way there and back takes longer than any part of it."""
    tx = deed.connection
    stays = [(*_stay(join, deed.now), place) for place, join in enumerate(verdicts.joins)]
    given, values = tx.given(_STAY | _PLACE, stays)
    rows = await tx.tuples(
        ("claimed", *_Moved._fields),
        f"WITH claimed AS (DELETE FROM marks WHERE {tx.within('id')} RETURNING id),"
        f" searches AS MATERIALIZED (SELECT id, {', '.join(_LIST)} FROM saved_searches WHERE {tx.within('id')}"
        f" ORDER BY id{tx.locked('NO KEY UPDATE')}),"
        f" gone AS (DELETE FROM memberships m USING searches s WHERE {tx.within('m.id')} AND s.id = m.search_id"
        " RETURNING m.id, m.search_id, m.email_id),"
        f" made AS (INSERT INTO memberships ({', '.join(_STAY)}) SELECT {', '.join('given.' + each for each in _STAY)}"
        f" FROM {given} JOIN searches s ON s.id = given.search_id ORDER BY given.place {_AGAIN}"
        " RETURNING id, search_id, email_id),"
        " moved AS (SELECT FALSE AS joined, gone.* FROM gone UNION ALL SELECT TRUE, made.* FROM made)"
        f" SELECT all_claimed.claimed, moved.joined, moved.id, moved.search_id, moved.email_id, {_OF_LIST}"
        " FROM (SELECT count(*) AS claimed FROM claimed) AS all_claimed"
        " LEFT JOIN (moved JOIN searches s ON s.id = moved.search_id) ON TRUE",
        tx.listed(done),
        tx.listed(verdicts.searches()),
        tx.listed(leave.member_id for leave in verdicts.leaves),
        *values,
    )
    all_or_none(rows[0][0], done)
    moved = [_Moved(*row[1:]) for row in rows if row[1] is not None]
    # As the log tells it: those who left first, and otherwise as it was decided.
    left = {leave.member_id: place for place, leave in enumerate(verdicts.leaves)}
    joined = {(join.search_id, join.email_id): place for place, join in enumerate(verdicts.joins)}
    places = {each: joined[each.search_id, each.email_id] if each.joined else left[each.member_id] for each in moved}
    return sorted(moved, key=lambda each: (each.joined, places[each]))


def _stay(join: Join, now: int) -> tuple[Any, ...]:
    """A join as the values of _STAY."""
    return join.search_id, join.email_id, now, int(join.cause.kind), join.cause.engagement_id
