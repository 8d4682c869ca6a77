"""The SQL of a filter, run on SQLite in memory beside the predicate; the texts PostgreSQL gets are looked at."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from command_center.ids import encode
from command_center.search.datetimes import format_moment
from command_center.search.filter_ast import Filter
from command_center.search.parser import parse_filter
from command_center.search.predicate import holds
from command_center.search.scope import Scope
from command_center.search.sql import POSTGRES, SQLITE, filter_clause, scope_clause
from command_center.search.text import fold
from models.enums import EngagementKind, EngagementVerdict
from tests.support.generated_filters import (
    EMPTY,
    NOW,
    PERSON,
    TEAM,
    EmailRow,
    EventRow,
    World,
    filters,
    moments,
    one_of_each,
    worlds,
)
from tests.support.law_settings import CASES

TABLES = """
CREATE TABLE emails (id INTEGER PRIMARY KEY, team_id INT, sender_id INT, person_id INT, campaign_id INT,
    template_id INT, bulk_send_id INT, send_kind SMALLINT, status SMALLINT, archived BOOL, success BOOL,
    subject_folded TEXT, created_at BIGINT, sent_at BIGINT, scheduled_at BIGINT, failed_at BIGINT,
    views INT, clicks INT, replies INT);
CREATE TABLE people (id INTEGER PRIMARY KEY, address_search TEXT, company_folded TEXT);
CREATE TABLE group_people (group_id INT, person_id INT);
CREATE TABLE engagements (email_id INT, kind SMALLINT, verdict SMALLINT, occurred_at BIGINT, url_folded TEXT);
"""
FROM = "FROM emails e JOIN people p ON p.id = e.person_id"


EVERY_LEAF: list[dict[str, Any]] = [
    {"folder": ["SPAM"]},
    {"folderGroup": ["SENT"]},
    *(
        {field: [encode(noun, 7)]}
        for field, noun in (("sender", "User"), ("person", "Person"), ("campaign", "Campaign"))
    ),
    {"personGroup": [encode("Group", 7)]},
    {"template": [encode("Template", 7), encode("Template", 8)]},
    {"bulkSend": [encode("BulkSend", 7)]},
    {"sendKind": ["GROUP"]},
    {"success": True},
    *({"company": {test: "x"}} for test in ("equals", "contains", "startsWith", "endsWith")),
    *(
        {field: {bound: value}}
        for field in ("sentAt", "scheduledAt", "failedAt")
        for bound, value in (
            ("from", "2000-01-01T00:00:00Z"),
            ("until", "2100-01-01T00:00:00Z"),
            ("within", "P730D"),
            ("olderThan", "PT1S"),
        )
    ),
    {"engagement": [{"kind": "REPLY", "atMost": 0, "afterSend": "P3D"}]},
    {"engagement": [{"kind": "REPLY", "atLeast": 0, "atMost": 3, "afterSend": "P3D"}]},
    {"engagement": [{"kind": "CLICK", "url": {"contains": "x"}}]},
    {"engagement": [{"kind": "CLICK", "atLeast": 2, "atMost": 3, "url": {"contains": "x"}}]},
    {"engagement": [{"kind": "VIEW", "atLeast": 2}]},
]


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    yield connection
    connection.close()


def fill(database: sqlite3.Connection, world: World) -> None:
    for table in ("emails", "people", "group_people", "engagements"):
        database.execute(f"DELETE FROM {table}")
    for person in world.people.values():
        company = None if person.company is None else fold(person.company)
        database.execute("INSERT INTO people VALUES (?, ?, ?)", (person.id, fold(person.address), company))
        database.executemany("INSERT INTO group_people VALUES (?, ?)", [(group, person.id) for group in person.groups])
    for email in world.emails:
        insert(database, email)


def insert(database: sqlite3.Connection, email: EmailRow) -> None:
    row = (email.id, TEAM, email.sender_id, email.person_id, email.campaign_id, email.template_id, email.bulk_send_id)
    states = (email.send_kind, email.status, email.archived, email.success, fold(email.subject))
    dates = (email.created_at, email.sent_at, email.scheduled_at, email.failed_at)
    counts = tuple(email.humans(kind) for kind in EngagementKind)
    values = (*row, *states, *dates, *counts)
    database.execute(f"INSERT INTO emails VALUES ({', '.join('?' * len(values))})", values)
    for event in email.events:
        url = None if event.url is None else fold(event.url)
        event_row = (email.id, event.kind, event.verdict, event.occurred_at, url)
        database.execute("INSERT INTO engagements VALUES (?, ?, ?, ?, ?)", event_row)


def found(database: sqlite3.Connection, filter: Filter, now: int) -> set[int]:
    asked = filter_clause(filter, SQLITE, now)
    return {id for (id,) in database.execute(f"SELECT e.id {FROM} WHERE {asked.text}", asked.parameters)}


law = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))


@law
@given(one_of_each(), worlds(), moments())
def test_sqlite_and_the_predicate_agree_on_every_field(
    database: sqlite3.Connection, raws: tuple[dict[str, Any], ...], world: World, now: int
) -> None:
    fill(database, world)
    # Each with its opposite: what is NULL to SQL is false either way.
    for raw in (*raws, *({"not": raw} for raw in raws)):
        filter = parse_filter(raw)
        assert found(database, filter, now) == {e.id for e in world.emails if holds(filter, world.facts(e), now)}


@law
@given(filters(), worlds(), moments())
def test_sqlite_and_the_predicate_agree_on_nested_filters(
    database: sqlite3.Connection, raw: dict[str, Any], world: World, now: int
) -> None:
    fill(database, world)
    filter = parse_filter(raw)
    assert found(database, filter, now) == {e.id for e in world.emails if holds(filter, world.facts(e), now)}


HOUR = 3_600_000_000


@pytest.mark.parametrize(
    "raw, first, last",
    [
        ({"sentAt": {"within": "PT1H"}}, -HOUR, None),
        ({"sentAt": {"olderThan": "PT1H"}}, None, -HOUR - 1),
        ({"sentAt": {"from": format_moment(NOW)}}, 0, None),
        ({"sentAt": {"until": format_moment(NOW)}}, None, -1),
        ({"scheduledAt": {"within": "PT1H"}}, 0, HOUR),
        ({"scheduledAt": {"olderThan": "PT1H"}}, None, -HOUR - 1),
        ({"engagement": [{"kind": "VIEW", "within": "PT1H"}]}, -HOUR, None),
    ],
    ids=str,
)
def test_windows_end_on_the_microsecond(
    database: sqlite3.Connection, raw: dict[str, Any], first: int | None, last: int | None
) -> None:
    filter = parse_filter(raw)
    for edge in (first, last):
        for offset in () if edge is None else (edge - 1, edge, edge + 1):
            world = World({1: PERSON}, (happened_at(NOW + offset),))
            fill(database, world)
            expected = (first is None or first <= offset) and (last is None or offset <= last)
            assert found(database, filter, NOW) == ({1} if expected else set())
            assert holds(filter, world.facts(world.emails[0]), NOW) is expected


@pytest.mark.parametrize("late, counts", [(-9 * HOUR, True), (HOUR - 1, True), (HOUR, True), (HOUR + 1, False)])
def test_after_send_ends_on_the_microsecond_and_has_no_beginning(
    database: sqlite3.Connection, late: int, counts: bool
) -> None:
    reply = EventRow(EngagementKind.REPLY, EngagementVerdict.HUMAN, NOW + late, None)
    world = World({1: PERSON}, (replace(EMPTY, sent_at=NOW, events=(reply,)),))
    fill(database, world)
    filter = parse_filter({"engagement": [{"kind": "REPLY", "afterSend": "PT1H"}]})
    assert found(database, filter, NOW) == ({1} if counts else set())
    assert holds(filter, world.facts(world.emails[0]), NOW) is counts


def happened_at(moment: int) -> EmailRow:
    view = EventRow(EngagementKind.VIEW, EngagementVerdict.HUMAN, moment, None)
    return replace(EMPTY, sent_at=moment, scheduled_at=moment, events=(view,))


@pytest.mark.parametrize("raw", EVERY_LEAF, ids=str)
def test_no_leaf_is_ever_null_so_that_not_is_its_opposite(database: sqlite3.Connection, raw: dict[str, Any]) -> None:
    world = World({1: PERSON}, (EMPTY,))
    fill(database, world)
    plain, opposite = (
        filter_clause(parse_filter(raw), SQLITE, NOW),
        filter_clause(parse_filter({"not": raw}), SQLITE, NOW),
    )
    answer = f"SELECT {plain.text}, {opposite.text} {FROM}"
    expected = holds(parse_filter(raw), world.facts(EMPTY), NOW)
    assert database.execute(answer, plain.parameters + opposite.parameters).fetchone() == (expected, not expected)
    assert holds(parse_filter({"not": raw}), world.facts(EMPTY), NOW) is not expected


@pytest.mark.parametrize("raw", EVERY_LEAF, ids=str)
def test_postgres_gets_the_type_of_each_parameter(raw: dict[str, Any]) -> None:
    asked = filter_clause(parse_filter({"any": [raw, {"not": raw}]}), POSTGRES, NOW)
    assert len(re.findall(r"\?::", asked.text)) == asked.text.count("?") == len(asked.parameters)


def test_a_thousand_ids_are_one_parameter() -> None:
    filter = parse_filter({"person": [encode("Person", id) for id in range(1, 1001)]})
    assert filter_clause(filter, POSTGRES, NOW).parameters == (list(range(1, 1001)),)
    assert len(filter_clause(filter, SQLITE, NOW).parameters) == 1


def test_many_empty_branches_leave_no_trace_in_the_sql(database: sqlite3.Connection) -> None:
    fill(database, World({1: PERSON}, (EMPTY,)))
    raw = {"any": [{"campaign": [encode("Campaign", 1)]}, *[{}] * 40], "not": {"all": [{}] * 10, "folder": []}}
    assert filter_clause(parse_filter(raw), SQLITE, NOW).text == "TRUE"
    assert filter_clause(parse_filter(raw), POSTGRES, NOW).parameters == ()
    assert found(database, parse_filter(raw), NOW) == {1}


def test_unwindowed_human_counts_come_from_the_summary() -> None:
    assert filter_clause(parse_filter({"engagement": [{"kind": "CLICK"}]}), SQLITE, NOW).text == "e.clicks >= ?"
    asked = filter_clause(parse_filter({"engagement": [{"kind": "CLICK", "verdict": ["HUMAN", "SELF"]}]}), SQLITE, NOW)
    assert "engagements" in asked.text


def test_like_has_no_part_in_text(database: sqlite3.Connection) -> None:
    percent, plain = replace(EMPTY, subject="100% Sure"), replace(EMPTY, id=2, subject="1000 sure")
    fill(database, World({1: PERSON}, (percent, plain)))
    assert found(database, parse_filter({"subject": {"startsWith": "100%", "endsWith": "SURE"}}), NOW) == {1}


def test_a_scope_names_the_team_and_its_senders(database: sqlite3.Connection) -> None:
    fill(database, World({1: PERSON}, (EMPTY, replace(EMPTY, id=2, sender_id=2), replace(EMPTY, id=3, sender_id=3))))
    for senders, expected in ((None, [1, 2, 3]), ({2}, [2]), ({1, 3}, [1, 3]), (set(), [])):
        asked = scope_clause(Scope(TEAM, None if senders is None else frozenset(senders)), SQLITE)
        rows = database.execute(f"SELECT e.id {FROM} WHERE {asked.text} ORDER BY e.id", asked.parameters)
        assert [id for (id,) in rows] == expected
    assert scope_clause(Scope(TEAM + 1, None), POSTGRES).text == "e.team_id = ?::bigint"


def test_verdicts_are_asked_for_by_number() -> None:
    asked = filter_clause(
        parse_filter({"engagement": [{"kind": "VIEW", "verdict": ["SELF", "MACHINE"]}]}), POSTGRES, NOW
    )
    assert f"g.verdict IN ({EngagementVerdict.MACHINE:d}, {EngagementVerdict.SELF:d})" in asked.text
