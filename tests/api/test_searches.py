"""Saved searches as lists: created, renamed, refined, published, adopted, deleted, and what their streams say of it."""

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from command_center.changes import log
from models.enums import Role
from tests.support.emails import RECORD, create_draft, create_person, moment
from tests.support.server import Client, Completed, Failed, ManualClock, Server, Stream

SHOW = "id name shared state memberCount filter summary createdAt updatedAt owner{name}"
ERRORS = "userErrors{message path code}"
CREATE = f"mutation($i:SavedSearchCreateInput!){{savedSearchCreate(input:$i){{savedSearch{{{SHOW}}} {ERRORS}}}}}"
RENAME = f"mutation($id:ID!,$n:String!){{savedSearchRename(id:$id,name:$n){{savedSearch{{{SHOW}}} {ERRORS}}}}}"
REFINE = f"mutation($id:ID!,$f:EmailFilter!){{savedSearchRefine(id:$id,filter:$f){{savedSearch{{{SHOW}}} {ERRORS}}}}}"
SHARE = f"mutation($id:ID!,$s:Boolean!){{savedSearchShare(id:$id,shared:$s){{savedSearch{{{SHOW}}} {ERRORS}}}}}"
ADOPT = f"mutation($id:ID!,$n:String){{savedSearchAdopt(sharedSearchId:$id,name:$n){{savedSearch{{{SHOW}}} {ERRORS}}}}}"
DELETE = f"mutation($id:ID!){{savedSearchDelete(id:$id){{deletedIds {ERRORS}}}}}"
SEARCH = f"""query($id:ID!){{savedSearch(id:$id){{{SHOW} members{{asOf nodes{{id joinedAt email{{id}}
    savedSearch{{id}} cause{{kind engagement{{kind}}}}}}}}}}}}"""
LISTS = f"{{savedSearches{{asOf nodes{{{SHOW}}}}} sharedSearches{{nodes{{id name filter summary owner{{name}}}}}}}}"
FRAME = """__typename ... on Change{cursor}
    ... on MemberJoined{savedSearchId memberId emailId member{email{subject} cause{kind}}}
    ... on MemberLeft{savedSearchId memberId emailId cause{kind}}
    ... on SavedSearchUpserted{savedSearchId savedSearch{name state shared}}
    ... on SavedSearchReset{savedSearchId savedSearch{memberCount}}
    ... on SavedSearchDeleted{savedSearchId}"""
FOLLOW = f"subscription($id:ID!,$after:ChangeCursor){{savedSearchChanges(savedSearchId:$id,after:$after){{{FRAME}}}}}"
FOLLOW_ALL = f"subscription($after:ChangeCursor){{allSavedSearchChanges(after:$after){{{FRAME}}}}}"
GROUP = 'mutation($s:Boolean!){groupCreate(name:"G",shared:$s){group{id}}}'
ADD = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){userErrors{code}}}"
REMOVE = "mutation($id:ID!,$p:[ID!]!){groupRemovePeople(id:$id,personIds:$p){userErrors{code}}}"
DELETE_EMAIL = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds}}"
EXPLAIN = """query($id:ID!,$e:ID!){savedSearch(id:$id){explain(emailId:$e){
    matches leaves{path summary holds actual}}}}"""
NODE = "query($id:ID!){node(id:$id){id}}"
DRAFTS: dict[str, Any] = {"folder": ["DRAFT"]}


async def save(client: Client, filter: dict[str, Any], **more: Any) -> str:
    made = await client.one(CREATE, i={"name": "List", "filter": filter, **more})
    assert made["userErrors"] == []
    return str(made["savedSearch"]["id"])


async def frames(stream: Stream, count: int) -> list[dict[str, Any]]:
    return [await stream.frame() for _ in range(count)]


def kinds(frames: Sequence[dict[str, Any]]) -> list[str]:
    return [frame["__typename"] for frame in frames]


def codes(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(error["code"], error["path"]) for error in answer["userErrors"]]


async def members(client: Client, search: str) -> dict[str, str]:
    """The emails of a list, newest stay first, each with the kind of its cause."""
    found = await client.one(SEARCH, id=search)
    nodes = found["members"]["nodes"]
    assert found["memberCount"] == len(nodes)
    assert {node["savedSearch"]["id"] for node in nodes} <= {search}
    return {node["email"]["id"]: node["cause"]["kind"] for node in nodes}


