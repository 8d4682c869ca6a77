"""Events on their way in: once each, in any order, with a verdict; and what comes back after the hand-over."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from tests.support.emails import (
    ARCHIVE,
    RECORD,
    REPORT,
    create_delivered_email,
    create_draft,
    create_person,
    moment,
    send_email,
)
from tests.support.server import Client, ManualClock, Server

EMAIL = """query($id:ID!){email(id:$id){folder status archived sentAt failedAt failure{code message occurredAt}
    engagementSummary{views clicks replies latest{id kind occurredAt}}
    engagements(first:200){nodes{kind verdict verdictReason url occurredAt recordedAt}}}}"""
FEED = "{engagements(first:200){asOf nodes{kind verdict url occurredAt recordedAt email{id} person{name}}}}"
UNARCHIVE = "mutation($ids:[ID!]!){emailUnarchive(ids:$ids){emails{id} userErrors{code}}}"
NOTHING = {"recorded": 0, "duplicates": 0, "ignored": 0, "userErrors": []}


async def record(client: Client, *events: dict[str, Any]) -> dict[str, Any]:
    answer = await client.one(RECORD, e=list(events))
    assert isinstance(answer, dict)
    return answer


async def report(client: Client, *events: dict[str, Any]) -> dict[str, Any]:
    answer = await client.one(REPORT, e=list(events))
    assert isinstance(answer, dict)
    return answer


async def summary(client: Client, email_id: str) -> tuple[int, int, int]:
    found = (await client.one(EMAIL, id=email_id))["engagementSummary"]
    return found["views"], found["clicks"], found["replies"]


def event(clock: ManualClock, email_id: str, kind: str, key: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    link = {"url": "https://a.example/pricing"} if kind == "CLICK" else {}
    moment_ = moment(clock, seconds)
    return {"emailId": email_id, "kind": kind, "occurredAt": moment_, "dedupeKey": key, **link, **more}


def refusals(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(error["code"], error["path"]) for error in answer["userErrors"]]


async def test_an_event_delivered_46_times_counts_once(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    one = event(clock, mail, "VIEW", "same")
    assert await record(ann, *[one] * 20) == {**NOTHING, "recorded": 1, "duplicates": 19}
    for _ in range(6):
        assert await record(ann, one) == {**NOTHING, "duplicates": 1}
    assert await record(ann, *[{**one, "kind": "REPLY", "dedupeKey": " same "}] * 20) == {**NOTHING, "duplicates": 20}
    assert await summary(ann, mail) == (1, 0, 0)
    # The same link followed twice is two events, and a key belongs to one team.
    clicks = [event(clock, mail, "CLICK", key) for key in ("c1", "c2")]
    assert (await record(ann, *clicks))["recorded"] == 2
    assert await summary(ann, mail) == (1, 2, 0)
    max_ = await quiet_server.client("Max", "Bananas")
    theirs = await create_delivered_email(quiet_server, max_)
    assert await record(max_, {**one, "emailId": theirs}) == {**NOTHING, "recorded": 1}
    assert refusals(await record(ann, {**one, "emailId": theirs})) == [("NOT_FOUND", ["events", "0", "emailId"])]
    assert len((await ann.one(FEED))["nodes"]) == 3


async def test_events_of_archived_emails_and_their_keys_are_ignored(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    view, click, reply = (event(clock, mail, kind, kind) for kind in ("VIEW", "CLICK", "REPLY"))
    assert (await ann.one(ARCHIVE, ids=[mail]))["userErrors"] == []
    machine = {**view, "verdict": "MACHINE", "dedupeKey": "machine"}
    assert await record(ann, view, click, reply, view, machine) == {**NOTHING, "recorded": 1, "ignored": 4}
    assert await summary(ann, mail) == (0, 0, 1)
    await ann.one(UNARCHIVE, ids=[mail])
    assert await summary(ann, mail) == (0, 0, 1)
    assert await record(ann, view, click, reply) == {**NOTHING, "recorded": 2, "duplicates": 1}
    assert await summary(ann, mail) == (1, 1, 1)


async def test_only_human_events_count_and_all_keep_their_verdicts(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    events = [
        event(clock, mail, kind, f"{kind} {verdict}", -10 * place, verdict=verdict)
        for place, (kind, verdict) in enumerate(
            itertools.product(("VIEW", "CLICK", "REPLY"), ("SELF", "MACHINE", "HUMAN", None))
        )
    ]
    assert (await record(ann, *events))["recorded"] == 12
    found = await ann.one(EMAIL, id=mail)
    assert await summary(ann, mail) == (2, 2, 2)
    assert found["engagementSummary"]["latest"]["occurredAt"] == moment(clock, -20)
    nodes = found["engagements"]["nodes"]
    expected = [(each["kind"], each["verdict"] or "HUMAN", each.get("url")) for each in events]
    assert [(node["kind"], node["verdict"], node["url"]) for node in nodes] == expected
    assert all(node["verdictReason"] for node in nodes)
    assert {node["recordedAt"] for node in nodes} == {moment(clock)}
    feed = (await ann.one(FEED))["nodes"]
    assert [(node["kind"], node["verdict"], node["url"]) for node in feed] == [
        each for each in expected if each[1] != "SELF"
    ]
    assert {(node["email"]["id"], node["person"]["name"]) for node in feed} == {(mail, "Dora")}
    bob = await quiet_server.client("Bob")
    assert (await bob.one(FEED))["nodes"] == []


async def test_invalid_events_are_refused_by_path_and_others_recorded(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    mail, others = (
        await create_delivered_email(quiet_server, ann),
        await create_delivered_email(quiet_server, bob, "bobs@example.org"),
    )
    answer = await record(
        ann,
        event(clock, mail, "VIEW", "0"),
        event(clock, mail, "VIEW", "1", 300.000001),
        event(clock, others, "VIEW", "2"),
        event(clock, "nonsense", "VIEW", "3"),
        event(clock, mail, "CLICK", "4", url=None),
        event(clock, mail, "CLICK", "5", url=" "),
        event(clock, mail, "VIEW", "6", url="https://a.example/"),
        event(clock, mail, "REPLY", "7", url=""),
        event(clock, mail, "VIEW", " "),
        event(clock, mail, "VIEW", "9" * 256),
        event(clock, mail, "CLICK", "10", url="x" * 4097),
        event(clock, mail, "VIEW", "a\0b", userAgent="a\0b"),
        event(clock, mail, "VIEW", "12", 300),
    )
    assert refusals(answer) == [
        ("INVALID", ["events", "1", "occurredAt"]),
        ("NOT_FOUND", ["events", "2", "emailId"]),
        ("NOT_FOUND", ["events", "3", "emailId"]),
        ("BLANK", ["events", "4", "url"]),
        ("BLANK", ["events", "5", "url"]),
        ("INVALID", ["events", "6", "url"]),
        ("INVALID", ["events", "7", "url"]),
        ("BLANK", ["events", "8", "dedupeKey"]),
        ("TOO_LONG", ["events", "9", "dedupeKey"]),
        ("TOO_LONG", ["events", "10", "url"]),
        ("INVALID", ["events", "11", "dedupeKey"]),
        ("INVALID", ["events", "11", "userAgent"]),
    ]
    assert (answer["recorded"], answer["duplicates"], answer["ignored"]) == (2, 0, 0)
    # A moment that lies a little ahead is stored as the one it was heard at.
    nodes = (await ann.one(EMAIL, id=mail))["engagements"]["nodes"]
    assert [(node["occurredAt"], node["recordedAt"]) for node in nodes] == [(moment(clock), moment(clock))] * 2
    # What was refused is not remembered either.
    clock.advance(timedelta(seconds=301))
    assert (await record(ann, event(clock, mail, "VIEW", "1")))["recorded"] == 1


async def test_a_thousand_events_fit_one_request_and_not_one_more(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    many = [event(clock, mail, "VIEW", str(n)) for n in range(1001)]
    answer = await record(ann, *many)
    assert refusals(answer) == [("LIMIT_REACHED", ["events"])]
    assert "1000" in answer["userErrors"][0]["message"]
    assert await summary(ann, mail) == (0, 0, 0)
    assert await record(ann, *many[:1000]) == {**NOTHING, "recorded": 1000}
    assert await summary(ann, mail) == (1000, 0, 0)
    reports = [{**each, "kind": "BOUNCED"} for each in many]
    assert refusals(await report(ann, *reports)) == [("LIMIT_REACHED", ["events"])]
    assert (await ann.one(EMAIL, id=mail))["folder"] == "DELIVERED"
    assert await record(ann) == NOTHING


@pytest.mark.slow
async def test_the_order_events_come_in_makes_no_difference(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    kinds = [("VIEW", "a", -5), ("CLICK", "b", -3), ("REPLY", "c", -3), ("VIEW", "d", -9)]
    seen = set()
    for number, order in enumerate(itertools.permutations(kinds)):
        mail = await create_draft(ann, await create_person(ann, f"p{number}@example.org"))
        events = [event(clock, mail, kind, f"{number} {key}", seconds) for kind, key, seconds in order]
        await record(ann, *events[:2])
        await record(ann, *events[2:], events[0])
        found = await ann.one(EMAIL, id=mail)
        latest = found["engagementSummary"]["latest"]
        nodes = tuple((node["kind"], node["occurredAt"]) for node in found["engagements"]["nodes"])
        seen.add((await summary(ann, mail), latest["kind"], latest["occurredAt"], tuple(sorted(nodes))))
    assert len(seen) == 1


async def test_bounce_or_complaint_moves_an_email_out_of_sent_folders(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    for number, (kind, folder, code) in enumerate(
        (("BOUNCED", "BOUNCED", "BOUNCED"), ("SPAM_COMPLAINT", "SPAM", "SPAM_COMPLAINT"))
    ):
        plain = await create_delivered_email(quiet_server, ann, f"plain{number}@example.org")
        archived = await create_delivered_email(quiet_server, ann, f"archived{number}@example.org")
        await ann.one(ARCHIVE, ids=[archived])
        clock.advance(timedelta(minutes=1))
        for mail in (plain, archived):
            message = "550 gone" if mail == plain else ""
            one = event(clock, mail, kind, f"{mail}", -30, message=message)
            assert await report(ann, one, one) == {"recorded": 1, "duplicates": 1, "userErrors": []}
            found = await ann.one(EMAIL, id=mail)
            assert (found["folder"], found["status"], found["archived"]) == (folder, folder, False)
            assert (found["failedAt"], found["sentAt"]) == (moment(clock, -30), moment(clock, -60))
            failure = found["failure"]
            assert (failure["code"], failure["occurredAt"]) == (code, moment(clock, -30))
            assert failure["message"] == (message or failure["message"]) != ""
            # A later report is kept and changes nothing.
            other = event(clock, mail, "BOUNCED" if number else "SPAM_COMPLAINT", f"later {mail}")
            assert await report(ann, other) == {"recorded": 1, "duplicates": 0, "userErrors": []}
            assert await ann.one(EMAIL, id=mail) == found
            # Engagement is a fact of its own.
            assert (await record(ann, event(clock, mail, "VIEW", f"view {mail}")))["recorded"] == 1


async def test_only_sent_emails_have_engagement_events(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    to = await create_person(ann, "p@example.org")
    unsent = [await create_draft(ann, to) for _ in range(3)]
    await send_email(ann, unsent[1], moment(clock, 60))
    await send_email(ann, unsent[2])
    bobs = await create_delivered_email(quiet_server, bob, "q@example.org")
    wrong = [event(clock, mail, "BOUNCED", f"{n}") for n, mail in enumerate([*unsent[:2], bobs, "nonsense"])]
    wrong += [event(clock, bobs, "BOUNCED", " ", 301)]
    answer = await report(ann, *wrong)
    assert (answer["recorded"], answer["duplicates"]) == (0, 0)
    assert refusals(answer) == [
        ("WRONG_STATE", ["events", "0", "emailId"]),
        ("WRONG_STATE", ["events", "1", "emailId"]),
        ("NOT_FOUND", ["events", "2", "emailId"]),
        ("NOT_FOUND", ["events", "3", "emailId"]),
        ("BLANK", ["events", "4", "dedupeKey"]),
        ("NOT_FOUND", ["events", "4", "emailId"]),
        ("INVALID", ["events", "4", "occurredAt"]),
    ]
    for mail in unsent[:2]:
        found = await ann.one(EMAIL, id=mail)
        assert (found["failure"], found["failedAt"]) == (None, None)


async def test_an_only_event_before_1970_is_the_latest_one(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    summary = "query($id:ID!){email(id:$id){engagementSummary{views latest{occurredAt}}}}"
    for place, occurred in enumerate(("1969-06-01T00:00:00Z", "1968-01-01T00:00:00Z")):
        old = {"emailId": mail, "kind": "VIEW", "occurredAt": occurred, "dedupeKey": str(place)}
        assert (await ann.one(RECORD, e=[old]))["recorded"] == 1
    found = (await ann.one(summary, id=mail))["engagementSummary"]
    assert found == {"views": 2, "latest": {"occurredAt": "1969-06-01T00:00:00Z"}}


async def test_the_events_of_an_email_have_a_cursor_to_resume_from(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    for number in range(2):
        await create_draft(ann, await create_person(ann, f"p{number}@example.org"))
    found = await ann("{emails{nodes{engagements{asOf nodes{id}}}} engagements{asOf}}")
    assert {each["engagements"]["asOf"] for each in found["emails"]["nodes"]} == {found["engagements"]["asOf"]}
