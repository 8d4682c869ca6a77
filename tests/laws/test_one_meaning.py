"""Law 1: one meaning. What a filter's SQL answers is what its predicate answers, on both databases, to the microsecond.

A case is one filter, one email with all that belongs to it, and one moment. Each world is inserted, asked about in both
ways and rolled back. The predicate is held against facts that were read from the database and against the very data
that was inserted, so that an error in reading facts cannot hide one in the SQL.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_center.database.connections import Connection, open_database, transaction
from command_center.lists import backfill
from command_center.lists import facts as stored
from command_center.lists.standing_searches import StandingSearch
from command_center.search.facts import Facts
from command_center.search.filter_ast import Filter
from command_center.search.index.time_boundaries import time_keys
from command_center.search.parser import parse_filter
from command_center.search.predicate import compile_predicate
from command_center.search.scope import Owner, resolve_scope
from command_center.search.text import fold
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SavedSearchState, SendKind
from tests.support.generated_filters import (
    BULK_SENDS,
    CAMPAIGNS,
    GROUPS,
    NOW,
    SPANS,
    TEAM,
    TEMPLATES,
    URLS,
    USERS,
    EmailRow,
    EventRow,
    PersonRow,
    World,
    engagement_filters,
    filters,
    moments,
    one_of_each,
    worlds,
)
from tests.support.law_settings import CASES

FILTERS = 5
"""Filters asked of one world: of all its emails, at two moments and at some where the verdict may turn."""
TURNS = 9
ROUNDS = 10
EXAMPLES = math.ceil(CASES / FILTERS)
law = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


class _Undo(Exception):
    """Ends a transaction that leaves nothing behind."""


@dataclass
class Database:
    """One database, and the loop in which all examples of one test ask it. `cases` counts what was held together."""

    runner: asyncio.Runner
    cases: int = 0
    held: int = 0

    def until_enough(self, law: Callable[[], None]) -> None:
        """Tries a law again until there were enough cases: the worlds it is tried on may be empty. A law that is tried
        on nothing but empty answers, or on nothing but full ones, says little."""
        for _ in range(ROUNDS):
            law()
            if self.cases >= CASES and self.cases / 20 < self.held < self.cases:
                break
        print(f"{self.cases} cases, {self.held} of them held")
        assert self.cases >= CASES
        assert self.cases / 20 < self.held < self.cases

    def compare(self, world: World, raws: list[dict[str, Any]], owners: list[Owner], times: list[int]) -> None:
        self.runner.run(self._compare(world, raws, owners, times))

    async def _compare(self, world: World, raws: list[dict[str, Any]], owners: list[Owner], times: list[int]) -> None:
        try:
            async with transaction() as connection:
                await _insert(connection, world)
                loaded = await stored.load_facts(connection, [email.id for email in world.emails])
                assert loaded == {email.id: known(world, email, loaded) for email in world.emails}
                for raw, owner in zip(raws, owners, strict=True):
                    filter = parse_filter(raw)
                    for now in (*times, *turns(filter, loaded)):
                        await self._ask(connection, filter, owner, loaded, now)
                raise _Undo
        except _Undo:
            pass

    async def _ask(
        self, connection: Connection, filter: Filter, owner: Owner, loaded: dict[int, Facts], now: int
    ) -> None:
        search = StandingSearch(
            1, owner.team_id, owner.user_id, SavedSearchState.LIVE, resolve_scope(filter, owner), filter
        )
        by_sql = await backfill.load_matching_ids(connection, search, now)
        holds = compile_predicate(filter)
        by_predicate = {
            id
            for id, email in loaded.items()
            if search.scope.covers(email.team_id, email.sender_id) and holds(email, now)
        }
        assert by_sql == by_predicate, f"at {now}, of {loaded}"
        self.cases += len(loaded)
        self.held += len(by_sql)


def turns(filter: Filter, loaded: dict[int, Facts]) -> list[int]:
    """Moments at which time alone turns a verdict, and a microsecond to either side: some of all there are."""
    edges = {
        date + key.offset
        for key in time_keys(filter)
        for email in loaded.values()
        for date in (
            [event.occurred_at for event in email.events]
            if key.source == "occurred_at"
            else [getattr(email, key.source)]
        )
        if date is not None
    }
    moments = [edge + step for edge in sorted(edges) for step in (-1, 0, 1)]
    # A stride that 3 does not divide meets all three steps.
    return moments[:: len(moments) // TURNS // 3 * 3 + 1]


def known(world: World, email: EmailRow, loaded: dict[int, Facts]) -> Facts:
    """The facts of the data as generated. Events have no order: they come in that in which they were read."""
    expected, found = world.facts(email), loaded[email.id]
    if sorted(map(repr, expected.events)) == sorted(map(repr, found.events)):
        expected.events = found.events
    return expected


async def _base(connection: Connection) -> None:
    """Whom and what worlds point at: rows that no filter looks into."""
    await connection.execute("INSERT INTO teams (id, name, created_at) VALUES (?, 'Team', 0)", TEAM)
    await connection.execute_many(
        "INSERT INTO users (id, team_id, name, address, address_folded, role, time_zone, created_at)"
        " VALUES (?, ?, 'U', ?, ?, 1, 'UTC', 0)",
        [(id, TEAM, f"u{id}@x.test", f"u{id}@x.test") for id in USERS],
    )
    await connection.execute_many(
        "INSERT INTO person_groups (id, team_id, owner_id, name, shared, created_at) VALUES (?, ?, 1, 'G', ?, 0)",
        [(id, TEAM, True) for id in GROUPS],
    )
    await connection.execute_many(
        "INSERT INTO campaigns (id, team_id, owner_id, name, created_at) VALUES (?, ?, 1, 'C', 0)",
        [(id, TEAM) for id in CAMPAIGNS],
    )
    await connection.execute_many(
        "INSERT INTO templates (id, team_id, name, subject, body, created_at) VALUES (?, ?, 'T', 'S', '', 0)",
        [(id, TEAM) for id in TEMPLATES],
    )
    await connection.execute_many(
        "INSERT INTO bulk_sends (id, team_id, sender_id, send_kind, email_count, created_at) VALUES (?, ?, 1, 2, 0, 0)",
        [(id, TEAM) for id in BULK_SENDS],
    )


async def _insert(connection: Connection, world: World) -> None:
    await connection.execute_many(
        "INSERT INTO people (id, team_id, owner_id, name, name_folded, address, address_folded, address_search,"
        " company, company_folded, shared, created_at) VALUES (?, ?, 1, 'P', 'p', ?, ?, ?, ?, ?, ?, 0)",
        [
            (
                person.id,
                TEAM,
                person.address,
                # Two people of the generated worlds may have the same address.
                f"{fold(person.address)} {person.id}",
                fold(person.address),
                person.company,
                None if person.company is None else fold(person.company),
                True,
            )
            for person in world.people.values()
        ],
    )
    await connection.execute_many(
        "INSERT INTO group_people (group_id, person_id) VALUES (?, ?)",
        [(group, person.id) for person in world.people.values() for group in person.groups],
    )
    await connection.execute_many(
        "INSERT INTO emails (id, team_id, sender_id, person_id, cc, bcc, subject, subject_folded, body, campaign_id,"
        " template_id, bulk_send_id, send_kind, status, archived, success, created_at, updated_at, sent_at,"
        " scheduled_at, failed_at, views, clicks, replies, attempts)"
        " VALUES (?, ?, ?, ?, '[]', '[]', ?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, 0)",
        [
            (
                email.id,
                TEAM,
                email.sender_id,
                email.person_id,
                email.subject,
                fold(email.subject),
                email.campaign_id,
                email.template_id,
                email.bulk_send_id,
                int(email.send_kind),
                int(email.status),
                email.archived,
                email.success,
                email.created_at,
                email.sent_at,
                email.scheduled_at,
                email.failed_at,
                *(email.humans(kind) for kind in EngagementKind),
            )
            for email in world.emails
        ],
    )
    await connection.execute_many(
        "INSERT INTO engagements (team_id, email_id, sender_id, kind, verdict, verdict_reason, url, url_folded,"
        " occurred_at, recorded_at, dedupe_key) VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?)",
        [
            (
                TEAM,
                email.id,
                email.sender_id,
                int(event.kind),
                int(event.verdict),
                event.url,
                None if event.url is None else fold(event.url),
                event.occurred_at,
                event.occurred_at,
                f"{email.id}-{place}",
            )
            for email in world.emails
            for place, event in enumerate(email.events)
        ],
    )


async def _begin() -> None:
    async with transaction() as connection:
        await _base(connection)


@pytest.fixture
def asked(database_url: str) -> Iterator[Database]:
    """A database for the examples of one test. Examples are synchronous: hypothesis knows no other."""
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        runner.run(_entered(stack, database_url))
        yield Database(runner)
        runner.run(stack.aclose())


async def _entered(stack: AsyncExitStack, url: str) -> None:
    await stack.enter_async_context(open_database(url))
    await _begin()


def owners() -> st.SearchStrategy[Owner]:
    return st.builds(Owner, st.sampled_from(USERS), st.sampled_from((TEAM, TEAM, TEAM, TEAM + 1)), st.booleans())


def test_sql_and_predicate_agree_on_generated_worlds(asked: Database) -> None:
    @law
    @given(
        worlds(),
        st.lists(filters(), min_size=FILTERS, max_size=FILTERS),
        st.lists(owners(), min_size=FILTERS, max_size=FILTERS),
        st.lists(moments(), min_size=2, max_size=2),
    )
    def agree(world: World, raws: list[dict[str, Any]], who: list[Owner], times: list[int]) -> None:
        asked.compare(world, raws, who, times)

    asked.until_enough(agree)


def moving() -> st.SearchStrategy[dict[str, Any]]:
    """A filter that says nothing but what turns with time."""
    spans, fields = st.sampled_from(SPANS), st.sampled_from(("createdAt", "sentAt", "scheduledAt", "failedAt"))
    date = st.builds(
        lambda field, bound, span: {field: {bound: span}}, fields, st.sampled_from(("within", "olderThan")), spans
    )
    window = st.builds(lambda raw, span: {"engagement": [raw | {"within": span}]}, engagement_filters(), spans)
    return date | window


def test_windows_agree_at_their_edges(asked: Database) -> None:
    admin = Owner(USERS[0], TEAM, admin=True)

    @settings(law, max_examples=math.ceil(CASES / 50))
    @given(worlds(), st.lists(moving(), min_size=FILTERS, max_size=FILTERS))
    def agree(world: World, raws: list[dict[str, Any]]) -> None:
        asked.compare(world, [{"everySender": True, **raw} for raw in raws], [admin] * len(raws), [])

    asked.until_enough(agree)


def test_each_field_by_itself_agrees(asked: Database) -> None:
    admin = Owner(USERS[0], TEAM, admin=True)

    @settings(law, max_examples=math.ceil(CASES / 40))
    @given(worlds(), one_of_each(), moments())
    def agree(world: World, raws: tuple[dict[str, Any], ...], now: int) -> None:
        everyone = [raw if "sender" in raw else {"everySender": True, **raw} for raw in raws]
        asked.compare(world, everyone, [admin] * len(raws), [now])

    asked.until_enough(agree)


# ---- text --------------------------------------------------------------------------------------

# What a database could take for its own, and what changes its length or its order when folded.
TRAPS = "%_\\'\"*?[]^$.()|\t ßẞſſﬁﬀİıIiΣσςéÉe\u0301\u0327\u0345ͅᾳώ\u00ad\u200d가각ᄀ\u1161\u11a8Åå\u212b😀🏳️‍🌈ǅǆΐ"
characters = st.sampled_from(TRAPS) | st.characters(exclude_categories=["Cs"], exclude_characters="\0")
words = st.text(characters, min_size=1, max_size=8)
ALTERATIONS = (
    str,
    str.lower,
    str.upper,
    str.title,
    str.swapcase,
    str.casefold,
    lambda text: normalize("NFC", text),
    lambda text: normalize("NFD", text),
    lambda text: normalize("NFKC", text),
    lambda text: normalize("NFD", text.upper()),
    lambda text: text + "\u0301",
    lambda text: text.replace("%", "_"),
    lambda text: text.replace("\\", ""),
)


@st.composite
def near(draw: st.DrawFn, text: str) -> str:
    """A piece of a text as somebody else might write it."""
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    piece = draw(st.sampled_from((text, text[start:], text[:end], text[start:end])))
    return draw(st.sampled_from(ALTERATIONS))(piece) or "%"


@st.composite
def text_tests(draw: st.DrawFn, text: str) -> dict[str, str]:
    keys = st.sampled_from(("equals", "contains", "startsWith", "endsWith"))
    return {draw(keys): draw(near(text) | words)[:50]}


@st.composite
def text_cases(draw: st.DrawFn) -> tuple[World, list[dict[str, Any]]]:
    subject, company, url = draw(words), draw(words), draw(words | st.sampled_from(URLS))
    address = f"{draw(words)}@x.test"
    event = EventRow(EngagementKind.CLICK, EngagementVerdict.HUMAN, NOW, url)
    person = PersonRow(1, address, company, frozenset())
    email = EmailRow(
        id=1,
        sender_id=1,
        person_id=1,
        campaign_id=None,
        template_id=None,
        bulk_send_id=None,
        send_kind=SendKind.INDIVIDUAL,
        status=EmailStatus.SENT,
        archived=False,
        success=False,
        subject=subject,
        created_at=NOW,
        sent_at=NOW,
        scheduled_at=None,
        failed_at=None,
        events=(event,),
    )
    raws: list[dict[str, Any]] = []
    for name, text in (("subject", subject), ("address", address), ("company", company)):
        raws += [{name: draw(text_tests(text))}, {"not": {name: draw(text_tests(text))}}]
    raws.append({"engagement": [{"kind": "CLICK", "url": draw(text_tests(url))}]})
    return World({1: person}, (email,)), raws


def test_text_compares_alike_whatever_it_holds(asked: Database) -> None:
    owner = Owner(USERS[0], TEAM, admin=False)

    @settings(law, max_examples=math.ceil(CASES / 7))
    @given(text_cases())
    def agree(case: tuple[World, list[dict[str, Any]]]) -> None:
        world, raws = case
        asked.compare(world, raws, [owner] * len(raws), [NOW])

    asked.until_enough(agree)


KNOWN_TRAPS = (
    ("STRASSE", {"equals": "straße"}, True),
    ("e\u0301", {"equals": "É"}, True),
    ("e\u0301", {"contains": "e"}, False),
    ("100%", {"contains": "0%"}, True),
    ("100 per cent", {"contains": "0%"}, False),
    ("a_b", {"equals": "a_b"}, True),
    ("axb", {"equals": "a_b"}, False),
    ("a\\b", {"endsWith": "\\b"}, True),
    ("ab", {"endsWith": "xxab"}, False),
    ("ΣΑΣ", {"endsWith": "ς"}, True),
    ("ﬁn", {"startsWith": "FI"}, True),
    ("İ", {"equals": "i"}, False),
    ("ı", {"equals": "I"}, False),
    ("😀x", {"endsWith": "X"}, True),
)


def test_known_traps_of_text(asked: Database) -> None:
    for text, test, holds in KNOWN_TRAPS:
        person = PersonRow(1, "a@x.test", text, frozenset())
        email = EmailRow(
            *(1, 1, 1, None, None, None, SendKind.INDIVIDUAL, EmailStatus.DRAFT, False, False, text, NOW),
            *(None, None, None, ()),
        )
        before = asked.held
        raws: list[dict[str, Any]] = [{"subject": test}, {"company": test}]
        asked.compare(World({1: person}, (email,)), raws, [Owner(1, TEAM, admin=False)] * 2, [NOW])
        assert asked.held - before == (2 if holds else 0), (text, test)
