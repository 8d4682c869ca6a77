"""Tasks for all members of a list: one each, in the order of the list, however many, and never a second open one."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from command_center import ids as global_ids
from command_center.database.connections import Connection, database, transaction
from models.enums import ChangeCauseKind, EmailStatus, Role, SendKind
from tests.support.emails import create_draft, create_person
from tests.support.server import Client, ManualClock, Server
from tests.support.tasks import COMPLETE, DELETE, FOR_MEMBERS, create_task, day, errors_of, find_task_names

SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id} userErrors{code}}}"
REFINE = "mutation($id:ID!){savedSearchRefine(id:$id,filter:{folder:[]}){userErrors{code}}}"
MEMBERS = "query($id:ID!){savedSearch(id:$id){members(first:200){nodes{email{id person{id}}}}}}"
REVISE = "mutation($id:ID!,$i:TaskReviseInput!){taskRevise(id:$id,input:$i){userErrors{code}}}"
KEYS = "mutation($id:ID!,$i:MemberTaskInput!){taskCreateForMembers(savedSearchId:$id,input:$i){tasks{id}}}"
DRAFTS: dict[str, Any] = {"folder": ["DRAFT"]}


async def save(server: Server, client: Client, filter: dict[str, Any]) -> str:
    """A list that is complete."""
    made = (await client.one(SAVE, i={"name": "List", "filter": filter}))["savedSearch"]["id"]
    await server.settle()
    return str(made)


def task(clock: ManualClock, name: str = "Call", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "CALL", "dueOn": day(clock), **more}


async def make(client: Client, search: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.one(FOR_MEMBERS, id=search, i=given)
    assert answer["userErrors"] == []
    tasks: list[dict[str, Any]] = answer["tasks"]
    return tasks


async def test_each_member_gets_a_task_unless_a_similar_one_is_open(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora, emil = (
        await create_person(ann, "dora@example.org", shared=False),
        await create_person(ann, "emil@example.org"),
    )
    mails = [await create_draft(ann, to) for to in (dora, emil, dora, emil, emil)]
    search = await save(quiet_server, ann, DRAFTS)
    members = (await ann.one(MEMBERS, id=search))["members"]["nodes"]
    assert [node["email"]["id"] for node in members] == mails[::-1]
    # Like it: open, of that name regardless of case, made from that email, and seen by the viewer.
    alike = await create_task(ann, dora, "CALL", emailId=mails[0])
    await create_task(ann, emil, "Another", emailId=mails[1])
    await create_task(ann, dora, "Call")
    done = await create_task(ann, dora, "Call", emailId=mails[2])
    await ann.one(COMPLETE, ids=[done["id"]])
    theirs = await create_task(ann, emil, "Call", emailId=mails[3])
    await ann.one(REVISE, id=theirs["id"], i={"assigneeId": bob.user_id})
    made = await make(ann, search, task(clock, " Call ", priority="HIGH"))
    assert [each["email"]["id"] for each in made] == [mails[4], mails[2], mails[1]]
    assert made[0] == {
        "id": made[0]["id"],
        "name": "Call",
        "email": {"id": mails[4]},
        "person": {"id": emil},
        "assignee": {"id": ann.user_id},
        "creator": {"id": ann.user_id},
        "dueOn": day(clock),
        "priority": "HIGH",
    }
    assert await make(ann, search, task(clock, "caLL")) == []
    await ann.one(DELETE, ids=[alike["id"], theirs["id"], made[0]["id"]])
    again = await make(ann, search, task(clock))
    assert [each["email"]["id"] for each in again] == [mails[4], mails[3], mails[0]]
    # By default they come in the order of the list.
    assert [each["id"] for each in await make(ann, search, task(clock, "Mail"))] == [
        each["id"] for each in (await ann.one('{tasks(filter:{name:{equals:"mail"}}){nodes{id}}}'))["nodes"]
    ]


async def test_all_errors_are_returned_and_a_backfill_is_waited_for(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    await create_draft(ann, await create_person(ann, "dora@example.org"))
    search = (await ann.one(SAVE, i={"name": "List", "filter": DRAFTS}))["savedSearch"]["id"]
    assert errors_of(await ann.one(FOR_MEMBERS, id=search, i=task(clock))) == [("WRONG_STATE", ["savedSearchId"])]
    await quiet_server.settle()
    wrong = task(clock, " ", details="x" * 10_001)
    for client, text in ((bob, search), (ann, "x"), (ann, global_ids.encode("SavedSearch", 987654))):
        assert errors_of(await client.one(FOR_MEMBERS, id=text, i=wrong)) == [
            ("BLANK", ["input", "name"]),
            ("TOO_LONG", ["input", "details"]),
            ("NOT_FOUND", ["savedSearchId"]),
        ]
    assert len(await make(ann, search, task(clock))) == 1
    # While what was refined is filled, the list holds what it held before, or half of either.
    await ann.one(REFINE, id=search)
    assert errors_of(await ann.one(FOR_MEMBERS, id=search, i=task(clock, "x"))) == [("WRONG_STATE", ["savedSearchId"])]
    assert await make(ann, await save(quiet_server, ann, {"folder": []}), task(clock)) == []


async def test_what_its_owner_may_no_longer_see_gets_no_task(quiet_server: Server, clock: ManualClock) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    dora = await create_person(ann, "dora@example.org", shared=False)
    mail = await create_draft(ann, dora)
    search = await save(quiet_server, ada, {**DRAFTS, "everySender": True})
    assert [each["email"]["id"] for each in await make(ada, search, task(clock))] == [mail]
    await quiet_server.user("Ada", role=Role.MEMBER)
    assert await make(ada, search, task(clock, "Other")) == []


async def test_two_concurrent_requests_create_each_task_once(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    for _ in range(12):
        await create_draft(ann, dora)
    lists = [await save(quiet_server, ann, filter) for filter in (DRAFTS, {"subject": {"contains": "hello"}})]
    for number in range(5):
        given = task(clock, f"T{number}")
        made = await asyncio.gather(*(make(ann, search, given) for search in lists * 2))
        assert sorted(len(each) for each in made) == [0, 0, 0, 12]
        assert len(await find_task_names(ann, name={"equals": f"t{number}"})) == 12


async def test_many_members_take_as_many_statements_as_few(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    few, many = await save(quiet_server, ann, {"subject": {"contains": "few"}}), await save(quiet_server, ann, DRAFTS)
    mails = [await create_draft(ann, await create_person(ann, f"p{number}@example.org")) for number in range(3)]
    for mail in mails:
        await _join(few, global_ids.decode_key("Email", mail) or 0)
    await _fill(many, ann, 2000)
    counts, made = [], []
    for search in (few, many):
        with _statements() as said:
            made.append((await ann.one(KEYS, id=search, i=task(clock)))["tasks"])
        counts.append(len(said))
    assert [len(each) for each in made] == [3, 2000]
    assert counts[0] == counts[1]
    assert await make(ann, many, task(clock)) == []
    rows = await database().fetch("SELECT task_id FROM changes WHERE task_id IS NOT NULL ORDER BY position")
    assert [row["task_id"] for row in rows] == [
        global_ids.decode_key("Task", each["id"]) for part in made for each in part
    ]


@contextmanager
def _statements() -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile, each once however many rows it writes."""
    said: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(str(record.args[0] if isinstance(record.args, tuple) else record.msg))

    logger, handler = logging.getLogger("tortoise.db_client"), Listening()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


