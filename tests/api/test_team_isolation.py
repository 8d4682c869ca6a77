"""Nothing crosses teams, and between colleagues only what is shared: another's id answers as an id that never was.

A world with everything is made for Ann; then every id of it goes through every field, mutation and subscription, from a
stranger's token, a colleague's and an admin's, and the answers are held against those for ids that never were.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

import httpx
import jwt
import pytest
import websockets

from command_center import ids as global_ids
from command_center.web.authentication import Tokens
from models.enums import Role
from tests.support.emails import DRAFT, RECORD, REPORT, create_person, emails_in_folders, moment
from tests.support.server import SECRET, Client, Failed, ManualClock, Server

pytestmark = pytest.mark.slow

GROUP = "mutation($n:String!,$s:Boolean!){groupCreate(name:$n,shared:$s){group{id}}}"
ADD = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){group{id} userErrors{code path}}}"
CAMPAIGN = 'mutation{campaignCreate(name:"Ann\'s campaign"){campaign{id}}}'
TEMPLATE = """mutation{templateCreate(input:{name:"Ann's template",subject:"S",body:"B"}){template{id}}}"""
SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id} userErrors{code path}}}"
GROUP_SEND = (
    'mutation($i:ID!,$at:DateTime){emailGroupSend(input:{groupId:$i,subject:"x",body:"",at:$at}){bulkSend{id}}}'
)
TASK = "mutation($i:TaskCreateInput!){taskCreate(input:$i){task{id} userErrors{code path}}}"
HARVEST = """{
    viewer{id} emails(first:200){nodes{id sender{id} bulkSend{id} engagements{nodes{id}}}}
    folders{id folders{id}} people{nodes{id shared}} groups{nodes{id shared}} campaigns{nodes{id}} templates{nodes{id}}
    savedSearches{nodes{id shared members{nodes{id}}}} sharedSearches{nodes{id}} engagements{nodes{id}}
    tasks{nodes{id}}}"""
MOST = 20
"""Fields at the root of one document."""
CONNECTIONS = """query($n:Int){
    users(first:$n){nodes{id name}} emails(first:$n){nodes{id}} savedSearches(first:$n){nodes{id}}
    sharedSearches(first:$n){nodes{id name summary}} people(first:$n){nodes{id name groups{id name}}}
    groups(first:$n){nodes{id name people{nodes{id name}}}}
    campaigns(first:$n){nodes{id name emails{nodes{id}}}} templates(first:$n){nodes{id name}}
    engagements(first:$n){nodes{id}} tasks(first:$n){nodes{id name person{name} email{subject}}}
    folders{id emailCount folders{id emailCount emails{nodes{id}}}}}"""

# One field each, with every id of the world in the place of $id.
READS = {
    "node": "node(id:$id){__typename id}",
    "nodes": "nodes(ids:[$id,$id]){__typename id}",
    "email": "email(id:$id){id subject}",
    "savedSearch": "savedSearch(id:$id){id name}",
    "person": "person(id:$id){id name}",
    "task": "task(id:$id){id name}",
    "tasksOf": "tasks(filter:{assignee:[$id]}){nodes{id}}",
    "tasksAbout": "tasks(filter:{person:[$id]}){nodes{id}}",
    "tasksFrom": "tasks(filter:{email:[$id]}){nodes{id}}",
    "tasksIn": "tasks(filter:{campaign:[$id]}){nodes{id}}",
    "sender": "emails(filter:{all:[{sender:[$id]}]}){nodes{id}}",
    "filters": """emails(filter:{any:[{person:[$id]},{personGroup:[$id]},{campaign:[$id]},{template:[$id]},
        {bulkSend:[$id]}]}){nodes{id}}""",
}
ERRORS = "userErrors{__typename message path code}"
WRITES = {
    "draftTo": 'emailDraft(input:{personId:$id,subject:"x"}){email{id} %s}',
    "draftFrom": 'emailDraft(input:{personId:$own,subject:"x",templateId:$id}){email{subject} %s}',
    "draftIn": 'emailDraft(input:{personId:$own,subject:"x",campaignId:$id}){email{subject} %s}',
    "revise": 'emailRevise(id:$id,input:{subject:"x"}){email{id} %s}',
    "reviseTo": "emailRevise(id:$draft,input:{personId:$id}){email{subject} %s}",
    "reviseFrom": "emailRevise(id:$draft,input:{templateId:$id}){email{subject} %s}",
    "send": "emailSend(id:$id){email{id} %s}",
    "select": 'emailSelectAndSend(input:{personIds:[$id],subject:"x",body:""}){bulkSend{id} %s}',
    "selectFrom": 'emailSelectAndSend(input:{personIds:[$own],subject:"x",body:"",templateId:$id}){bulkSend{id} %s}',
    "selectIn": 'emailSelectAndSend(input:{personIds:[$own],subject:"x",body:"",campaignId:$id}){bulkSend{id} %s}',
    "selectAndEdit": """emailSelectAndSend(input:{personIds:[$id],subject:"x",body:"",
        edits:[{personId:$id,subject:"y"}]}){bulkSend{id} %s}""",
    "selectAndEditAnother": """emailSelectAndSend(input:{personIds:[$own],subject:"x",body:"",
        edits:[{personId:$id,subject:"y"}]}){bulkSend{id} %s}""",
    "groupSend": 'emailGroupSend(input:{groupId:$id,subject:"x",body:""}){bulkSend{id} %s}',
    "groupSendFrom": 'emailGroupSend(input:{groupId:$group,subject:"x",body:"",templateId:$id}){bulkSend{id} %s}',
    "groupSendIn": 'emailGroupSend(input:{groupId:$group,subject:"x",body:"",campaignId:$id}){bulkSend{id} %s}',
    "archive": "emailArchive(ids:[$id]){emails{id} %s}",
    "unarchive": "emailUnarchive(ids:[$id]){emails{id} %s}",
    "success": "emailMarkSuccess(ids:[$id]){emails{id} %s}",
    "retry": "emailRetrySend(ids:[$id]){emails{id} %s}",
    "delete": "emailDelete(ids:[$id]){deletedIds %s}",
    "taskAbout": 'taskCreate(input:{name:"x",kind:CALL,dueOn:"2023-01-01",personId:$id}){task{name} %s}',
    "taskFor": """taskCreate(input:{name:"x",kind:CALL,dueOn:"2023-01-01",personId:$own,assigneeId:$id}){
        task{name} %s}""",
    "taskFrom": """taskCreate(input:{name:"x",kind:CALL,dueOn:"2023-01-01",personId:$own,emailId:$id}){
        task{name} %s}""",
    "reviseTask": 'taskRevise(id:$id,input:{name:"x"}){task{id} %s}',
    "giveTask": "taskRevise(id:$task,input:{assigneeId:$id}){task{name} %s}",
    "completeTask": "taskComplete(ids:[$id]){tasks{id} %s}",
    "reopenTask": "taskReopen(ids:[$id]){tasks{id} %s}",
    "deleteTask": "taskDelete(ids:[$id]){deletedIds %s}",
    "taskForMembers": """taskCreateForMembers(savedSearchId:$id,input:{name:"x",kind:CALL,dueOn:"2023-01-01"}){
        tasks{id} %s}""",
    "rename": 'savedSearchRename(id:$id,name:"x"){savedSearch{id} %s}',
    "refine": "savedSearchRefine(id:$id,filter:{}){savedSearch{id} %s}",
    "share": "savedSearchShare(id:$id,shared:true){savedSearch{id} %s}",
    "adopt": "savedSearchAdopt(sharedSearchId:$id){savedSearch{name} %s}",
    "deleteSearch": "savedSearchDelete(id:$id){deletedIds %s}",
    "unsubscribe": "personUnsubscribe(id:$id){person{id} %s}",
    "addTo": "groupAddPeople(id:$id,personIds:[]){group{id} %s}",
    "removeFrom": "groupRemovePeople(id:$id,personIds:[]){group{id} %s}",
    "add": "groupAddPeople(id:$group,personIds:[$id]){group{id} %s}",
    "remove": "groupRemovePeople(id:$group,personIds:[$id]){group{id} %s}",
    "addMembersTo": "groupAddMembers(id:$id,savedSearchId:$list){group{id} %s}",
    "addMembers": "groupAddMembers(id:$group,savedSearchId:$id){group{id} %s}",
    "end": "campaignEnd(id:$id){campaign{id} %s}",
    "reclassify": "engagementReclassify(ids:[$id],verdict:MACHINE){engagements{id} %s}",
    "record": """engagementRecord(events:[{emailId:$id,kind:VIEW,occurredAt:"2023-01-01T00:00:00Z",dedupeKey:"k"}]){
        recorded duplicates ignored %s}""",
    "report": """deliveryRecord(events:[{emailId:$id,kind:BOUNCED,occurredAt:"2023-01-01T00:00:00Z",dedupeKey:"k"}]){
        recorded duplicates %s}""",
    "save": """savedSearchCreate(input:{name:"x",filter:{any:[{person:[$id]},{personGroup:[$id]},{campaign:[$id]},
        {template:[$id]},{bulkSend:[$id]},{sender:[$id]}]}}){savedSearch{name} %s}""",
}
ON_EMAILS = (
    *("nodes", "email", "revise", "send", "archive", "unarchive"),
    *("success", "retry", "delete", "record", "report"),
)
# These answer nothing at all when refused, so each id has a request of its own.
ALONE = {
    "folders": "query($id:ID!){folders(viewAs:$id){id}}",
    "folder": "query($id:ID!){folder(name:DRAFT,viewAs:$id){id emails{nodes{id}}}}",
    "emails": "query($id:ID!){emails(filter:{sender:[$id]}){nodes{id}}}",
}
FOLLOW = "subscription($id:ID!,$after:ChangeCursor){savedSearchChanges(savedSearchId:$id,after:$after){__typename}}"
FOLLOW_ALL = "subscription($after:ChangeCursor){allSavedSearchChanges(after:$after){__typename}}"
FOLLOW_COUNTS = "subscription($id:ID){folderCounts(viewAs:$id){folders{id emailCount}}}"
FOLLOW_FEED = """subscription($after:ChangeCursor){engagementFeed(after:$after){
    __typename ... on EngagementRecorded{engagementId}}}"""
AS_OF = "{savedSearches{asOf}}"


@dataclass
class World:
    """Ann's ids, by what they are."""

    ids: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, *ids: str) -> None:
        self.ids.setdefault(what, []).extend(ids)

    def of(self, *kinds: str) -> list[str]:
        return [each for kind in kinds for each in self.ids[kind]]

    def but(self, *kinds: str) -> dict[str, list[str]]:
        return {kind: ids for kind, ids in self.ids.items() if kind not in kinds}

    def all_but(self, *kinds: str) -> list[str]:
        return [each for ids in self.but(*kinds).values() for each in ids]


