"""Tasks: made, revised, completed, reopened and deleted, and who may see them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from models.enums import Role
from tests.support.emails import create_draft, create_person, moment
from tests.support.server import Client, Failed, ManualClock, Server
from tests.support.tasks import (
    COMPLETE,
    CREATE,
    DELETE,
    REOPEN,
    REVISE,
    TASK,
    TASKS,
    UNKNOWN_TASK_ID,
    create_task,
    day,
    errors_of,
    find_task_names,
)

CAMPAIGN = 'mutation{campaignCreate(name:"Spring"){campaign{id}}}'
THROUGH = """query($id:ID!){task(id:$id){person{id name} campaign{id}
    email{id subject body actions tasks{nodes{id}} sender{name}}}}"""
OF_EMAIL = "query($id:ID!){email(id:$id){tasks{asOf nodes{name}}}}"
NODE = "query($id:ID!){node(id:$id){id}}"
DELETE_EMAIL = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds userErrors{code}}}"


async def test_a_task_has_the_given_fields_and_the_viewer_as_assignee(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@example.org", shared=False)
    made = await create_task(ann, dora, " Call back ", dueOn=day(clock, 1))
    assert made == {
        "id": made["id"],
        "name": "Call back",
        "kind": "CALL",
        "status": "OPEN",
        "priority": "NORMAL",
        "dueOn": day(clock, 1),
        "bucket": "TOMORROW",
        "details": "",
        "creator": {"id": ann.user_id},
        "assignee": {"id": ann.user_id},
        "person": {"id": dora},
        "email": None,
        "campaign": None,
        "createdAt": moment(clock),
        "updatedAt": moment(clock),
        "completedAt": None,
    }
    campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
    mail = await create_draft(ann, dora, campaignId=campaign)
    more = {"kind": "IN_MAIL", "priority": "HIGH", "details": "a\nb", "emailId": mail, "assigneeId": ann.user_id}
    full = await create_task(ann, dora, "Write", **more)
    assert {key: full[key] for key in ("kind", "priority", "details")} == {
        key: more[key] for key in ("kind", "priority", "details")
    }
    assert (full["email"], full["campaign"]) == ({"id": mail}, {"id": campaign})
    assert await ann.one(TASK, id=full["id"]) == full
    assert await ann.one(NODE, id=full["id"]) == {"id": full["id"]}
    assert [task["name"] for task in (await ann.one(OF_EMAIL, id=mail))["tasks"]["nodes"]] == ["Write"]


async def test_all_errors_of_a_new_task_are_returned_together(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora = await create_person(ann, "dora@example.org", shared=False)
    hidden = await create_person(bob, "emil@example.org", shared=False)
    mine, other, foreign = (
        await create_draft(ann, dora),
        await create_draft(ann, await create_person(ann, "f@x.org")),
        await create_draft(bob, hidden),
    )

    async def codes(**given: Any) -> list[tuple[str, list[str]]]:
        good = {"name": "N", "kind": "CUSTOM", "personId": dora, "dueOn": "2023-11-20"}
        answer = await ann.one(CREATE, i={**good, **given})
        assert answer["task"] is None
        return errors_of(answer)

    assert await codes(name=" ", details="x" * 10_001, personId=hidden, assigneeId="x", emailId=foreign) == [
        ("BLANK", ["input", "name"]),
        ("TOO_LONG", ["input", "details"]),
        ("NOT_FOUND", ["input", "personId"]),
        ("NOT_FOUND", ["input", "assigneeId"]),
        ("NOT_FOUND", ["input", "emailId"]),
    ]
    assert await codes(name="x" * 201, details="\0", assigneeId=bob.user_id, emailId=other) == [
        ("TOO_LONG", ["input", "name"]),
        ("INVALID", ["input", "details"]),
        ("INVALID", ["input", "assigneeId"]),
        ("INVALID", ["input", "emailId"]),
    ]
    assert await codes(name="a\nb", assigneeId="") == [
        ("INVALID", ["input", "name"]),
        ("NOT_FOUND", ["input", "assigneeId"]),
    ]
    assert await codes(name="\ud800", details="\ud800", emailId=dora) == [
        ("INVALID", ["input", "name"]),
        ("INVALID", ["input", "details"]),
        ("NOT_FOUND", ["input", "emailId"]),
    ]
    for wrong in ("2023-02-30", "2023-W01-1", "20231120", "2023-11-20T00:00:00Z", "tomorrow", 20231120):
        with pytest.raises(Failed) as failed:
            await codes(dueOn=wrong)
        assert failed.value.codes == ["GRAPHQL_VALIDATION_FAILED"]
    assert await find_task_names(ann) == []
    made = await create_task(ann, dora, "x" * 200, details="y" * 10_000, dueOn="0001-01-01", emailId=mine)
    assert (made["bucket"], made["dueOn"], made["email"]) == ("OVERDUE", "0001-01-01", {"id": mine})
    assert (await create_task(ann, dora, dueOn="9999-12-31"))["bucket"] == "LATER"


async def test_teammate_reads_the_shared_person_and_objects_of_a_task(quiet_server: Server) -> None:
    ann, bob, cleo = [await quiet_server.client(name) for name in ("Ann", "Bob", "Cleo")]
    ada = await quiet_server.client("Ada", role=Role.ADMIN)
    dora = await create_person(ann, "dora@example.org")
    campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
    mail = await create_draft(ann, dora, "Secret", campaignId=campaign)
    task = (await create_task(ann, dora, assigneeId=bob.user_id, emailId=mail))["id"]
    own = (await create_task(ann, dora, "Own", emailId=mail))["id"]
    for client in (ann, bob):
        assert (await client.one(TASK, id=task))["assignee"] == {"id": bob.user_id}
    for client in (cleo, ada):
        assert await client.one(TASK, id=task) is None
        assert await client.one(NODE, id=task) is None
        assert await find_task_names(client) == []
        for document in (COMPLETE, REOPEN, DELETE):
            assert errors_of(await client.one(document, ids=[task])) == [("NOT_FOUND", ["ids", "0"])]
        assert errors_of(await client.one(REVISE, id=task, i={"name": "x"})) == [("NOT_FOUND", ["id"])]
    through = await bob.one(THROUGH, id=task)
    assert through["person"] == {"id": dora, "name": "Dora"}
    assert through["campaign"] == {"id": campaign}
    seen = {"id": mail, "subject": "Secret", "body": "", "actions": [], "sender": {"name": "Ann"}}
    # Of the tasks on it Bob sees his own alone.
    assert through["email"] == {**seen, "tasks": {"nodes": [{"id": task}]}}
    assert await bob.one(NODE, id=mail) is None
    assert await find_task_names(bob, email=[mail]) == ["Call back"]
    assert errors_of(await bob.one(CREATE, i={**GOOD, "personId": dora, "emailId": mail})) == [
        ("NOT_FOUND", ["input", "emailId"])
    ]
    # An admin sees the mail and no tasks on it, and may make one from it.
    assert (await ada.one(OF_EMAIL, id=mail))["tasks"]["nodes"] == []
    assert (await create_task(ada, dora, "Ada's", emailId=mail))["email"] == {"id": mail}
    assert [task["name"] for task in (await ada.one(OF_EMAIL, id=mail))["tasks"]["nodes"]] == ["Ada's"]
    assert await find_task_names(ann) == ["Call back", "Own"]
    assert await bob.one(TASK, id=own) is None


GOOD = {"name": "N", "kind": "CUSTOM", "dueOn": "2023-11-20"}


async def test_a_revision_keeps_absent_fields_and_clears_only_details(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    made = await create_task(ann, dora, details="D", dueOn=day(clock))
    clock.advance(timedelta(seconds=1))

    async def revise(**given: Any) -> dict[str, Any]:
        answer = await ann.one(REVISE, id=made["id"], i=given)
        assert answer["userErrors"] == []
        task: dict[str, Any] = answer["task"]
        return task

    # What changes nothing leaves no trace.
    same = {key: made[key] for key in ("name", "kind", "dueOn", "priority", "details")}
    assert await revise() == await revise(**same, assigneeId=ann.user_id) == made
    changed = {"name": "New", "kind": "EMAIL", "dueOn": day(clock, 2), "priority": "HIGH"}
    expected = {**made, **changed, "bucket": "NEXT_7_DAYS", "updatedAt": moment(clock)}
    assert await revise(**{**changed, "name": " New "}) == expected
    assert await revise(details=None) == {**expected, "details": ""}
    assert await find_task_names(ann, name={"equals": "NEW"}) == ["New"]
    nothing = dict.fromkeys(("name", "kind", "dueOn", "priority", "assigneeId"))
    answer = await ann.one(REVISE, id=made["id"], i=nothing)
    assert answer["task"] is None
    assert sorted(errors_of(answer)) == [("BLANK", ["input", name]) for name in sorted(nothing)]
    assert errors_of(await ann.one(REVISE, id=UNKNOWN_TASK_ID, i={"name": ""})) == [
        ("BLANK", ["input", "name"]),
        ("NOT_FOUND", ["id"]),
    ]
    assert await ann.one(TASK, id=made["id"]) == {**expected, "details": ""}


async def test_a_task_is_reassigned_by_its_creator_or_assignee(quiet_server: Server) -> None:
    ann, bob, cleo = [await quiet_server.client(name) for name in ("Ann", "Bob", "Cleo")]
    max_ = await quiet_server.client("Max", "Bananas")
    hidden, dora = await create_person(ann, "h@x.org", shared=False), await create_person(ann, "dora@example.org")
    private, task = (await create_task(ann, hidden))["id"], (await create_task(ann, dora))["id"]

    async def give(client: Client, task: str, to: str) -> Any:
        answer = await client.one(REVISE, id=task, i={"assigneeId": to})
        return errors_of(answer) or (answer["task"] and answer["task"]["assignee"]["id"])

    assert await give(ann, private, bob.user_id) == [("INVALID", ["input", "assigneeId"])]
    for nobody in (max_.user_id, dora, "x", ""):
        assert await give(ann, task, nobody) == [("NOT_FOUND", ["input", "assigneeId"])]
    assert await give(ann, task, bob.user_id) == bob.user_id
    # Bob passes it on, and with that it is out of his sight.
    assert await give(bob, task, cleo.user_id) is None
    assert await bob.one(TASK, id=task) is None
    assert await give(cleo, task, ann.user_id) is None
    assert (await ann.one(TASK, id=task))["assignee"] == {"id": ann.user_id}


async def test_tasks_are_completed_reopened_and_deleted_in_bulk(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora = await create_person(ann, "dora@example.org")
    tasks = [(await create_task(ann, dora, f"T{n}", assigneeId=bob.user_id))["id"] for n in range(3)]
    foreign = (await create_task(bob, dora))["id"]
    refused = [("NOT_FOUND", ["ids", str(n)]) for n in (1, 3, 4)]
    ids = [tasks[2], foreign, tasks[0], UNKNOWN_TASK_ID, "x", tasks[2]]

    async def bulk(client: Client, document: str) -> list[tuple[str, str, str | None, str | None]]:
        clock.advance(timedelta(seconds=1))
        answer = await client.one(document, ids=ids)
        assert errors_of(answer) == refused
        return [(task["name"], task["status"], task["completedAt"], task["bucket"]) for task in answer["tasks"]]

    at = moment(clock, 1)
    assert await bulk(ann, COMPLETE) == [("T2", "COMPLETE", at, None), ("T0", "COMPLETE", at, None)]
    refused = [("NOT_FOUND", ["ids", "3"]), ("NOT_FOUND", ["ids", "4"])]
    # Twice is the same as once: what is complete keeps its moment.
    again = moment(clock, 1)
    assert await bulk(bob, COMPLETE) == [
        ("T2", "COMPLETE", at, None),
        ("Call back", "COMPLETE", again, None),
        ("T0", "COMPLETE", at, None),
    ]
    assert await find_task_names(bob, status=["OPEN"]) == ["T1"]
    assert {name for name, *_ in await bulk(bob, REOPEN)} == {"T2", "T0", "Call back"}
    reopened = await bulk(bob, REOPEN)
    assert [(status, at) for _, status, at, _ in reopened] == [("OPEN", None)] * 3
    assert {task["updatedAt"] for task in (await ann.one(TASKS, f={"name": {"equals": "t0"}}))["nodes"]} == {
        moment(clock, -1)
    }
    gone = await bob.one(DELETE, ids=ids)
    assert gone["deletedIds"] == [tasks[2], foreign, tasks[0]]
    assert errors_of(gone) == refused
    assert await find_task_names(ann) == await find_task_names(bob) == ["T1"]
    assert await ann.one(DELETE, ids=[]) == {"deletedIds": [], "userErrors": []}


async def test_a_deleted_email_leaves_its_tasks_behind(quiet_server: Server, clock: ManualClock) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    dora = await create_person(ann, "dora@example.org")
    mail, kept = await create_draft(ann, dora), await create_draft(ann, dora)
    tasks = [await create_task(client, dora, emailId=mail) for client in (ann, ada)]
    other = await create_task(ann, dora, "Other", emailId=kept)
    clock.advance(timedelta(seconds=1))
    assert (await ann.one(DELETE_EMAIL, ids=[mail]))["deletedIds"] == [mail]
    for client, task in zip((ann, ada), tasks, strict=True):
        assert await client.one(TASK, id=task["id"]) == {**task, "email": None, "updatedAt": moment(clock)}
    assert await ann.one(TASK, id=other["id"]) == other


@pytest.mark.slow
async def test_tasks_and_a_concurrent_deletion_of_their_email_agree(
    quiet_server: Server,
) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    for _ in range(10):
        mails = [await create_draft(ann, dora) for _ in range(2)]
        tasks = [(await create_task(ann, dora, emailId=mail))["id"] for mail in mails]
        good = {**GOOD, "personId": dora}
        made = await asyncio.gather(
            *(ann.one(CREATE, i={**good, "emailId": mail}) for mail in mails),
            ann.one(DELETE_EMAIL, ids=mails[::-1]),
            ann.one(COMPLETE, ids=tasks[::-1]),
        )
        for answer in made[:2]:
            assert errors_of(answer) in ([], [("NOT_FOUND", ["input", "emailId"])])
        assert made[2]["userErrors"] == made[3]["userErrors"] == []
    nodes = (await ann.one(TASKS, f=None, o=None))["nodes"]
    assert {task["email"] for task in nodes} == {None}
