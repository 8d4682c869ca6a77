"""Loads the work of one batch of the matcher.

It consists of the oldest invalidations, the emails that they concern, and these emails' data.

It does not decide which emails join or leave a list.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import orjson

from command_center.database.clock import Clock
from command_center.database.connections import Connection, RowValues
from command_center.lists import facts
from command_center.lists.facts import Memberships
from command_center.lists.invalidations import PendingInvalidation
from command_center.lists.membership_diff import Cause
from command_center.search.facts import Facts
from command_center.search.index.search_index import Index
from models.enums import ChangeCauseKind, InvalidationKind

_CAUSES = {int(cause): cause for cause in ChangeCauseKind}
MAX_BATCH_EMAILS = 5_000
"""The most invalidations and emails of one batch, if only one team has pending invalidations."""
MAX_SHARED_BATCH_EMAILS = 50
"""The same while several teams have some, so that no team waits long for the others."""
SMALL_TEAM_EMAILS = 10
"""Teams with at most this many invalidations are matched without the larger teams in every other batch."""
_COLUMNS = ", ".join(PendingInvalidation._fields)
_EMAIL_KINDS = ", ".join(
    str(int(kind)) for kind in (InvalidationKind.EMAIL, InvalidationKind.PERSON, InvalidationKind.GROUP)
)


def _build_oldest_select(postgres: bool, aside: bool) -> str:
    """Return the SELECT of the oldest invalidations.

    Its parameters are the teams to leave out (twice, only if `aside`), then the maximum number of invalidations of
    emails, people and groups.
    """
    not_aside = (
        "team_id <> ALL(?::bigint[])" if postgres else "team_id NOT IN (SELECT value FROM json_each(?))"
    ) + " AND "
    not_aside = not_aside if aside else ""
    selects = (
        ("rights", f"kind = {int(InvalidationKind.USER)} ORDER BY id"),
        ("searches", f"{not_aside}kind = {int(InvalidationKind.SEARCH)} ORDER BY id LIMIT 1"),
        ("emails", f"{not_aside}kind IN ({_EMAIL_KINDS}) ORDER BY id LIMIT ?"),
    )
    return " UNION ALL ".join(
        f"SELECT * FROM (SELECT {_COLUMNS} FROM invalidations WHERE {condition}) AS {name}"
        for name, condition in selects
    )


def _build_select_with_facts(oldest: str) -> str:
    """Return a SELECT of two JSON arrays: invalidations, and their emails' facts.

    `oldest` is the SELECT of the invalidations.
    """
    return (
        f"WITH oldest AS MATERIALIZED ({oldest}),"
        f" named_emails AS (SELECT DISTINCT subject_id FROM oldest WHERE kind = {int(InvalidationKind.EMAIL)})"
        f" SELECT (SELECT coalesce(json_agg(json_build_array({_COLUMNS})), '[]') FROM oldest)"
        " AS invalidations,"
        " (SELECT coalesce(json_agg(loaded.facts), '[]') FROM named_emails,"
        f" LATERAL ({facts.build_facts_subquery('named_emails.subject_id')}) AS loaded) AS facts"
    )


_OLDEST = {
    (postgres, aside): _build_oldest_select(postgres, aside) for postgres in (False, True) for aside in (False, True)
}
_WITH_FACTS = {aside: _build_select_with_facts(_OLDEST[True, aside]) for aside in (False, True)}
_OLDEST_OF_TEAM = (
    f"SELECT {_COLUMNS} FROM invalidations WHERE team_id = ? AND kind IN ({_EMAIL_KINDS}) ORDER BY id LIMIT ?"
)
_TEAMS_WITH_INVALIDATIONS = (
    "WITH RECURSIVE teams AS (SELECT min(team_id) AS team_id FROM invalidations UNION ALL"
    " SELECT (SELECT min(i.team_id) FROM invalidations i WHERE i.team_id > teams.team_id)"
    " FROM teams WHERE teams.team_id IS NOT NULL)"
    " SELECT team_id FROM teams WHERE team_id IS NOT NULL"
)


@dataclass(slots=True)
class WorkBatch:
    """The work of one batch of the matcher.

    If it contains changes of rights, it contains nothing else.

    `now` is the moment for which emails are evaluated. It is no earlier than any change that the batch contains.
    """

    now: int
    rights: list[PendingInvalidation] = field(default_factory=list)
    """Invalidations of users whose rights changed."""
    search: PendingInvalidation | None = None
    """The oldest invalidation of a saved search."""
    causes: dict[int, Cause] = field(default_factory=dict)
    """The newest cause by email id."""
    completed_ids: list[int] = field(default_factory=list)
    """Ids of the invalidations that the batch completes."""
    progress: list[tuple[int, int]] = field(default_factory=list)
    """For each other invalidation, the last email id reached and its own id."""
    facts: dict[int, Facts] = field(default_factory=dict)
    memberships: Memberships = field(default_factory=dict)
    invalidations: dict[int, PendingInvalidation] = field(default_factory=dict)
    """The rows of the invalidations that the batch completes or advances, by id."""
    team_of: dict[int, int] = field(default_factory=dict)
    """The team by email id."""
    more: bool = False
    """True if another batch may be pending already."""

    @property
    def emails(self) -> bool:
        """True if the batch processes invalidations of emails, people or groups."""
        return bool(self.completed_ids or self.progress)

    def split(self, team_id: int) -> "WorkBatch":
        """Remove the work for one team from this batch, and return it as a new batch."""
        part = WorkBatch(self.now, team_of={key: team for key, team in self.team_of.items() if team == team_id})
        for key in part.team_of:
            del self.team_of[key]
            part.causes[key] = self.causes.pop(key)
            if key in self.facts:
                part.facts[key] = self.facts.pop(key)
            if key in self.memberships:
                part.memberships[key] = self.memberships.pop(key)
        part.invalidations = {
            key: invalidation for key, invalidation in self.invalidations.items() if invalidation.team_id == team_id
        }
        part.completed_ids = [key for key in self.completed_ids if key in part.invalidations]
        part.progress = [each for each in self.progress if each[1] in part.invalidations]
        self.completed_ids = [key for key in self.completed_ids if key not in part.invalidations]
        self.progress = [each for each in self.progress if each[1] not in part.invalidations]
        return part

    def leave(self, email_ids: Collection[int]) -> None:
        """Leave emails and their invalidations to a later batch.

        Every invalidation of the batch must name a single email (see `divisible`).
        """
        self.completed_ids = [key for key in self.completed_ids if self.invalidations[key].subject_id not in email_ids]
        for key in email_ids:
            del self.causes[key]

    @property
    def divisible(self) -> bool:
        """True if each invalidation names a single email."""
        return all(invalidation.kind == InvalidationKind.EMAIL for invalidation in self.invalidations.values())


async def load_batch(
    index: Index,
    clock: Clock,
    connection: Connection,
    limit: int = MAX_BATCH_EMAILS,
    aside: Sequence[int] = (),
    few: bool = False,
) -> WorkBatch:
    """Load the next batch of work, with about `limit` emails at most.

    Of the teams in `aside`, only changes of rights are loaded. If `few` is set and more than `limit` invalidations
    are pending, only teams with few invalidations are loaded, unless there are none.
    """
    now, oldest, loaded = await _load_oldest(clock, connection, limit, aside)
    batch = WorkBatch(now, [invalidation for invalidation in oldest if invalidation.kind == InvalidationKind.USER])
    if batch.rights:
        batch.more = True
        return batch
    batch.search = next((invalidation for invalidation in oldest if invalidation.kind == InvalidationKind.SEARCH), None)
    invalidations = [invalidation for invalidation in oldest if invalidation.kind != InvalidationKind.SEARCH]
    full = len(invalidations) == limit
    if full:
        invalidations = await _share_between_teams(connection, invalidations, limit, aside, few)
    for invalidation in invalidations:
        if len(batch.causes) >= limit:
            break
        if invalidation.kind == InvalidationKind.EMAIL:
            email_ids, is_last = [invalidation.subject_id], True
        else:
            email_ids, is_last = await _expand(connection, index, invalidation, limit)
        _record_cause(batch, email_ids, invalidation)
        batch.invalidations[invalidation.id] = invalidation
        if is_last:
            batch.completed_ids.append(invalidation.id)
        else:
            batch.progress.append((email_ids[-1], invalidation.id))
    batch.more = batch.search is not None or len(batch.completed_ids) < len(invalidations) or full
    if batch.causes:
        batch.facts, batch.memberships = loaded
        if missing := [key for key in batch.causes if key not in batch.facts]:
            missing_facts, missing_memberships = await facts.load_with_memberships(connection, missing)
            batch.facts.update(missing_facts)
            batch.memberships.update(missing_memberships)
            # These facts were read later than `now`, so they may be newer.
            batch.now = await clock.now(connection)
    return batch


async def _load_oldest(
    clock: Clock, connection: Connection, limit: int, aside: Sequence[int]
) -> tuple[int, list[PendingInvalidation], tuple[dict[int, Facts], Memberships]]:
    """Return the current moment, the oldest invalidations in their order, and facts.

    The facts are those of emails that the invalidations name, with the emails' memberships.

    Facts are loaded here only on PostgreSQL: a second round trip would take longer than the query itself.
    """
    loaded: tuple[dict[int, Facts], Memberships] = ({}, {})
    values: Sequence[RowValues]
    teams = (connection.array_param(aside),) * 2 if aside else ()
    if connection.postgres:
        sql = _WITH_FACTS[bool(aside)]
        now, ((invalidation_json, facts_json),) = await clock.now_and_rows(
            connection, ("invalidations", "facts"), sql, *teams, limit
        )
        values, loaded = orjson.loads(invalidation_json), facts.parse_rows(orjson.loads(facts_json))
    else:
        now, values = await clock.now_and_rows(
            connection, PendingInvalidation._fields, _OLDEST[False, bool(aside)], *teams, limit
        )
    # Each kind is ordered by id, but UNION ALL guarantees no order.
    return now, sorted(map(PendingInvalidation._make, values), key=attrgetter("id")), loaded


async def _share_between_teams(
    connection: Connection, oldest: list[PendingInvalidation], limit: int, aside: Sequence[int], few: bool
) -> list[PendingInvalidation]:
    """Choose about `limit` invalidations, with an equal share for every team.

    They are the oldest of each team, in order. `oldest` are those of all teams, and teams in `aside` are left out. If
    `few` is true, only teams with few invalidations get a share, unless there are none.
    """
    teams = [team for (team,) in await connection.fetch_tuples(("team_id",), _TEAMS_WITH_INVALIDATIONS)]
    share = max(1, limit // max(1, len(teams)))
    by_team: dict[int, list[PendingInvalidation]] = {team: [] for team in teams[:limit] if team not in aside}
    for invalidation in oldest:
        by_team.setdefault(invalidation.team_id, []).append(invalidation)
    for team, pending in by_team.items():
        if len(pending) < share:
            rows = await connection.fetch_tuples(PendingInvalidation._fields, _OLDEST_OF_TEAM, team, share)
            by_team[team] = sorted(map(PendingInvalidation._make, rows), key=attrgetter("id"))
    if few and (
        small_teams := [pending for pending in by_team.values() if 0 < len(pending) <= SMALL_TEAM_EMAILS < share]
    ):
        return [invalidation for pending in small_teams for invalidation in pending]
    return [invalidation for pending in by_team.values() for invalidation in pending[:share]]


async def _expand(
    connection: Connection, index: Index, invalidation: PendingInvalidation, limit: int
) -> tuple[list[int], bool]:
    """Return the next email ids that an invalidation of a person or group concerns.

    They are at most about `limit`. The second result is True if they are the last.
    """
    if invalidation.kind == InvalidationKind.GROUP:
        if not index.mentions_group(invalidation.subject_id):
            return [], True
        if invalidation.people is None:
            raise ValueError("an invalidation of a group must name people")
        people = json.loads(invalidation.people) if isinstance(invalidation.people, str) else invalidation.people
    else:
        people = [invalidation.subject_id]
    email_ids = await connection.fetch_ids(
        f"SELECT id FROM emails WHERE {connection.in_any('person_id')} AND id > ? ORDER BY id LIMIT ?",
        connection.array_param(people),
        invalidation.progress,
        limit,
    )
    return email_ids, len(email_ids) < limit


def _record_cause(batch: WorkBatch, email_ids: Iterable[int], invalidation: PendingInvalidation) -> None:
    """Record an invalidation's cause for emails of a batch, if it is their newest one.

    CLOCK never replaces another cause.
    """
    causes = batch.causes
    cause = Cause(_CAUSES.get(invalidation.cause, ChangeCauseKind.EMAIL_CHANGED), invalidation.engagement_id)
    for email_id in email_ids:
        batch.team_of[email_id] = invalidation.team_id
        earlier = causes.pop(email_id, None)
        if cause.kind is ChangeCauseKind.CLOCK and earlier is not None:
            causes[email_id] = earlier
        else:
            causes[email_id] = cause
