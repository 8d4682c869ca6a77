"""The stream of tasks: who is told what, nothing twice and nothing left out, whatever happens to the connection."""

import random
from typing import Any

import pytest

from command_center.changes import log
from tests.support.emails import create_draft, create_person
from tests.support.server import Client, Failed, ManualClock, Server, Stream
from tests.support.tasks import COMPLETE, CREATE, DELETE, FOLLOW, REOPEN, REVISE, TASKS, create_task

DELETE_EMAIL = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds userErrors{code}}}"
PEOPLE = ("Ann", "Bob", "Cleo")


def told(frames: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    """Kind, id and name of each frame about a task."""
    return [
        (frame["__typename"], frame["taskId"], (frame.get("task") or {}).get("name"))
        for frame in frames
        if "taskId" in frame
    ]


async def now(client: Client) -> str:
    return str((await client.one("{tasks{asOf}}"))["asOf"])


async def since(client: Client, after: str) -> list[tuple[str, str, str | None]]:
    """What a stream tells that goes on from a cursor."""
    async with client.follow(FOLLOW, after=after) as stream:
        return told(await stream.until("CaughtUp"))


async def test_each_change_is_sent_once_to_every_viewer_of_the_task(quiet_server: Server) -> None:
    ann, bob, cleo = [await quiet_server.client(name) for name in PEOPLE]
    dora = await create_person(ann, "dora@example.org")
    mail = await create_draft(ann, dora)
    async with ann.follow(FOLLOW) as anns, bob.follow(FOLLOW) as bobs, cleo.follow(FOLLOW) as cleos:
        for stream in (anns, bobs, cleos):
            assert (await stream.frame())["__typename"] == "CaughtUp"

        async def said(*streams: Stream) -> list[tuple[str, str, str | None]]:
            return told([await stream.frame() for stream in streams])

        own = (await create_task(ann, dora, "Own"))["id"]
        assert await said(anns) == [("TaskUpserted", own, "Own")]
        task = (await create_task(ann, dora, "Task", assigneeId=bob.user_id, emailId=mail))["id"]
        upserted = ("TaskUpserted", task, "Task")
        assert await said(anns, bobs) == [upserted] * 2
        await bob.one(REVISE, id=task, i={"name": "Renamed"})
        upserted = ("TaskUpserted", task, "Renamed")
        assert await said(anns, bobs) == [upserted] * 2
        for document in (COMPLETE, REOPEN):
            await ann.one(document, ids=[task, task])
            assert await said(anns, bobs) == [upserted] * 2
        # Nothing changes, so nothing is said: the next frame is of what follows.
        await ann.one(REOPEN, ids=[task])
        await ann.one(REVISE, id=task, i={"name": "Renamed", "details": None})
        await ann.one(DELETE_EMAIL, ids=[mail])
        assert await said(anns, bobs) == [upserted] * 2
        await ann.one(REVISE, id=task, i={"assigneeId": cleo.user_id})
        assert await said(anns, bobs, cleos) == [upserted, ("TaskDeleted", task, None), upserted]
        await cleo.one(DELETE, ids=[task])
        assert await said(anns, cleos) == [("TaskDeleted", task, None)] * 2
        for stream in (anns, bobs, cleos):
            assert await stream.quiet()


async def test_a_change_message_has_only_the_id_of_a_deleted_task(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora = await create_person(ann, "dora@example.org")
    after = await now(ann)
    gone = (await create_task(ann, dora, "Gone"))["id"]
    given = (await create_task(ann, dora, "Given", assigneeId=bob.user_id))["id"]
    await ann.one(DELETE, ids=[gone])
    await ann.one(REVISE, id=given, i={"assigneeId": ann.user_id})
    assert await since(ann, after) == [
        ("TaskUpserted", gone, None),
        ("TaskUpserted", given, "Given"),
        ("TaskDeleted", gone, None),
        ("TaskUpserted", given, "Given"),
    ]
    assert await since(bob, after) == [("TaskUpserted", given, None), ("TaskDeleted", given, None)]


async def test_a_stream_resumes_and_has_no_tasks_of_other_users(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    max_ = await quiet_server.client("Max", "Bananas")
    dora, frida = await create_person(ann, "dora@example.org"), await create_person(max_, "frida@example.org")
    after = await now(ann)
    ids = []
    for number in range(3):
        ids.append((await create_task(ann, dora, f"T{number}"))["id"])
        await create_task(bob, dora, "Bob's")
        await create_task(max_, frida, "Max's")
    seen: list[str] = []
    for _ in range(3):
        async with ann.follow(FOLLOW, after=after) as stream:
            frame = await stream.frame()
        seen.append(frame["taskId"])
        after = frame["cursor"]
    assert seen == ids
    assert await since(ann, after) == []


async def test_a_cursor_is_refused_or_expires(quiet_server: Server) -> None:
    ann, max_ = await quiet_server.client("Ann"), await quiet_server.client("Max", "Bananas")
    dora = await create_person(ann, "dora@example.org")
    began = await now(ann)
    await create_task(ann, dora)
    async with quiet_server.engine.ctx.writer.unit_of_work() as uow:
        for team_id in await log.find_stale_teams(uow.now + 1):
            await log.trim(uow.connection, team_id, uow.now + 1)
    for cursor in (began, await now(max_)):
        async with ann.follow(FOLLOW, after=cursor) as stream:
            assert await stream.frame() == {"__typename": "CursorExpired", "cursor": cursor}
    with pytest.raises(Failed) as failed:
        async with ann.follow(FOLLOW, after="x") as stream:
            await stream.frame()
    assert failed.value.codes == ["BAD_USER_INPUT"]


class Copy:
    """A client's copy of its tasks: read once, then kept by frames alone, over any number of connections."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.tasks: dict[str, dict[str, Any]] = {}
        self.cursor = ""

    async def read(self) -> None:
        found = await self.client.one(TASKS)
        self.tasks = {task["id"]: task for task in found["nodes"]}
        self.cursor = found["asOf"]

    async def catch_up(self, most: int) -> None:
        """Follows from where it stands, up to so many frames."""
        async with self.client.follow(FOLLOW, after=self.cursor) as stream:
            for _ in range(most):
                frame = await stream.frame()
                self.cursor = frame["cursor"]
                if frame["__typename"] == "CaughtUp":
                    return
                if frame.get("task") is None:
                    self.tasks.pop(frame["taskId"], None)
                else:
                    self.tasks[frame["taskId"]] = frame["task"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_folded_messages_equal_a_fresh_query_from_any_cursor(
    quiet_server: Server, clock: ManualClock, seed: int
) -> None:
    rng = random.Random(seed)
    clients = [await quiet_server.client(name) for name in PEOPLE]
    dora = await create_person(clients[0], "dora@example.org")
    copies = [Copy(client) for client in clients]
    mails: list[tuple[Client, str]] = []
    parted = 0
    for copy in copies:
        await copy.read()
    for _ in range(40):
        clock.moment += 1
        client = rng.choice(clients)
        ids = [task["id"] for task in (await client.one(TASKS))["nodes"]]
        some = rng.sample(ids, min(len(ids), rng.randint(1, 3)))
        match rng.choice(
            ["create", "create", "revise", "revise", "complete", "reopen", "delete", "mail", "mail", "read"]
        ):
            case "create":
                mails.append((client, await create_draft(client, dora)))
                more = {"emailId": mails[-1][1], "assigneeId": rng.choice(clients).user_id}
                given = {"name": f"N{rng.randint(1, 9)}", "kind": "CALL", "personId": dora, "dueOn": "2023-11-20"}
                assert (await client.one(CREATE, i={**given, **more}))["userErrors"] == []
            case "revise" if some:
                given = rng.choice([{"assigneeId": rng.choice(clients).user_id}, {"name": f"N{rng.randint(1, 9)}"}])
                assert (await client.one(REVISE, id=some[0], i=given))["userErrors"] == []
            case "complete":
                await client.one(COMPLETE, ids=some)
            case "reopen":
                await client.one(REOPEN, ids=some)
            case "delete":
                await client.one(DELETE, ids=some[:1])
            case "mail" if mails:
                owner, mail = mails.pop(rng.randrange(len(mails)))
                tasks = [task for each in clients for task in (await each.one(TASKS, f={"email": [mail]}))["nodes"]]
                parted += len(tasks)
                assert (await owner.one(DELETE_EMAIL, ids=[mail]))["userErrors"] == []
            case "read":
                copies.append(Copy(client))
                await copies[-1].read()
        if rng.random() < 0.4:
            await rng.choice(copies).catch_up(rng.randint(1, 5))
    for copy in copies:
        await copy.catch_up(1000)
        fresh = (await copy.client.one(TASKS))["nodes"]
        assert copy.tasks == {task["id"]: task for task in fresh}
    assert len(copies) > len(clients)
    # What was never there could not have been told either.
    assert parted > 0