async def _join(search: str, email: int, connection: Connection | None = None) -> None:
    await (connection or database()).execute(
        "INSERT INTO memberships (search_id, email_id, joined_at, cause_kind) VALUES (?, ?, 1, ?)",
        *(global_ids.decode_key("SavedSearch", search), email, int(ChangeCauseKind.EMAIL_CHANGED)),
    )


async def _fill(search: str, client: Client, count: int) -> None:
    """So many members, each a draft to somebody else."""
    row = await database().fetch_one("SELECT team_id FROM users")
    team, user = row["team_id"] if row else 0, global_ids.decode_key("User", client.user_id) or 0
    async with transaction() as tx:
        await tx.execute_many(
            "INSERT INTO people (id, team_id, owner_id, name, name_folded, address, address_folded, shared, created_at)"
            " VALUES (?, ?, ?, 'P', 'p', ?, ?, ?, 1)",
            [(n, team, user, f"{n}@x.org", f"{n}@x.org", True) for n in range(1000, 1000 + count)],
        )
        await tx.execute_many(
            "INSERT INTO emails (id, team_id, sender_id, person_id, cc, bcc, subject, subject_folded, body, send_kind,"
            " status, archived, success, created_at, updated_at, views, clicks, replies, attempts)"
            " VALUES (?, ?, ?, ?, '[]', '[]', 'S', 's', '', ?, ?, ?, ?, 1, 1, 0, 0, 0, 0)",
            [
                (n, team, user, n, int(SendKind.INDIVIDUAL), int(EmailStatus.DRAFT), False, False)
                for n in range(1000, 1000 + count)
            ],
        )
        await tx.execute_many(
            "INSERT INTO memberships (search_id, email_id, joined_at, cause_kind) VALUES (?, ?, 1, ?)",
            [
                (global_ids.decode_key("SavedSearch", search), n, int(ChangeCauseKind.EMAIL_CHANGED))
                for n in range(1000, 1000 + count)
            ],
        )
