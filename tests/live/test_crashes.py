"""kill -9 under load, again and again, with a subscriber that goes on from its last cursor each time.

Whatever was answered is stored, once; whatever was not answered is stored once or not at all. The subscriber is told
every row of the log that concerns it, once and in order. CRASHES says how often; the seed is printed.
"""

import asyncio
import os
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from command_center.changes.cursors import parse
from command_center.ids import decode_key
from tests.support.list_replicas import ALL, KINDS, Row, members_of
from tests.support.server import Client
from tests.support.server_process import (
    CONNECTION_ERRORS,
    DRAFT,
    PERSON,
    RECORD,
    SAVE,
    ServerProcess,
    open_server_process,
)

CRASHES = int(os.environ.get("CRASHES", "2"))
SEED = int(os.environ.get("LAW_SEED", "1"))
WRITERS = 6
EMAILS = 20

FRESH = "query($f:EmailFilter!){emails(filter:$f,first:200){nodes{id}}}"
FILTERS: list[dict[str, Any]] = [
    {},
    {"engagement": [{"kind": "VIEW"}, {"kind": "CLICK"}, {"kind": "REPLY", "atMost": 0}]},
    {"engagement": [{"kind": "VIEW", "atLeast": 3}]},
    {"engagement": [{"kind": "VIEW", "within": "PT1S"}]},
    {"engagement": [{"kind": "CLICK", "within": "PT2S", "atLeast": 2}]},
    {"not": {"engagement": [{"kind": "CLICK", "within": "PT1S"}]}},
    {"createdAt": {"olderThan": "PT3S"}, "engagement": [{"kind": "REPLY", "atMost": 0}]},
]


@dataclass
class Subscriber:
    """Follows all lists of one user, through every crash, with the last cursor it got."""

    client: Client
    cursor: str = ""
    rows: list[Row] = field(default_factory=list)
    resumed: int = 0

    async def follow(self) -> None:
        while True:
            with suppress(*CONNECTION_ERRORS):
                async with self.client.follow(ALL, **({"after": self.cursor} if self.cursor else {})) as stream:
                    self.resumed += 1
                    while True:
                        self._take(await stream.frame(3600))
            await asyncio.sleep(0.02)

    def _take(self, frame: dict[str, Any]) -> None:
        self.cursor = frame["cursor"]
        kind = frame["__typename"]
        assert kind != "CursorExpired"
        if kind == "CaughtUp":
            return
        stay, email = frame.get("memberId"), frame.get("emailId")
        self.rows.append(
            (
                parse(self.cursor).position,
                KINDS[kind],
                decode_key("SavedSearch", frame["savedSearchId"]),
                None if stay is None else decode_key("SavedSearchMember", stay),
                None if email is None else decode_key("Email", email),
            )
        )


@dataclass
class Writer:
    """Records events one request after the other; some that got no answer are tried again with the same keys."""

    client: Client
    emails: list[str]
    rng: random.Random
    name: str
    answered: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    sent: int = 0
    enough: bool = False

    async def write(self) -> None:
        again: list[dict[str, Any]] = []
        while not self.enough:
            events = again or [self._event() for _ in range(self.rng.choice((1, 1, 5, 20)))]
            again = []
            keys = {event["dedupeKey"] for event in events}
            self.unanswered |= keys - self.answered
            try:
                payload = await self.client.one(RECORD, e=events)
            except CONNECTION_ERRORS as exc:
                # Where nobody was there nothing was said; else it may have been heard, and is said again or not.
                unheard = isinstance(exc, httpx.ConnectError)
                again = events if unheard or self.rng.random() < 0.5 else []
                await asyncio.sleep(0.02)
                continue
            assert payload["userErrors"] == []
            assert payload["recorded"] + payload["duplicates"] == len(events)
            self.answered |= keys
            self.unanswered -= keys

    def _event(self) -> dict[str, Any]:
        self.sent += 1
        kind = self.rng.choices(("VIEW", "CLICK", "REPLY"), (5, 4, 1))[0]
        link = {"url": "https://x.test/"} if kind == "CLICK" else {}
        return {
            "emailId": self.rng.choice(self.emails),
            "kind": kind,
            "occurredAt": datetime.now(UTC).isoformat(),
            "dedupeKey": f"{self.name}-{self.sent}",
            "verdict": "HUMAN",
            **link,
        }


async def furnished(box: ServerProcess, client: Client) -> tuple[list[str], list[str]]:
    """Emails to write about, and lists over them."""
    person = (await client.one(PERSON, i={"name": "P", "address": "p@people.example"}))["person"]["id"]
    emails = []
    for number in range(EMAILS):
        made = await client.one(DRAFT, i={"personId": person, "subject": f"Hello {number}"})
        emails.append(made["email"]["id"])
    searches = []
    for number, filter in enumerate(FILTERS):
        made = await client.one(SAVE, i={"name": f"L{number}", "filter": filter})
        assert made["userErrors"] == []
        searches.append(made["savedSearch"]["id"])
    return emails, searches


