"""Decides which lists an email joins and leaves.

It compares the email's memberships with the filters that match it now.

It neither reads nor writes the database.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from command_center.search.facts import Facts
from command_center.search.index.search_index import Index, finish
from models.enums import ChangeCauseKind


@dataclass(frozen=True, slots=True)
class Cause:
    """The newest change of an email since it was last evaluated."""

    kind: ChangeCauseKind
    engagement_id: int | None = None


class Join(NamedTuple):
    """An email that begins to be a member of a list."""

    search_id: int
    email_id: int
    cause: Cause


class Leave(NamedTuple):
    """A membership that ends."""

    member_id: int
    search_id: int
    email_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class MembershipChanges:
    """The joins and leaves that one batch decided."""

    joins: tuple[Join, ...] = ()
    leaves: tuple[Leave, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.joins or self.leaves)

    def searches(self) -> set[int]:
        """Return the saved searches whose members change."""
        return {join.search_id for join in self.joins} | {leave.search_id for leave in self.leaves}


def diff_memberships(
    index: Index, email_id: int, cause: Cause, facts: Facts | None, memberships: Mapping[int, int], now: int
) -> MembershipChanges:
    """Return the lists that an email joins and leaves at the moment `now`.

    `facts` is None if the email was deleted: it then leaves all lists.

    `memberships` holds the ids of its current memberships by list. A matching list is joined unless it is among them.
    Of the lists among them, only those that the index did not find are evaluated again.
    """
    return finish(diff_memberships_in_steps(index, email_id, cause, facts, memberships, now))


def diff_memberships_in_steps(
    index: Index, email_id: int, cause: Cause, facts: Facts | None, memberships: Mapping[int, int], now: int
) -> Generator[None, None, MembershipChanges]:
    """Return what `diff_memberships` returns, computed in steps.

    The generator yields after a few milliseconds at most. The index must not change between two steps.
    """
    matching = set() if facts is None else (yield from index.matching_in_steps(facts, now))
    joins = [Join(search_id, email_id, cause) for search_id in sorted(matching.difference(memberships))]
    leaves: list[Leave] = []
    for search_id, member_id in memberships.items():
        # A list that is not in the index is being deleted. Its memberships are deleted with it, without log entries.
        if search_id in matching or search_id not in index:
            continue
        if facts is None or not (yield from index.matches_in_steps(search_id, facts, now)):
            leaves.append(Leave(member_id, search_id, email_id, cause))
        yield
    return MembershipChanges(tuple(joins), tuple(leaves))
