"""One application's way to the API: GraphQL over HTTP, and one subscription over a WebSocket."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

PATIENCE = 30.0
PAGE = 100


class Unanswered(Exception):
    """The API answered with errors, or refused what was asked."""


class Client:
    """Signed in with one token. To be closed."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self.mutations = 0
        """How many this client has requested."""
        # Settings of the surroundings, such as a proxy, are not for a server on this machine.
        self._http = httpx.AsyncClient(timeout=PATIENCE, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer. Raises Unanswered."""
        self.mutations += document.lstrip().startswith("mutation")
        answer = await self._http.post(
            f"{self._url}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {self._token}"},
        )
        found: dict[str, Any] = answer.json()
        if found.get("errors"):
            raise Unanswered(json.dumps(found["errors"]))
        return dict(found["data"])

    async def one(self, document: str, **variables: Any) -> Any:
        """The only field of the data. Raises Unanswered, for a mutation's userErrors too."""
        (field,) = (await self.ask(document, **variables)).values()
        if isinstance(field, dict) and field.get("userErrors"):
            raise Unanswered(json.dumps(field["userErrors"]))
        return field

    async def pages(self, document: str, *path: str, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        """All nodes of a connection; the document takes $first and $after, and `path` leads to the connection.

        None, if something on the path is null: somebody else may have deleted it.
        """
        after: str | None = None
        while True:
            found: Any = await self.ask(document, first=PAGE, after=after, **variables)
            for name in path:
                found = found[name]
                if found is None:
                    return
            for node in found["nodes"]:
                yield node
            if not found["pageInfo"]["hasNextPage"]:
                return
            after = found["pageInfo"]["endCursor"]

    async def follow(self, document: str, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        """The frames of a subscription, until it completes. Raises Unanswered."""
        address = "ws" + self._url.removeprefix("http") + "/graphql"
        subprotocol = Subprotocol("graphql-transport-ws")
        async with connect(address, subprotocols=[subprotocol], compression=None, proxy=None) as socket:
            init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {self._token}"}}
            await socket.send(json.dumps(init))
            async for text in socket:
                message = json.loads(text)
                match message["type"]:
                    case "connection_ack":
                        payload = {"query": document, "variables": variables}
                        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                    case "ping":
                        await socket.send(json.dumps({"type": "pong"}))
                    case "next" if not message["payload"].get("errors"):
                        (frame,) = message["payload"]["data"].values()
                        yield frame
                    case "next" | "error":
                        raise Unanswered(json.dumps(message["payload"]))
                    case "complete":
                        return
