"""Who acted: by the user agents and addresses that people and machines really have, by haste, and by the sender's word.

Not one of the people's agents in `agents.toml` may be called a machine.
"""

import tomllib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from command_center.actions.bot_signatures import AGENTS, NETWORKS, Agent, Network
from command_center.ids import decode_key
from command_center.mail.transport import Envelope, Outcome
from tests.support.emails import (
    RECORD,
    RecipientTransport,
    create_delivered_email,
    create_draft,
    create_person,
    moment,
    send_due_emails,
    send_email,
)
from tests.support.server import Client, ManualClock, Server

EVENTS = """query($id:ID!,$after:String){email(id:$id){engagementSummary{views clicks replies latest{url}}
    engagements(first:200,after:$after){nodes{kind verdict verdictReason url occurredAt}
    pageInfo{hasNextPage endCursor}}}}"""
SOMEWHERE = "198.51.100.23"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
_KNOWN = tomllib.loads(Path(__file__).with_name("agents.toml").read_text())
PEOPLE, BY_PROXY, MACHINES, BROWSED_FROM = (
    dict(_KNOWN[name]) for name in ("people", "by-proxy", "machines", "browsed-from")
)
CHROME = PEOPLE["Chrome"]
FILTERED_FROM = (
    *("40.92.0.0", "40.93.255.255", "40.107.1.2", "52.100.0.0", "52.103.255.255", "104.47.127.255"),
    *("2a01:111:f400::1", "2a01:111:f403:c100::7", "::ffff:40.107.1.2", " 64.235.144.0 ", "209.222.87.255"),
)


