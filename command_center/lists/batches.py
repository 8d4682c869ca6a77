"""What the matcher sees in one look: the oldest marks, the emails they concern, and these emails' facts and stays."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import orjson

from command_center.database.clock import Clock
from command_center.database.connections import Connection, Row
from command_center.lists import facts
from command_center.lists.facts import Memberships
from command_center.lists.membership_diff import Cause
from command_center.search.facts import Facts
from command_center.search.index.search_index import Index
from models.enums import ChangeCauseKind, InvalidationKind

_CAUSES = {int(cause): cause for cause in ChangeCauseKind}
MAX_BATCH_EMAILS = 5_000
"""Marks and emails of one look, if only one team has some."""
MAX_SHARED_BATCH_EMAILS = 50
"""The same while several teams have some, so that none waits long for the others."""
SMALL_TEAM_EMAILS = 10
"""Of a team that are matched without those of teams with more, every other time."""
_MARK = ("id", "team_id", "kind", "subject_id", "cause", "engagement_id", "people", "progress")
_EMAIL_KINDS = ", ".join(
    str(int(kind)) for kind in (InvalidationKind.EMAIL, InvalidationKind.PERSON, InvalidationKind.GROUP)
)


def _oldest_sql(postgres: bool, aside: bool) -> str:
    """Returns the SELECT of the oldest marks. Its parameters are the teams that are left `aside`, if there are any, for
    the searches and for the emails, and the number of marks of emails."""
    others = (
        "team_id <> ALL(?::bigint[])" if postgres else "team_id NOT IN (SELECT value FROM json_each(?))"
    ) + " AND "
    others = others if aside else ""
    parts = (
        ("rights", f"kind = {int(InvalidationKind.USER)} ORDER BY id"),
        ("searches", f"{others}kind = {int(InvalidationKind.SEARCH)} ORDER BY id LIMIT 1"),
        ("emails", f"{others}kind IN ({_EMAIL_KINDS}) ORDER BY id LIMIT ?"),
    )
    marks = ", ".join(_MARK)
    return " UNION ALL ".join(
        f"SELECT * FROM (SELECT {marks} FROM marks WHERE {which}) AS {name}" for name, which in parts
    )


def _with_facts(oldest: str) -> str:
    return (
        f"WITH oldest AS MATERIALIZED ({oldest}),"
        f" named AS (SELECT DISTINCT subject_id FROM oldest WHERE kind = {int(InvalidationKind.EMAIL)})"
        f" SELECT (SELECT coalesce(json_agg(json_build_array({', '.join(_MARK)})), '[]') FROM oldest) AS marks,"
        " (SELECT coalesce(json_agg(known.facts), '[]') FROM named,"
        f" LATERAL ({facts.beside('named.subject_id')}) AS known) AS facts"
    )


_OLDEST = {(postgres, aside): _oldest_sql(postgres, aside) for postgres in (False, True) for aside in (False, True)}
_WITH_FACTS = {aside: _with_facts(_OLDEST[True, aside]) for aside in (False, True)}
_TEAM_MARKS = f"SELECT {', '.join(_MARK)} FROM marks WHERE team_id = ? AND kind IN ({_EMAIL_KINDS}) ORDER BY id LIMIT ?"
_TEAMS = (
    "WITH RECURSIVE waiting AS (SELECT min(team_id) AS team_id FROM marks UNION ALL SELECT (SELECT min(m.team_id)"
    " FROM marks m WHERE m.team_id > waiting.team_id) FROM waiting WHERE waiting.team_id IS NOT NULL)"
    " SELECT team_id FROM waiting WHERE team_id IS NOT NULL"
)


@dataclass(slots=True)
class WorkBatch:
    """Where anybody's rights changed, nothing else is seen.

    `now` is its moment, not earlier than anything it contains; `done` are the marks that these emails work off,
    `progress` how far (a key of an email) those that they do not.
    """

    now: int
    rights: list[Row] = field(default_factory=list)
    search: Row | None = None
    causes: dict[int, Cause] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    facts: dict[int, Facts] = field(default_factory=dict)
    members: Memberships = field(default_factory=dict)
    invalidations: dict[int, Row] = field(default_factory=dict)
    """Those in `done` and `progress`, by id."""
    team_of: dict[int, int] = field(default_factory=dict)
    """Of the emails."""
    more: bool = False
    """There may be something left to be seen at once."""

    @property
    def emails(self) -> bool:
        """Whether marks of emails are worked off."""
        return bool(self.done or self.progress)

    def split(self, team_id: int) -> "WorkBatch":
        """Takes out the part that belongs to a team."""
        part = WorkBatch(self.now, team_of={key: team for key, team in self.team_of.items() if team == team_id})
        for key in part.team_of:
            del self.team_of[key]
            part.causes[key] = self.causes.pop(key)
            if key in self.facts:
                part.facts[key] = self.facts.pop(key)
            if key in self.members:
                part.members[key] = self.members.pop(key)
        part.invalidations = {key: mark for key, mark in self.invalidations.items() if mark["team_id"] == team_id}
        part.done = [key for key in self.done if key in part.invalidations]
        part.progress = [each for each in self.progress if each[1] in part.invalidations]
        self.done = [key for key in self.done if key not in part.invalidations]
        self.progress = [each for each in self.progress if each[1] not in part.invalidations]
        return part

    def leave(self, email_ids: Collection[int]) -> None:
        """Leaves emails to a later look, with all marks that concern them. Each mark must be of a single email."""
        self.done = [key for key in self.done if self.invalidations[key]["subject_id"] not in email_ids]
        for key in email_ids:
            del self.causes[key]

    @property
    def divisible(self) -> bool:
        """Whether each mark is of a single email."""
        return all(mark["kind"] == InvalidationKind.EMAIL for mark in self.invalidations.values())


async def load_batch(
    index: Index,
    clock: Clock,
    connection: Connection,
    limit: int = MAX_BATCH_EMAILS,
    aside: Sequence[int] = (),
    few: bool = False,
) -> WorkBatch:
    """One look, at about `limit` emails at most. The teams that are left `aside` are seen only if rights changed.

    `few`: if there is more to match than that, only teams that have few marks are seen, unless none has.
    """
    now, oldest, known = await _oldest(clock, connection, limit, aside)
    batch = WorkBatch(now, [mark for mark in oldest if mark["kind"] == InvalidationKind.USER])
    if batch.rights:
        batch.more = True
        return batch
    batch.search = next((mark for mark in oldest if mark["kind"] == InvalidationKind.SEARCH), None)
    marks = [mark for mark in oldest if mark["kind"] != InvalidationKind.SEARCH]
    full = len(marks) == limit
    if full:
        marks = await _shared(connection, marks, limit, aside, few)
    for mark in marks:
        if len(batch.causes) >= limit:
            break
        if mark["kind"] == InvalidationKind.EMAIL:
            ids, finished = [mark["subject_id"]], True
        else:
            ids, finished = await _expand(connection, index, mark, limit)
        _note(batch, ids, mark)
        batch.invalidations[mark["id"]] = mark
        if finished:
            batch.done.append(mark["id"])
        else:
            batch.progress.append((ids[-1], mark["id"]))
    batch.more = batch.search is not None or len(batch.done) < len(marks) or full
    if batch.causes:
        batch.facts, batch.members = known
        if unknown := [key for key in batch.causes if key not in batch.facts]:
            more, stays = await facts.load_with_memberships(connection, unknown)
            batch.facts.update(more)
            batch.members.update(stays)
            # What was read just now may have happened since.
            batch.now = await clock.now(connection)
    return batch


async def _oldest(
    clock: Clock, connection: Connection, limit: int, aside: Sequence[int]
) -> tuple[int, list[Row], tuple[dict[int, Facts], Memberships]]:
    """The moment, the oldest marks in their order, and on PostgreSQL what is known of the emails that they name: there
    a second way there and back takes longer than what it asks for."""
    known: tuple[dict[int, Facts], Memberships] = ({}, {})
    found: Sequence[Sequence[Any]]
    teams = (connection.array_param(aside),) * 2 if aside else ()
    if connection.postgres:
        sql = _WITH_FACTS[bool(aside)]
        now, ((marks, rows),) = await clock.beside(connection, ("marks", "facts"), sql, *teams, limit)
        found, known = orjson.loads(marks), facts.read(orjson.loads(rows))
    else:
        now, found = await clock.beside(connection, _MARK, _OLDEST[False, bool(aside)], *teams, limit)
    # Each kind comes in its order, but of a UNION nobody promises that.
    return now, sorted(_rows(found), key=itemgetter("id")), known


def _rows(found: Iterable[Sequence[Any]]) -> list[Row]:
    return [dict(zip(_MARK, values, strict=True)) for values in found]


async def _shared(connection: Connection, oldest: list[Row], limit: int, aside: Sequence[int], few: bool) -> list[Row]:
    """Returns the oldest marks of every team that has some, each team's in their order, about `limit` in all."""
    waiting = [team for (team,) in await connection.fetch_tuples(("team_id",), _TEAMS)]
    share = max(1, limit // max(1, len(waiting)))
    marks: dict[int, list[Row]] = {team: [] for team in waiting[:limit] if team not in aside}
    for mark in oldest:
        marks.setdefault(mark["team_id"], []).append(mark)
    for team, known in marks.items():
        if len(known) < share:
            found = _rows(await connection.fetch_tuples(_MARK, _TEAM_MARKS, team, share))
            marks[team] = sorted(found, key=itemgetter("id"))
    if few and (small := [known for known in marks.values() if 0 < len(known) <= SMALL_TEAM_EMAILS < share]):
        return [mark for known in small for mark in known]
    return [mark for known in marks.values() for mark in known[:share]]


async def _expand(connection: Connection, index: Index, mark: Row, limit: int) -> tuple[list[int], bool]:
    """The next emails that a person's or a group's mark concerns, and whether these are the last."""
    if mark["kind"] == InvalidationKind.GROUP:
        if not index.mentions_group(mark["subject_id"]):
            return [], True
        people = mark["people"]
        people = json.loads(people) if isinstance(people, str) else people
    else:
        people = [mark["subject_id"]]
    rows = await connection.fetch(
        f"SELECT id FROM emails WHERE {connection.in_any('person_id')} AND id > ? ORDER BY id LIMIT ?",
        connection.array_param(people),
        mark["progress"],
        limit,
    )
    return [row["id"] for row in rows], len(rows) < limit


def _note(batch: WorkBatch, email_ids: Iterable[int], mark: Row) -> None:
    """Remembers the newest cause of each email. The clock gives way to anything else."""
    causes = batch.causes
    cause = Cause(_CAUSES.get(mark["cause"], ChangeCauseKind.EMAIL_CHANGED), mark["engagement_id"])
    for email_id in email_ids:
        batch.team_of[email_id] = mark["team_id"]
        known = causes.pop(email_id, None)
        if cause.kind is ChangeCauseKind.CLOCK and known is not None:
            causes[email_id] = known
        else:
            causes[email_id] = cause
