"""Determines which memberships change because a list owner's rights changed.

Between the change and the end of the list's backfill, an event or the clock may reach an email first. Its membership
is still due to the change of rights if it would differ under the previous rights.
"""

from collections.abc import Iterable

from command_center.database.connections import Connection
from command_center.lists import standing_searches
from command_center.lists.membership_diff import Cause, Join, Leave, MembershipChanges
from command_center.lists.standing_searches import StandingSearch
from command_center.search.facts import Facts
from command_center.search.index.search_index import Index
from models.enums import ChangeCauseKind, InvalidationKind

_ACCESS_CHANGED = Cause(ChangeCauseKind.ACCESS_CHANGED)


class ChangedRights:
    """The lists whose owner's rights changed and whose backfill is still pending.

    Each is known with the current and with the previous rights.
    """

    def __init__(self) -> None:
        self._now: dict[int, StandingSearch] = {}
        self._before: dict[int, StandingSearch] = {}
        self._index = Index()

    async def load(self, connection: Connection) -> None:
        """Load the lists whose backfill is pending."""
        self.clear()
        search_ids = await connection.fetch_ids(
            "SELECT DISTINCT subject_id FROM invalidations WHERE kind = ? AND cause = ?",
            int(InvalidationKind.SEARCH),
            int(ChangeCauseKind.ACCESS_CHANGED),
        )
        await self.add(connection, await standing_searches.load_searches(connection, search_ids))

    async def add(self, connection: Connection, searches: Iterable[StandingSearch]) -> None:
        """Add lists, which must have the current rights of their owners."""
        now = {search.id: search for search in searches}
        for before in await standing_searches.load_searches(connection, now, before=True):
            self._now[before.id], self._before[before.id] = now[before.id], before
            self._index.add(before.id, before.scope, before.filter)

    def discard(self, search_id: int) -> None:
        """Forget a list whose backfill has ended."""
        self._index.remove(search_id)
        self._now.pop(search_id, None)
        self._before.pop(search_id, None)

    def clear(self) -> None:
        """Forget all lists, because no backfill is pending."""
        if self._now:
            self._now, self._before, self._index = {}, {}, Index()

    def before(self, search_id: int) -> StandingSearch | None:
        """Return a list as it was under its owner's previous rights.

        The result is None if no backfill after a change of rights is pending for it.
        """
        return self._before.get(search_id)

    def attribute(self, changes: MembershipChanges, facts: Facts, now: int) -> MembershipChanges:
        """Return the changes of one email's memberships, with corrected causes.

        The cause is ACCESS_CHANGED if the membership would differ under the previous rights of the list's owner.
        """
        if not self._now:
            return changes
        return MembershipChanges(
            tuple(self._attribute_join(join, facts, now) for join in changes.joins),
            tuple(self._attribute_leave(leave, facts, now) for leave in changes.leaves),
        )

    def _attribute_join(self, join: Join, facts: Facts, now: int) -> Join:
        if join.search_id not in self._now or self._index.matches(join.search_id, facts, now):
            return join
        return join._replace(cause=_ACCESS_CHANGED)

    def _attribute_leave(self, leave: Leave, facts: Facts, now: int) -> Leave:
        search = self._now.get(leave.search_id)
        if search is None:
            return leave
        # If the owner may no longer see the email, that is the cause, whatever else happened to the email.
        invisible = not search.scope.covers(facts.team_id, facts.sender_id)
        due_to_rights = invisible or self._index.matches(leave.search_id, facts, now)
        return leave._replace(cause=_ACCESS_CHANGED) if due_to_rights else leave
