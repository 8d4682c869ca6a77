"""Whatever a mutation does, it does under the claim of its Idempotency-Key: none escapes, and none is done twice."""

import asyncio
from typing import Any

import pytest

from command_center.database.connections import database
from tests.support.emails import create_person, emails_in_folders, moment
from tests.support.idempotency import RECORD, count_rows, is_replayed, post_with_key
from tests.support.schema_coverage import published_schema
from tests.support.server import Client, ManualClock, Server


async def done(client: Client, field: str, arguments: str, result: str = "__typename") -> Any:
    """What a mutation answered with its own name as the key; it is asked for twice."""
    document = f"mutation{{{field}{arguments}{{{result} userErrors{{message path}}}}}}"
    first, again = [await post_with_key(client, field, document) for _ in range(2)]
    assert (again.content, is_replayed(first), is_replayed(again)) == (first.content, False, True), first.text
    payload = first.json()["data"][field]
    assert payload["userErrors"] == [], field
    return payload


@pytest.mark.slow
async def test_every_mutation_updates_the_claim_of_its_key(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    made = await emails_in_folders(quiet_server, ann, clock, "x", [{}])
    mail = {folder: key for (folder, _), key in made.items()}
    await _people(ann)
    await _emails(ann, mail)
    await _lists(quiet_server, ann)
    await _engagements(ann, mail["DELIVERED"], moment(clock))
    rows = await database().fetch("SELECT key, done FROM idempotent_requests WHERE response IS NOT NULL")
    mutations = published_schema().mutation_type
    assert mutations is not None
    assert {row["key"]: bool(row["done"]) for row in rows} == dict.fromkeys(mutations.fields, True)


async def _people(ann: Client) -> None:
    dora = await create_person(ann, "dora@example.org")
    await done(ann, "personCreate", '(input:{name:"Emil",address:"emil@example.org"})')
    group = (await done(ann, "groupCreate", '(name:"G")', "group{id}"))["group"]["id"]
    await done(ann, "groupAddPeople", f'(id:"{group}",personIds:["{dora}"])')
    await done(ann, "emailGroupSend", f'(input:{{groupId:"{group}",subject:"S",body:"B"}})')
    await done(ann, "emailSelectAndSend", f'(input:{{personIds:["{dora}"],subject:"S",body:"B"}})')
    await done(ann, "groupRemovePeople", f'(id:"{group}",personIds:["{dora}"])')
    await done(ann, "emailDraft", f'(input:{{personId:"{dora}",subject:"S"}})')
    await done(ann, "personUnsubscribe", f'(id:"{dora}")')
    campaign = (await done(ann, "campaignCreate", '(name:"C")', "campaign{id}"))["campaign"]["id"]
    await done(ann, "campaignEnd", f'(id:"{campaign}")')
    await done(ann, "templateCreate", '(input:{name:"T",subject:"S",body:"B"})')
    given = f'(input:{{name:"N",kind:CALL,personId:"{dora}",dueOn:"2030-01-01"}})'
    task = (await done(ann, "taskCreate", given, "task{id}"))["task"]["id"]
    await done(ann, "taskRevise", f'(id:"{task}",input:{{name:"M"}})')
    for field in ("taskComplete", "taskReopen", "taskDelete"):
        await done(ann, field, f'(ids:["{task}"])')


async def _emails(ann: Client, mail: dict[str, str]) -> None:
    await done(ann, "emailRevise", f'(id:"{mail["DRAFT"]}",input:{{subject:"T"}})')
    await done(ann, "emailSend", f'(id:"{mail["DRAFT"]}")')
    await done(ann, "emailMarkSuccess", f'(ids:["{mail["DELIVERED"]}"])')
    await done(ann, "emailUnarchive", f'(ids:["{mail["ARCHIVED"]}"])')
    await done(ann, "emailArchive", f'(ids:["{mail["ARCHIVED"]}"])')
    await done(ann, "emailDelete", f'(ids:["{mail["ARCHIVED"]}"])')
    await done(ann, "emailRetrySend", f'(ids:["{mail["BOUNCED"]}"])')


async def _lists(server: Server, ann: Client) -> None:
    search = (await done(ann, "savedSearchCreate", '(input:{name:"L",filter:{}})', "savedSearch{id}"))["savedSearch"]
    await done(ann, "savedSearchRename", f'(id:"{search["id"]}",name:"M")')
    await done(ann, "savedSearchRefine", f'(id:"{search["id"]}",filter:{{folder:[DELIVERED]}})')
    await done(ann, "savedSearchShare", f'(id:"{search["id"]}",shared:true)')
    await server.settle()
    group = (await ann.one('mutation{groupCreate(name:"H"){group{id}}}'))["group"]["id"]
    await done(ann, "groupAddMembers", f'(id:"{group}",savedSearchId:"{search["id"]}")')
    task = '{name:"N",kind:CALL,dueOn:"2030-01-01"}'
    await done(ann, "taskCreateForMembers", f'(savedSearchId:"{search["id"]}",input:{task})')
    bob = await server.client("Bob")
    await bob('mutation{savedSearchCreate(input:{name:"B",filter:{},shared:true}){savedSearch{id}}}')
    shared = (await ann.one("{sharedSearches{nodes{id owner{name}}}}"))["nodes"]
    theirs = next(each["id"] for each in shared if each["owner"]["name"] == "Bob")
    await done(ann, "savedSearchAdopt", f'(sharedSearchId:"{theirs}")')
    await done(ann, "savedSearchDelete", f'(id:"{search["id"]}")')


async def _engagements(ann: Client, email: str, now: str) -> None:
    event = f'emailId:"{email}",occurredAt:"{now}"'
    await done(ann, "engagementRecord", f'(events:[{{{event},kind:VIEW,dedupeKey:"v"}}])', "recorded")
    engagement = (await ann.one("{engagements{nodes{id}}}"))["nodes"][0]["id"]
    await done(ann, "engagementReclassify", f'(ids:["{engagement}"],verdict:MACHINE)')
    await done(ann, "deliveryRecord", f'(events:[{{{event},kind:BOUNCED,dedupeKey:"b"}}])', "recorded")


async def test_a_group_commit_updates_the_claim_of_each_request(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    email = (await emails_in_folders(quiet_server, ann, clock, "x", [{}]))["DELIVERED", 0]
    given = {"emailId": email, "kind": "VIEW", "occurredAt": moment(clock)}
    # Half of them have no key, as tracking has none; the repeats meet their firsts under way.
    keys = [*(f"k{place}" for place in range(20)), *(None for _ in range(20))] * 3
    events = [{**given, "dedupeKey": f"{place}"} for place in range(40)] * 3
    answers = await asyncio.gather(
        *(post_with_key(ann, key, RECORD, e=[event]) for key, event in zip(keys, events, strict=True))
    )
    recorded = [answer.json()["data"]["engagementRecord"]["recorded"] for answer in answers]
    assert [recorded[place::40] for place in range(20)] == [[1, 1, 1]] * 20
    assert [sum(recorded[place::40]) for place in range(20, 40)] == [1] * 20
    assert await count_rows("engagements") == 40
    rows = await database().fetch("SELECT done FROM idempotent_requests")
    assert [bool(row["done"]) for row in rows] == [True] * 20
