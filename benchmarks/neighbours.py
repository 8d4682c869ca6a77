"""`python -m benchmarks.neighbours [CASES…]`: what a team notices of a harmful team on the same server.

The product serves four teams from one database, in a process of its own. A seller of a quiet team records one view
after the other and asks a small query in between; timed are the event in the feed, the event's list, and the query.
Rounds with nobody else alternate with rounds in which another team does one harmful thing without pause.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import orjson
import uvloop

from benchmarks import client, mail_sink, processes, report, targets, verifying
from benchmarks.client import Wires
from benchmarks.filling import EMAIL, SEARCH, Rows, insert_tables
from benchmarks.mail_sink import MailSink
from benchmarks.processes import Served
from benchmarks.report import Compared, Report
from command_center.database.connections import database, open_database
from command_center.ids import encode
from command_center.web.authentication import Tokens
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, Role, SavedSearchState, SendKind
from models.users import User
from tests.support.databases import Databases, databases
from tests.support.server import SECRET

T = TypeVar("T")
ROUNDS, PROBES = 5, 200
ROUND_SECONDS = 60.0
"""A round ends after this time, however few probes were made."""
HARM_SECONDS = 300.0
"""The longest that what a harmful team caused may last."""
PAUSE_SECONDS = 0.01
"""Between two probes."""
LISTS, CONDITIONS, CLICKS = 500, 64, 2_000
WRITERS, EVENTS = 8, 1_000
RECIPIENTS, BODY_BYTES = 200, 500_000
EMAILS = 20_000
"""Of the quiet team: each probe views another one, so that each joins the list."""
TARGETS = 2_000
"""Emails of the team that sends many events."""
QUIET, LISTING, FLOODING, MAILING = 1, 2, 3, 4
"""Teams, and the ids of their only users."""
FEED = "subscription { engagementFeed { __typename ... on EngagementRecorded { engagement { id email { id } } } } }"
LISTS_FEED = "subscription { allSavedSearchChanges { __typename ... on MemberJoined { emailId } } }"
SEND = """mutation Send($input: SelectAndSendInput!) {
  emailSelectAndSend(input: $input) { bulkSend { id } userErrors { path message code } } }"""
KINDS = ("feed", "list", "query")
CLICK = (
    "id, team_id, email_id, sender_id, kind, verdict, verdict_reason, judged, url, url_folded, occurred_at,"
    " recorded_at, dedupe_key"
)


def token(team: int) -> str:
    """The bearer token of a team's user."""
    user = cast(User, SimpleNamespace(id=team, team_id=team))
    return Tokens(SECRET).issue(user, ("engagement:write",), timedelta(hours=12))


def authorized(team: int) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(team)}"}


# ---- the database --------------------------------------------------------------------------------------------------