async def test_a_list_is_built_renamed_refined_and_published(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = [await create_draft(ann, await create_person(ann, f"p{n}@example.org"), f"S{n}") for n in range(3)]
    made = (await ann.one(CREATE, i={"name": " Drafts ", "filter": DRAFTS}))["savedSearch"]
    search = made["id"]
    assert (made["name"], made["state"], made["memberCount"], made["shared"]) == ("Drafts", "BUILDING", 0, False)
    assert (made["filter"], made["owner"], made["createdAt"]) == (DRAFTS, {"name": "Ann"}, moment(clock))
    await quiet_server.settle()
    assert await members(ann, search) == dict.fromkeys(reversed(mail), "SEARCH_CHANGED")
    stays = {node["email"]["id"]: node["id"] for node in (await ann.one(SEARCH, id=search))["members"]["nodes"]}
    clock.advance(timedelta(seconds=1))
    renamed = (await ann.one(RENAME, id=search, n=" Other "))["savedSearch"]
    assert (renamed["name"], renamed["state"], renamed["updatedAt"]) == ("Other", "LIVE", moment(clock))
    shared = (await ann.one(SHARE, id=search, s=True))["savedSearch"]
    assert shared["shared"] is True
    refined = (await ann.one(REFINE, id=search, f={"subject": {"contains": "s1"}}))["savedSearch"]
    assert refined["filter"] == {"subject": {"contains": "s1"}}
    await quiet_server.settle()
    assert list(await members(ann, search)) == [mail[1]]
    # A stay that persists keeps its id; coming back makes a new one.
    await ann.one(REFINE, id=search, f=DRAFTS)
    await quiet_server.settle()
    again = {node["email"]["id"]: node["id"] for node in (await ann.one(SEARCH, id=search))["members"]["nodes"]}
    assert {each: again[each] == stays[each] for each in mail} == {mail[0]: False, mail[1]: True, mail[2]: False}
    assert codes(await ann.one(CREATE, i={"name": " ", "filter": {}})) == [("BLANK", ["input", "name"])]
    assert codes(await ann.one(RENAME, id=search, n="x" * 201)) == [("TOO_LONG", ["name"])]
    gone = await ann.one(DELETE, id=search)
    assert (gone["deletedIds"], gone["userErrors"]) == ([search], [])
    await quiet_server.settle()
    assert [await ann.one(NODE, id=each) for each in (search, *again.values())] == [None] * 4
    assert await ann.one(NODE, id=mail[0]) == {"id": mail[0]}
    for document, more in ((DELETE, {}), (RENAME, {"n": "x"}), (REFINE, {"f": {}}), (SHARE, {"s": True})):
        assert codes(await ann.one(document, id=search, **more)) == [("NOT_FOUND", ["id"])]


async def test_a_stream_shows_the_changes_of_a_list_until_its_deletion(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    await create_draft(ann, await create_person(ann, "p0@example.org"))
    start = (await ann.one("{savedSearches{asOf}}"))["asOf"]
    search = await save(ann, DRAFTS)
    async with ann.follow(FOLLOW, id=search) as one, ann.follow(FOLLOW_ALL, after=start) as every:
        assert kinds(await frames(one, 1)) == ["CaughtUp"]
        first = await frames(every, 2)
        assert kinds(first) == ["SavedSearchUpserted", "CaughtUp"]
        assert first[0]["savedSearch"] == {"name": "List", "state": "BUILDING", "shared": False}
        await quiet_server.settle()
        # A frame shows the list as it is when it is told: both are heard before the next thing is done.
        built = await frames(one, 2)
        assert await frames(every, 2) == built
        assert kinds(built) == ["SavedSearchUpserted", "SavedSearchReset"]
        assert built[0]["savedSearch"]["state"] == "LIVE"
        assert built[1]["savedSearch"] == {"memberCount": 1}
        mail = await create_draft(ann, await create_person(ann, "p1@example.org"), "Second")
        await quiet_server.settle()
        (joined,) = await frames(one, 1)
        assert await frames(every, 1) == [joined]
        assert (joined["__typename"], joined["emailId"], joined["savedSearchId"]) == ("MemberJoined", mail, search)
        assert joined["member"] == {"email": {"subject": "Second"}, "cause": {"kind": "EMAIL_CHANGED"}}
        await ann.one(RENAME, id=search, n="New")
        upserted = await frames(one, 1)
        assert await frames(every, 1) == upserted
        await ann.one(SHARE, id=search, s=True)
        upserted += await frames(one, 1)
        assert await frames(every, 1) == upserted[1:]
        assert [frame["savedSearch"]["name"] for frame in upserted] == ["New", "New"]
        assert upserted[1]["savedSearch"]["shared"] is True
        # A refinement is one Reset, even to no effect.
        resets = []
        for filter, count in ((DRAFTS, 2), ({"subject": {"equals": "second"}}, 1)):
            await ann.one(REFINE, id=search, f=filter)
            await quiet_server.settle()
            (reset,) = await frames(one, 1)
            assert await frames(every, 1) == [reset]
            resets.append(reset)
            assert (reset["__typename"], reset["savedSearch"]) == ("SavedSearchReset", {"memberCount": count})
        await ann.one(DELETE, id=search)
        (deleted,) = await frames(one, 1)
        assert await frames(every, 1) == [deleted]
        assert (deleted["__typename"], deleted["savedSearchId"]) == ("SavedSearchDeleted", search)
        with pytest.raises(Completed):
            await one.frame()
        await quiet_server.settle()
        other = await save(ann, {})
        await quiet_server.settle()
        rest = await frames(every, 3)
        assert [(frame["__typename"], frame["savedSearchId"]) for frame in rest] == [
            ("SavedSearchUpserted", other),
            ("SavedSearchUpserted", other),
            ("SavedSearchReset", other),
        ]
        assert await every.quiet()
    # Who was away while the list was deleted hears all of it, objects that are gone being null, and is let go.
    async with ann.follow(FOLLOW, id=search, after=built[1]["cursor"]) as late:
        told = await frames(late, 6)
        assert [frame["cursor"] for frame in told] == [
            frame["cursor"] for frame in (joined, *upserted, *resets, deleted)
        ]
        assert (told[0]["member"], told[1]["savedSearch"], told[3]["savedSearch"]) == (None, None, None)
        with pytest.raises(Completed):
            await late.frame()
    with pytest.raises(Failed):
        async with ann.follow(FOLLOW, id=search) as nothing:
            await nothing.frame()


async def test_cursors_beyond_the_log_expire_and_malformed_ones_fail(quiet_server: Server, clock: ManualClock) -> None:
    ann, max_ = await quiet_server.client("Ann"), await quiet_server.client("Max", "Bananas")
    old = (await ann.one("{savedSearches{asOf}}"))["asOf"]
    search = await save(ann, DRAFTS)
    await save(max_, DRAFTS)
    await quiet_server.settle()
    foreign = (await max_.one("{savedSearches{asOf}}"))["asOf"]
    clock.advance(timedelta(days=31))
    teams = await log.find_stale_teams(clock.moment)
    async with quiet_server.engine.ctx.writer.unit_of_work() as uow:
        assert [await log.trim(uow.connection, team, clock.moment) for team in teams] == [3, 3]
    fresh = (await ann.one("{savedSearches{asOf}}"))["asOf"]
    await ann.one(RENAME, id=search, n="After")
    plain = base64.urlsafe_b64decode(fresh + "=" * (-len(fresh) % 4)).decode()
    name, position, rest = plain.split(".", 2)
    beyond = base64.urlsafe_b64encode(f"{name}.{int(position) + 2}.{rest}".encode()).rstrip(b"=").decode()
    for document, variables in ((FOLLOW, {"id": search}), (FOLLOW_ALL, {})):
        for cursor in (old, foreign, beyond):
            async with ann.follow(document, after=cursor, **variables) as stream:
                assert await stream.frame() == {"__typename": "CursorExpired", "cursor": cursor}
                with pytest.raises(Completed):
                    await stream.frame()
        async with ann.follow(document, after=fresh, **variables) as stream:
            assert kinds(await frames(stream, 2)) == ["SavedSearchUpserted", "CaughtUp"]
        for cursor in ("", "x", "é", f"{fresh}x", plain, base64.urlsafe_b64encode(b"log.-1").decode()):
            with pytest.raises(Failed) as failed:
                async with ann.follow(document, after=cursor, **variables) as stream:
                    await stream.frame()
            assert failed.value.codes == ["BAD_USER_INPUT"], cursor
            assert [each["path"] for each in failed.value.errors[0]["extensions"]["problems"]] == [["after"]]
        async with ann.follow(document, after=None, **variables) as stream:
            assert kinds(await frames(stream, 1)) == ["CaughtUp"]


async def test_a_published_definition_is_adopted_over_ones_own_mail(quiet_server: Server) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    to = await create_person(ann, "p@example.org")
    anns, adas = await create_draft(ann, to), await create_draft(ada, to)
    deeper: dict[str, Any] = {"not": {"sender": []}}
    wide = {"sender": [ada.user_id, ann.user_id], **DRAFTS, **deeper}
    published = await save(ada, wide, name="Everybody's", shared=True)
    every = await save(ada, {"everySender": True}, shared=True)
    private = await save(ada, DRAFTS)
    await quiet_server.settle()
    assert set(await members(ada, published)) == set(await members(ada, every)) == {anns, adas}
    assert (await ann(LISTS))["savedSearches"]["nodes"] == []
    definitions = (await ann(LISTS))["sharedSearches"]["nodes"]
    assert [(each["name"], each["owner"], each["filter"]) for each in definitions] == [
        ("List", {"name": "Ada"}, {"everySender": True}),
        ("Everybody's", {"name": "Ada"}, {"not": {"sender": []}, "folder": ["DRAFT"], "sender": wide["sender"]}),
    ]
    assert not {each["id"] for each in definitions} & {published, every, private}
    adopted = [(await ann.one(ADOPT, id=each["id"]))["savedSearch"] for each in definitions]
    assert [(each["name"], each["filter"], each["shared"], each["owner"]) for each in adopted] == [
        ("List", {}, False, {"name": "Ann"}),
        ("Everybody's", {"not": {"sender": []}, "folder": ["DRAFT"]}, False, {"name": "Ann"}),
    ]
    await quiet_server.settle()
    assert [list(await members(ann, each["id"])) for each in adopted] == [[anns], [anns]]
    own = (await ada.one(ADOPT, id=definitions[1]["id"], n="Mine"))["savedSearch"]
    await quiet_server.settle()
    assert (own["name"], list(await members(ada, own["id"]))) == ("Mine", [adas])
    # What is withdrawn cannot be adopted any more; what was adopted stays.
    await ada.one(SHARE, id=published, s=False)
    await ada.one(DELETE, id=every)
    assert (await ann(LISTS))["sharedSearches"]["nodes"] == []
    for each in definitions:
        assert codes(await ann.one(ADOPT, id=each["id"])) == [("NOT_FOUND", ["sharedSearchId"])]
        assert await ann.one(NODE, id=each["id"]) is None
    assert len((await ann(LISTS))["savedSearches"]["nodes"]) == 2
    assert codes(await ann.one(ADOPT, id=published)) == [("NOT_FOUND", ["sharedSearchId"])]


async def test_adopting_a_filter_with_private_ids_is_not_found(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    groups = [(await ann.one(GROUP, s=flag))["group"]["id"] for flag in (False, True)]
    filter = {"any": [{"personGroup": groups[1:]}, {"personGroup": [groups[1], groups[0]]}]}
    await save(ann, filter, shared=True)
    (definition,) = (await bob(LISTS))["sharedSearches"]["nodes"]
    answer = await bob.one(ADOPT, id=definition["id"])
    assert codes(answer) == [("NOT_FOUND", ["sharedSearchId", "any", "1", "personGroup", "1"])]
    assert codes(await bob.one(ADOPT, id=definition["id"], n="")) == [
        ("BLANK", ["name"]),
        ("NOT_FOUND", ["sharedSearchId", "any", "1", "personGroup", "1"]),
    ]
    assert (await bob(LISTS))["savedSearches"]["nodes"] == []
    assert codes(await ann.one(ADOPT, id=definition["id"])) == []


async def test_rights_lost_and_won_change_a_list_member_by_member(quiet_server: Server) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    to = await create_person(ann, "p@example.org")
    anns, adas = await create_draft(ann, to), await create_draft(ada, to)
    every, named = await save(ada, {"everySender": True}), await save(ada, {"sender": [ann.user_id]})
    await quiet_server.settle()
    assert (set(await members(ada, every)), list(await members(ada, named))) == ({anns, adas}, [anns])
    async with ada.follow(FOLLOW_ALL) as stream:
        assert kinds(await frames(stream, 1)) == ["CaughtUp"]
        await quiet_server.user("Ada", role=Role.MEMBER)
        await quiet_server.settle()
        lost = await frames(stream, 2)
        await quiet_server.user("Ada", role=Role.ADMIN)
        await quiet_server.settle()
        won = await frames(stream, 2)
        assert await stream.quiet()
    for left, joined in zip(lost, won, strict=True):
        assert (left["__typename"], left["emailId"], left["cause"]) == ("MemberLeft", anns, {"kind": "ACCESS_CHANGED"})
        assert (joined["__typename"], joined["emailId"]) == ("MemberJoined", anns)
        assert joined["member"]["cause"] == {"kind": "ACCESS_CHANGED"}
    assert {frame["savedSearchId"] for frame in lost} == {frame["savedSearchId"] for frame in won} == {every, named}
    assert await members(ada, named) == {anns: "ACCESS_CHANGED"}


async def test_members_change_with_groups_events_and_their_own_fields(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    group = (await ann.one(GROUP, s=False))["group"]["id"]
    to = await create_person(ann, "p@example.org")
    mail = await create_draft(ann, to)
    search = await save(ann, {"personGroup": [group], "engagement": [{"kind": "REPLY", "atMost": 0}]})
    await quiet_server.settle()
    event = {"emailId": mail, "kind": "REPLY", "occurredAt": moment(clock), "dedupeKey": "1"}
    async with ann.follow(FOLLOW, id=search) as stream:
        await stream.until("CaughtUp")
        for document in (ADD, ADD, REMOVE, ADD):
            await ann.one(document, id=group, p=[to])
            await quiet_server.settle()
        told = await frames(stream, 3)
        assert kinds(told) == ["MemberJoined", "MemberLeft", "MemberJoined"]
        assert told[1]["cause"] == {"kind": "PERSON_CHANGED"}
        assert told[2]["member"]["cause"] == {"kind": "PERSON_CHANGED"}
        assert told[0]["memberId"] == told[1]["memberId"] != told[2]["memberId"]
        explained = (await ann.one(EXPLAIN, id=search, e=mail))["explain"]
        assert (explained["matches"], [leaf["holds"] for leaf in explained["leaves"]]) == (True, [True, True])
        assert [leaf["path"] for leaf in explained["leaves"]] == [["personGroup"], ["engagement", "0"]]
        # A stay that begins and ends between two looks is not announced.
        await ann.one(REMOVE, id=group, p=[to])
        await ann.one(ADD, id=group, p=[to])
        await quiet_server.settle()
        await ann.one(RECORD, e=[event])
        await quiet_server.settle()
        (left,) = await frames(stream, 1)
        assert (left["__typename"], left["memberId"]) == ("MemberLeft", told[2]["memberId"])
        assert left["cause"] == {"kind": "ENGAGEMENT"}
        assert await members(ann, search) == {}
        await ann.one(RECORD, e=[{**event, "dedupeKey": "2"}])
        await ann.one(REFINE, id=search, f={})
        await quiet_server.settle()
        assert kinds(await frames(stream, 1)) == ["SavedSearchReset"]
        await ann.one(DELETE_EMAIL, ids=[mail])
        assert (await ann.one(SEARCH, id=search))["members"]["nodes"] == []
        await quiet_server.settle()
        (deleted,) = await frames(stream, 1)
        assert (deleted["emailId"], deleted["cause"]) == (mail, {"kind": "EMAIL_CHANGED"})
    assert await members(ann, search) == {}
    assert (await ann.one(EXPLAIN, id=search, e=mail))["explain"] is None


async def test_a_page_and_the_stream_from_its_place_miss_nothing(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    search = await save(ann, DRAFTS)
    await quiet_server.settle()
    to = await create_person(ann, "p@example.org")
    known = [await create_draft(ann, to)]
    await quiet_server.settle()
    shown = (await ann.one(SEARCH, id=search))["members"]
    assert [node["email"]["id"] for node in shown["nodes"]] == known
    later = await create_draft(ann, to)
    await quiet_server.settle()
    for document, variables in ((FOLLOW, {"id": search}), (FOLLOW_ALL, {})):
        async with ann.follow(document, after=shown["asOf"], **variables) as stream:
            (joined, caught_up) = await frames(stream, 2)
            assert (joined["emailId"], caught_up["__typename"]) == (later, "CaughtUp")
            # A caught-up client's cursor leads on from there.
        async with ann.follow(document, after=caught_up["cursor"], **variables) as stream:
            assert kinds(await frames(stream, 1)) == ["CaughtUp"]
