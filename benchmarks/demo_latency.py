"""`python -m benchmarks.demo_latency LINK FOLDER`: a second process that times frames beside a running demo.

It sends emails of its own, reads them in the demo's mail folder and fetches their pixels: the latency is from the
pixel's answer to the frame of the join. A second list of its own gives the lateness of "no reply" joins, and so does
the demo's, as long as emails join it. Everything but its people is deleted in the end. 1 where a bound is not kept.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from command_center.demo import mailbox
from command_center.demo.behavior import USER_AGENT
from command_center.demo.campaign import DRAFT, PERSON, SAVE, SEND, DemoList
from command_center.demo.checks import spread
from command_center.demo.client import Client
from command_center.demo.mailbox import Mail
from command_center.demo.watching import ListChange, ListWatcher

MOST_SECONDS = 60.0
"""How long the mail, the first fills and a frame may take; a demo that does not answer ends the probe."""
POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.1
JOIN_BOUND, LATE_BOUND = 0.100, 1.0
LISTS = "{savedSearches(first:100){nodes{id name filter}}}"
FORGET = "mutation($id:ID!){savedSearchDelete(id:$id){userErrors{message path code}}}"
ARCHIVE = "mutation($ids:[ID!]!){emailArchive(ids:$ids){userErrors{message path code}}}"
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){userErrors{message path code}}}"


@dataclass(slots=True)
class Probe:
    """One measurement over emails to a domain that is its own, so that nobody else acts on them."""

    client: Client
    http: httpx.AsyncClient
    folder: Path
    domain: str = field(default_factory=lambda: f"probe-{secrets.token_hex(4)}.example")
    emails: dict[str, str] = field(default_factory=dict)
    """Email ids by address."""
    lists: list[DemoList] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    frames: "asyncio.Queue[ListChange]" = field(default_factory=asyncio.Queue)

    async def save(self, name: str, patience: float | None, **conditions: Any) -> DemoList:
        """A list over the probe's own mail."""
        filter = {"address": {"endsWith": f"@{self.domain}"}, **conditions}
        made = await self.client.execute_field(SAVE, input={"name": f"{name} {self.domain}", "filter": filter})
        self.lists.append(DemoList(str(made["savedSearch"]["id"]), name, patience))
        return self.lists[-1]

    async def send(self, number: int) -> list[Mail]:
        """That many emails, as they arrived."""
        for place in range(number):
            address = f"reader{place}@{self.domain}"
            person = (await self.client.execute_field(PERSON, input={"name": f"Reader {place}", "address": address}))[
                "person"
            ]
            draft = {"personId": person["id"], "subject": "A probe", "body": "<p>Hello.</p>"}
            self.emails[address] = (await self.client.execute_field(DRAFT, input=draft))["email"]["id"]
        for email_id in self.emails.values():
            await self.client.execute_field(SEND, id=email_id)
        deadline = time.monotonic() + MOST_SECONDS
        while True:
            found = self._arrived()
            if len(found) >= number:
                return [mailbox.read_mail(path) for path in found]
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{len(found)} of {number} emails arrived in {self.folder}")
            await asyncio.sleep(POLL_SECONDS)

    async def view(self, mail: Mail, viewed: DemoList) -> None:
        """Fetches one pixel, and waits for the frame."""
        email_id = self.emails[mail.address]
        answer = await self.http.get(mail.pixel)
        answered = time.time()
        answer.raise_for_status()
        async with asyncio.timeout(MOST_SECONDS):
            while True:
                move = await self.frames.get()
                if move.joined and (move.search_id, move.email_id) == (viewed.id, email_id):
                    self.latencies.append(move.at - answered)
                    return

    async def clean(self) -> None:
        for each in self.lists:
            await self.client.execute_field(FORGET, id=each.id)
        if self.emails:
            await self.client.execute(ARCHIVE, ids=list(self.emails.values()))
            await self.client.execute(DELETE, ids=list(self.emails.values()))

    def _arrived(self) -> Sequence[Path]:
        return sorted(self.folder.glob(f"*@{self.domain}.eml"))