async def everything(server: Server, client: Client, clock: ManualClock) -> World:
    """A world with everything in it."""
    world = World()
    private = await create_person(client, "private@world.example", shared=False)
    shared = await create_person(client, "shared@world.example")
    groups = [(await client.one(GROUP, n=f"Group {flag}", s=flag))["group"]["id"] for flag in (False, True)]
    for group in groups:
        assert (await client.one(ADD, id=group, p=[private, shared]))["userErrors"] == []
    campaign = (await client.one(CAMPAIGN))["campaign"]["id"]
    template = (await client.one(TEMPLATE))["template"]["id"]
    secret = {"personId": private, "templateId": template, "body": "secret"}
    mail = await emails_in_folders(server, client, clock, "world", [{"campaignId": campaign}, secret])
    bulk = (await client.one(GROUP_SEND, i=groups[0], at=moment(clock, 60)))["bulkSend"]["id"]
    for definition, flag in (({"folder": ["DELIVERED"]}, True), ({"personGroup": [groups[0]]}, False)):
        saved = await client.one(SAVE, i={"name": f"List {flag}", "filter": definition, "shared": flag})
        assert saved["userErrors"] == []
    event = {"emailId": mail["DELIVERED", 0], "occurredAt": moment(clock)}
    click = {**event, "kind": "CLICK", "url": "https://a.example/", "dedupeKey": "click"}
    assert (await client.one(RECORD, e=[{**event, "kind": "VIEW", "dedupeKey": "view"}, click]))["recorded"] == 2
    task = {"name": "Ann's task", "kind": "CALL", "dueOn": "2023-11-20", "personId": private, "details": "secret"}
    made = await client.one(TASK, i={**task, "emailId": mail["DRAFT", 1]})
    assert made["userErrors"] == []
    await server.settle()

    found = await client(HARVEST)
    world.add("User", found["viewer"]["id"])
    world.add("Email", *(node["id"] for node in found["emails"]["nodes"]))
    world.add("Engagement", *(node["id"] for node in found["engagements"]["nodes"]))
    for group in found["folders"]:
        world.add("Folder", group["id"], *(folder["id"] for folder in group["folders"]))
    for noun, name in (("Person", "people"), ("Group", "groups"), ("SavedSearch", "savedSearches")):
        for node in found[name]["nodes"]:
            world.add(("shared " if node["shared"] and noun != "SavedSearch" else "private ") + noun, node["id"])
    for noun, name in (("Campaign", "campaigns"), ("Template", "templates"), ("SharedSearch", "sharedSearches")):
        world.add(noun, *(node["id"] for node in found[name]["nodes"]))
    for node in found["savedSearches"]["nodes"]:
        world.add("SavedSearchMember", *(member["id"] for member in node["members"]["nodes"]))
    world.add("BulkSend", bulk)
    world.add("Task", *(node["id"] for node in found["tasks"]["nodes"]))
    assert {kind: bool(ids) for kind, ids in world.ids.items()} == dict.fromkeys(world.ids, True)
    assert len(world.ids) == 15
    return world


