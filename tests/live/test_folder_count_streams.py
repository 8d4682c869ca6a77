"""Streams of folder counts that come and go in every way leave nothing behind; a slow one holds the latest state."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets

from command_center.database.connections import database
from command_center.server.settings import PREFIX
from tests.support.emails import create_draft, create_person
from tests.support.list_replicas import FEW_BYTES
from tests.support.server import Client, Failed, Server, Stream, serving
from tests.support.server_process import ServerProcess, open_server_process
from tests.support.streams import open_socket as signed_in

COUNTS = "subscription{folderCounts{folders{name emailCount}}}"
# A name of one's own for a field comes back with every folder: frames of 800 KB that cost nothing to make.
_NAMES = " ".join(f"{'x' * 9_900}{n}:name" for n in range(10))
WIDE = f"subscription{{folderCounts{{folders{{name emailCount {_NAMES}}}}}}}"
FEED = "subscription{engagementFeed{__typename}}"


async def none_left(server: Server) -> None:
    """Waits until no stream of either kind is left."""
    async with asyncio.timeout(10):
        while server.engine.folder_counts.subscription_count or server.engine.hub.subscriber_count:
            await asyncio.sleep(0.02)
    # A reading that was under way is over soon; the board's own loop stays.
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert names.count("counts") == 1
    assert not [name for name in names if name.startswith("hub-read")]


async def subscribe(line: websockets.ClientConnection, name: str, document: str = COUNTS) -> None:
    await line.send(json.dumps({"id": name, "type": "subscribe", "payload": {"query": document}}))


async def test_one_of_two_streams_on_a_socket_can_be_cancelled(server: Server) -> None:
    ann = await server.client("Ann")
    line = await signed_in(ann)
    for name, document in (("a", COUNTS), ("b", COUNTS), ("c", FEED)):
        await subscribe(line, name, document)
        assert json.loads(await line.recv())["id"] == name
    assert (server.engine.folder_counts.subscription_count, server.engine.hub.subscriber_count) == (2, 1)
    for name in ("a", "c"):
        await line.send(json.dumps({"id": name, "type": "complete"}))
    async with asyncio.timeout(10):
        while server.engine.folder_counts.subscription_count + server.engine.hub.subscriber_count > 1:
            await asyncio.sleep(0.01)
    await create_draft(ann, await create_person(ann, "dora@example.org"))
    assert json.loads(await line.recv())["id"] == "b"
    await line.close()
    await none_left(server)


async def test_a_socket_closed_right_after_subscribing_leaks_nothing(server: Server) -> None:
    ann = await server.client("Ann")
    for _ in range(20):
        line = await signed_in(ann)
        await subscribe(line, "a")
        await subscribe(line, "b", FEED)
        await line.close()
    await none_left(server)


async def test_a_socket_that_is_torn_leaves_nothing(server: Server) -> None:
    ann = await server.client("Ann")
    for _ in range(5):
        line = await signed_in(ann)
        for name, document in (("a", COUNTS), ("b", FEED)):
            await subscribe(line, name, document)
            await line.recv()
        line.transport.abort()
    await none_left(server)


@asynccontextmanager
async def unread(client: Client) -> AsyncIterator[Stream]:
    """A subscription with wide frames whose connection takes in hardly anything until it is read."""
    url = urlsplit(client.url)
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FEW_BYTES)
    plug.connect((url.hostname, url.port))
    async with websockets.connect(
        f"ws://{url.netloc}/graphql",
        sock=plug,
        subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
        compression=None,
        max_queue=2,
        max_size=None,
        ping_interval=None,
    ) as line:
        await line.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {client.token}"}}))
        assert json.loads(await line.recv())["type"] == "connection_ack"
        await subscribe(line, "1", WIDE)
        yield Stream(line, WIDE, {})


async def test_late_reader_gets_the_latest_state_and_delays_no_others(server: Server) -> None:
    ann = await server.client("Ann")
    to = await create_person(ann, "dora@example.org")
    units = 0
    async with unread(ann) as slow, ann.follow(COUNTS) as quick:
        assert drafts(await quick.frame()) == 0
        for units in range(1, 21):
            await create_draft(ann, to, str(units))
            while drafts(await quick.frame()) < units:
                pass
        seen: list[int] = []
        while not seen or seen[-1] < units:
            seen.append(drafts(await slow.frame()))
        assert seen == sorted(set(seen))
        assert len(seen) < units
        assert await slow.quiet()
    await none_left(server)


def drafts(frame: dict[str, Any]) -> int:
    return next(int(each["emailCount"]) for each in frame["folders"] if each["name"] == "DRAFT")


@dataclass
class Elsewhere(ServerProcess):
    """A server in a process of its own, on the database of another."""

    database_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {f"{PREFIX}DATABASE_URL": self.database_url}


async def test_changes_of_another_process_are_sent_as_well(
    quiet_server: Server, database_url: str, tmp_path: Path
) -> None:
    ann = await quiet_server.client("Ann")
    async with open_server_process(tmp_path) as free:
        elsewhere = Elsewhere(tmp_path, free.port, database_url=database_url)
        await elsewhere.start()
        free.process = elsewhere.process
        there = Client(elsewhere.url, ann.token)
        to = await create_person(there, "dora@example.org")
        async with ann.follow(COUNTS) as stream:
            assert drafts(await stream.frame()) == 0
            for number in range(1, 4):
                await create_draft(there, to, str(number))
                assert drafts(await stream.frame()) == number
        await there.http.aclose()


async def test_a_stream_whose_database_is_lost_ends_with_an_error(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    async with ann.follow(COUNTS) as stream:
        await stream.frame()
        # What is left of a database that was restored badly: no reading of the counts is possible.
        await database().execute("ALTER TABLE folder_counts RENAME TO folder_counts_away")
        with pytest.raises(Failed) as failed:
            await stream.frame(10)
        assert failed.value.codes == ["UNAVAILABLE"]
    with pytest.raises(Failed):
        async with ann.follow(COUNTS) as stream:
            await stream.frame(10)
    await database().execute("ALTER TABLE folder_counts_away RENAME TO folder_counts")
    async with ann.follow(COUNTS) as stream:
        assert drafts(await stream.frame()) == 0
        await create_draft(ann, await create_person(ann, "dora@example.org"))
        assert drafts(await stream.frame()) == 1
    await none_left(quiet_server)


async def test_a_stream_ends_when_the_server_does(database_url: str) -> None:
    async with serving(database_url) as server:
        line = await signed_in(await server.client("Ann"))
        for name, document in (("a", COUNTS), ("b", FEED)):
            await subscribe(line, name, document)
            await line.recv()
    with suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await line.recv()
    assert line.close_code in (1001, 1012)
