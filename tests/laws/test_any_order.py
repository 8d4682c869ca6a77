"""The same events give the same summaries and the same lists, in whatever order and however often they come."""

import random
from datetime import timedelta
from typing import Any

from models.fields import from_micros
from tests.laws.followers import members_of
from tests.laws.wishes import KINDS, SPANS, URLS, VERDICTS, Wishes
from tests.laws.world import DRAFT, PERSON, RECORD, SAVE
from tests.serving import Client, ManualClock, Server

EMAILS, EVENTS, LISTS, ORDERS = 4, 40, 8, 4
SUMMARIES = """query($ids:[ID!]!){nodes(ids:$ids){... on Email{
    engagementSummary{views clicks replies latest{kind occurredAt url}}}}}"""

Told = tuple[list[dict[str, Any]], list[list[int]]]


async def test_events_in_any_order_and_repeated(quiet_server: Server, clock: ManualClock) -> None:
    rng = random.Random(7)
    now = clock.moment
    wishes = [Wishes(rng, {}, admin=False, now=now).engagement() for _ in range(LISTS)]
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
    left = events + rng.sample(events, len(events) // 2)
    rng.shuffle(left)
    while left:
        size = rng.randint(1, 12)
        batch, left = left[:size], left[size:]
        await client.one(RECORD, e=[{**event, "emailId": emails[event["emailId"]]} for event in batch])
        if rng.random() < 0.5:
            await server.settle()
    await server.settle()
    nodes = await client.one(SUMMARIES, ids=emails)
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
    return {
        "emailId": rng.randrange(EMAILS),
        "kind": kind,
        "occurredAt": moment.isoformat(),
        "dedupeKey": f"event {number}",
        "verdict": rng.choices(VERDICTS, (5, 1, 1))[0],
        **link,
    }
