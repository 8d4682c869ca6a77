"""Apollo Client, urql and Relay keep lists, tasks and the feed in their caches while the server dies, a list is filled
anew, or the log is lost.

The applications are the ones that docs/from-an-app.md shows. Each runs under Node against the product in a process of
its own; `npm run compile` has been there before.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.graphiql import npm
from tests.live.test_crashes import Box, box
from tests.mailing import draft, person
from tests.serving import PATIENCE, Client
from tests.tasking import COMPLETE, REVISE, create
from tests.tasking import DELETE as DELETE_TASKS
from tests.test_lists import RECORD, event, live, save
from tests.test_reclassify import done

FOLDER = Path(__file__).parent
APPLICATIONS = ("apollo", "urql", "relay")
WAITING: dict[str, Any] = {"engagement": [{"kind": "VIEW"}, {"kind": "REPLY", "atMost": 0}]}
STILL_WAITING: dict[str, Any] = {"subject": {"contains": "mail"}, **WAITING}
FRESH = "query($id:ID!){savedSearch(id:$id){name members(first:50){nodes{id email{subject} cause{kind}}}}}"
RENAME = "mutation($id:ID!,$n:String!){savedSearchRename(id:$id,name:$n){userErrors{code}}}"
REFINE = "mutation($id:ID!,$f:EmailFilter!){savedSearchRefine(id:$id,filter:$f){userErrors{message}}}"
TO_DO = "{tasks(filter:{status:[OPEN]},first:50){nodes{id told:name}}}"
HAPPENED = "{engagements(first:20){nodes{id told:verdict}}}"
DELETE = "mutation($id:ID!){savedSearchDelete(id:$id){deletedIds}}"


@dataclass
class Application:
    """A running one. `told` is all that it heard so far, in order."""

    process: asyncio.subprocess.Process
    told: list[str] = field(default_factory=list)

    async def cache(self) -> dict[str, Any]:
        """What its cache holds now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        found: dict[str, Any] = json.loads(line)
        self.told += found.pop("events")
        return found

    async def shows(self, wanted: dict[str, Any]) -> None:
        """Waits until its cache holds just that."""
        found: dict[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while (found := await self.cache()) != wanted:
                    await asyncio.sleep(0.05)
        assert found == wanted, self.told


@asynccontextmanager
async def running(name: str, server: Box, token: str, search: str) -> AsyncIterator[Application]:
    environment = server.environment | {"URL": f"{server.url}/graphql", "TOKEN": token, "LIST": search}
    process = await asyncio.create_subprocess_exec(
        *(*npm.command(), "--prefix", str(FOLDER), "run", "--silent", "follow", "--", name),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        yield Application(process)
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), PATIENCE)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Box, Client]]:
    """The product as one starts it, and its one seller."""
    async with box(path) as server:
        assert (await server.command("user", "add", "--team", "T", "--name", "Ann", "--address", "a@x.example"))[0] == 0
        code, token = await server.command("token", "a@x.example", "--scope", "engagement:write")
        assert code == 0
        await server.start()
        client = Client(server.url, token)
        yield server, client
        await client.http.aclose()


@dataclass
class Seller:
    """Makes a list change."""

    client: Client
    search: str
    mails: list[str]
    count: int = 0

    async def record(self, kind: str, *places: int) -> None:
        events = []
        for place in places:
            self.count += 1
            events.append(event(self.mails[place], kind, f"event {self.count}"))
        assert (await self.client.one(RECORD, e=events))["recorded"] == len(places)

    async def fresh(self, *subjects: int) -> dict[str, Any]:
        """What a fresh query says, once it holds these."""
        wanted = {f"mail {place}" for place in subjects}
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.client.one(FRESH, id=self.search)
                nodes = found["members"]["nodes"]
                if {node["email"]["subject"] for node in nodes} == wanted:
                    break
                await asyncio.sleep(0.05)
        stays = [
            {"id": node["id"], "subject": node["email"]["subject"], "cause": node["cause"]["kind"]} for node in nodes
        ]
        return {"name": found["name"], "stays": stays}


async def seller(client: Client) -> Seller:
    pat = await person(client, "pat@example.org")
    mails = [await draft(client, pat, f"mail {number}") for number in range(10)]
    search = await save(client, WAITING)
    await live(client, search)
    return Seller(client, search, mails)


