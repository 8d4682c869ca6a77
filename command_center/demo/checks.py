"""Checks the results of a run.

These are hand-overs, recorded events, latencies, and whether each list equals a fresh query.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles

from command_center.actions.context import ActionContext
from command_center.demo.behavior import RecipientSimulator
from command_center.demo.campaign import DemoList
from command_center.demo.client import Client, JsonObject
from command_center.demo.recipients import PEOPLE, Action
from command_center.demo.watching import ListWatcher
from command_center.lists import audit
from command_center.lists.audit import InvalidationsPending

SETTLE_SECONDS = 5.0
PAUSE_SECONDS = 0.1
EMAILS = """query($filter:EmailFilter,$first:Int,$after:String){emails(filter:$filter,first:$first,after:$after){
    nodes{id sentAt engagementSummary{views clicks replies}} pageInfo{hasNextPage endCursor}}}"""
FILTER = "query($id:ID!){savedSearch(id:$id){filter}}"


@dataclass(slots=True)
class CheckReport:
    """The lines of the report, and the failures.

    `visits` is the number of changes by other clients during the run. A visitor may archive, delete and send emails,
    so the numbers may legitimately differ then.
    """

    visits: int = 0
    lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def note(self, name: str, text: str) -> None:
        """Add a line to the report."""
        self.lines.append(f"{name:<30}{text}")

    def require(self, holds: bool, failure: str) -> None:
        """Add a failure unless the condition holds."""
        if not holds:
            self.failures.append(failure)

    def expect(self, holds: bool, difference: str) -> None:
        """Require a condition that holds unless another client changed something."""
        if not holds and self.visits > 0:
            self.note("not comparable", f"{difference}; {self.visits} changes came from elsewhere")
        else:
            self.require(holds, difference)


async def run_checks(
    client: Client, ctx: ActionContext, campaign: str, recipients: RecipientSimulator, watch: ListWatcher, visits: int
) -> CheckReport:
    """Check a run through the API and the product's own audit.

    Waits a few seconds for the lists to become equal.
    """
    report = CheckReport(visits)
    own_ids = {email.email_id for email in recipients.emails.values()}
    results = [node async for node in client.nodes(EMAILS, "emails", filter={"campaign": [campaign]})]
    emails = [node for node in results if node["id"] in own_ids]
    _check_hand_over(report, emails, recipients)
    _check_events(report, emails, recipients)
    _note_pushes(report, watch)
    for demo_list, (stored, fresh, folded) in (await _compare_lists(client, watch)).items():
        equal = stored == fresh == folded
        sizes = f"{len(stored)} stored, {len(fresh)} fresh, {len(folded)} by frames"
        report.note(demo_list.name, f"{sizes}: {'equal' if equal else 'DIFFERENT'}")
        report.require(equal, f"{demo_list.name}: {sizes}; {_differences(stored, fresh, folded)}")
    await _check_audit(report, ctx)
    return report


def _check_hand_over(report: CheckReport, emails: Sequence[JsonObject], recipients: RecipientSimulator) -> None:
    """Compare the hand-overs that the mail server and the product counted."""
    people, messages = len(recipients.arrived), recipients.arrived.total()
    sent = sum(node["sentAt"] is not None for node in emails)
    report.note("handed over", f"{people} of {PEOPLE}")
    report.expect(people == PEOPLE, f"{people} of {PEOPLE} were handed over")
    report.expect(messages == people, f"{people} people got {messages} messages")
    report.expect(sent == people, f"{people} were handed over, {sent} are known as sent")


def _check_events(report: CheckReport, emails: Sequence[JsonObject], recipients: RecipientSimulator) -> None:
    """Compare the actions of the recipients with the events counted by the product."""
    done = recipients.done
    performed = {
        "views": done[Action.VIEW],
        "clicks": done[Action.FIRST_LINK] + done[Action.SECOND_LINK],
        "replies": done[Action.REPLY],
    }
    for name, number in performed.items():
        counted = sum(node["engagementSummary"][name] for node in emails)
        report.expect(counted == number, f"{number} {name} were answered, {counted} are counted")
    came_back = {"bounces": done[Action.BOUNCE], "complaints": done[Action.COMPLAIN]}
    report.note("events recorded", _join_counts(performed))
    report.note("came back", _join_counts(came_back))
    for failure in recipients.failures:
        report.expect(False, failure)


def _join_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _note_pushes(report: CheckReport, watch: ListWatcher) -> None:
    """Add the numbers of joins and leaves, and their latencies, to the report."""
    # Lists that another client created do not belong to the run.
    own = [change for change in watch.changes if change.search_id in watch.lists]
    joins, leaves = [change for change in own if change.joined], [change for change in own if not change.joined]
    report.note("pushed", f"{len(joins)} joined, {len(leaves)} left")
    for name, changes, kind in (
        ("join after the pixel's answer", joins, "VIEW"),
        ("join after the link's answer", joins, "CLICK"),
        ("leave after a reply's answer", leaves, "REPLY"),
    ):
        latencies = [change.latency for change in changes if change.cause == kind]
        report.note(name, spread(latency for latency in latencies if latency is not None))
    report.note("'no reply' after its moment", f"joinedAt: {spread(join.stored for join in watch.lateness)}")
    report.note("", f"the frame: {spread(join.seen for join in watch.lateness)}")


async def _compare_lists(client: Client, watch: ListWatcher) -> dict[DemoList, tuple[set[str], set[str], set[str]]]:
    """Fetch the email ids of each list in three ways that should agree.

    The three sets are the stored members, the result of a fresh query, and the members according to the change
    messages. A time transition between two reads may make them differ, so different ones are read again for a few
    seconds.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        results = {}
        for demo_list in watch.lists.values():
            if (search := (await client.execute(FILTER, id=demo_list.id))["savedSearch"]) is None:
                continue  # another client has deleted it
            filter = search["filter"]
            fresh = {str(node["id"]) async for node in client.nodes(EMAILS, "emails", filter=filter)}
            results[demo_list] = await watch.stored(demo_list.id), fresh, set(watch.members.get(demo_list.id, ()))
        if all(a == b == c for a, b, c in results.values()) or time.monotonic() >= deadline:
            return results
        await asyncio.sleep(PAUSE_SECONDS)


def _differences(stored: set[str], fresh: set[str], folded: set[str]) -> str:
    """Return a text with the ids that are not in all three sets."""
    return f"not in all three: {', '.join(sorted((stored | fresh | folded) - (stored & fresh & folded)))}"


async def _check_audit(report: CheckReport, ctx: ActionContext) -> None:
    """Run the audit once no invalidations are pending, and report its differences."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        try:
            results = await audit.find_differences(ctx.writer)
        except InvalidationsPending:
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        report.note("audit", f"{len(results)} lists differ" if results else "no difference")
        report.failures.extend(f"audit: {difference}" for difference in results)
        return
    report.note("audit", "not possible")
    report.require(False, f"changes were still waiting to be matched after {SETTLE_SECONDS:g} s")


def spread(seconds: Iterable[float]) -> str:
    """Return the spread of a sample as text, in milliseconds.

    It has the median, the 95th percentile, the maximum and the size.
    """
    values = sorted(value * 1000 for value in seconds)
    if not values:
        return "none"
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return f"p50 {cuts[49]:.0f}, p95 {cuts[94]:.0f}, at most {values[-1]:.0f} ms ({len(values)})"
