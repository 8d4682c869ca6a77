"""Keyset pages on every connection: both ways, exact ends, stable while rows come and go, cursors that cannot lie."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from command_center import ids as global_ids
from models.enums import Role
from tests.support.emails import RECORD, create_draft, create_person, moment, send_due_emails, send_email
from tests.support.server import Client, Failed, ManualClock, Server

pytestmark = pytest.mark.slow

PAGE = """pageInfo{hasNextPage hasPreviousPage startCursor endCursor} edges{cursor node{id}} nodes{id}"""
VARIABLES = "$first:Int,$after:String,$last:Int,$before:String"
PAGING = "first:$first,after:$after,last:$last,before:$before"
# Every connection of the API: where it hangs, and under which node.
ROOTS = (
    *("users", "emails", "people", "groups", "campaigns", "templates", "savedSearches", "sharedSearches"),
    *("engagements", "tasks"),
)
BELOW = (
    ("Email", "engagements"),
    ("Email", "tasks"),
    ("Group", "people"),
    ("Campaign", "emails"),
    ("Folder", "emails"),
    ("BulkSend", "emails"),
    ("SavedSearch", "members"),
)
EMAILS = f"query($order:EmailOrder,{VARIABLES}){{emails(orderBy:$order,{PAGING}){{{PAGE}}}}}"
ORDERED = """query($order:EmailOrder){emails(orderBy:$order,first:200){nodes{id subject createdAt updatedAt scheduledAt
    sentAt failedAt engagementSummary{latest{occurredAt}}}}}"""
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds userErrors{code}}}"
REVISE = "mutation($id:ID!,$i:EmailReviseInput!){emailRevise(id:$id,input:$i){userErrors{code}}}"
SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id} userErrors{code}}}"
MAKE = """mutation($n:String!,$t:TemplateInput!){
    groupCreate(name:$n){group{id}} campaignCreate(name:$n){campaign{id}} templateCreate(input:$t){template{id}}}"""
TASK = "mutation($i:TaskCreateInput!){taskCreate(input:$i){userErrors{code}}}"
BULK = "mutation($i:SelectAndSendInput!){emailSelectAndSend(input:$i){bulkSend{id} userErrors{code}}}"
ADD = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){userErrors{code}}}"


def documents(nodes: Mapping[str, str]) -> dict[str, str]:
    """A document for each connection, by its name."""
    made = {name: f"query({VARIABLES}){{{name}({PAGING}){{{PAGE}}}}}" for name in ROOTS}
    for noun, field in BELOW:
        inner = f"... on {noun}{{{field}({PAGING}){{{PAGE}}}}}"
        made[f"{noun}.{field}"] = f'query({VARIABLES}){{node(id:"{nodes[noun]}"){{{inner}}}}}'
    return made


async def page(client: Client, document: str, **arguments: Any) -> dict[str, Any]:
    """One page, its edges and nodes found to agree with each other."""
    answer = await client.one(document, **arguments)
    found: dict[str, Any] = answer if "pageInfo" in answer else next(iter(answer.values()))
    ids = [edge["node"]["id"] for edge in found["edges"]]
    assert ids == [node["id"] for node in found["nodes"]]
    info = found["pageInfo"]
    ends = (found["edges"][0]["cursor"], found["edges"][-1]["cursor"]) if ids else (None, None)
    assert (info["startCursor"], info["endCursor"]) == ends
    return {"ids": ids, **info}


async def walk(
    client: Client, document: str, size: int, backwards: bool = False, **more: Any
) -> AsyncIterator[dict[str, Any]]:
    """Page after page to the end of one way."""
    count, place, end, further = (
        ("last", "before", "startCursor", "hasPreviousPage")
        if backwards
        else ("first", "after", "endCursor", "hasNextPage")
    )
    cursor = None
    while True:
        found = await page(client, document, **{count: size, place: cursor}, **more)
        yield found
        if not found[further]:
            return
        cursor = found[end]


async def world(server: Server, client: Client, clock: ManualClock, rows: int) -> dict[str, str]:
    """So many rows in every connection, some of them at the same moment; nodes that connections hang on."""
    nodes: dict[str, str] = {}
    people: list[str] = []
    for number in range(rows):
        if number % 3 == 0:
            clock.advance(timedelta(seconds=1))
        await server.user(f"User{number}")
        template = {"name": f"T{number}", "subject": "S", "body": "B"}
        made = await client(MAKE, n=f"N{number}", t=template)
        nodes.setdefault("Campaign", made["campaignCreate"]["campaign"]["id"])
        nodes.setdefault("Group", made["groupCreate"]["group"]["id"])
        people.append(await create_person(client, f"p{number}@example.org"))
        email = await create_draft(client, people[-1], campaignId=nodes["Campaign"])
        nodes.setdefault("Email", email)
        await client.one(SAVE, i={"name": f"L{number}", "filter": {"folder": ["DRAFT"]}, "shared": True})
        event = {"kind": "VIEW", "occurredAt": moment(clock), "emailId": nodes["Email"], "dedupeKey": f"{number}"}
        assert (await client.one(RECORD, e=[event]))["recorded"] == 1
        task = {"name": "N", "kind": "CALL", "emailId": nodes["Email"], "personId": people[0]}
        task |= {"dueOn": f"2023-11-{20 + number % 3}", "priority": "HIGH" if number % 2 else "NORMAL"}
        assert (await client.one(TASK, i=task))["userErrors"] == []
    await client.one(ADD, id=nodes["Group"], p=people)
    many = {"personIds": people, "subject": "S", "body": "B", "at": moment(clock, 60)}
    nodes["BulkSend"] = (await client.one(BULK, i=many))["bulkSend"]["id"]
    nodes["Folder"] = (await client.one("{folder(name:DRAFT){id}}"))["id"]
    nodes["SavedSearch"] = (await client.one("{savedSearches(last:1){nodes{id}}}"))["nodes"][0]["id"]
    await server.settle()
    return nodes


async def test_every_connection_is_walked_both_ways_with_exact_ends(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    nodes = await world(quiet_server, ann, clock, 7)
    more = {"users": 8, "emails": 14}
    for name, document in documents(nodes).items():
        whole = await page(ann, document, first=200)
        ids = whole["ids"]
        assert len(ids) == len(set(ids)) == more.get(name, 7), name
        assert not whole["hasNextPage"], name
        assert not whole["hasPreviousPage"], name
        assert (await page(ann, document))["ids"] == (await page(ann, document, last=200))["ids"] == ids, name
        for size in (3, len(ids)):
            forth = [found async for found in walk(ann, document, size)]
            assert [each for found in forth for each in found["ids"]] == ids, name
            assert [found["hasPreviousPage"] for found in forth] == [bool(n) for n in range(len(forth))], name
            back = [found async for found in walk(ann, document, size, backwards=True)]
            assert [each for found in reversed(back) for each in found["ids"]] == ids, name
            assert [found["hasNextPage"] for found in back] == [bool(n) for n in range(len(back))], name
        second, last = (await page(ann, document, first=2))["endCursor"], whole["endCursor"]
        inside = await page(ann, document, first=2, after=second, before=last)
        assert (inside["ids"], inside["hasNextPage"], inside["hasPreviousPage"]) == (ids[2:4], True, True), name
        inside = await page(ann, document, last=2, after=second, before=last)
        assert (inside["ids"], inside["hasNextPage"], inside["hasPreviousPage"]) == (ids[-3:-1], True, True), name
        beyond = await page(ann, document, after=last)
        assert (beyond["ids"], beyond["hasNextPage"], beyond["hasPreviousPage"]) == ([], False, True), name
        beyond = await page(ann, document, last=5, before=whole["startCursor"])
        assert (beyond["ids"], beyond["hasNextPage"], beyond["hasPreviousPage"]) == ([], True, False), name


async def test_pages_have_bounds(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    nodes = await world(quiet_server, ann, clock, 2)
    for name, document in documents(nodes).items():
        for arguments in ({"first": 1, "last": 1}, {"first": 201}, {"last": 201}, {"first": -1}, {"last": -1}):
            with pytest.raises(Failed) as failed:
                await page(ann, document, **arguments)
            assert failed.value.codes == ["BAD_USER_INPUT"], (name, arguments)
        empty = await page(ann, document, first=0)
        assert (empty["ids"], empty["hasNextPage"], empty["hasPreviousPage"]) == ([], True, False), name
        empty = await page(ann, document, last=0)
        assert (empty["ids"], empty["hasNextPage"], empty["hasPreviousPage"]) == ([], False, True), name
    templates = "".join(f't{n}:templateCreate(input:{{name:"x",subject:"x",body:""}}){{__typename}}' for n in range(20))
    for _ in range(3):
        await ann(f"mutation{{{templates}}}")
    default = await page(ann, documents(nodes)["templates"])
    assert (len(default["ids"]), default["hasNextPage"]) == (50, True)
    assert len((await page(ann, documents(nodes)["templates"], last=200))["ids"]) == 62
    nulls = await page(ann, documents(nodes)["templates"], first=None, after=None, last=None, before=None)
    assert nulls == default


def forged(cursor: str, change: Callable[[list[Any]], Any]) -> str:
    plain = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return base64.urlsafe_b64encode(json.dumps(change(plain)).encode()).rstrip(b"=").decode()


async def test_malformed_cursors_and_those_of_other_orders_are_refused(
    quiet_server: Server, clock: ManualClock
) -> None:
    ann = await quiet_server.client("Ann")
    nodes = await world(quiet_server, ann, clock, 2)
    wrong: list[Callable[[list[Any]], Any]] = [
        lambda place: [],
        lambda place: {"a": 1},
        lambda place: place[:-1],
        lambda place: [*place, 1],
        lambda place: [*place[:-1], "7"],
        lambda place: [*place[:-1], None],
        lambda place: [*place[:-1], 2**70],
        lambda place: [*place[:-1], [1]],
        lambda place: [*place[:-1], True],
        lambda place: ["another", *place[1:]],
        lambda place: [place[0], *("x" for _ in place[1:])],
        lambda place: [place[0], *(2**61 for _ in place[1:-1]), "x"],
        lambda place: [place[0], *(None for _ in place[1:])],
    ]
    first: list[Any] = [2**61, "x", "2026-W01-1", "20260101", "2026-02-30", "10000-01-01"]
    moments = [lambda place, value=value: [place[0], value, *place[2:]] for value in first]
    most = [lambda place: [*place[:2], 3, place[-1]], lambda place: [*place[:2], 2**40, place[-1]]]
    for name, document in documents(nodes).items():
        good = (await page(ann, document, first=1))["endCursor"]
        changes = wrong if name == "SavedSearch.members" else [*wrong, *moments]
        changes = [*changes, *most] if "tasks" in name else changes
        bad = ["", "x", "é", "!!!", good[:-2], good + "x", "A" * 5000, *(forged(good, change) for change in changes)]
        for number, cursor in enumerate(bad):
            with pytest.raises(Failed) as failed:
                await page(ann, document, **({"last": 1, "before": cursor} if number % 2 else {"after": cursor}))
            assert failed.value.codes == ["BAD_USER_INPUT"], (name, cursor)
    orders = [{"field": field, "direction": way} for field in ("SUBJECT", "CREATED_AT") for way in ("ASC", "DESC")]
    for mine in orders:
        cursor = (await page(ann, EMAILS, order=mine, first=1))["endCursor"]
        for other in orders:
            if mine != other:
                with pytest.raises(Failed) as failed:
                    await page(ann, EMAILS, order=other, after=cursor)
                assert failed.value.codes == ["BAD_USER_INPUT"]


async def test_a_cursor_of_one_kind_of_connection_is_refused_by_others(
    quiet_server: Server, clock: ManualClock
) -> None:
    ann = await quiet_server.client("Ann")
    made = documents(await world(quiet_server, ann, clock, 2))
    kinds = {name: name.rpartition(".")[2] for name in made} | {"SavedSearch.members": "members"}
    cursors = {name: (await page(ann, document, first=1))["endCursor"] for name, document in made.items()}
    for name, document in made.items():
        for other, cursor in cursors.items():
            if kinds[name] == kinds[other]:
                await page(ann, document, after=cursor)
                continue
            with pytest.raises(Failed) as failed:
                await page(ann, document, after=cursor)
            assert failed.value.codes == ["BAD_USER_INPUT"], (name, other)


async def test_pages_repeat_and_miss_nothing_while_rows_change(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "p@example.org")
    mail = [await create_draft(ann, to, f"{n:02}") for n in range(12)]
    for backwards in (False, True):
        whole = (await page(ann, EMAILS, first=200))["ids"]
        seen: list[str] = []
        gone: set[str] = set()
        async for found in walk(ann, EMAILS, 3, backwards):
            seen += found["ids"]
            clock.advance(timedelta(seconds=1))
            # The row at the cursor, one that was seen and one that is to come are deleted, and others are added.
            unseen = [each for each in whole if each not in seen and each not in gone]
            doomed = [found["ids"][0 if backwards else -1], *unseen[len(unseen) // 2 :][:1]] if found["ids"] else []
            deleted = (await ann.one(DELETE, ids=doomed[: 2 if len(gone) < 4 else 0]))["deletedIds"]
            gone.update(deleted)
            await create_draft(ann, to, "new")
        assert len(seen) == len(set(seen))
        assert set(whole) - gone <= set(seen)
        assert set(seen) & set(whole) <= set(whole)
        if not backwards:
            assert set(seen) <= set(whole)
    assert len(mail) == 12


KEYS = {
    "CREATED_AT": "createdAt",
    "UPDATED_AT": "updatedAt",
    "SCHEDULED_AT": "scheduledAt",
    "SENT_AT": "sentAt",
    "FAILED_AT": "failedAt",
}


def key_of(node: dict[str, Any], field: str) -> str | None:
    if field == "LATEST_ACTIVITY":
        latest = node["engagementSummary"]["latest"]
        return latest["occurredAt"] if latest else None
    value = node["subject"].casefold() if field == "SUBJECT" else node[KEYS[field]]
    return None if value is None else str(value)


def row_of(node: dict[str, Any]) -> int:
    return global_ids.decode_key("Email", node["id"]) or 0


async def test_emails_are_sorted_with_absent_dates_last_and_ties_by_id(
    quiet_server: Server, clock: ManualClock
) -> None:
    ann = await quiet_server.client("Ann", role=Role.MEMBER)
    subjects = ["b", "A", "ß", "a", "B", "SS", "c", "a", "z", "Ä", "C", "b"]
    for number, subject in enumerate(subjects):
        if number % 4:
            clock.advance(timedelta(seconds=1))
        name = "failed" if number % 3 == 2 else "ok"
        mail = await create_draft(ann, await create_person(ann, f"{name}{number}@example.org"), subject)
        if number % 3 == 0:
            await send_email(ann, mail, moment(clock, 600 + number // 6))
        elif number % 6 < 5:
            await send_email(ann, mail)
            await send_due_emails(quiet_server)
        if number % 2:
            verdict = "HUMAN" if number % 4 == 1 else "MACHINE"
            event = {"emailId": mail, "kind": "VIEW", "occurredAt": moment(clock, -100 + number // 6)}
            assert (await ann.one(RECORD, e=[{**event, "dedupeKey": f"{number}", "verdict": verdict}]))["recorded"] == 1
    await ann.one(REVISE, id=(await page(ann, EMAILS, last=1))["ids"][0], i={"body": "later"})
    for field in (*KEYS, "LATEST_ACTIVITY", "SUBJECT"):
        for way in ("ASC", "DESC"):
            order = {"field": field, "direction": way}
            nodes = (await ann.one(ORDERED, order=order))["nodes"]
            assert len(nodes) == len(subjects)
            keys = [key_of(node, field) for node in nodes]
            present = [(key, row_of(node)) for key, node in zip(keys, nodes, strict=True) if key is not None]
            absent = [row_of(node) for key, node in zip(keys, nodes, strict=True) if key is None]
            assert present == sorted(present, reverse=way == "DESC"), (field, way)
            assert keys == [key for key, _ in present] + [None] * len(absent), (field, way)
            assert absent == sorted(absent, reverse=way == "DESC"), (field, way)
            ids = [node["id"] for node in nodes]
            for backwards in (False, True):
                pages = [found["ids"] async for found in walk(ann, EMAILS, 5, backwards, order=order)]
                assert [each for part in (reversed(pages) if backwards else pages) for each in part] == ids
    newest = (await ann.one(ORDERED, order={"field": "SENT_AT"}))["nodes"]
    assert newest == (await ann.one(ORDERED, order={"field": "SENT_AT", "direction": "DESC"}))["nodes"]
    assert [node["id"] for node in (await ann.one(ORDERED, order=None))["nodes"]] == [
        node["id"] for node in (await ann.one(ORDERED, order={"field": "CREATED_AT"}))["nodes"]
    ]


async def test_a_page_resumes_after_a_date_in_the_far_future(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    mail = [await create_draft(ann, await create_person(ann, f"p{n}@example.org")) for n in range(2)]
    for each, year in zip(mail, ("9999", "4000"), strict=True):
        await send_email(ann, each, f"{year}-12-31T23:59:59.999999Z")
    pages = [found["ids"] async for found in walk(ann, EMAILS, 1, order={"field": "SCHEDULED_AT"})]
    assert pages == [[mail[0]], [mail[1]]]
