"""Who is sent events and watched for frames: the product over so many standing searches, and the floor program."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from benchmarks import client, processes
from benchmarks.client import Wires
from benchmarks.filling import ADMIN, TEAM, Filled
from benchmarks.populations import VIEWS
from benchmarks.processes import Served
from command_center.ids import encode
from command_center.web.authentication import Tokens
from models.users import User
from tests.support.server import SECRET

RECORD = """mutation Record($events: [EngagementInput!]!) {
  engagementRecord(events: $events) { recorded duplicates ignored userErrors { path message code } } }"""
FOLLOW = """subscription { allSavedSearchChanges { __typename ... on Change { cursor }
  ... on SavedSearchReset { savedSearchId }
  ... on MemberJoined { savedSearchId memberId emailId }
  ... on MemberLeft { savedSearchId memberId emailId } } }"""
TOGETHER = 200
"""Emails that are seen in turn, so that an email's second view comes seconds after its first."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, and the frames that must come of it."""

    request: bytes
    frames: tuple[Key, ...] = ()


@dataclass(slots=True)
class Target:
    """A server with whoever follows it. `arrivals`: when a frame was read; `frames`: every one that ever came."""

    name: str
    served: Served
    wires: Wires
    requests: Iterator[Sent]
    filled: Filled | None = None
    arrivals: dict[Key, float] = field(default_factory=dict)
    frames: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with each frame."""

    def heard(self, at: float, message: Any) -> None:
        """A frame of the product."""
        if message["type"] != "next" or message["payload"].get("errors"):
            raise RuntimeError(f"the stream of {self.name} failed: {message}")
        frame = message["payload"]["data"]["allSavedSearchChanges"]
        if frame["__typename"] != "CaughtUp":
            self.frames.append(frame)
            self.arrivals[frame["savedSearchId"], frame["emailId"]] = at
            self.arrived.set()

    def heard_raw(self, at: float, message: Any) -> None:
        """A frame of the floor program."""
        self.arrivals[(message["dedupeKey"],)] = at


def token(user_id: int, *scopes: str) -> str:
    """The bearer token of a user that was filled in."""
    user = cast(User, SimpleNamespace(id=user_id, team_id=TEAM))
    return Tokens(SECRET).issue(user, scopes, timedelta(hours=12))


def authorization() -> dict[str, str]:
    """Of the program that observes events."""
    return {"Authorization": f"Bearer {token(ADMIN, 'engagement:write')}"}


def event(email_id: int, key: str, kind: str = "VIEW") -> dict[str, str]:
    link = {"url": "https://example.com/offer"} if kind == "CLICK" else {}
    return {
        "emailId": encode("Email", email_id),
        "kind": kind,
        "occurredAt": datetime.now(UTC).isoformat(),
        "dedupeKey": key,
        "verdict": "HUMAN",
        **link,
    }


@asynccontextmanager
async def product(filled: Filled, name: str, **settings: str) -> AsyncIterator[Target]:
    """The product, with every followed seller on a socket of their own."""
    async with processes.product(filled.url, **settings) as served, AsyncExitStack() as stack:
        target = Target(name, served, Wires(served.port), _requests(filled), filled)
        stack.callback(target.wires.close)
        for seller in filled.followed:
            await stack.enter_async_context(client.following(served.port, token(seller), FOLLOW, target.heard))
        yield target


@asynccontextmanager
async def floor(path: Path) -> AsyncIterator[Target]:
    number = processes.port()
    async with processes.started(["-m", "benchmarks.floor", str(path), str(number)], number) as served:
        target = Target("floor", served, Wires(number), _raw_requests())
        async with client.listening(number, "/follow", target.heard_raw):
            yield target
        target.wires.close()


def _requests(filled: Filled) -> Iterator[Sent]:
    """Every other event is timed; those between are spread over all campaigns."""
    headers = authorization()
    numbers = itertools.count()
    order = filled.spread[:]
    random.Random(3).shuffle(order)
    spread = itertools.cycle(order)
    for email_id, view in _turns(filled.timed):
        for each in (email_id, next(spread)):
            payload = {"query": RECORD, "variables": {"events": [event(each, f"e{next(numbers)}")]}}
            joined = filled.joins.get((filled.campaign_of[each], view), ()) if each == email_id else ()
            frames = tuple((encode("SavedSearch", search), encode("Email", each)) for search in joined)
            yield Sent(client.post("/graphql", payload, headers), frames)


def _turns(emails: list[int]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(emails), TOGETHER):
        for view in range(1, VIEWS + 1):
            for email_id in emails[start : start + TOGETHER]:
                yield email_id, view


def _raw_requests() -> Iterator[Sent]:
    for number in itertools.count(1):
        key = f"e{number}"
        yield Sent(client.post("/event", event(number, key)), ((key,),) if number % 2 else ())
