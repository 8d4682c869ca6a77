"""Joins and leaves: which lists an email is in and which it should be in, decided as values from present facts."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from command_center.search.facts import Facts
from command_center.search.index.search_index import Index, finish
from models.enums import ChangeCauseKind


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
class MembershipChanges:
    """What one look decided."""

    joins: tuple[Join, ...] = ()
    leaves: tuple[Leave, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.joins or self.leaves)

    def searches(self) -> set[int]:
        """Whose members change."""
        return {join.search_id for join in self.joins} | {leave.search_id for leave in self.leaves}


def diff_memberships(
    index: Index, email_id: int, cause: Cause, known: Facts | None, current: Mapping[int, int], now: int
) -> MembershipChanges:
    """Which lists an email joins and leaves. `known` is None where it is gone: then it leaves all.

    `current` are its memberships, by list, which are what held at the last look: what holds now is joined unless it is
    among them, and of them only what the index did not find is judged again.
    """
    return finish(diff_memberships_in_steps(index, email_id, cause, known, current, now))


def diff_memberships_in_steps(
    index: Index, email_id: int, cause: Cause, known: Facts | None, current: Mapping[int, int], now: int
) -> Generator[None, None, MembershipChanges]:
    """Like `decide`, in steps that each take a few milliseconds at most. The index must not change in between."""
    found = set() if known is None else (yield from index.matching_in_steps(known, now))
    joins = [Join(search_id, email_id, cause) for search_id in sorted(found.difference(current))]
    leaves: list[Leave] = []
    for search_id, member_id in current.items():
        # A list that is not filed is being deleted: its members go with it, unannounced.
        if search_id in found or search_id not in index:
            continue
        if known is None or not (yield from index.matches_in_steps(search_id, known, now)):
            leaves.append(Leave(member_id, search_id, email_id, cause))
        yield
    return MembershipChanges(tuple(joins), tuple(leaves))