async def test_their_caches_are_what_a_fresh_query_says(tmp_path: Path) -> None:
    async with serving(tmp_path / "x.db") as (server, client), AsyncExitStack() as stack:
        ann = await seller(client)
        await ann.record("VIEW", 0)
        applications = [
            await stack.enter_async_context(running(name, server, client.token, ann.search)) for name in APPLICATIONS
        ]

        async def all_show(wanted: dict[str, Any]) -> None:
            await asyncio.gather(*(application.shows(wanted) for application in applications))

        def each_was_told(**times: int) -> None:
            for application in applications:
                found = {what: application.told.count(what) for what in times}
                assert found == times, application

        await all_show(await ann.fresh(0))

        # Live, one after the other and many at once; a second view changes nothing.
        await ann.record("VIEW", 1)
        await all_show(await ann.fresh(0, 1))
        await ann.record("VIEW", 1, 2, 3)
        await ann.record("REPLY", 0)
        await all_show(await ann.fresh(1, 2, 3))
        each_was_told(read=1, subscribe=1)

        # The server dies, and more happens before the applications are back.
        await server.kill()
        await server.start()
        await ann.record("VIEW", 4, 5)
        await ann.record("REPLY", 1, 4)
        await all_show(await ann.fresh(2, 3, 5))
        each_was_told(read=1, CursorExpired=0)
        assert all(application.told.count("subscribe") > 1 for application in applications)

        # Another name, and then another filter: the list is read anew, and followed on.
        await client.one(RENAME, id=ann.search, n="Renamed")
        await all_show(await ann.fresh(2, 3, 5))
        await client.one(REFINE, id=ann.search, f=STILL_WAITING)
        await ann.record("VIEW", 6)
        await all_show(await ann.fresh(2, 3, 5, 6))
        each_was_told(read=2, SavedSearchReset=1)

        # A log that does not know their cursors, as after a backup was restored.
        await server.kill()
        server.run("UPDATE change_logs SET log_id = 'another'")
        await server.start()
        await ann.record("VIEW", 7)
        await ann.record("REPLY", 2)
        await all_show(await ann.fresh(3, 5, 6, 7))
        each_was_told(read=3, CursorExpired=1)
        await ann.record("VIEW", 8)
        await all_show(await ann.fresh(3, 5, 6, 7, 8))

        # No frame came twice over all that, though every connection but the first began at a cursor.
        for application in applications:
            stays = [told for told in application.told if told.startswith("Member")]
            assert len(stays) == len(set(stays)), application

        await client.one(DELETE, id=ann.search)
        await all_show({"name": None, "stays": None})
        each_was_told(SavedSearchDeleted=1, over=1)


async def test_tasks_and_the_feed_are_kept_as_well(tmp_path: Path) -> None:
    async with serving(tmp_path / "x.db") as (server, client), AsyncExitStack() as stack:
        ann = await seller(client)
        pat = (await client.one("{people{nodes{id}}}"))["nodes"][0]["id"]
        first = await create(client, pat, "first", dueOn="2030-01-02")
        await ann.record("VIEW", 0)
        tasks, feed = [
            await stack.enter_async_context(running(name, server, client.token, "")) for name in ("tasks", "feed")
        ]

        async def both_show(to_do: list[str], happened: list[str]) -> list[str]:
            rows = [(await client.one(document))["nodes"] for document in (TO_DO, HAPPENED)]
            assert [[row["told"] for row in part] for part in rows] == [to_do, happened]
            await asyncio.gather(tasks.shows({"rows": rows[0]}), feed.shows({"rows": rows[1]}))
            return [row["id"] for row in rows[1]]

        await both_show(["first"], ["HUMAN"])

        # Made, made before the other, moved past it; viewed, and held for a machine after all.
        urgent = await create(client, pat, "urgent", dueOn="2030-01-02", priority="HIGH")
        await ann.record("CLICK", 0, 1)
        clicked, *_ = await both_show(["urgent", "first"], ["HUMAN"] * 3)
        await client.one(REVISE, id=urgent["id"], i={"dueOn": "2030-01-03", "name": "later"})
        await done(client, "MACHINE", clicked)
        await both_show(["first", "later"], ["MACHINE", "HUMAN", "HUMAN"])

        # More happens while the server is away from them.
        await server.kill()
        await server.start()
        await client.one(COMPLETE, ids=[first["id"]])
        await create(client, pat, "last", dueOn="2030-01-04")
        await ann.record("REPLY", 1)
        await both_show(["later", "last"], ["HUMAN", "MACHINE", "HUMAN", "HUMAN"])
        assert (tasks.told.count("read"), feed.told.count("read")) == (1, 1)

        # And with a log that does not know their cursors.
        await server.kill()
        server.run("UPDATE change_logs SET log_id = 'another'")
        await server.start()
        await client.one(DELETE_TASKS, ids=[urgent["id"]])
        await ann.record("VIEW", 2)
        await both_show(["last"], ["HUMAN", "HUMAN", "MACHINE", "HUMAN", "HUMAN"])
        await create(client, pat, "new", dueOn="2030-01-01")
        await both_show(["new", "last"], ["HUMAN", "HUMAN", "MACHINE", "HUMAN", "HUMAN"])
        for application in (tasks, feed):
            assert (application.told.count("read"), application.told.count("CursorExpired")) == (2, 1)


async def test_they_give_up_where_the_server_refuses(tmp_path: Path) -> None:
    async with serving(tmp_path / "x.db") as (server, client):
        search = await save(client, WAITING)
        for name in APPLICATIONS:
            async with running(name, server, "no token", search) as application:
                assert await asyncio.wait_for(application.process.wait(), PATIENCE) == 1, name
