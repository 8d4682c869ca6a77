"""The same events give the same summaries and the same lists, in whatever order and however often they come.

So do the same clicks the same verdicts, though each may tell something of those before it, and the delivery of all.
"""

import asyncio
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_center.database.fields import from_micros
from command_center.lists import audit
from command_center.search.datetimes import format_moment
from tests.laws.random_filters import KINDS, SPANS, URLS, VERDICTS, FilterGenerator
from tests.laws.simulation import DRAFT, PERSON, RECORD, SAVE
from tests.support.emails import send_due_emails, send_email
from tests.support.law_settings import CASES
from tests.support.list_replicas import members_of
from tests.support.server import Client, ManualClock, Server, serving

EMAILS, EVENTS, LISTS, ORDERS = 4, 60, 8, 4
SUMMARIES = """query($ids:[ID!]!){nodes(ids:$ids){... on Email{
    engagementSummary{views clicks replies latest{kind occurredAt url}}
    engagements(first:200){nodes{kind verdict occurredAt url}}}}}"""
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"
PLACES = ("192.0.2.1", "192.0.2.77", "198.51.100.1")
SECOND = 1_000_000

Told = tuple[list[dict[str, Any]], list[list[int]]]


async def test_events_in_any_order_and_repeated(quiet_server: Server, clock: ManualClock) -> None:
    rng = random.Random(7)
    now = clock.moment
    wishes = [FilterGenerator(rng, {}, admin=False, now=now).engagement() for _ in range(LISTS)]
    events = [_event(rng, clock, number) for number in range(EVENTS)]
    # Two at the very same moment: which of them is the newest must not depend on which came first.
    events += [{**events[0], "dedupeKey": "twin"}]
    told: list[Told] = []
    for order in range(ORDERS):
        client = await quiet_server.client("Ann", f"Team{order}")
        told.append(await _deliver(quiet_server, client, wishes, events, random.Random(order)))
    assert any(members for _, lists in told for members in lists)
    assert all(each == told[0] for each in told)