@pytest.mark.timeout(120 + 20 * CRASHES)
async def test_crashes_lose_no_answered_event_and_no_change_message(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with open_server_process(tmp_path / "crashes.db") as server:
        assert (await server.command("user", "add", "--team", "Team", "--name", "Ann", "--address", "ann@x.example"))[
            0
        ] == 0
        code, token = await server.command("token", "ann@x.example", "--scope", "engagement:write")
        assert code == 0
        await server.start()
        client = Client(server.url, token)
        subscriber = Subscriber(Client(server.url, token))
        following = asyncio.create_task(subscriber.follow())
        while not subscriber.cursor:
            await asyncio.sleep(0.01)
        began = parse(subscriber.cursor).position
        emails, searches = await furnished(server, client)
        writers = [
            Writer(Client(server.url, token), emails, random.Random(f"{SEED} {n}"), f"w{n}") for n in range(WRITERS)
        ]
        writing = [asyncio.create_task(writer.write()) for writer in writers]
        for _ in range(CRASHES):
            await asyncio.sleep(rng.uniform(0.2, 1.5))
            await server.kill()
            _nobody_gave_up([following, *writing])
            await server.start()
        await asyncio.sleep(1)
        _nobody_gave_up([following, *writing])
        for writer in writers:
            writer.enough = True
        await asyncio.gather(*writing)
        await _quiet(server)

        _check_events(server, writers)
        expected = _log_of(server, began)
        async with asyncio.timeout(10):
            while not subscriber.rows or subscriber.rows[-1][0] < expected[-1][0]:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        positions = [row[0] for row in subscriber.rows]
        assert positions == sorted(set(positions))
        assert subscriber.rows == expected
        await _check_lists(server, client, searches, subscriber)
        code, said = await server.command("audit")
        assert code == 0, said
        answered = sum(len(writer.answered) for writer in writers)
        left = sum(len(writer.unanswered) for writer in writers)
        print(
            f"{CRASHES} crashes (LAW_SEED={SEED}): {answered} events answered, {left} never answered,"
            f" {len(expected)} frames over {subscriber.resumed} connections"
        )
        assert subscriber.resumed > CRASHES
        for each in (client, subscriber.client, *(writer.client for writer in writers)):
            await each.http.aclose()


def _nobody_gave_up(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        if task.done():
            task.result()


async def _quiet(server: ServerProcess) -> None:
    """Waits until every span of the filters has gone by and nothing is left to look at."""
    await asyncio.sleep(timedelta(seconds=3.5).total_seconds())
    async with asyncio.timeout(20):
        while server.rows("SELECT id FROM invalidations LIMIT 1"):
            await asyncio.sleep(0.05)


def _check_events(server: ServerProcess, writers: list[Writer]) -> None:
    """Each answered event once, each unanswered one at most once, no other; the summaries count them."""
    stored = Counter(key for (key,) in server.rows("SELECT dedupe_key FROM engagements"))
    answered = set().union(*(writer.answered for writer in writers))
    unanswered = set().union(*(writer.unanswered for writer in writers))
    assert answered
    assert answered - set(stored) == set()
    assert {key: times for key, times in stored.items() if times != 1} == {}
    assert set(stored) - answered - unanswered == set()
    for kind, column in ((1, "views"), (2, "clicks"), (3, "replies")):
        counted = server.rows("SELECT email_id, count(*) FROM engagements WHERE kind = ? GROUP BY email_id", kind)
        told = server.rows(f"SELECT id, {column} FROM emails WHERE {column} > 0")
        assert sorted(counted) == sorted(told)


def _log_of(server: ServerProcess, began: int) -> list[Row]:
    """The rows of the log that the subscriber must have been told. The log itself has no gaps."""
    rows = server.rows("SELECT position, kind, search_id, member_id, email_id FROM changes ORDER BY position")
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    numbers = {int(kind): kind for kind in KINDS.values()}
    return [(row[0], numbers[row[1]], *row[2:]) for row in rows if row[0] > began and row[1] in numbers]


async def _check_lists(server: ServerProcess, client: Client, searches: list[str], subscriber: Subscriber) -> None:
    """What the frames add up to, what the lists hold, and what their filters say, are one."""
    joined, left = KINDS["MemberJoined"], KINDS["MemberLeft"]
    told = {(search, stay) for _, kind, search, stay, _ in subscriber.rows if kind is joined}
    over = {(search, stay) for _, kind, search, stay, _ in subscriber.rows if kind is left}
    resets = {row[2] for row in subscriber.rows if row[1] is KINDS["SavedSearchReset"]}
    present = set()
    for search_id, filter in zip(searches, FILTERS, strict=True):
        stays, _ = await members_of(client, search_id)
        fresh = {node["id"] for node in (await client.one(FRESH, f=filter))["nodes"]}
        assert set(stays.values()) == fresh, filter
        key = decode_key("SavedSearch", search_id)
        assert key in resets
        present |= {(key, decode_key("SavedSearchMember", stay)) for stay in stays}
    # The first fill was told by a Reset, not member by member; all that came later was.
    assert told - over <= present
    assert over & present == set()