class Trial:
    """One delivered email, to which events are reported that lie half a minute apart."""

    def __init__(self, client: Client, clock: ManualClock, email_id: str) -> None:
        self.client = client
        self.clock = clock
        self.email_id = email_id
        self.number = 0

    async def report(self, kind: str, *evidence: dict[str, Any]) -> None:
        events = [self.event(kind, 30 * place - 80_000, **each) for place, each in enumerate(evidence)]
        assert (await self.client.one(RECORD, e=events))["recorded"] == len(events)

    def event(self, kind: str, seconds: float, **more: Any) -> dict[str, Any]:
        self.number += 1
        link = {"url": f"https://a.example/{self.number}"} if kind == "CLICK" else {}
        at = {"emailId": self.email_id, "kind": kind, "occurredAt": moment(self.clock, seconds)}
        return {**at, "dedupeKey": f"{self.email_id} {self.number}", **link, **more}

    async def nodes(self) -> list[dict[str, Any]]:
        """The email's events, oldest first."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = (await self.client.one(EVENTS, id=self.email_id, after=after))["engagements"]
            found += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return found[::-1]
            after = page["pageInfo"]["endCursor"]

    async def verdicts(self) -> list[str]:
        return [node["verdict"] for node in await self.nodes()]

    async def summary(self) -> tuple[int, int, int]:
        found = (await self.client.one(EVENTS, id=self.email_id))["engagementSummary"]
        return found["views"], found["clicks"], found["replies"]


async def trial(server: Server, clock: ManualClock, name: str = "Ann") -> Trial:
    client = await server.client(name)
    email_id = await create_delivered_email(server, client, f"{name.lower()}s@example.org")
    clock.advance(timedelta(days=1))
    return Trial(client, clock, email_id)


# ---- one request by itself -------------------------------------------------------------------------


async def test_no_common_phone_mail_program_or_browser_is_a_machine(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    for kind in ("VIEW", "CLICK"):
        await mail.report(kind, *({"userAgent": agent, "ipAddress": SOMEWHERE} for agent in PEOPLE.values()))
    assert {(node["verdict"], node["verdictReason"]) for node in await mail.nodes()} == {
        ("HUMAN", "nothing speaks for a machine")
    }
    assert await mail.summary() == (len(PEOPLE), len(PEOPLE), 0)


async def test_a_fetch_by_an_image_proxy_is_human(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    # Where the proxy stands says nothing: a company may read its mail through a filter's own network.
    addresses = ("66.249.84.1", "40.107.1.2")
    await mail.report("VIEW", *({"userAgent": a, "ipAddress": i} for a in BY_PROXY.values() for i in addresses))
    assert {node["verdict"] for node in await mail.nodes()} == {"HUMAN"}
    assert {node["verdictReason"].partition(",")[0] for node in await mail.nodes()} == {
        "opened in Gmail",
        "opened in Yahoo Mail",
    }


async def test_no_network_of_people_makes_a_machine(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    for kind in ("VIEW", "CLICK"):
        await mail.report(kind, *({"userAgent": CHROME, "ipAddress": each} for each in BROWSED_FROM.values()))
    assert set(await mail.verdicts()) == {"HUMAN"}


async def test_self_declared_machines_are_machines(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    for kind in ("VIEW", "CLICK"):
        await mail.report(kind, *({"userAgent": agent, "ipAddress": SOMEWHERE} for agent in MACHINES.values()))
        await mail.report(kind, *({"userAgent": agent.upper()} for agent in MACHINES.values()))
    nodes = await mail.nodes()
    assert {node["verdict"] for node in nodes} == {"MACHINE"}
    assert len(nodes) == 4 * len(MACHINES)
    assert all(node["verdictReason"].startswith("by its user agent ") for node in nodes)
    assert await mail.summary() == (0, 0, 0)


async def test_networks_of_mail_filters_are_machines_under_any_name(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    for kind in ("VIEW", "CLICK"):
        await mail.report(kind, *({"userAgent": CHROME, "ipAddress": each} for each in FILTERED_FROM))
    assert set(await mail.verdicts()) == {"MACHINE"}
    assert {node["verdictReason"].partition(":")[0] for node in await mail.nodes()} == {
        "by its address Exchange Online Protection",
        "by its address Barracuda Email Gateway Defense",
    }


async def test_apples_privacy_proxy_is_recognised_on_pixels(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    await mail.report("VIEW", {"userAgent": "Mozilla/5.0", "ipAddress": "172.224.226.5"}, {"userAgent": "Mozilla/5.0"})
    await mail.report("CLICK", {"userAgent": "Mozilla/5.0"})
    found = [(node["kind"], node["verdict"]) for node in await mail.nodes()]
    assert sorted(found) == [("CLICK", "HUMAN"), ("VIEW", "MACHINE"), ("VIEW", "MACHINE")]


async def test_a_given_verdict_beats_evidence_and_replies_are_human(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    evidence = {"userAgent": "curl/8.9.1", "ipAddress": "40.107.1.2"}
    await mail.report("CLICK", *({**evidence, "verdict": each} for each in ("HUMAN", "MACHINE", "SELF")), evidence)
    assert await mail.verdicts() == ["HUMAN", "MACHINE", "SELF", "MACHINE"]
    await mail.report("REPLY", evidence)
    assert await mail.summary() == (0, 1, 1)


async def test_without_evidence_an_event_is_a_persons_however_fast(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = Trial(ann, clock, await create_delivered_email(quiet_server, ann))
    nothing: Sequence[dict[str, str]] = ({}, {"userAgent": " "}, {"ipAddress": "nonsense"}, {"ipAddress": ""})
    events = [mail.event("CLICK", 0, **each) for each in nothing]
    assert (await ann.one(RECORD, e=events))["recorded"] == len(events)
    assert await mail.verdicts() == ["HUMAN"] * len(events)


def test_signatures_have_sources_dates_and_no_network_of_readers() -> None:
    rows: tuple[Agent | Network, ...] = (*AGENTS, *NETWORKS)
    for row in rows:
        assert urlsplit(row.source).scheme == "https", row.name
        assert row.checked_on.year >= 2026
        assert row.name
        assert row.what
    # What Microsoft publishes as the way to Outlook on the web: its people's requests may come from there.
    outlook: tuple[str, ...] = (
        "13.107.6.152/31",
        "13.107.18.10/31",
        "13.107.128.0/22",
        "23.103.160.0/20",
        "40.96.0.0/13",
    )
    outlook += ("40.104.0.0/15", "52.96.0.0/14", "131.253.33.215/32", "132.245.0.0/16", "150.171.32.0/22")
    for network in NETWORKS:
        for text in network.ranges:
            range_ = ip_network(text)
            assert range_.version == 6 or not any(range_.overlaps(ip_network(each)) for each in outlook), text
            assert range_.prefixlen >= 14


# ---- over the public routes ------------------------------------------------------------------------


@pytest.fixture
async def browser(quiet_server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody's program at a public address: uvicorn believes what a proxy on this machine says of it."""
    async with httpx.AsyncClient(headers={"X-Forwarded-For": SOMEWHERE, "User-Agent": CHROME}) as http:
        yield http