async def run(link: str, folder: Path, number: int, patience: int) -> int:
    """Measures and prints. 0 where the bounds are kept."""
    async with _probe(link, folder) as probe:
        watch = ListWatcher(probe.client, probe.frames.put_nowait)
        following = asyncio.create_task(watch.run())
        try:
            await asyncio.wait_for(watch.caught_up.wait(), MOST_SECONDS)
            demos = await _waiting_lists(probe.client)
            viewed = await probe.save("viewed", None, engagement=[{"kind": "VIEW"}])
            span = f"PT{patience}S"
            unanswered = [{"kind": "REPLY", "atMost": 0, "afterSend": span}]
            await probe.save("no reply", float(patience), sentAt={"olderThan": span}, engagement=unanswered)
            watch.add(probe.lists)
            await asyncio.wait_for(watch.wait_until_filled(), MOST_SECONDS)
            watch.add(demos)
            for mail in await probe.send(number):
                await probe.view(mail, viewed)
                await asyncio.sleep(PAUSE_SECONDS)
            # The last was sent before its mail arrived; what has not joined a while after its moment is missing.
            await asyncio.sleep(patience + 2 * LATE_BOUND)
        finally:
            following.cancel()
        return _report(probe, watch, demos)


def _report(probe: Probe, watch: ListWatcher, demos: Sequence[DemoList]) -> int:
    print(f"join after the pixel's answer:              {spread(probe.latencies)}")
    for each in (probe.lists[1], *demos):
        timed = [found for found in watch.lateness if found.search_id == each.id]
        print(f"{f'{each.name} ({each.reply_seconds:g} s), joinedAt':<44}{spread(found.stored for found in timed)}")
        print(f"{f'{each.name} ({each.reply_seconds:g} s), the frame':<44}{spread(found.seen for found in timed)}")
    joined = sum(each.search_id == probe.lists[1].id for each in watch.lateness)
    late = max((each.seen for each in watch.lateness), default=LATE_BOUND)
    kept = median(probe.latencies) <= JOIN_BOUND and late <= LATE_BOUND and joined == len(probe.emails)
    print("within 100 ms (p50) and 1 s (at most)" if kept else "NOT within 100 ms (p50) and 1 s (at most)")
    return 0 if kept else 1


async def _waiting_lists(client: Client) -> list[DemoList]:
    """The lists that stand already and wait for so many seconds after the send."""
    nodes = (await client.execute_field(LISTS))["nodes"]
    spans = {node["id"]: (node["filter"].get("sentAt") or {}).get("olderThan") or "" for node in nodes}
    return [
        DemoList(node["id"], node["name"], float(spans[node["id"]][2:-1]))
        for node in nodes
        if spans[node["id"]].startswith("PT") and spans[node["id"]].endswith("S")
    ]


@asynccontextmanager
async def _probe(link: str, folder: Path) -> AsyncIterator[Probe]:
    parts = urlsplit(link)
    client = Client(f"{parts.scheme}://{parts.netloc}", parse_qs(parts.fragment)["token"][0])
    async with httpx.AsyncClient(trust_env=False, headers={"User-Agent": USER_AGENT}) as http:
        probe = Probe(client, http, folder)
        try:
            yield probe
        finally:
            await probe.clean()
            await client.close()


def main() -> None:
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_latency", description=about)
    parser.add_argument("link", help="the GraphiQL link that the demo printed, with its token")
    parser.add_argument("folder", type=Path, help="the mail folder that the demo printed")
    parser.add_argument("--emails", type=int, default=40, help="how many to send (default 40)")
    parser.add_argument("--patience", type=int, default=30, help="seconds without a reply, 1 to 59 (default 30)")
    given = parser.parse_args()
    sys.exit(asyncio.run(run(given.link, given.folder, given.emails, given.patience)))


if __name__ == "__main__":
    main()