def never(text: str) -> str:
    """An id of the same noun that never was."""
    noun, key = global_ids.decode(text) or ("", "")
    return global_ids.encode(noun, "987654" + key[key.find(".") :] if "." in key else "987654")


MALFORMED = "nonsense"


async def answers(
    client: Client, root: str, fields: Mapping[str, str], ids: Sequence[str], own: Mapping[str, str]
) -> str:
    """The bytes of answers in which every id went through every field, with the ids blotted out."""
    at_once = MOST // len(fields)
    if len(ids) > at_once:
        parts_of = [ids[start : start + at_once] for start in range(0, len(ids), at_once)]
        return "\n".join([await answers(client, root, fields, part, own) for part in parts_of])
    names = {"$own": "own", "$draft": "draft", "$group": "group", "$list": "list", "$task": "task"}
    parts, variables = [], {}
    for place, text in enumerate(ids):
        variables[f"i{place}"] = text
        parts += [
            f"{name}{place}:{body.replace('$id', f'$i{place}').replace('%s', ERRORS)}" for name, body in fields.items()
        ]
    declared = [f"$i{place}:ID!" for place in range(len(ids))]
    for mark, name in names.items():
        if any(mark in body for body in fields.values()):
            declared.append(f"{mark}:ID!")
            variables[name] = own[name]
    document = f"{root}({','.join(declared)}){{{' '.join(parts)}}}"
    said = await client.http.post(
        f"{client.url}/graphql",
        json={"query": document, "variables": variables},
        headers={"Authorization": f"Bearer {client.token}"},
    )
    text = said.text
    for each in dict.fromkeys(ids):
        text = text.replace(each, "ID")
    return text


