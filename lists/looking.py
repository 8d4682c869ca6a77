"""What the matcher sees in one look: the oldest marks, the emails they concern, and these emails' facts and stays."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import orjson

from lists import facts
from lists.facts import Stays
from lists.memberships import Cause
from models.clocks import Clock
from models.database import Connection, Row
from models.enums import ChangeCauseKind, MarkKind
from search.facts import Facts
from search.index import Index

_CAUSES = {int(cause): cause for cause in ChangeCauseKind}
MARKS = 5000
EMAILS = 5000
_MARK = ("id", "team_id", "kind", "subject_id", "cause", "engagement_id", "people", "progress")
_KINDS = f"SELECT {', '.join(_MARK)} FROM marks WHERE kind"
_OLDEST = " UNION ALL ".join(
    f"SELECT * FROM ({_KINDS} {which} ORDER BY id{most}) AS {name}"
    for name, which, most in (
        ("rights", f"= {int(MarkKind.USER)}", ""),
        ("searches", f"= {int(MarkKind.SEARCH)}", " LIMIT 1"),
        ("emails", f"IN ({int(MarkKind.EMAIL)}, {int(MarkKind.PERSON)}, {int(MarkKind.GROUP)})", f" LIMIT {MARKS}"),
    )
)


_WITH_FACTS = (
    f"WITH oldest AS MATERIALIZED ({_OLDEST}),"
    f" named AS (SELECT DISTINCT subject_id FROM oldest WHERE kind = {int(MarkKind.EMAIL)})"
    f" SELECT (SELECT coalesce(json_agg(json_build_array({', '.join(_MARK)})), '[]') FROM oldest) AS marks,"
    f" (SELECT coalesce(json_agg(known.facts), '[]') FROM named, LATERAL ({facts.beside('named.subject_id')}) AS known)"
    " AS facts"
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
    more: bool = False
    """There may be something left to be seen at once."""

    @property
    def emails(self) -> bool:
        """Whether marks of emails are worked off."""
        return bool(self.done or self.progress)


async def see(index: Index, clock: Clock, connection: Connection) -> Sight:
    """One look, bounded."""
    now, oldest, known = await _oldest(clock, connection)
    sight = Sight(now, [mark for mark in oldest if mark["kind"] == MarkKind.USER])
    if sight.rights:
        sight.more = True
        return sight
    sight.search = next((mark for mark in oldest if mark["kind"] == MarkKind.SEARCH), None)
    marks = [mark for mark in oldest if mark["kind"] != MarkKind.SEARCH]
    for mark in marks:
        if len(sight.causes) >= EMAILS:
            break
        if mark["kind"] == MarkKind.EMAIL:
            ids, finished = [mark["subject_id"]], True
        else:
            ids, finished = await _expand(connection, index, mark)
        _note(sight.causes, ids, mark)
        if finished:
            sight.done.append(mark["id"])
        else:
            sight.progress.append((ids[-1], mark["id"]))
    sight.more = sight.search is not None or len(sight.done) < len(marks) or len(marks) == MARKS
    if sight.causes:
        sight.facts, sight.members = known
        if unknown := [key for key in sight.causes if key not in sight.facts]:
            more, stays = await facts.load_with_stays(connection, unknown)
            sight.facts.update(more)
            sight.members.update(stays)
            # What was read just now may have happened since.
            sight.now = await clock.now(connection)
    return sight


async def _oldest(clock: Clock, connection: Connection) -> tuple[int, list[Row], tuple[dict[int, Facts], Stays]]:
    """The moment, the oldest marks in their order, and on PostgreSQL what is known of the emails that they name: there
    a second way there and back takes longer than what it asks for."""
    known: tuple[dict[int, Facts], Stays] = ({}, {})
    found: Sequence[Sequence[Any]]
    if connection.postgres:
        now, ((marks, rows),) = await clock.beside(connection, ("marks", "facts"), _WITH_FACTS)
        found, known = orjson.loads(marks), facts.read(orjson.loads(rows))
    else:
        now, found = await clock.beside(connection, _MARK, _OLDEST)
    # Each kind comes in its order, but of a UNION nobody promises that.
    return now, sorted((dict(zip(_MARK, values, strict=True)) for values in found), key=itemgetter("id")), known


async def _expand(connection: Connection, index: Index, mark: Row) -> tuple[list[int], bool]:
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
        EMAILS,
    )
    return [row["id"] for row in rows], len(rows) < EMAILS


def _note(causes: dict[int, Cause], email_ids: Iterable[int], mark: Row) -> None:
    """Remembers the newest cause of each email. The clock gives way to anything else."""
    cause = Cause(_CAUSES.get(mark["cause"], ChangeCauseKind.EMAIL_CHANGED), mark["engagement_id"])
    for email_id in email_ids:
        known = causes.pop(email_id, None)
        if cause.kind is ChangeCauseKind.CLOCK and known is not None:
            causes[email_id] = known
        else:
            causes[email_id] = cause