async def fill(url: str) -> None:
    """Fills a migrated, empty database with four teams."""
    # Without statistics, as in production: they would describe the tables before the events came.
    await insert_tables(url, _tables(time.time_ns() // 1000), analyze=False)


def _tables(now: int) -> Iterator[tuple[str, str, Rows]]:
    teams = (QUIET, LISTING, FLOODING, MAILING)
    yield "teams", "id, name, created_at", [(team, f"Team {team}", now) for team in teams]
    yield "change_logs", "team_id, log_id, position, trimmed_to", [(team, f"{team:016x}", 0, 0) for team in teams]
    yield (
        "users",
        "id, team_id, name, address, address_folded, role, time_zone, created_at",
        [(team, team, "U", a, a, int(Role.MEMBER), "UTC", now) for team in teams for a in [f"u{team}@example.com"]],
    )
    people = [*((team, team) for team in teams), *((100 + number, MAILING) for number in range(RECIPIENTS))]
    yield (
        "people",
        "id, team_id, owner_id, name, name_folded, address, address_folded, shared, created_at",
        [(key, team, team, "Pat", "pat", a, a, True, now) for key, team in people for a in [f"p{key}@example.org"]],
    )
    yield "emails", EMAIL, (_email(key, team, now) for key, team in _owners().items())
    yield (
        "engagements",
        CLICK,
        (_click(number, now) for number in range(CLICKS)),
    )
    yield "saved_searches", SEARCH, _searches(now)


def _owners() -> dict[int, int]:
    """The team of each email. The first is the one that is clicked, then come those that are viewed."""
    owners = {1: LISTING} | {2 + number: FLOODING for number in range(TARGETS)}
    return owners | {2 + TARGETS + number: QUIET for number in range(EMAILS)}


def _email(key: int, team: int, now: int) -> tuple[Any, ...]:
    sent = int(SendKind.INDIVIDUAL), int(EmailStatus.SENT), False, False, now, now, now
    clicks = CLICKS if team == LISTING else 0
    return (key, team, team, team, None, "[]", "[]", "An offer", "an offer", "", *sent, 0, clicks, 0, 0)


def _click(number: int, now: int) -> tuple[Any, ...]:
    url = f"https://shop.example/offer/{number:05}"
    kind, verdict = int(EngagementKind.CLICK), int(EngagementVerdict.HUMAN)
    at = now - CLICKS * 1_000_000 + number * 1_000
    return (number + 1, LISTING, 1, LISTING, kind, verdict, "reported", False, url, url, at, at, f"c{number}")


def _searches(now: int) -> Iterator[tuple[Any, ...]]:
    def row(key: int, team: int, filter: Mapping[str, Any]) -> tuple[Any, ...]:
        live = int(SavedSearchState.LIVE)
        return (key, team, team, "List", orjson.dumps(filter).decode(), False, live, 0, now, now)

    yield row(1, QUIET, {"engagement": [{"kind": "VIEW", "atLeast": 1, "verdict": ["HUMAN"]}]})
    numbers = itertools.count(CLICKS)
    for key in range(LISTS):
        # Half of the lists ask for links that nobody follows, half for counts in windows of time.
        some = [next(numbers) for _ in range(CONDITIONS)]
        yield row(2 + key, LISTING, {"any": [{"engagement": [_condition(key, number)]} for number in some]})


def _condition(key: int, number: int) -> Mapping[str, Any]:
    base = {"kind": "CLICK", "verdict": ["HUMAN"]}
    if key % 2:
        return base | {"atLeast": 1, "url": {"contains": f"/offer/{number:05}"}}
    return base | {"atLeast": 2 * CLICKS + number, "within": f"P{number % 730 + 1}D"}


# ---- the quiet team -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Prober:
    """The seller of the quiet team. `frames` are when a frame about an email arrived, by kind and email."""

    served: Served
    wires: Wires
    frames: dict[tuple[str, str], "asyncio.Future[float]"] = field(default_factory=dict)
    emails: Iterator[int] = field(default_factory=lambda: iter(range(2 + TARGETS, 2 + TARGETS + EMAILS)))

    def on_feed(self, at: float, message: Any) -> None:
        event = message["payload"]["data"]["engagementFeed"].get("engagement")
        if event is not None:
            self._arrived("feed", event["email"]["id"], at)

    def on_list(self, at: float, message: Any) -> None:
        frame = message["payload"]["data"]["allSavedSearchChanges"]
        if frame["__typename"] == "MemberJoined":
            self._arrived("list", frame["emailId"], at)

    def _arrived(self, kind: str, email_id: str, at: float) -> None:
        waiting = self.frames.pop((kind, email_id), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(at)

    async def round(self, probes: int, seconds: float) -> dict[str, list[float]]:
        """Returns seconds by kind, in ascending order."""
        took: dict[str, list[float]] = {kind: [] for kind in KINDS}
        until = time.monotonic() + seconds
        for _ in range(probes):
            if time.monotonic() >= until and took["feed"]:
                break
            await self._probe(took)
            await asyncio.sleep(PAUSE_SECONDS)
        return {kind: sorted(each) for kind, each in took.items()}

    async def _probe(self, took: dict[str, list[float]]) -> None:
        email = next(self.emails)
        loop = asyncio.get_running_loop()
        waiting = {kind: loop.create_future() for kind in ("feed", "list")}
        self.frames |= {(kind, encode("Email", email)): future for kind, future in waiting.items()}
        payload = {"query": targets.RECORD, "variables": {"events": [targets.event(email, f"probe{email}")]}}
        began = time.monotonic()
        answer = await self.wires.ask(client.post("/graphql", payload, authorized(QUIET)))
        if b'"recorded":1' not in answer:
            raise verifying.Wrong(f"a probe was not recorded: {answer[:500].decode()}")
        async with asyncio.timeout(300):
            for kind, future in waiting.items():
                took[kind].append(await future - began)
        began = time.monotonic()
        await self.wires.ask(client.post("/graphql", {"query": "{viewer{name}}"}, authorized(QUIET)))
        took["query"].append(time.monotonic() - began)


# ---- the harmful teams ----------------------------------------------------------------------------------------------


async def _flood(served: Served, _: MailSink) -> None:
    """Sends 1,000 events a request with eight writers, without pause."""
    emails = [number % TARGETS + 2 for number in range(EVENTS)]
    payload = {"events": [targets.event(email, f"@@@@@@@@-{place}") for place, email in enumerate(emails)]}
    request = client.post("/graphql", {"query": targets.RECORD, "variables": payload}, authorized(FLOODING))
    wires = Wires(served.port)

    async def write() -> None:
        while True:
            numbered = f"{next(_NUMBERS):08}".encode()
            try:
                answer = await wires.ask(request.replace(b"@@@@@@@@", numbered))
            except RuntimeError:
                # A server on a busy machine may be too slow for this many at once.
                continue
            if f'"recorded":{EVENTS},'.encode() not in answer:
                raise verifying.Wrong(f"events were not recorded: {answer[:500].decode()}")
            COUNTS["events"] += EVENTS

    await _together(write() for _ in range(WRITERS))


async def _click_hot(served: Served, _: MailSink) -> None:
    """Clicks once a second in the email that all the lists look at."""
    wires = Wires(served.port)
    while True:
        event = targets.event(1, f"hot{next(_NUMBERS)}", "CLICK") | {"url": "https://shop.example/offer/00007"}
        payload = {"query": targets.RECORD, "variables": {"events": [event]}}
        answer = await wires.ask(client.post("/graphql", payload, authorized(LISTING)))
        if b'"recorded":1' not in answer:
            raise verifying.Wrong(f"a click was not recorded: {answer[:500].decode()}")
        COUNTS["clicks"] += 1
        await asyncio.sleep(1)


async def _mail(served: Served, sink: MailSink) -> None:
    """Sends bodies of 500 kB to 200 people; the next when the last has left."""
    wires = Wires(served.port)
    people = [encode("Person", 100 + number) for number in range(RECIPIENTS)]
    third = BODY_BYTES // 3 - 10
    link = '<p>Dear {{first_name}}, <b>read</b> <a href="https://e.example/page?x=1">this</a>.</p>'
    bodies = (
        "https://e.example/" + "(" * third + ")" * 2 * third,
        "<div>" * 90 + "x " * (BODY_BYTES // 2 - 500),
        link + "".join(link.replace("{{first_name}}", "all") for _ in range(2_500)),
    )
    for body in itertools.cycle(bodies):
        sent = sink.received + RECIPIENTS
        given = {"personIds": people, "subject": "An offer", "body": body, "requestId": f"r{next(_NUMBERS)}"}
        payload = {"query": SEND, "variables": {"input": given}}
        answer = orjson.loads(await wires.ask(client.post("/graphql", payload, authorized(MAILING))))
        if answer["data"]["emailSelectAndSend"]["bulkSend"] is None:
            # Refused, which is a fine way to keep it from harming anybody.
            await asyncio.sleep(0.1)
            continue
        COUNTS["bodies"] += RECIPIENTS
        while sink.received < sent:
            await asyncio.sleep(0.05)


async def _together(works: Iterable[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


_NUMBERS = itertools.count(1)
COUNTS = {"events": 0, "clicks": 0, "bodies": 0}
"""What the harmful teams got done."""


# ---- the rounds -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A harmful neighbour. `most`: how many times as long the quiet team may wait, by percentile."""

    name: str
    harm: Callable[[Served, MailSink], Any]
    most: Mapping[int, float]


CASES: Mapping[str, Case] = {
    "bodies": Case(f"a neighbour sends {BODY_BYTES // 1000} kB to {RECIPIENTS} people", _mail, {99: 2.0}),
    "lists": Case(
        f"a neighbour has {LISTS} lists of {CONDITIONS} conditions on {CLICKS:,} events", _click_hot, {99: 2.0}
    ),
    "events": Case(f"a neighbour sends events with {WRITERS} writers × {EVENTS:,}", _flood, {50: 4.0}),
}


async def run(
    made: Databases, cases: Sequence[str] = (), rounds: int = ROUNDS, probes: int = PROBES, kind: str = "sqlite"
) -> Report:
    told = Report()
    for name in cases or CASES:
        told.add(await _case(await asyncio.to_thread(made.make, kind), CASES[name], rounds, probes))
    return told


async def _case(url: str, case: Case, rounds: int, probes: int) -> Report:
    await fill(url)
    with mail_sink.running() as sink:
        return await _rounds(url, sink, case, rounds, probes)


async def _rounds(url: str, sink: MailSink, case: Case, rounds: int, probes: int) -> Report:
    quiet: list[dict[str, list[float]]] = []
    harmed: list[dict[str, list[float]]] = []
    rates: list[float] = []
    async with processes.product(url, SMTP_URL=sink.url, EMAILS_PER_DAY="100000000") as served:
        prober = Prober(served, Wires(served.port))
        async with (
            client.following(served.port, token(QUIET), FEED, prober.on_feed),
            client.following(served.port, token(QUIET), LISTS_FEED, prober.on_list),
        ):
            await prober.round(100, ROUND_SECONDS)
            for _ in range(rounds):
                quiet.append(await prober.round(probes, ROUND_SECONDS))
                done, began = sum(COUNTS.values()), time.monotonic()
                harmed.append(await _beside(case.harm(served, sink), _warm_round(prober, probes)))
                rates.append((sum(COUNTS.values()) - done) / (time.monotonic() - began))
                await _wait_for_harm_to_end(url)
    return _report(case, quiet, harmed, median(rates))


async def _wait_for_harm_to_end(url: str) -> None:
    """Waits until nothing of the harmful team's is left to be matched or sent."""
    async with open_database(url), asyncio.timeout(HARM_SECONDS):
        await verifying.settled()
        pending = int(EmailStatus.SCHEDULED), int(EmailStatus.IN_PROGRESS)
        while await database().fetch_one("SELECT id FROM emails WHERE status IN (?, ?) LIMIT 1", *pending):
            await asyncio.sleep(0.1)


async def _warm_round(prober: Prober, probes: int) -> dict[str, list[float]]:
    await prober.round(5, ROUND_SECONDS)
    return await prober.round(probes, ROUND_SECONDS)


async def _beside(harm: Awaitable[None], probing: Awaitable[T]) -> T:
    """Returns what the probes found. Fails if the harmful team does."""
    harming, probed = asyncio.ensure_future(harm), asyncio.ensure_future(probing)
    try:
        await asyncio.wait({harming, probed}, return_when=asyncio.FIRST_COMPLETED)
        if harming.done():
            harming.result()
        return await probed
    finally:
        for task in (harming, probed):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


def _report(
    case: Case, quiet: Sequence[Mapping[str, list[float]]], harmed: Sequence[Mapping[str, list[float]]], rate: float
) -> Report:
    told = Report()
    for kind in KINDS:
        for percent in (50, 99):
            pairs = [(_at(h[kind], percent), _at(q[kind], percent)) for h, q in zip(harmed, quiet, strict=True)]
            shown = (f"{median(h for h, _ in pairs) * 1e3:,.1f} ms", f"{median(q for _, q in pairs) * 1e3:,.1f} ms")
            target = f"≤ {case.most[percent]:g}" if percent in case.most else ""
            name = f"{case.name}: another team's {kind}, p{percent}, beside it / alone"
            told.compared.append(Compared.of(name, shown, "times it", [h / q for h, q in pairs], target))
    counts = ", ".join(str(len(each["feed"])) for each in harmed)
    told.notes.append(f"{case.name}: {counts} probes in the rounds; the neighbour got {rate:,.0f} a second done.")
    return told


def _at(ordered: Sequence[float], percent: int) -> float:
    return ordered[len(ordered) * percent // 100]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours")
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--probes", type=int, default=PROBES, help="of each round")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(report.text(runner.run(run(made, asked.cases, asked.rounds, asked.probes, asked.database))))


if __name__ == "__main__":
    main()