async def alike(
    client: Client,
    kinds: Mapping[str, Sequence[str]],
    own: Mapping[str, str],
    fields: Mapping[str, Mapping[str, str]] = MappingProxyType({"query": READS, "mutation": WRITES}),
) -> None:
    """To the client these ids are as if they had never been: one of each kind, and emails of every folder."""
    few = [ids[0] for ids in kinds.values()]
    for root, bodies in fields.items():
        for name, body in bodies.items():
            ids = [*few, *(kinds.get("Email", ())[2::2] if name in ON_EMAILS else ())]
            nowhere = [*(never(text) for text in ids), *(MALFORMED for _ in ids[:1])]
            assert not set(nowhere) & set(ids)
            there = await answers(client, root, {name: body}, [*ids, ids[0]], own)
            assert '"errors":' not in there, name
            assert there == await answers(client, root, {name: body}, nowhere, own), name


async def alike_alone(client: Client, names: Sequence[str], ids: Sequence[str]) -> None:
    for name in names:
        for text in ids:
            said = [await client.raw(ALONE[name], id=each) for each in (text, never(text), MALFORMED)]
            assert said[0] == said[1] == said[2]


async def alike_streams(client: Client, ids: Sequence[str]) -> None:
    after = (await client.one(AS_OF))["asOf"]
    for text in ids:
        for cursor in (None, after):
            refusals = []
            for each in (text, never(text), MALFORMED):
                with pytest.raises(Failed) as failed:
                    async with client.follow(FOLLOW, id=each, after=cursor) as stream:
                        await stream.frame()
                refusals.append(failed.value.errors)
            assert refusals[0] == refusals[1] == refusals[2]
            assert refusals[0][0]["extensions"]["code"] == "NOT_FOUND"


