"""Which tasks a filter holds for, and in which order they come."""

from datetime import timedelta
from typing import Any

import pytest

from command_center import ids as global_ids
from tests.support.emails import create_draft, create_person
from tests.support.server import Client, Failed, ManualClock, Server
from tests.support.tasks import COMPLETE, TASKS, create_task, day, find_task_names

CAMPAIGN = 'mutation{campaignCreate(name:"Spring"){campaign{id}}}'


async def test_fields_combine_by_and_and_the_elements_of_a_list_by_or(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora, emil = await create_person(ann, "dora@example.org"), await create_person(ann, "emil@example.org")
    campaigns = [(await ann.one(CAMPAIGN))["campaign"]["id"] for _ in range(2)]
    mail = [await create_draft(ann, dora, campaignId=campaigns[0]), await create_draft(ann, emil)]
    given: dict[str, dict[str, Any]] = {
        "a": {"personId": dora, "kind": "CALL", "emailId": mail[0]},
        "b": {"personId": emil, "kind": "EMAIL", "emailId": mail[1], "priority": "HIGH"},
        "c": {"personId": dora, "kind": "IN_MAIL", "assigneeId": bob.user_id, "emailId": mail[0]},
        "d": {"personId": emil, "kind": "CUSTOM", "dueOn": day(clock, 1)},
    }
    ids = {
        name: (await create_task(ann, name=name, **{"person_id": more.pop("personId"), "dueOn": day(clock), **more}))[
            "id"
        ]
        for name, more in given.items()
    }
    await ann.one(COMPLETE, ids=[ids["d"]])

    async def those(**filter: Any) -> str:
        return "".join(sorted(await find_task_names(ann, **filter)))

    assert await those() == await those(status=None, name=None, dueFrom=None) == "abcd"
    assert await those(status=["OPEN"]) == "abc"
    assert await those(status=["OPEN", "COMPLETE"]) == "abcd"
    assert await those(kind=["CALL", "CUSTOM"]) == "ad"
    assert await those(priority=["HIGH"]) == "b"
    assert await those(priority=["HIGH"], kind=["CALL"]) == ""
    assert await those(assignee=[bob.user_id]) == "c"
    assert await those(assignee=[bob.user_id, ann.user_id]) == "abcd"
    assert await those(person=[dora]) == "ac"
    assert await those(email=[mail[0], mail[1]]) == "abc"
    assert await those(campaign=[campaigns[0]]) == await those(campaign=campaigns) == "ac"
    assert await those(campaign=[campaigns[1]]) == ""
    assert await those(campaign=[campaigns[0]], person=[emil]) == ""
    assert await those(dueFrom=day(clock, 1)) == "d"
    assert await those(dueUntil=day(clock)) == "abc"
    assert await those(dueFrom=day(clock), dueUntil=day(clock, 1)) == "abcd"
    assert await those(dueFrom=day(clock, 1), dueUntil=day(clock)) == ""
    assert await those(bucket=["TODAY", "LATER"]) == "abc"
    assert await those(bucket=["TODAY"], status=["COMPLETE"]) == await those(bucket=["TOMORROW"]) == ""
    for field in ("status", "kind", "priority", "bucket", "assignee", "person", "email", "campaign"):
        assert await those(**{field: []}) == ""
        assert await those(**{"person": [dora], field: []}) == ""
    nowhere = {noun: global_ids.encode(noun, 987654) for noun in ("User", "Person", "Email", "Campaign")}
    for field, noun in (("assignee", "User"), ("person", "Person"), ("email", "Email"), ("campaign", "Campaign")):
        assert await those(**{field: [nowhere[noun], "x", "", ids["a"], "\ud800"]}) == ""
    assert await those(person=[nowhere["Person"], dora]) == "ac"
    assert "".join(sorted(await find_task_names(bob))) == "c"
    assert await find_task_names(bob, assignee=[ann.user_id]) == []


async def test_names_are_compared_regardless_of_case_and_composition(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    for name in ("Straße 100%", "a_b", "Cafe\u0301"):
        await create_task(ann, dora, name)

    async def named(**test: Any) -> list[str]:
        return await find_task_names(ann, name=test)

    assert await named(equals="STRASSE 100%") == await named(contains="sse 1") == ["Straße 100%"]
    assert await named(startsWith="STRA", endsWith="%") == ["Straße 100%"]
    assert await named(equals="CAF\u00c9") == ["Cafe\u0301"]
    assert await named(contains="%") == ["Straße 100%"]
    assert await named(contains="_") == ["a_b"]
    assert await named(contains="a%b") == await named(contains="\\") == await named(equals="a") == []
    assert len(await named()) == 3


async def test_an_invalid_filter_is_refused_with_all_paths(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    wrong: dict[str, Any] = {"name": {"contains": "", "equals": "x" * 1001, "endsWith": "\0"}, "person": ["x"] * 1001}
    with pytest.raises(Failed) as failed:
        await find_task_names(ann, **wrong)
    assert failed.value.codes == ["BAD_USER_INPUT"]
    problems = failed.value.errors[0]["extensions"]["problems"]
    assert sorted((problem["code"], problem["path"]) for problem in problems) == [
        ("INVALID", ["filter", "name", "contains"]),
        ("INVALID", ["filter", "name", "endsWith"]),
        ("INVALID", ["filter", "person"]),
        ("TOO_LONG", ["filter", "name", "equals"]),
    ]
    assert await find_task_names(ann, person=["x"] * 1000) == []
    for bad in ({"dueFrom": "2023-02-30"}, {"bucket": ["SOON"]}, {"assignee": [None]}):
        with pytest.raises(Failed) as failed:
            await find_task_names(ann, **bad)
        assert failed.value.codes == ["GRAPHQL_VALIDATION_FAILED"]


async def walked(client: Client, order: dict[str, Any] | None, size: int, backwards: bool) -> list[str]:
    """The names of all tasks, page by page, one way or the other."""
    arguments = "last:$n,before:$c" if backwards else "first:$n,after:$c"
    document = f"""query($o:TaskOrder,$n:Int,$c:String){{tasks(orderBy:$o,{arguments}){{nodes{{name}}
        pageInfo{{hasNextPage hasPreviousPage startCursor endCursor}}}}}}"""
    names: list[str] = []
    cursor = None
    while True:
        page = await client.one(document, o=order, n=size, c=cursor)
        part = [node["name"] for node in page["nodes"]]
        names = [*part, *names] if backwards else [*names, *part]
        info = page["pageInfo"]
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return names
        cursor = info["startCursor" if backwards else "endCursor"]


@pytest.mark.slow
async def test_tasks_are_sorted_in_every_order_with_ties_by_age(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    rows: list[tuple[str, int, bool, int]] = []
    for number in range(11):
        clock.advance(timedelta(seconds=number % 2))
        due, high = (number * 7) % 4, number % 3 == 1
        name = f"T{number:02}"
        await create_task(ann, dora, name, dueOn=day(clock, due), priority="HIGH" if high else "NORMAL")
        rows.append((name, due, high, clock.moment))
    ways: dict[str, Any] = {
        "DUE_ON": lambda row: (row[1], row[0]),
        "PRIORITY": lambda row: (not row[2], row[0]),
        "CREATED_AT": lambda row: (row[3], row[0]),
    }
    orders: list[tuple[dict[str, Any] | None, list[str]]] = [
        (None, [row[0] for row in sorted(rows, key=lambda row: (row[1], not row[2], row[0]))])
    ]
    for field, key in ways.items():
        ascending = [row[0] for row in sorted(rows, key=key)]
        orders += [({"field": field}, ascending), ({"field": field, "direction": "DESC"}, ascending[::-1])]
    for order, expected in orders:
        assert await find_task_names(ann, order) == expected, order
        for size in (1, 4):
            for backwards in (False, True):
                assert await walked(ann, order, size, backwards) == expected, (order, size, backwards)
    whole = (await ann.one(TASKS, f={"kind": ["CALL"]}, o={"field": "PRIORITY", "direction": "ASC"}))["nodes"]
    assert [node["name"] for node in whole] == await find_task_names(ann, {"field": "PRIORITY"})
