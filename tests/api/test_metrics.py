"""`/metrics`: what an operator watches, and what an alarm is made of."""

import asyncio
import re

import httpx
import pytest

from tests.support.monitoring import read_metrics
from tests.support.paths import ROOT
from tests.support.server import PATIENCE, Client, Failed, Server, serving

SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id}}}"
FOLLOW = "subscription($id:ID!){savedSearchChanges(savedSearchId:$id){__typename}}"
PERSON = 'mutation{personCreate(input:{name:"Pat" address:"pat@example.org"}){person{id}}}'
DRAFT = 'mutation($id:ID!){emailDraft(input:{personId:$id subject:"Hello"}){email{id}}}'
RECORD = "mutation($events:[EngagementInput!]!){engagementRecord(events:$events){recorded duplicates}}"
EVENT = {"kind": "VIEW", "occurredAt": "2026-01-01T00:00:00Z"}


async def quiet(server: Server) -> dict[str, float]:
    """The numbers once the matcher has looked at everything, and counted what it did."""
    async with asyncio.timeout(PATIENCE):
        while (await read_metrics(server))["pending_invalidations"]:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        return await read_metrics(server)


async def save(client: Client, name: str, filter: dict[str, object]) -> str:
    made = await client.one(SAVE, i={"name": name, "filter": filter})
    return str(made["savedSearch"]["id"])


async def test_what_happens_is_counted(server: Server) -> None:
    ann = await server.client("Ann", scopes=("engagement:write",))
    seen = await save(ann, "Seen", {"engagement": [{"kind": "VIEW"}]})
    await save(ann, "Seen too", {"engagement": [{"kind": "VIEW", "atLeast": 1}]})
    await save(ann, "No key", {"subject": {"contains": "ell"}})
    await quiet(server)
    person = (await ann.one(PERSON))["person"]["id"]
    email = (await ann.one(DRAFT, id=person))["email"]["id"]
    async with ann.follow(FOLLOW, id=seen) as stream:
        await stream.until("CaughtUp")
        events = [EVENT | {"emailId": email, "dedupeKey": key} for key in ("a", "b")]
        assert await ann.one(RECORD, events=events) == {"recorded": 2, "duplicates": 0}
        assert await ann.one(RECORD, events=events) == {"recorded": 0, "duplicates": 2}
        await stream.until("MemberJoined")
        found = await quiet(server)
        assert (found["indexed_searches"], found["indexed_conjunctions"], found["indexed_conditions"]) == (3, 2, 2)
        assert found["unindexed_conjunctions"] == 1
        assert (found['events_total{outcome="recorded"}'], found['events_total{outcome="duplicate"}']) == (2, 2)
        assert (found["pending_invalidations"], found["events_buffered"], found["subscriber_overflows_total"]) == (
            0,
            0,
            0,
        )
        assert found["emails_evaluated_total"] >= 1
        assert found['membership_changes_total{change="joined"}'] == 3
        assert found['membership_changes_total{change="left"}'] == 0
        assert (found["change_subscribers"], found["websockets"], found["folder_count_subscribers"]) == (1, 1, 0)
        assert found["change_messages_rendered_total"] >= 1
        assert found['http_responses_total{route="/graphql",status="200"}'] >= 6
        # Three lists, a person, an email and two records; the client looks who it is when it signs in.
        assert found['operations_total{kind="mutation"}'] == 7
        assert found['operations_total{kind="query"}'] == 1
        assert found['operations_total{kind="subscription"}'] == 1
        assert found["process_resident_memory_bytes"] > 1e6


async def test_valid_operations_are_counted_by_kind_and_transport(
    sqlite_url: str,
) -> None:
    async with serving(sqlite_url) as server:
        ann = await server.client("Ann")
        before = await read_metrics(server)
        await ann("query { a: __typename } ")
        assert "errors" in await ann.raw("query { nothing }")
        assert "errors" in await ann.raw("query A { __typename } query B { __typename }")
        async with ann.follow("query { __typename }") as stream:
            assert str(await stream.frame()) == "Query"
        async with ann.follow("subscription { allSavedSearchChanges { __typename } }") as stream:
            await stream.until("CaughtUp")
        async with ann.follow("subscription { nothing }") as stream:
            with pytest.raises(Failed):
                await stream.frame()
        after = await read_metrics(server)
    named = {kind: f'operations_total{{kind="{kind}"}}' for kind in ("query", "mutation", "subscription")}
    assert {kind: after[name] - before[name] for kind, name in named.items()} == {
        "query": 2,
        "mutation": 0,
        "subscription": 1,
    }


async def test_paths_that_are_not_ours_are_one_series(sqlite_url: str) -> None:
    async with serving(sqlite_url) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            for path in ("/a", "/b/c", "/metrics2"):
                await http.get(path)
            await http.get("/t/o/nothing.gif")
        found = await read_metrics(server)
        assert {name for name in found if "404" in name} == {'http_responses_total{route="other",status="404"}'}
        assert found['http_responses_total{route="/t",status="200"}'] == 1


async def test_every_metric_is_explained_to_operators(sqlite_url: str) -> None:
    explained = (ROOT / "docs" / "operating.md").read_text()
    async with serving(sqlite_url) as server:
        names = {re.split(r"[{ ]", name)[0] for name in await read_metrics(server)}
    ours = {name for name in names if not name.startswith("process_")}
    assert ours
    assert {name for name in ours if f"`command_center_{name}" not in explained} == set()