async def alike_counts(client: Client, ids: Sequence[str]) -> None:
    for text in ids:
        refusals = []
        for each in (text, never(text), MALFORMED):
            with pytest.raises(Failed) as failed:
                async with client.follow(FOLLOW_COUNTS, id=each) as stream:
                    await stream.frame()
            refusals.append(failed.value.errors)
        assert refusals[0] == refusals[1] == refusals[2]
        assert refusals[0][0]["extensions"]["code"] == "NOT_FOUND"


async def belongings(client: Client, name: str) -> dict[str, str]:
    """What a client needs of its own to try others' ids with."""
    own = await create_person(client, f"{name}@own.example", shared=False)
    draft = (await client.one(DRAFT, i={"personId": own, "subject": "Mine"}))["email"]["id"]
    group = (await client.one(GROUP, n="Mine", s=False))["group"]["id"]
    saved = (await client.one(SAVE, i={"name": "Mine", "filter": {}}))["savedSearch"]["id"]
    task = {"name": "Mine", "kind": "CALL", "dueOn": "2023-11-20", "personId": own, "emailId": draft}
    made = (await client.one(TASK, i=task))["task"]["id"]
    return {"own": own, "draft": draft, "group": group, "list": saved, "task": made}


async def test_to_another_team_nothing_exists(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann", "Apples")
    world = await everything(quiet_server, ann, clock)
    before = await ann.raw(CONNECTIONS, n=100)
    for name, role in (("Max", Role.MEMBER), ("Ada", Role.ADMIN)):
        stranger = await quiet_server.client(name, "Bananas", role)
        own = await belongings(stranger, name)
        # What a member is refused an admin is refused as well, so a member's mutations need no trial of their own.
        await alike(stranger, world.but(), own, *([{"query": READS}] if role is Role.MEMBER else []))
        await alike_alone(stranger, list(ALONE), [*world.of("User"), *world.of("Email")[:1]])
        await alike_streams(stranger, world.of("private SavedSearch", "SharedSearch"))
        await alike_counts(stranger, [*world.of("User"), *world.of("Email")[:1]])
        seen = json.dumps(await stranger(CONNECTIONS, n=100))
        assert not [text for text in world.all_but() if f'"{text}"' in seen]
        assert "Ann" not in seen
    assert await ann.raw(CONNECTIONS, n=100) == before


async def test_colleagues_see_only_shared_objects(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    world = await everything(quiet_server, ann, clock)
    before = await ann.raw(CONNECTIONS, n=100)
    own = await belongings(bob, "bob")
    shared = ("User", "shared Person", "shared Group", "Campaign", "Template", "SharedSearch")
    await alike(bob, world.but(*shared), own)
    await alike_streams(bob, world.of("private SavedSearch", "SharedSearch"))
    nodes = await bob.one("query($i:[ID!]!){nodes(ids:$i){id}}", i=world.of(*shared))
    assert [node["id"] for node in nodes] == world.of(*shared)
    found = await bob(CONNECTIONS, n=100)
    seen = json.dumps({**found, "groups": [{**group, "people": None} for group in found["groups"]["nodes"]]})
    assert not [text for text in world.all_but(*shared) if f'"{text}"' in seen]
    assert not [text for text in world.of(*shared) if f'"{text}"' not in seen]
    assert "Private" not in seen
    # Who is in a shared group is readable through it, private or not.
    group = next(group for group in found["groups"]["nodes"] if group["id"] in world.of("shared Group"))
    assert {each["id"] for each in group["people"]["nodes"]} == set(world.of("private Person")) | {
        each["id"] for each in group["people"]["nodes"] if each["name"] == "Shared"
    }
    assert await ann.raw(CONNECTIONS, n=100) == before


async def test_view_as_a_colleague_is_forbidden_for_members(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    await everything(quiet_server, ann, clock)
    for document in ALONE.values():
        with pytest.raises(Failed) as failed:
            await bob(document, id=ann.user_id)
        assert failed.value.codes == ["FORBIDDEN"]
        assert await bob(document, id=bob.user_id)
    with pytest.raises(Failed) as failed:
        await bob("{emails(filter:{everySender:true}){nodes{id}}}")
    assert failed.value.codes == ["FORBIDDEN"]
    assert failed.value.errors[0]["extensions"]["problems"][0]["path"] == ["filter", "everySender"]
    saving = {"name": "x", "filter": {"sender": [ann.user_id], "everySender": True}}
    refused = (await bob.one(SAVE, i=saving))["userErrors"]
    assert refused == [
        {"code": "FORBIDDEN", "path": ["input", "filter", "sender", "0"]},
        {"code": "FORBIDDEN", "path": ["input", "filter", "everySender"]},
    ]
    assert (await bob.one("{emails(filter:{everySender:false}){nodes{id}}}"))["nodes"] == []


async def test_subscriptions_of_counts_and_feeds_are_the_viewers_own(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    ada, max_ = await quiet_server.client("Ada", role=Role.ADMIN), await quiet_server.client("Max", "Bananas")
    began = (await ann.one(AS_OF))["asOf"]
    world = await everything(quiet_server, ann, clock)
    with pytest.raises(Failed) as failed:
        async with bob.follow(FOLLOW_COUNTS, id=ann.user_id) as stream:
            await stream.frame()
    assert failed.value.codes == ["FORBIDDEN"]
    for client, own in ((ann, True), (bob, False), (ada, False), (max_, False)):
        async with client.follow(FOLLOW_COUNTS) as stream:
            folders = (await stream.frame())["folders"]
        assert {bool(folder["emailCount"]) for folder in folders} == {own}
        assert ({folder["id"] for folder in folders} <= set(world.of("Folder"))) == own
        # The cursor is the team's, what it is read for is each user's own; to another team it is of another log.
        async with client.follow(FOLLOW_FEED, after=began) as stream:
            frames = [await stream.frame()]
            while frames[-1]["__typename"] == "EngagementRecorded":
                frames.append(await stream.frame())
        assert frames[-1]["__typename"] == ("CursorExpired" if client is max_ else "CaughtUp")
        assert [frame["engagementId"] for frame in frames[:-1]] == (world.of("Engagement")[::-1] if own else [])


async def test_admin_reads_emails_changes_none_and_sees_nothing_else(quiet_server: Server, clock: ManualClock) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    world = await everything(quiet_server, ann, clock)
    before = await ann.raw(CONNECTIONS, n=100)
    own = await belongings(ada, "ada")
    kinds = ("private Person", "private Group", "private SavedSearch", "SavedSearchMember", "Task")
    private = world.of(*kinds)
    await alike(ada, {kind: world.ids[kind] for kind in kinds}, own)
    await alike_streams(ada, world.of("private SavedSearch"))
    seen = await ada.one("query($i:[ID!]!){nodes(ids:$i){id}}", i=world.all_but())
    assert [node and node["id"] for node in seen] == [None if text in private else text for text in world.all_but()]

    for name in ("revise", "send"):
        done = json.loads(await answers(ada, "mutation", {name: WRITES[name]}, world.of("Email"), own))["data"]
        assert {(each["userErrors"][0]["code"], *each["userErrors"][0]["path"]) for each in done.values()} == {
            ("FORBIDDEN", "id")
        }
    for name in ("archive", "unarchive", "success", "retry", "delete"):
        done = json.loads(await answers(ada, "mutation", {name: WRITES[name]}, world.of("Email"), own))["data"]
        assert {(each["userErrors"][0]["code"], *each["userErrors"][0]["path"]) for each in done.values()} == {
            ("FORBIDDEN", "ids", "0")
        }
    assert await ann.raw(CONNECTIONS, n=100) == before


async def test_private_people_are_readable_only_by_visible_emails(quiet_server: Server, clock: ManualClock) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    world = await everything(quiet_server, ann, clock)
    document = "query($s:ID!){emails(filter:{sender:[$s]},first:200){nodes{body person{id name} actions}}}"
    nodes = (await ada.one(document, s=ann.user_id))["nodes"]
    people = {node["person"]["id"] for node in nodes if node["body"] == "secret"}
    assert people
    assert people <= set(world.of("private Person"))
    assert {node["person"]["name"] for node in nodes if node["body"] == "secret"} == {"Private"}
    assert {tuple(node["actions"]) for node in nodes} == {()}
    named = "query($p:[ID!]!){emails(filter:{everySender:true,person:$p}){nodes{id}}}"
    assert (await ada.one(named, p=list(people)))["nodes"] == []
    refused = await ada.one(SAVE, i={"name": "x", "filter": {"everySender": True, "person": list(people)}})
    assert refused["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "filter", "person", "0"]}]


async def test_an_admin_demoted_is_a_member_at_the_next_request(quiet_server: Server, clock: ManualClock) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    world = await everything(quiet_server, ann, clock)
    own = await belongings(ada, "ada")
    assert (await ada.one("query($id:ID!){email(id:$id){id}}", id=world.of("Email")[0])) is not None
    await quiet_server.user("Ada", role=Role.MEMBER)
    shared = ("User", "shared Person", "shared Group", "Campaign", "Template", "SharedSearch")
    await alike(ada, {kind: ids[:1] for kind, ids in world.but(*shared).items()}, own)
    for document in ALONE.values():
        with pytest.raises(Failed) as failed:
            await ada(document, id=ann.user_id)
        assert failed.value.codes == ["FORBIDDEN"]


async def test_without_the_scope_no_event_is_recorded(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann", scopes=())
    mail = (await belongings(ann, "ann"))["draft"]
    event = {"emailId": mail, "occurredAt": moment(clock), "dedupeKey": "1"}
    for document, kind in ((RECORD, "VIEW"), (REPORT, "BOUNCED")):
        answer = await ann.raw(document, e=[{**event, "kind": kind}])
        assert answer["data"] is None
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    reclassify = 'mutation{engagementReclassify(ids:["x"],verdict:SELF){engagements{id}}}'
    answer = await ann.raw(reclassify)
    assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == (None, "FORBIDDEN")
    assert (await ann.one("{engagements{nodes{id}}}"))["nodes"] == []


def bad_tokens(good: str) -> dict[str, str | None]:
    claims = jwt.decode(good, options={"verify_signature": False})
    past = {**claims, "exp": claims["iat"] - 60}
    return {
        "missing": None,
        "empty": "Bearer",
        "of another scheme": f"Basic {good}",
        "garbage": "Bearer garbage",
        "expired": f"Bearer {jwt.encode(past, SECRET, algorithm='HS256')}",
        "signed by another": f"Bearer {jwt.encode(claims, SECRET + '!', algorithm='HS256')}",
        "unsigned": f"Bearer {jwt.encode(claims, '', algorithm='none')}",
        "without an end": f"Bearer {jwt.encode({**claims, 'exp': None}, SECRET, algorithm='HS256')}",
        "of nobody": f"Bearer {jwt.encode({**claims, 'sub': '987654'}, SECRET, algorithm='HS256')}",
        "of another team": f"Bearer {jwt.encode({**claims, 'team': 987654}, SECRET, algorithm='HS256')}",
        "tampered with": f"Bearer {good[:-4]}AAAA",
    }


async def test_a_bad_token_is_refused_over_http_and_over_a_socket(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    for what, header in bad_tokens(ann.token).items():
        headers = {} if header is None else {"Authorization": header}
        posted = await ann.http.post(f"{ann.url}/graphql", json={"query": "{viewer{id}}"}, headers=headers)
        got = await ann.http.get(f"{ann.url}/graphql", params={"query": "{viewer{id}}"}, headers=headers)
        for answer in (posted, got):
            assert (answer.status_code, what) == (httpx.codes.UNAUTHORIZED, what)
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert "data" not in answer.json()
        assert await socket_closes(ann.url, headers) == 4403, what
    assert await socket_closes(ann.url, {"AUTHORIZATION": f"Bearer {ann.token}"}) is None


async def socket_closes(url: str, payload: Mapping[str, str]) -> int | None:
    """The code that a socket is closed with after connection_init; None where it is acknowledged."""
    address = url.replace("http://", "ws://") + "/graphql"
    protocol = websockets.Subprotocol("graphql-transport-ws")
    async with websockets.connect(address, subprotocols=[protocol], compression=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        try:
            assert json.loads(await socket.recv())["type"] == "connection_ack"
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 0
        return None


async def test_only_public_routes_answer_without_a_token(quiet_server: Server) -> None:
    async with httpx.AsyncClient(base_url=quiet_server.url) as nobody:
        page = await nobody.get("/graphql", headers={"accept": "text/html"})
        assert page.headers["content-type"].startswith("text/")
        # Metrics are numbers about the process, and name nobody.
        for path in ("/healthz", "/readyz", "/metrics", "/t/o/garbage"):
            assert (await nobody.get(path)).status_code == httpx.codes.OK, path
        assert (await nobody.get("/t/c/garbage")).status_code == httpx.codes.NOT_FOUND
        asked = await nobody.get("/graphql", params={"query": "{viewer{id}}"}, headers={"accept": "text/html"})
        assert asked.status_code == httpx.codes.UNAUTHORIZED
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
            assert (await nobody.request(method, "/graphql")).status_code == httpx.codes.UNAUTHORIZED
        assert (await nobody.get("/")).headers["location"] == "/graphql"
        for path in ("/docs", "/schema", "/graphql/x", "/metrics/x", "/static", "/admin", "/t/", "/t/x/y"):
            assert (await nobody.get(path)).status_code in (401, 404), path


async def test_a_token_expires_while_its_bearer_asks(quiet_server: Server) -> None:
    user = await quiet_server.user("Ann")
    token = Tokens(SECRET).issue(user, (), timedelta(seconds=-1))
    async with httpx.AsyncClient(base_url=quiet_server.url) as nobody:
        answer = await nobody.post(
            "/graphql", json={"query": "{viewer{id}}"}, headers={"authorization": f"bearer {token}"}
        )
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert "expired" in answer.json()["errors"][0]["message"]
