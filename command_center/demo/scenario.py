"""One run: people and drafts, lists, the sending, the recipients, the verdict. What watches it goes on until `end`."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from command_center.demo import campaign, mailbox
from command_center.demo.behavior import RecipientSimulator
from command_center.demo.campaign import SentEmail
from command_center.demo.checks import CheckReport, run_checks
from command_center.demo.client import Client
from command_center.demo.environment import Environment
from command_center.demo.recipients import PEOPLE, Action, plan_recipients
from command_center.demo.terminal import Terminal
from command_center.demo.watching import Watch

CONNECT_SECONDS = 10.0
ARRIVAL_SECONDS = 60.0
"""How long the mail may take; what has not arrived then is missing in the verdict."""
POLL_SECONDS = 1.0
FOLDERS = "{folders{name folders{name emailCount}} savedSearches(first:100){nodes{id memberCount}}}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for: `patience` is the no-reply list's, in seconds."""

    seed: int
    seconds: float
    once: bool
    patience: int


class Scenario:
    """The seller's application, the recipients and their servers, around one stage."""

    def __init__(self, stage: Environment, screen: Terminal, seller: Client, servers: Client, plan: Plan) -> None:
        self._stage = stage
        self._screen = screen
        self._seller = seller
        self._plan = plan
        self._watch = Watch(seller, screen.move)
        self._servers = servers
        self._recipients = RecipientSimulator({}, servers, self._watch)
        self._background: set[asyncio.Task[None]] = set()
        self._began: float | None = None
        self._all_here = asyncio.Event()

    async def run(self) -> CheckReport:
        """Plays it all once."""
        self._screen.board.status = f"Making {PEOPLE} people and drafts"
        self._spawn(self._poll(), "the query of the folders")
        made, letters = await campaign.prepare(self._seller, plan_recipients(self._plan.seed, self._plan.seconds))
        self._screen.board.names = {letter.email_id: letter.actor.name for letter in letters}
        self._recipients.letters = {letter.actor.address: letter for letter in letters}
        # Before the lists are there, so that no frame of theirs is missed.
        self._spawn(self._watch.follow(), "the follower of the frames")
        await asyncio.wait_for(self._watch.caught_up.wait(), CONNECT_SECONDS)
        lists = await campaign.save_lists(self._seller, made, self._plan.patience)
        self._watch.add(lists)
        await asyncio.wait_for(self._watch.filled(), CONNECT_SECONDS)
        self._screen.board.lists = {each.id: each.name for each in lists}
        await self._campaign(letters)
        self._screen.board.status = "Comparing the lists with fresh queries"
        own = self._seller.mutations + self._servers.mutations + self._recipients.fetches
        visits = self._stage.changes() - own
        return await run_checks(self._seller, self._stage.engine.ctx, made, self._recipients, self._watch, visits)

    async def end(self) -> None:
        """Stops what still watches."""
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)
        await self._recipients.http.aclose()

    async def _campaign(self, letters: Sequence[SentEmail]) -> None:
        """Sends, and lets the recipients live, until the last is done and the last moment of the clock is past."""
        began = self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            self._spawn(self._welcome(group), "the reading of mail")
            await campaign.send(self._seller, letters)
            self._screen.say(f"{len(letters)} asked to be sent in {time.monotonic() - began:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_here.wait(), ARRIVAL_SECONDS)
            arrived = time.monotonic()
            self._screen.say(f"{len(self._recipients.arrived)} arrived within {arrived - began:.1f} s")
        await asyncio.sleep(arrived + self._plan.patience + 1 - time.monotonic())
        self._began = None

    async def _welcome(self, group: asyncio.TaskGroup) -> None:
        """Gives each mail that arrives to its reader, and goes on counting: nobody may get a second copy."""
        letters, arrived = self._recipients.letters, self._recipients.arrived
        while True:
            mail = mailbox.read(await self._stage.arrivals.get())
            # Who plays with the API meanwhile may send to others.
            if mail.address in letters:
                arrived[mail.address] += 1
                if arrived[mail.address] == 1:
                    group.create_task(self._recipients.live(mail))
                if len(arrived) == len(letters):
                    self._all_here.set()

    async def _poll(self) -> None:
        """The folders and lists as the API counts them, each second."""
        board, done = self._screen.board, self._recipients.done
        while True:
            found = await self._seller.ask(FOLDERS)
            board.folders = {_spoken(group["name"]): _counts(group["folders"]) for group in found["folders"]}
            board.members = {node["id"]: node["memberCount"] for node in found["savedSearches"]["nodes"]}
            if self._began is not None:
                passed = f"{time.monotonic() - self._began:.0f} s of about {self._plan.seconds:.0f}"
                clicks = done[Action.FIRST_LINK] + done[Action.SECOND_LINK]
                board.status = (
                    f"{passed}: {done[Action.VIEW]} views, {clicks} clicks, {done[Action.REPLY]} replies,"
                    f" {done[Action.BOUNCE]} bounces, {done[Action.COMPLAIN]} complaints"
                )
            await asyncio.sleep(POLL_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._report)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._screen.say(f"{task.get_name()} ended: {task.exception() or 'the server closed it'}", "red")


def _counts(folders: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {_spoken(each["name"]): int(each["emailCount"]) for each in folders}


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()
