"""Subscriptions on sockets: connections, resumed streams, and the wait until a server has none left."""

import asyncio
import json
from typing import Any

import websockets

from tests.support.searches import SAVE
from tests.support.server import Client, Completed, Server

AS_OF = "{savedSearches{asOf nodes{id}}}"
ALL = "subscription($after:ChangeCursor){allSavedSearchChanges(after:$after){__typename ... on Change{cursor}}}"


async def wait_until_no_streams(server: Server) -> None:
    """Waits until no stream and no task of one is left."""
    for _ in range(200):
        names = [task.get_name() for task in asyncio.all_tasks()]
        if server.engine.hub.subscriber_count == 0 and not any(name.startswith("hub-read") for name in names):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{server.engine.hub.subscriber_count} followers are left")


async def open_socket(client: Client, ping: float | None = 20) -> websockets.ClientConnection:
    connection = await websockets.connect(
        client.url.replace("http://", "ws://") + "/graphql",
        subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
        compression=None,
        ping_interval=ping,
    )
    init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {client.token}"}}
    await connection.send(json.dumps(init))
    assert json.loads(await connection.recv())["type"] == "connection_ack"
    return connection


async def make_changes(server: Server, client: Client, count: int) -> list[str]:
    """Makes changes of one entry each; returns the cursor after each of them."""
    cursors = []
    for number in range(count):
        saved = await client.one(SAVE, i={"name": f"List {number}", "filter": {"campaign": []}})
        assert saved["userErrors"] == []
        cursors.append((await client.one(AS_OF))["asOf"])
    return cursors


async def resume_stream(client: Client, after: str) -> list[dict[str, Any]]:
    """The frames from a cursor up to CaughtUp, or up to the end of the stream."""
    frames: list[dict[str, Any]] = []
    async with client.follow(ALL, after=after) as stream:
        try:
            while not frames or frames[-1]["__typename"] != "CaughtUp":
                frames.append(await stream.frame())
        except Completed:
            pass
    return frames


def message_kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["__typename"] for frame in frames]
