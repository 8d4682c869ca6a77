"""Joins and leaves: decided as values from present facts, then written with their log rows in one transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from changes.deeds import Deed
from changes.entries import Entry
from models.enums import ChangeCauseKind, ChangeKind, SavedSearchState
from search.facts import Facts
from search.index import Index

ROWS = 200


@dataclass(frozen=True, slots=True)
class Cause:
    """The newest thing that happened to an email since the last look."""

    kind: ChangeCauseKind
    engagement_id: int | None = None


@dataclass(frozen=True, slots=True)
class Join:
    search_id: int
    email_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Leave:
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
    """Which lists each email joins and leaves. An email that is gone leaves all."""
    joins: list[Join] = []
    leaves: list[Leave] = []
    for email_id, cause in causes.items():
        known = facts.get(email_id)
        current = members.get(email_id, {})
        for search_id, member_id in current.items():
            # A list that is not filed is being deleted: its members go with it, unannounced.
            if search_id in index and (known is None or not index.matches(search_id, known, now)):
                leaves.append(Leave(member_id, search_id, email_id, cause))
        if known is not None:
            joins += [
                Join(search_id, email_id, cause)
                for search_id in sorted(index.candidates(known))
                if search_id not in current and index.matches(search_id, known, now)
            ]
    return Verdicts(tuple(joins), tuple(leaves))


async def write(deed: Deed, verdicts: Verdicts, announce: bool = True) -> None:
    """Carries out verdicts, and says each one that really changed something.

    The saved searches are locked first: one deleted meanwhile keeps its word that nothing follows its deletion. A list
    that is still filling is changed in silence, its Reset says it all.
    """
    tx = deed.connection
    ids = {each.search_id for each in verdicts.joins} | {each.search_id for each in verdicts.leaves}
    rows = await tx.rows(
        f"SELECT id, team_id, owner_id, state FROM saved_searches WHERE {tx.within('id')} ORDER BY id"
        + tx.locked("SHARE"),
        tx.listed(ids),
    )
    searches = {row["id"]: row for row in rows}
    change: dict[int, int] = {}
    for each, kind, member_id in [
        *await _leave(deed, (leave for leave in verdicts.leaves if leave.search_id in searches)),
        *await _join(deed, (join for join in verdicts.joins if join.search_id in searches)),
    ]:
        search = searches[each.search_id]
        joined = kind is ChangeKind.MEMBER_JOINED
        change[each.search_id] = change.get(each.search_id, 0) + (1 if joined else -1)
        if announce and search["state"] == SavedSearchState.LIVE:
            deed.say(
                Entry(
                    team_id=search["team_id"],
                    kind=kind,
                    owner_id=search["owner_id"],
                    search_id=each.search_id,
                    member_id=member_id,
                    email_id=each.email_id,
                    engagement_id=each.cause.engagement_id,
                    cause_kind=each.cause.kind,
                )
            )
    await tx.many(
        "UPDATE saved_searches SET member_count = member_count + ? WHERE id = ?",
        [(by, search_id) for search_id, by in sorted(change.items()) if by],
    )


async def _leave(deed: Deed, leaves: Iterable[Leave]) -> list[tuple[Join | Leave, ChangeKind, int]]:
    wanted = {leave.member_id: leave for leave in leaves}
    if not wanted:
        return []
    tx = deed.connection
    rows = await tx.rows(f"DELETE FROM memberships WHERE {tx.within('id')} RETURNING id", tx.listed(wanted))
    gone = {row["id"] for row in rows}
    return [(leave, ChangeKind.MEMBER_LEFT, member) for member, leave in wanted.items() if member in gone]


async def _join(deed: Deed, joins: Iterable[Join]) -> list[tuple[Join | Leave, ChangeKind, int]]:
    wanted = list(joins)
    done: list[tuple[Join | Leave, ChangeKind, int]] = []
    for start in range(0, len(wanted), ROWS):
        batch = wanted[start : start + ROWS]
        values = [
            value
            for join in batch
            for value in (
                join.search_id,
                join.email_id,
                deed.now,
                int(join.cause.kind),
                join.cause.engagement_id,
            )
        ]
        rows = await deed.connection.rows(
            "INSERT INTO memberships (search_id, email_id, joined_at, cause_kind, cause_engagement_id) VALUES "
            + ", ".join(["(?, ?, ?, ?, ?)"] * len(batch))
            + " ON CONFLICT (search_id, email_id) DO NOTHING RETURNING id, search_id, email_id",
            *values,
        )
        made = {(row["search_id"], row["email_id"]): row["id"] for row in rows}
        for join in batch:
            member = made.get((join.search_id, join.email_id))
            if member is not None:
                done.append((join, ChangeKind.MEMBER_JOINED, member))
    return done