async def _deliver(
    server: Server, client: Client, wishes: list[dict[str, Any]], events: list[dict[str, Any]], rng: random.Random
) -> Told:
    """The same team as every other, told of the same events in an order of its own."""
    person = (await client.one(PERSON, i={"name": "P", "address": "p@people.example"}))["person"]["id"]
    drafts = [await client.one(DRAFT, i={"personId": person, "subject": "Hello"}) for _ in range(EMAILS)]
    emails = [draft["email"]["id"] for draft in drafts]
    saved = [await client.one(SAVE, i={"name": "L", "filter": wish}) for wish in wishes]
    for email in emails[::2]:
        await send_email(client, email)
    left = events + rng.sample(events, len(events) // 2)
    rng.shuffle(left)
    while left:
        if rng.random() < 0.2:
            await send_due_emails(server)
        size = rng.randint(1, 12)
        batch, left = left[:size], left[size:]
        await client.one(RECORD, e=[{**event, "emailId": emails[event["emailId"]]} for event in batch])
        if rng.random() < 0.5:
            await server.settle()
    await send_due_emails(server)
    await server.settle()
    nodes = await client.one(SUMMARIES, ids=emails)
    for node in nodes:
        node["engagements"]["nodes"].sort(key=str)
    lists = []
    for each in saved:
        members, _ = await members_of(client, each["savedSearch"]["id"])
        lists.append(sorted(emails.index(email) for email in members.values()))
    return nodes, lists


def _event(rng: random.Random, clock: ManualClock, number: int) -> dict[str, Any]:
    kind = rng.choice(KINDS)
    back = rng.choice((timedelta(0), *SPANS.values(), timedelta(minutes=-2)))
    moment = from_micros(clock.moment) - back + rng.choice((-1, 0, 1)) * timedelta(microseconds=1)
    link = {"url": rng.choice(URLS)} if kind == "CLICK" else {}
    judged = {"userAgent": AGENT, "ipAddress": rng.choice(PLACES)}
    said = {"verdict": rng.choices(VERDICTS, (5, 1, 1))[0]}
    return {
        "emailId": rng.randrange(EMAILS),
        "kind": kind,
        "occurredAt": moment.isoformat(),
        "dedupeKey": f"event {number}",
        **(judged if rng.random() < 0.5 else said),
        **link,
    }


# ---- haste -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Followed:
    """A click at a moment, in microseconds from the delivery; what its source says of it, if anything."""

    at: int
    link: int
    place: str
    said: str | None


@dataclass
class Product:
    """A server, and the loop in which all examples of one test ask it."""

    runner: asyncio.Runner
    server: Server
    clock: ManualClock
    client: Client
    person: str
    machines: int = 0
    people: int = 0


@pytest.fixture
def product(database_url: str) -> Iterator[Product]:
    stack, clock = AsyncExitStack(), ManualClock()

    async def entered() -> tuple[Server, Client, str]:
        server = await stack.enter_async_context(serving(database_url, clock, works=False, looks=False))
        client = await server.client("Ann")
        made = await client.one(PERSON, i={"name": "P", "address": "p@people.example"})
        await client.one(SAVE, i={"name": "L", "filter": {"engagement": [{"kind": "CLICK", "atLeast": 2}]}})
        await server.settle()
        return server, client, made["person"]["id"]

    with asyncio.Runner() as runner:
        server, client, person = runner.run(entered())
        yield Product(runner, server, clock, client, person)
        runner.run(stack.aclose())


def clicks() -> st.SearchStrategy[list[Followed]]:
    """Clicks that lie close together, near the delivery or far from it, at the edges of what counts as haste."""
    edges = st.sampled_from((30 * SECOND, -600 * SECOND, -10 * SECOND, 0, 2 * SECOND))
    return edges.flatmap(lambda edge: st.lists(_click(edge), min_size=3, max_size=12))


def _click(edge: int) -> st.SearchStrategy[Followed]:
    moments = st.builds(
        lambda step, way, off: edge + step * way + off,
        st.sampled_from((0, SECOND // 4, SECOND // 2, SECOND, 2 * SECOND)),
        *(st.sampled_from((-1, 1)), st.integers(-1, 1)),
    )
    said = st.sampled_from((None, None, None, None, "HUMAN", "MACHINE", "SELF"))
    return st.builds(Followed, moments, st.integers(0, 3), st.sampled_from(PLACES), said)


def verdict(click: Followed, clicks: Sequence[Followed]) -> str:
    """By the rules as they are written, the long way round."""
    if click.said is not None:
        return click.said
    if -10 * SECOND <= click.at <= 2 * SECOND:
        return "MACHINE"
    for number, span in ((2, SECOND // 2), (3, 2 * SECOND)):
        for first in clicks:
            if first.at <= click.at <= first.at + span:
                near = [other for other in clicks if first.at <= other.at <= first.at + span]
                if len({other.link for other in near if _one_place(other, click)}) >= number:
                    return "MACHINE"
    return "HUMAN"


def _one_place(one: Followed, other: Followed) -> bool:
    return one.place.rpartition(".")[0] == other.place.rpartition(".")[0]


@settings(max_examples=math.ceil(CASES / 8), deadline=None, suppress_health_check=list(HealthCheck))
@given(clicks(), st.randoms(use_true_random=False))
def _haste(product: Product, clicks: list[Followed], rng: random.Random) -> None:
    product.runner.run(_followed(product, clicks, rng))


def test_click_timing_verdicts_do_not_depend_on_the_order(product: Product) -> None:
    _haste(product)
    assert product.machines
    assert product.people

    async def differences() -> list[audit.Difference]:
        await product.server.settle()
        return await audit.find_differences(product.server.engine.ctx.writer)

    assert product.runner.run(differences()) == []


async def _followed(product: Product, clicks: list[Followed], rng: random.Random) -> None:
    """One email: some of the clicks become known before its delivery does, the others after it."""
    client, clock = product.client, product.clock
    email = (await client.one(DRAFT, i={"personId": product.person, "subject": "Hello"}))["email"]["id"]
    sent_at = clock.moment
    known = [(number, click) for number, click in enumerate(clicks)]
    rng.shuffle(known)
    early = [each for each in known if each[1].at <= 0 and rng.random() < 0.5]
    await _tell(client, email, sent_at, early, rng)
    await send_email(client, email)
    await send_due_emails(product.server)
    clock.advance(timedelta(hours=1))
    await _tell(client, email, sent_at, [each for each in known if each not in early], rng)
    (node,) = await client.one(SUMMARIES, ids=[email])
    found = sorted((each["occurredAt"], each["url"], each["verdict"]) for each in node["engagements"]["nodes"])
    expected = [
        (format_moment(sent_at + each.at), f"https://x.test/{each.link}", verdict(each, clicks)) for each in clicks
    ]
    assert found == sorted(expected)
    people = sum(told == "HUMAN" for *_, told in expected)
    assert node["engagementSummary"]["clicks"] == people
    product.people += people
    product.machines += sum(
        told == "MACHINE" and each.said is None for (*_, told), each in zip(expected, clicks, strict=True)
    )


async def _tell(
    client: Client, email: str, sent_at: int, known: Sequence[tuple[int, Followed]], rng: random.Random
) -> None:
    left = list(known)
    while left:
        size = rng.randint(1, 3)
        batch, left = left[:size], left[size:]
        events = [
            {
                "emailId": email,
                "kind": "CLICK",
                "occurredAt": format_moment(sent_at + click.at),
                "dedupeKey": f"{email} {number}",
                "url": f"https://x.test/{click.link}",
                "userAgent": AGENT,
                "ipAddress": click.place,
                "verdict": click.said,
            }
            for number, click in batch
        ]
        assert (await client.one(RECORD, e=events))["recorded"] == len(batch)
