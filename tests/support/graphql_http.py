"""Requests as they go over the wire, without a client that smooths them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import websockets

from tests.support.server import Client, Server

PROTOCOL = websockets.Subprotocol("graphql-transport-ws")
RESPONSE = "application/graphql-response+json"


async def post(client: Client, body: Any, **headers: str) -> httpx.Response:
    """A POST of a JSON value, or of bytes as they are. Header names with underscores for dashes."""
    given = {
        "authorization": f"Bearer {client.token}",
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name: value for name, value in given.items() if value}
    return await client.http.post(f"{client.url}/graphql", content=content, headers=sent)


async def get(client: Client, accept: str = "application/json", **parameters: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {client.token}", "accept": accept}
    return await client.http.get(f"{client.url}/graphql", params=parameters, headers=headers)


def codes(answer: httpx.Response) -> list[str]:
    """The codes of an answer's errors."""
    return [error["extensions"]["code"] for error in answer.json().get("errors", ())]


class WebSocketClient:
    """A WebSocket as the protocol sees it: messages said and heard."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def say(self, message: Any) -> None:
        await self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def hear(self) -> Any:
        return json.loads(await self.socket.recv())

    async def ask(self, name: str, query: str, **more: Any) -> None:
        await self.say({"id": name, "type": "subscribe", "payload": {"query": query, **more}})

    async def end(self) -> tuple[int, str]:
        """The code and reason that the server ends it with, whatever it says before."""
        with suppress(websockets.ConnectionClosed):
            async for _ in self.socket:
                pass
        assert self.socket.protocol.close_rcvd is not None, "the connection was dropped"
        return self.socket.protocol.close_rcvd.code, self.socket.protocol.close_rcvd.reason


@asynccontextmanager
async def open_websocket(
    server: Server, token: str | None = None, protocols: list[websockets.Subprotocol] | None = None, **headers: str
) -> AsyncIterator[WebSocketClient]:
    """A WebSocket; signed in where a token is given."""
    address = server.url.replace("http://", "ws://") + "/graphql"
    offered = [PROTOCOL] if protocols is None else protocols
    async with websockets.connect(
        address, subprotocols=offered or None, compression=None, additional_headers=headers
    ) as socket:
        talk = WebSocketClient(socket)
        if token is not None:
            await talk.say({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
            assert await talk.hear() == {"type": "connection_ack"}
        yield talk
