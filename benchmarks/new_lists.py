"""`python -m benchmarks.new_lists [EMAILS]`: a new list is filled from so many emails while events keep coming.

The product serves from a SQLite file, and 200 events a second come one by one, as in `benchmarks.events`: first with
nothing beside them, then for as long as the list fills. One new list is joined by every email, and left with its third
view; another is joined by none, so that nothing is written. Afterwards every list must hold what a fresh query finds,
and the frames must replay to it.
"""

import argparse
import asyncio
import gc
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

from benchmarks import client, events, report, targets, verifying
from benchmarks.filling import ADMIN, Filled, fill
from benchmarks.report import Compared, Report
from benchmarks.targets import Target
from benchmarks.verifying import Wrong
from command_center.database.connections import database, open_database
from command_center.ids import decode_key
from tests.support.databases import Databases, databases

EMAILS = 1_000_000
SEARCHES = 1_000
QUIET_SECONDS = 10
FILL_SECONDS = 1_800.0
LISTS: Mapping[str, Mapping[str, Any]] = {
    "every email joins": {"everySender": True, "engagement": [{"kind": "VIEW", "atMost": 2}]},
    "no email joins": {"everySender": True, "subject": {"contains": "no such words"}},
}
SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id} userErrors{message}}}"
STATE = "query($id:ID!){savedSearch(id:$id){state memberCount}}"


@dataclass(slots=True)
class Owner:
    """Whoever has the new lists, and hears of them."""

    target: Target
    frames: list[dict[str, Any]] = field(default_factory=list)

    def heard(self, _: float, message: Any) -> None:
        if message["type"] != "next" or message["payload"].get("errors"):
            raise RuntimeError(f"the owner's stream failed: {message}")
        self.frames.append(message["payload"]["data"]["allSavedSearchChanges"])

    async def ask(self, document: str, **variables: Any) -> Any:
        headers = {"Authorization": f"Bearer {targets.token(ADMIN)}"}
        request = client.post("/graphql", {"query": document, "variables": variables}, headers)
        return next(iter(orjson.loads(await self.target.wires.ask(request))["data"].values()))

    async def save(self, name: str, filter: Mapping[str, Any]) -> str:
        """The id of a new list."""
        return str((await self.ask(SAVE, i={"name": name, "filter": filter}))["savedSearch"]["id"])

    async def live(self, search: str) -> int | None:
        """How many members a list has, once it is filled."""
        found = await self.ask(STATE, id=search)
        return int(found["memberCount"]) if found["state"] == "LIVE" else None


async def run(made: Databases, emails: int = EMAILS) -> Report:
    filled = await fill(await asyncio.to_thread(made.make, "sqlite"), "uniform", SEARCHES, spread=emails)
    emails = len(filled.campaign_of)
    told = Report()
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(targets.product(filled, "ours"))
        owner, token = Owner(target), targets.token(ADMIN)
        await stack.enter_async_context(client.following(target.served.port, token, targets.FOLLOW, owner.heard))
        await events.first(target)
        await events.sent(target, 1.0)
        gc.collect()
        gc.freeze()
        searches = []
        for name, filter in LISTS.items():
            # What was put in so far is not to be written to the disk beside what is measured.
            await asyncio.to_thread(os.sync)
            quiet = await events.sent(target, QUIET_SECONDS)
            began = time.monotonic()
            searches.append(await owner.save(name, filter))
            beside, count, took = await _filled(owner, searches[-1], began)
            _tell(told, f"a list that {name} is filled from {emails:,}", quiet, beside)
            told.notes.append(
                f"A list that {name} is filled from {emails:,} in {took:,.1f} s, {emails / took:,.0f} a second; it then"
                f" has {count:,} members. {len(beside):,} events were timed meanwhile."
            )
        await _verify(filled, target, owner, searches)
    return told


async def _filled(owner: Owner, search: str, began: float) -> tuple[Sequence[float], int, float]:
    """The ways of the events that came meanwhile, how many members there are then, and the seconds it took."""
    moment = asyncio.create_task(_live(owner, search))
    beside: list[float] = []
    while not moment.done():
        beside += await events.sent(owner.target, 1.0)
    count, at = await moment
    return sorted(beside), count, at - began


async def _live(owner: Owner, search: str) -> tuple[int, float]:
    async with asyncio.timeout(FILL_SECONDS):
        while (count := await owner.live(search)) is None:
            await asyncio.sleep(0.1)
    return count, time.monotonic()


async def _verify(filled: Filled, target: Target, owner: Owner, searches: Sequence[str]) -> None:
    """Raises Wrong. Of an email that a frame names after the list's Reset, the last one decides."""
    keys = [decode_key("SavedSearch", search) or 0 for search in searches]
    await verifying.lists(filled, target.frames, more=keys)
    async with open_database(filled.url):
        for search, key in zip(searches, keys, strict=True):
            last = last_said(owner.frames, search)
            rows = await database().fetch("SELECT id, email_id FROM memberships WHERE search_id = ?", key)
            held = {row["email_id"]: row["id"] for row in rows}
            for email, member in last.items():
                if held.get(email) != member:
                    raise Wrong(f"of email {email} the frames end with {member}, and the table has {held.get(email)}")


def last_said(frames: Sequence[dict[str, Any]], search: str) -> dict[int, int | None]:
    """By email, the member that it is by the last frame. Raises Wrong where a list is not reset once, or is spoken of
    before."""
    last: dict[int, int | None] = {}
    resets = 0
    for frame in frames:
        if frame.get("savedSearchId") != search:
            continue
        if frame["__typename"] == "SavedSearchReset":
            resets += 1
        elif not resets:
            raise Wrong(f"a {frame['__typename']} came before the Reset")
        else:
            joined = frame["__typename"] == "MemberJoined"
            member = decode_key("SavedSearchMember", frame["memberId"]) if joined else None
            last[decode_key("Email", frame["emailId"]) or 0] = member
    if resets != 1:
        raise Wrong(f"{resets} Resets came")
    return last


def _tell(told: Report, name: str, quiet: Sequence[float], beside: Sequence[float]) -> None:
    for rank in (50, 99):
        mine, theirs = beside[len(beside) * rank // 100], quiet[len(quiet) * rank // 100]
        told.compared.append(
            Compared.of(
                f"a whole event, p{rank}, while {name} / with nothing beside it",
                (f"{mine * 1e3:,.2f} ms", f"{theirs * 1e3:,.2f} ms"),
                "times it",
                [mine / theirs],
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.new_lists")
    parser.add_argument("emails", nargs="?", type=int, default=EMAILS)
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(report.text(runner.run(run(made, asked.emails))))


if __name__ == "__main__":
    main()
