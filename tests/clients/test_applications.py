"""Apollo Client, urql and Relay keep lists, counts, tasks and the feed in their caches through everything that happens:
the server restarts, a token or a cursor expires, a list is refined or deleted.

The applications are those that docs/from-an-app.md shows. Each runs under Node in a process of its own against the
product in another; `npm run compile` has compiled them.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command_center.api.graphiql import npm
from tests.clients.product import FOLDER, serving
from tests.support.emails import create_draft, create_person
from tests.support.engagements import reclassified
from tests.support.searches import RECORD, make_event, save_search, wait_until_live
from tests.support.server import PATIENCE, Client
from tests.support.server_process import ServerProcess
from tests.support.tasks import COMPLETE, REVISE, create_task
from tests.support.tasks import DELETE as DELETE_TASKS

APPLICATIONS = ("apollo", "urql", "relay")
LISTS = "{savedSearches{nodes{name members(first:50){nodes{id email{subject} cause{kind}}}}}}"
COUNTS = "{folders{name emailCount folders{name emailCount}}}"
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
async def running(name: str, server: ServerProcess, token_file: Path, search: str = "") -> AsyncIterator[Application]:
    environment = server.environment | {"URL": f"{server.url}/graphql", "TOKEN_FILE": str(token_file), "LIST": search}
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


async def issue(server: ServerProcess, token_file: Path, expires: str) -> None:
    """Gives the applications another token, as a session that is renewed would."""
    code, token = await server.command("token", "a@x.example", "--expires", expires)
    assert code == 0
    token_file.write_text(token)


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
            events.append(make_event(self.mails[place], kind, f"event {self.count}"))
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
        return shown(found)


async def seller(client: Client) -> Seller:
    pat = await create_person(client, "pat@example.org")
    mails = [await create_draft(client, pat, f"mail {number}") for number in range(10)]
    search = await save_search(client, WAITING)
    await wait_until_live(client, search)
    return Seller(client, search, mails)


def shown(search: dict[str, Any]) -> dict[str, Any]:
    """A list as the applications print it."""
    nodes = search["members"]["nodes"]
    members = [
        {"id": node["id"], "subject": node["email"]["subject"], "cause": node["cause"]["kind"]} for node in nodes
    ]
    return {"name": search["name"], "stays": members}


async def test_caches_equal_fresh_queries_after_every_interruption(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    async with serving(tmp_path / "x.db") as (server, client), AsyncExitStack() as stack:
        await issue(server, token_file, "P1D")
        ann = await seller(client)
        other = await save_search(client, {"subject": {"contains": "mail 9"}})
        await wait_until_live(client, other)
        await ann.record("VIEW", 0)
        singles = [
            await stack.enter_async_context(running(name, server, token_file, ann.search)) for name in APPLICATIONS
        ]
        sidebar, folders = [
            await stack.enter_async_context(running(name, server, token_file)) for name in ("lists", "folders")
        ]

        async def all_show(wanted: dict[str, Any]) -> None:
            fresh = await client.one(LISTS)
            groups = await client.one(COUNTS)
            counts = [[row["name"], row["emailCount"]] for group in groups for row in (group, *group["folders"])]
            await asyncio.gather(
                *(single.shows(wanted) for single in singles),
                sidebar.shows({"lists": [shown(each) for each in fresh["nodes"]]}),
                folders.shows({"counts": counts}),
            )

        def each_was_told(**times: int) -> None:
            for single in singles:
                found = {what: single.told.count(what) for what in times}
                assert found == times, single

        await all_show(await ann.fresh(0))

        # Live, one after the other and many at once; a second view changes nothing.
        await ann.record("VIEW", 1)
        await all_show(await ann.fresh(0, 1))
        await ann.record("VIEW", 1, 2, 3)
        await ann.record("REPLY", 0)
        await all_show(await ann.fresh(1, 2, 3))
        each_was_told(read=1, subscribe=1)

        # The server dies, and more happens before the applications have connected again.
        await server.kill()
        await server.start()
        await ann.record("VIEW", 4, 5)
        await ann.record("REPLY", 1, 4)
        await create_draft(client, (await client.one("{people{nodes{id}}}"))["nodes"][0]["id"], "one more draft")
        await all_show(await ann.fresh(2, 3, 5))
        each_was_told(read=1, CursorExpired=0)
        assert all(single.told.count("subscribe") > 1 for single in singles)

        # The token expires while they are connected, and its successor is a little late.
        await issue(server, token_file, "PT2S")
        await server.kill()
        await server.start()
        subscribed = [single.told.count("subscribe") for single in singles]
        await asyncio.sleep(3)
        await issue(server, token_file, "P1D")
        await ann.record("VIEW", 9)
        await all_show(await ann.fresh(2, 3, 5, 9))
        assert all(single.told.count("subscribe") > before for single, before in zip(singles, subscribed, strict=True))
        each_was_told(read=1, CursorExpired=0)

        # Another name, and then another filter: the list is read again, and followed on.
        await client.one(RENAME, id=ann.search, n="Renamed")
        await all_show(await ann.fresh(2, 3, 5, 9))
        await client.one(REFINE, id=ann.search, f=STILL_WAITING)
        await ann.record("VIEW", 6)
        await all_show(await ann.fresh(2, 3, 5, 6, 9))
        each_was_told(read=2, SavedSearchReset=1)

        # Another log, which does not know their cursors.
        await server.kill()
        server.run("UPDATE change_logs SET log_id = 'another'")
        await server.start()
        await ann.record("VIEW", 7)
        await ann.record("REPLY", 2)
        await all_show(await ann.fresh(3, 5, 6, 7, 9))
        each_was_told(read=3, CursorExpired=1)
        await ann.record("VIEW", 8)
        await all_show(await ann.fresh(3, 5, 6, 7, 8, 9))

        # No change came twice over all that, though every connection but the first began at a cursor.
        for single in singles:
            members = [told for told in single.told if told.startswith("Member")]
            assert len(members) == len(set(members)), single

        # One list is deleted: its own followers end, and the sidebar goes on with the others and with new ones.
        await client.one(DELETE, id=ann.search)
        await all_show({"name": None, "stays": None})
        each_was_told(SavedSearchDeleted=1, over=1)
        new = await save_search(client, {"subject": {"contains": "mail"}})
        await wait_until_live(client, new)
        await all_show({"name": None, "stays": None})


async def test_caches_follow_tasks_and_the_feed_as_well(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    async with serving(tmp_path / "x.db") as (server, client), AsyncExitStack() as stack:
        await issue(server, token_file, "P1D")
        ann = await seller(client)
        pat = (await client.one("{people{nodes{id}}}"))["nodes"][0]["id"]
        first = await create_task(client, pat, "first", dueOn="2030-01-02")
        await ann.record("VIEW", 0)
        tasks, feed = [await stack.enter_async_context(running(name, server, token_file)) for name in ("tasks", "feed")]

        async def both_show(to_do: list[str], happened: list[str]) -> list[str]:
            rows = [(await client.one(document))["nodes"] for document in (TO_DO, HAPPENED)]
            assert [[row["told"] for row in part] for part in rows] == [to_do, happened]
            await asyncio.gather(tasks.shows({"rows": rows[0]}), feed.shows({"rows": rows[1]}))
            return [row["id"] for row in rows[1]]

        await both_show(["first"], ["HUMAN"])

        # Made, made before the other, moved past it; viewed, and held for a machine after all.
        urgent = await create_task(client, pat, "urgent", dueOn="2030-01-02", priority="HIGH")
        await ann.record("CLICK", 0, 1)
        clicked, *_ = await both_show(["urgent", "first"], ["HUMAN"] * 3)
        await client.one(REVISE, id=urgent["id"], i={"dueOn": "2030-01-03", "name": "later"})
        await reclassified(client, "MACHINE", clicked)
        await both_show(["first", "later"], ["MACHINE", "HUMAN", "HUMAN"])

        # More happens while the server is away from them.
        await server.kill()
        await server.start()
        await client.one(COMPLETE, ids=[first["id"]])
        await create_task(client, pat, "last", dueOn="2030-01-04")
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
        await create_task(client, pat, "new", dueOn="2030-01-01")
        await both_show(["new", "last"], ["HUMAN", "HUMAN", "MACHINE", "HUMAN", "HUMAN"])
        for application in (tasks, feed):
            assert (application.told.count("read"), application.told.count("CursorExpired")) == (2, 1)


async def test_clients_give_up_if_the_server_refuses(tmp_path: Path) -> None:
    """A refused token is tried seven times, with growing delays of 9 to 19 seconds in all."""
    token_file = tmp_path / "token"
    async with serving(tmp_path / "x.db") as (server, client):
        search = await save_search(client, WAITING)
        token_file.write_text("no token")
        async with AsyncExitStack() as stack:
            started = [
                await stack.enter_async_context(running(name, server, token_file, search))
                for name in (*APPLICATIONS, "lists", "folders")
            ]
            codes = await asyncio.gather(*(asyncio.wait_for(each.process.wait(), 2 * PATIENCE) for each in started))
        assert set(codes) == {1}
