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
from command_center.lists.facts import Stays
from command_center.lists.membership_diff import Cause
from command_center.search.facts import Facts
from command_center.search.index.search_index import Index
from models.enums import ChangeCauseKind, MarkKind

_CAUSES = {int(cause): cause for cause in ChangeCauseKind}
MARKS = 5_000
"""Marks and emails of one look, if only one team has some."""
SHARED_MARKS = 50
"""The same while several teams have some, so that none waits long for the others."""
FEW_MARKS = 10
"""Of a team that are matched without those of teams with more, every other time."""
_MARK = ("id", "team_id", "kind", "subject_id", "cause", "engagement_id", "people", "progress")
_EMAIL_KINDS = ", ".join(str(int(kind)) for kind in (MarkKind.EMAIL, MarkKind.PERSON, MarkKind.GROUP))


def _oldest_sql(postgres: bool, aside: bool) -> str:
    """Returns the SELECT of the oldest marks. Its parameters are the teams that are left `aside`, if there are any, for
    the searches and for the emails, and the number of marks of emails."""
    others = (
        "team_id <> ALL(?::bigint[])" if postgres else "team_id NOT IN (SELECT value FROM json_each(?))"
    ) + " AND "
    others = others if aside else ""
    parts = (
        ("rights", f"kind = {int(MarkKind.USER)} ORDER BY id"),
        ("searches", f"{others}kind = {int(MarkKind.SEARCH)} ORDER BY id LIMIT 1"),
        ("emails", f"{others}kind IN ({_EMAIL_KINDS}) ORDER BY id LIMIT ?"),
    )
    marks = ", ".join(_MARK)
    return " UNION ALL ".join(
        f"SELECT * FROM (SELECT {marks} FROM marks WHERE {which}) AS {name}" for name, which in parts
    )


