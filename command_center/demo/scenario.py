"""Runs one scenario of the demo.

It creates people, drafts and lists, sends the emails, simulates the recipients and checks the results.

The background tasks that observe the run continue until `end`.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass

from command_center.demo import campaign, mailbox
from command_center.demo.behavior import RecipientSimulator
from command_center.demo.campaign import SentEmail
from command_center.demo.checks import CheckReport, run_checks
from command_center.demo.client import Client, JsonObject
from command_center.demo.environment import Environment
from command_center.demo.recipients import PEOPLE, Action, plan_recipients
from command_center.demo.terminal import Terminal
from command_center.demo.watching import ListWatcher

CONNECT_SECONDS = 10.0
ARRIVAL_SECONDS = 60.0
"""The longest time for all emails to arrive. The checks report those that are missing then."""
POLL_SECONDS = 1.0
FOLDERS = "{folders{name folders{name emailCount}} savedSearches(first:100){nodes{id memberCount}}}"


@dataclass(frozen=True, slots=True)
class ScenarioOptions:
    """The options of the command line.

    An email joins the list of emails without a reply after `reply_seconds`.
    """

    seed: int
    seconds: float
    once: bool
    reply_seconds: int


class Scenario:
    """Connects the seller, the recipients and their mail servers."""

    def __init__(
        self, environment: Environment, terminal: Terminal, seller: Client, servers: Client, options: ScenarioOptions
    ) -> None:
        self._environment = environment
        self._terminal = terminal
        self._seller = seller
        self._options = options
        self._watch = ListWatcher(seller, terminal.show_change)
        self._servers = servers
        self._recipients = RecipientSimulator({}, servers, self._watch)
        self._background: set[asyncio.Task[None]] = set()
        self._started_at: float | None = None
        self._all_arrived = asyncio.Event()

    async def run(self) -> CheckReport:
        """Run the scenario once, and return the results of its checks."""
        self._terminal.state.status = f"Making {PEOPLE} people and drafts"
        self._spawn(self._poll(), "the query of the folders")
        campaign_id, emails = await campaign.prepare(
            self._seller, plan_recipients(self._options.seed, self._options.seconds)
        )
        self._terminal.state.names = {email.email_id: email.recipient.name for email in emails}
        self._recipients.emails = {email.recipient.address: email for email in emails}
        # Subscribes before the lists exist, so that no change message about them is missed.
        self._spawn(self._watch.run(), "the follower of the frames")
        await asyncio.wait_for(self._watch.caught_up.wait(), CONNECT_SECONDS)
        lists = await campaign.save_lists(self._seller, campaign_id, self._options.reply_seconds)
        self._watch.add(lists)
        await asyncio.wait_for(self._watch.wait_until_filled(), CONNECT_SECONDS)
        self._terminal.state.lists = {demo_list.id: demo_list.name for demo_list in lists}
        await self._send_campaign(emails)
        self._terminal.state.status = "Comparing the lists with fresh queries"
        own_changes = self._seller.mutations + self._servers.mutations + self._recipients.fetches
        visits = self._environment.count_changes() - own_changes
        ctx = self._environment.runtime.ctx
        return await run_checks(self._seller, ctx, campaign_id, self._recipients, self._watch, visits)

    async def end(self) -> None:
        """Stop the background tasks."""
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)
        await self._recipients.http.aclose()

    async def _send_campaign(self, emails: Sequence[SentEmail]) -> None:
        """Send the emails, and wait for the end of all actions.

        Then the last recipient is done, and the last time boundary has passed.
        """
        started_at = self._started_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            self._spawn(self._deliver_mail(group), "the reading of mail")
            await campaign.send(self._seller, emails)
            self._terminal.log(f"{len(emails)} queued in {time.monotonic() - started_at:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_arrived.wait(), ARRIVAL_SECONDS)
            arrived = time.monotonic()
            self._terminal.log(f"{len(self._recipients.arrived)} arrived within {arrived - started_at:.1f} s")
        await asyncio.sleep(arrived + self._options.reply_seconds + 1 - time.monotonic())
        self._started_at = None

    async def _deliver_mail(self, group: asyncio.TaskGroup) -> None:
        """Start the actions of each recipient when their email arrives.

        All arrivals are counted, to detect second copies.
        """
        emails, arrived = self._recipients.emails, self._recipients.arrived
        while True:
            mail = mailbox.read_mail(await self._environment.arrivals.get())
            # A visitor may send emails to other people.
            if mail.address in emails:
                arrived[mail.address] += 1
                if arrived[mail.address] == 1:
                    group.create_task(self._recipients.act_on(mail))
                if len(arrived) == len(emails):
                    self._all_arrived.set()

    async def _poll(self) -> None:
        """Query the counts of the folders and lists every second."""
        state, done = self._terminal.state, self._recipients.done
        while True:
            result = await self._seller.execute(FOLDERS)
            state.folders = {_label(group["name"]): _folder_counts(group["folders"]) for group in result["folders"]}
            state.members = {node["id"]: node["memberCount"] for node in result["savedSearches"]["nodes"]}
            if self._started_at is not None:
                progress = f"{time.monotonic() - self._started_at:.0f} s of about {self._options.seconds:.0f}"
                clicks = done[Action.FIRST_LINK] + done[Action.SECOND_LINK]
                state.status = (
                    f"{progress}: {done[Action.VIEW]} views, {clicks} clicks, {done[Action.REPLY]} replies,"
                    f" {done[Action.BOUNCE]} bounces, {done[Action.COMPLAIN]} complaints"
                )
            await asyncio.sleep(POLL_SECONDS)

    def _spawn(self, coroutine: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start a background task that runs until `end`."""
        task = asyncio.create_task(coroutine, name=name)
        self._background.add(task)
        task.add_done_callback(self._report)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        """Log the unexpected end of a background task."""
        if not task.cancelled():
            self._terminal.log(f"{task.get_name()} ended: {task.exception() or 'the server closed it'}", "red")


def _folder_counts(folders: Sequence[JsonObject]) -> dict[str, int]:
    return {_label(folder["name"]): int(folder["emailCount"]) for folder in folders}


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()