async def test_pixels_and_links_are_judged_by_headers_and_addresses(
    quiet_server: Server, clock: ManualClock, browser: httpx.AsyncClient
) -> None:
    mail = await trial(quiet_server, clock)
    links, key = quiet_server.engine.links, decode_key("Email", mail.email_id) or 0
    pixel, link = links.pixel(key), links.click(key, "https://a.example/1")
    cases: Sequence[tuple[str, str, dict[str, str], str]] = (
        ("GET", pixel, {}, "HUMAN"),
        ("GET", link, {}, "HUMAN"),
        ("GET", pixel, {"User-Agent": "Mozilla/5.0"}, "MACHINE"),
        ("GET", pixel, {"User-Agent": BY_PROXY["Gmail"]}, "HUMAN"),
        ("GET", link, {"X-Forwarded-For": "40.107.1.2"}, "MACHINE"),
        ("GET", link, {"Sec-Purpose": "prefetch;prerender"}, "MACHINE"),
        ("GET", link, {"X-Purpose": "preview"}, "MACHINE"),
        ("HEAD", link, {}, "MACHINE"),
        ("GET", link, {"User-Agent": ""}, "HUMAN"),
    )
    for method, url, headers, _ in cases:
        clock.advance(timedelta(minutes=1))
        answer = await browser.request(method, url, headers=headers)
        assert answer.status_code == (302 if url == link else 200)
    assert await mail.verdicts() == [verdict for *_, verdict in cases]
    assert await mail.summary() == (2, 2, 0)


# ---- haste -----------------------------------------------------------------------------------------


def clicks(mail: Trial, *seconds: float, url: str | None = None, address: str = SOMEWHERE) -> Iterator[dict[str, Any]]:
    for at in seconds:
        more = {} if url is None else {"url": url}
        yield mail.event("CLICK", at, userAgent=CHROME, ipAddress=address, **more)


async def test_link_followed_at_the_delivery_was_followed_by_a_machine(
    quiet_server: Server, clock: ManualClock
) -> None:
    ann = await quiet_server.client("Ann")
    mail = Trial(ann, clock, await create_delivered_email(quiet_server, ann))
    clock.advance(timedelta(seconds=60))
    edges = (-70.000001, -70, -60.4, -60, -58, -57.999999)
    events = [*clicks(mail, *edges, url="https://a.example/"), mail.event("VIEW", -60, userAgent=CHROME)]
    events += [mail.event("REPLY", -60, userAgent=CHROME)]
    assert (await ann.one(RECORD, e=events))["recorded"] == len(events)
    found = {(node["kind"], node["occurredAt"]): node for node in await mail.nodes()}
    told = [found["CLICK", moment(clock, at)]["verdict"] for at in edges]
    assert told == ["HUMAN", *["MACHINE"] * 4, "HUMAN"]
    assert found["CLICK", moment(clock, -58)]["verdictReason"] == "followed 2000 ms after the delivery"
    assert found["CLICK", moment(clock, -70)]["verdictReason"] == "followed while the mail was delivered"
    assert await mail.summary() == (1, 2, 1)


