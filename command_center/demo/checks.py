"""How a run went: what was handed over, recorded and pushed, how fast, and whether each list is as its filter says."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

from command_center.actions.context import ActionContext
from command_center.demo.behavior import RecipientSimulator
from command_center.demo.campaign import DemoList
from command_center.demo.client import Client
from command_center.demo.recipients import PEOPLE, Action
from command_center.demo.watching import Watch
from command_center.lists import audit
from command_center.lists.audit import Outstanding

QUIET_SECONDS = 5.0
PAUSE_SECONDS = 0.1
EMAILS = """query($filter:EmailFilter,$first:Int,$after:String){emails(filter:$filter,first:$first,after:$after){
    nodes{id sentAt engagementSummary{views clicks replies}} pageInfo{hasNextPage endCursor}}}"""
FILTER = "query($id:ID!){savedSearch(id:$id){filter}}"


@dataclass(slots=True)
class CheckReport:
    """Lines to read, and what was wrong.

    `visits` is how many changes somebody else made during the run: a visitor may archive, delete and send as well, so
    the numbers of the run need not come out even then.
    """

    visits: int = 0
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, name: str, text: str) -> None:
        self.lines.append(f"{name:<30}{text}")

    def require(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def expect(self, holds: bool, difference: str) -> None:
        """Requires what holds if nobody but the demo changes anything."""
        if not holds and self.visits > 0:
            self.note("not comparable", f"{difference}; {self.visits} changes came from elsewhere")
        else:
            self.require(holds, difference)


async def run_checks(
    client: Client, ctx: ActionContext, campaign: str, recipients: RecipientSimulator, watch: Watch, visits: int
) -> CheckReport:
    """Asks the API and the product's own audit. Takes a few seconds where the lists do not come to rest."""
    verdict = CheckReport(visits)
    own = {letter.email_id for letter in recipients.letters.values()}
    found = [node async for node in client.pages(EMAILS, "emails", filter={"campaign": [campaign]})]
    emails = [node for node in found if node["id"] in own]
    _handed_over(verdict, emails, recipients)
    _recorded(verdict, emails, recipients)
    _pushed(verdict, watch)
    for each, (stored, fresh, folded) in (await _at_rest(client, watch)).items():
        equal = stored == fresh == folded
        what = f"{len(stored)} stored, {len(fresh)} fresh, {len(folded)} by frames"
        verdict.note(each.name, f"{what}: {'equal' if equal else 'DIFFERENT'}")
        verdict.require(equal, f"{each.name}: {what}; {_apart(stored, fresh, folded)}")
    await _audit(verdict, ctx)
    return verdict


def _handed_over(verdict: CheckReport, emails: Sequence[dict[str, Any]], recipients: RecipientSimulator) -> None:
    """By the mail server's count and by the product's."""
    people, messages = len(recipients.arrived), recipients.arrived.total()
    sent = sum(node["sentAt"] is not None for node in emails)
    verdict.note("handed over", f"{people} of {PEOPLE}")
    verdict.expect(people == PEOPLE, f"{people} of {PEOPLE} were handed over")
    verdict.expect(messages == people, f"{people} people got {messages} messages")
    verdict.expect(sent == people, f"{people} were handed over, {sent} are known as sent")


def _recorded(verdict: CheckReport, emails: Sequence[dict[str, Any]], recipients: RecipientSimulator) -> None:
    """What the recipients did and what the product counted must be the same."""
    done = recipients.done
    did = {
        "views": done[Action.VIEW],
        "clicks": done[Action.FIRST_LINK] + done[Action.SECOND_LINK],
        "replies": done[Action.REPLY],
    }
    for name, number in did.items():
        counted = sum(node["engagementSummary"][name] for node in emails)
        verdict.expect(counted == number, f"{number} {name} were answered, {counted} are counted")
    came_back = {"bounces": done[Action.BOUNCE], "complaints": done[Action.COMPLAIN]}
    verdict.note("events recorded", _listed(did))
    verdict.note("came back", _listed(came_back))
    for trouble in recipients.troubles:
        verdict.expect(False, trouble)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _pushed(verdict: CheckReport, watch: Watch) -> None:
    # Lists that somebody else made meanwhile are not the run's.
    own = [move for move in watch.moves if move.search_id in watch.lists]
    joins, leaves = [move for move in own if move.joined], [move for move in own if not move.joined]
    verdict.note("pushed", f"{len(joins)} joined, {len(leaves)} left")
    for name, moves, kind in (
        ("join after the pixel's answer", joins, "VIEW"),
        ("join after the link's answer", joins, "CLICK"),
        ("leave after a reply's answer", leaves, "REPLY"),
    ):
        verdict.note(name, spread([m.latency for m in moves if m.cause == kind and m.latency is not None]))
    verdict.note("'no reply' after its moment", f"joinedAt: {spread([each.stored for each in watch.lateness])}")
    verdict.note("", f"the frame: {spread([each.seen for each in watch.lateness])}")


async def _at_rest(client: Client, watch: Watch) -> dict[DemoList, tuple[set[str], set[str], set[str]]]:
    """Each list three times over. The clock may move one between two reads, so unequal ones are read again."""
    deadline = time.monotonic() + QUIET_SECONDS
    while True:
        found = {}
        for each in watch.lists.values():
            if (search := await client.one(FILTER, id=each.id)) is None:
                continue  # somebody else has deleted it
            filter = search["filter"]
            fresh = {str(node["id"]) async for node in client.pages(EMAILS, "emails", filter=filter)}
            found[each] = await watch.stored(each.id), fresh, set(watch.members.get(each.id, ()))
        if all(a == b == c for a, b, c in found.values()) or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(PAUSE_SECONDS)


def _apart(stored: set[str], fresh: set[str], folded: set[str]) -> str:
    return f"not in all three: {', '.join(sorted((stored | fresh | folded) - (stored & fresh & folded)))}"


async def _audit(verdict: CheckReport, ctx: ActionContext) -> None:
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        try:
            found = await audit.differences(ctx.writer)
        except Outstanding:
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        verdict.note("audit", f"{len(found)} lists differ" if found else "no difference")
        verdict.problems.extend(f"audit: {difference}" for difference in found)
        return
    verdict.note("audit", "not possible")
    verdict.require(False, f"changes were still waiting to be matched after {QUIET_SECONDS:g} s")


def spread(seconds: Iterable[float]) -> str:
    """A sample of spans in milliseconds: its size, middle, 95th part of a hundred and largest."""
    values = sorted(each * 1000 for each in seconds)
    if not values:
        return "none"
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return f"p50 {cuts[49]:.0f}, p95 {cuts[94]:.0f}, at most {values[-1]:.0f} ms ({len(values)})"