def _with_facts(oldest: str) -> str:
    return (
        f"WITH oldest AS MATERIALIZED ({oldest}),"
        f" named AS (SELECT DISTINCT subject_id FROM oldest WHERE kind = {int(MarkKind.EMAIL)})"
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
class Sight:
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
    members: Stays = field(default_factory=dict)
    marks: dict[int, Row] = field(default_factory=dict)
    """Those in `done` and `progress`, by id."""
    team_of: dict[int, int] = field(default_factory=dict)
    """Of the emails."""
    more: bool = False
    """There may be something left to be seen at once."""

    @property
    def emails(self) -> bool:
        """Whether marks of emails are worked off."""
        return bool(self.done or self.progress)

    def split(self, team_id: int) -> "Sight":
        """Takes out the part that belongs to a team."""
        part = Sight(self.now, team_of={key: team for key, team in self.team_of.items() if team == team_id})
        for key in part.team_of:
            del self.team_of[key]
            part.causes[key] = self.causes.pop(key)
            if key in self.facts:
                part.facts[key] = self.facts.pop(key)
            if key in self.members:
                part.members[key] = self.members.pop(key)
        part.marks = {key: mark for key, mark in self.marks.items() if mark["team_id"] == team_id}
        part.done = [key for key in self.done if key in part.marks]
        part.progress = [each for each in self.progress if each[1] in part.marks]
        self.done = [key for key in self.done if key not in part.marks]
        self.progress = [each for each in self.progress if each[1] not in part.marks]
        return part

    def leave(self, email_ids: Collection[int]) -> None:
        """Leaves emails to a later look, with all marks that concern them. Each mark must be of a single email."""
        self.done = [key for key in self.done if self.marks[key]["subject_id"] not in email_ids]
        for key in email_ids:
            del self.causes[key]

    @property
    def divisible(self) -> bool:
        """Whether each mark is of a single email."""
        return all(mark["kind"] == MarkKind.EMAIL for mark in self.marks.values())


async def see(
    index: Index,
    clock: Clock,
    connection: Connection,
    limit: int = MARKS,
    aside: Sequence[int] = (),
    few: bool = False,
) -> Sight:
    """One look, at about `limit` emails at most. The teams that are left `aside` are seen only if rights changed.

    `few`: if there is more to match than that, only teams that have few marks are seen, unless none has.
    """
    now, oldest, known = await _oldest(clock, connection, limit, aside)
    sight = Sight(now, [mark for mark in oldest if mark["kind"] == MarkKind.USER])
    if sight.rights:
        sight.more = True
        return sight
    sight.search = next((mark for mark in oldest if mark["kind"] == MarkKind.SEARCH), None)
    marks = [mark for mark in oldest if mark["kind"] != MarkKind.SEARCH]
    full = len(marks) == limit
    if full:
        marks = await _shared(connection, marks, limit, aside, few)
    for mark in marks:
        if len(sight.causes) >= limit:
            break
        if mark["kind"] == MarkKind.EMAIL:
            ids, finished = [mark["subject_id"]], True
        else:
            ids, finished = await _expand(connection, index, mark, limit)
        _note(sight, ids, mark)
        sight.marks[mark["id"]] = mark
        if finished:
            sight.done.append(mark["id"])
        else:
            sight.progress.append((ids[-1], mark["id"]))
    sight.more = sight.search is not None or len(sight.done) < len(marks) or full
    if sight.causes:
        sight.facts, sight.members = known
        if unknown := [key for key in sight.causes if key not in sight.facts]:
            more, stays = await facts.load_with_stays(connection, unknown)
            sight.facts.update(more)
            sight.members.update(stays)
            # What was read just now may have happened since.
            sight.now = await clock.now(connection)
    return sight


async def _oldest(
    clock: Clock, connection: Connection, limit: int, aside: Sequence[int]
) -> tuple[int, list[Row], tuple[dict[int, Facts], Stays]]:
    """The moment, the oldest marks in their order, and on PostgreSQL what is known of the emails that they name: there
    a second way there and back takes longer than what it asks for."""
    known: tuple[dict[int, Facts], Stays] = ({}, {})
    found: Sequence[Sequence[Any]]
    teams = (connection.listed(aside),) * 2 if aside else ()
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
    waiting = [team for (team,) in await connection.tuples(("team_id",), _TEAMS)]
    share = max(1, limit // max(1, len(waiting)))
    marks: dict[int, list[Row]] = {team: [] for team in waiting[:limit] if team not in aside}
    for mark in oldest:
        marks.setdefault(mark["team_id"], []).append(mark)
    for team, known in marks.items():
        if len(known) < share:
            found = _rows(await connection.tuples(_MARK, _TEAM_MARKS, team, share))
            marks[team] = sorted(found, key=itemgetter("id"))
    if few and (small := [known for known in marks.values() if 0 < len(known) <= FEW_MARKS < share]):
        return [mark for known in small for mark in known]
    return [mark for known in marks.values() for mark in known[:share]]


async def _expand(connection: Connection, index: Index, mark: Row, limit: int) -> tuple[list[int], bool]:
    """The next emails that a person's or a group's mark concerns, and whether these are the last."""
    if mark["kind"] == MarkKind.GROUP:
        if not index.mentions_group(mark["subject_id"]):
            return [], True
        people = mark["people"]
        people = json.loads(people) if isinstance(people, str) else people
    else:
        people = [mark["subject_id"]]
    rows = await connection.rows(
        f"SELECT id FROM emails WHERE {connection.within('person_id')} AND id > ? ORDER BY id LIMIT ?",
        connection.listed(people),
        mark["progress"],
        limit,
    )
    return [row["id"] for row in rows], len(rows) < limit


def _note(sight: Sight, email_ids: Iterable[int], mark: Row) -> None:
    """Remembers the newest cause of each email. The clock gives way to anything else."""
    causes = sight.causes
    cause = Cause(_CAUSES.get(mark["cause"], ChangeCauseKind.EMAIL_CHANGED), mark["engagement_id"])
    for email_id in email_ids:
        sight.team_of[email_id] = mark["team_id"]
        known = causes.pop(email_id, None)
        if cause.kind is ChangeCauseKind.CLOCK and known is not None:
            causes[email_id] = known
        else:
            causes[email_id] = cause