class Scanner(RecipientTransport):
    """A recipient's server that follows each link before it says that it has taken the mail."""

    def __init__(self, http: httpx.AsyncClient, link: str) -> None:
        super().__init__()
        self.http = http
        self.link = link

    async def send(self, envelope: Envelope) -> Outcome:
        assert (await self.http.get(self.link)).status_code == 302
        return await super().send(envelope)


async def test_a_click_before_the_known_delivery_is_judged_afterwards(
    quiet_server: Server, clock: ManualClock, browser: httpx.AsyncClient
) -> None:
    ann = await quiet_server.client("Ann")
    mail = Trial(ann, clock, await create_draft(ann, await create_person(ann, "p@example.org")))
    old = next(clicks(mail, -3600))
    assert (await ann.one(RECORD, e=[old]))["recorded"] == 1
    link = quiet_server.engine.links.click(decode_key("Email", mail.email_id) or 0, "https://a.example/x")
    await send_email(ann, mail.email_id)
    await send_due_emails(quiet_server, Scanner(browser, link))
    assert await mail.verdicts() == ["HUMAN", "MACHINE"]
    found = (await ann.one(EVENTS, id=mail.email_id))["engagementSummary"]
    assert (found["clicks"], found["latest"]["url"]) == (1, old["url"])


async def test_several_links_within_a_moment_are_machine_clicks(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    cases: Sequence[tuple[tuple[float, ...], str]] = (
        ((0, 0.5), "MM"),
        ((0, 0.500001), "HH"),
        ((0, 1, 2), "MMM"),
        ((0, 1, 2.000001), "HHH"),
        ((0, 0.7, 1.4, 2.1, 60, 60.4), "MMMMMM"),
        ((0, 5, 10, 15), "HHHH"),
    )
    for place, (seconds, _) in enumerate(cases):
        # One by one, so that each tells something of those before it.
        for event in clicks(mail, *(each + 3600 * (place - 10) for each in seconds)):
            assert (await mail.client.one(RECORD, e=[event]))["recorded"] == 1
    told = "".join(verdict[0] for verdict in await mail.verdicts())
    assert told == "".join(expected for _, expected in cases)
    assert await mail.summary() == (0, told.count("H"), 0)


async def test_double_clicks_and_simultaneous_readers_are_human(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    double = clicks(mail, -100, -99.9, -99.8, url="https://a.example/same")
    apart = [next(clicks(mail, -50, address=each)) for each in ("192.0.2.1", "198.51.100.1", "2001:db8:1::1")]
    # A link of another email says nothing of this one's.
    other = await trial(quiet_server, clock, "Bob")
    elsewhere = next(clicks(other, -86500 + 400))
    assert (await mail.client.one(RECORD, e=[*double, *apart]))["recorded"] == 6
    assert (await other.client.one(RECORD, e=[elsewhere]))["recorded"] == 1
    assert set(await mail.verdicts()) == {"HUMAN"}
    assert set(await other.verdicts()) == {"HUMAN"}


async def test_a_scanner_with_several_machines_is_one_scanner(quiet_server: Server, clock: ManualClock) -> None:
    mail = await trial(quiet_server, clock)
    first = next(clicks(mail, -100, address="192.0.2.1"))
    said = next(clicks(mail, -100, address="192.0.2.1")) | {"verdict": "HUMAN"}
    assert (await mail.client.one(RECORD, e=[first]))["recorded"] == 1
    assert await mail.summary() == (0, 1, 0)
    assert (await mail.client.one(RECORD, e=[said]))["recorded"] == 1
    assert {node["url"]: node["verdict"] for node in await mail.nodes()} == {
        first["url"]: "MACHINE",
        said["url"]: "HUMAN",
    }
    last = next(clicks(mail, -99.8, address="192.0.2.200"))
    assert (await mail.client.one(RECORD, e=[last]))["recorded"] == 1
    assert {node["url"]: node["verdict"] for node in await mail.nodes()} == {
        first["url"]: "MACHINE",
        said["url"]: "HUMAN",
        last["url"]: "MACHINE",
    }
    assert await mail.summary() == (0, 1, 0)
