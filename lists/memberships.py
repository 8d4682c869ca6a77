"""Joins and leaves: decided as values from present facts, then written with their log rows in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from changes.deeds import Deed
from changes.entries import Entry
from models.enums import ChangeCauseKind, ChangeKind, SavedSearchState
from search.facts import Facts
from search.index import Index

_SEARCH = ("id", "team_id", "owner_id", "state")
_STAY = {
    "search_id": "bigint",
    "email_id": "bigint",
    "joined_at": "bigint",
    "cause_kind": "smallint",
    "cause_engagement_id": "bigint",
}
_MOVED = {"id": "bigint", "by": "int"}


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


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one look decided."""

    joins: tuple[Join, ...] = ()
    leaves: tuple[Leave, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.joins or self.leaves)

    def __add__(self, more: "Verdicts") -> "Verdicts":
        return Verdicts(self.joins + more.joins, self.leaves + more.leaves)


Members = Mapping[int, Mapping[int, int]]
"""By email: the member id of each list it is in."""


def decide(
    index: Index, causes: Mapping[int, Cause], facts: Mapping[int, Facts], members: Members, now: int
) -> Verdicts:
    """Which lists each email joins and leaves. An email that is gone leaves all.

    The memberships are what held at the last look: what holds now is joined unless it is among them, and of them only
    what the index did not find is judged again.
    """
    joins: list[Join] = []
    leaves: list[Leave] = []
    for email_id, cause in causes.items():
        known = facts.get(email_id)
        current = members.get(email_id, {})
        found = set() if known is None else index.matching(known, now)
        joins += [Join(search_id, email_id, cause) for search_id in sorted(found.difference(current))]
        for search_id, member_id in current.items():
            # A list that is not filed is being deleted: its members go with it, unannounced.
            if search_id in found or search_id not in index:
                continue
            if known is None or not index.matches(search_id, known, now):
                leaves.append(Leave(member_id, search_id, email_id, cause))
    return Verdicts(tuple(joins), tuple(leaves))


async def write(deed: Deed, verdicts: Verdicts, announce: bool = True) -> None:
    """Carries out verdicts, and says each one that really changed something.

    The saved searches are locked first: one deleted meanwhile keeps its word that nothing follows its deletion. A list
    that is still filling is changed in silence, its Reset says it all.
    """
    tx = deed.connection
    ids = {each.search_id for each in verdicts.joins} | {each.search_id for each in verdicts.leaves}
    found = await tx.tuples(
        _SEARCH,
        f"SELECT {', '.join(_SEARCH)} FROM saved_searches WHERE {tx.within('id')} ORDER BY id" + tx.locked("SHARE"),
        tx.listed(ids),
    )
    searches = {key: (team_id, owner_id, state) for key, team_id, owner_id, state in found}
    change: Counter[int] = Counter()
    for each, kind, member_id in [
        *await _leave(deed, [leave for leave in verdicts.leaves if leave.search_id in searches]),
        *await _join(deed, [join for join in verdicts.joins if join.search_id in searches]),
    ]:
        team_id, owner_id, state = searches[each.search_id]
        change[each.search_id] += 1 if kind is ChangeKind.MEMBER_JOINED else -1
        if announce and state == SavedSearchState.LIVE:
            deed.say(
                Entry(
                    team_id=team_id,
                    kind=kind,
                    owner_id=owner_id,
                    search_id=each.search_id,
                    member_id=member_id,
                    email_id=each.email_id,
                    engagement_id=each.cause.engagement_id,
                    cause_kind=each.cause.kind,
                )
            )
    if moved := [(key, by) for key, by in change.items() if by]:
        await tx.run(
            f"UPDATE saved_searches SET member_count = member_count + given.by FROM {tx.given(_MOVED)}"
            " WHERE saved_searches.id = given.id",
            *tx.handed(moved),
        )


async def _leave(deed: Deed, leaves: Sequence[Leave]) -> list[tuple[Join | Leave, ChangeKind, int]]:
    if not leaves:
        return []
    tx = deed.connection
    listed = tx.listed(leave.member_id for leave in leaves)
    there = await tx.tuples(
        ("id",), f"SELECT id FROM memberships WHERE {tx.within('id')} ORDER BY id" + tx.locked(), listed
    )
    await tx.run(f"DELETE FROM memberships WHERE {tx.within('id')}", listed)
    gone = {key for (key,) in there}
    return [(leave, ChangeKind.MEMBER_LEFT, leave.member_id) for leave in leaves if leave.member_id in gone]


async def _join(deed: Deed, joins: Sequence[Join]) -> list[tuple[Join | Leave, ChangeKind, int]]:
    made = await deed.connection.insert(
        "memberships",
        _STAY,
        [(join.search_id, join.email_id, deed.now, int(join.cause.kind), join.cause.engagement_id) for join in joins],
        "ON CONFLICT (search_id, email_id) DO NOTHING",
        ("id", "search_id", "email_id"),
    )
    keys = {(search_id, email_id): key for key, search_id, email_id in made}
    return [
        (join, ChangeKind.MEMBER_JOINED, keys[join.search_id, join.email_id])
        for join in joins
        if (join.search_id, join.email_id) in keys
    ]
