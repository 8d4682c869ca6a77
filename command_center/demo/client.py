"""A client of the API: GraphQL over HTTP, and one subscription over a WebSocket."""

import json
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

JsonObject: TypeAlias = dict[str, Any]
"""An object of a response. Its values are not checked: the demo's own documents decide what they are."""
TIMEOUT_SECONDS = 30.0
PAGE_SIZE = 100


class RequestFailed(Exception):
    """Raised if the API returns errors or userErrors; the message is their JSON."""


class Client:
    """A client that is signed in with one token. The caller must close it."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self.mutations = 0
        """The number of mutations that this client has requested."""
        # A proxy from the environment must not be used for a server on this machine.
        self._http = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def execute(self, document: str, **variables: object) -> JsonObject:
        """Execute an operation, and return its data.

        Raises: RequestFailed if there are errors.
        """
        self.mutations += document.lstrip().startswith("mutation")
        response = await self._http.post(
            f"{self._url}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {self._token}"},
        )
        result: JsonObject = response.json()
        if result.get("errors"):
            raise RequestFailed(json.dumps(result["errors"]))
        return dict(result["data"])

    async def execute_field(self, document: str, **variables: object) -> JsonObject:
        """Execute an operation with a single root field, an object, and return the field.

        Raises: RequestFailed if there are errors or userErrors.
        """
        (field,) = (await self.execute(document, **variables)).values()
        if field.get("userErrors"):
            raise RequestFailed(json.dumps(field["userErrors"]))
        return dict(field)

    async def nodes(self, document: str, *path: str, **variables: object) -> AsyncIterator[JsonObject]:
        """Yield all nodes of a connection, page by page.

        The document must take $first and $after, and `path` must lead to the connection. Yields none if a field on the
        path is null: another client may have deleted the object.
        """
        after: str | None = None
        while True:
            result = await self.execute(document, first=PAGE_SIZE, after=after, **variables)
            for name in path:
                if result[name] is None:
                    return
                result = result[name]
            for node in result["nodes"]:
                yield node
            if not result["pageInfo"]["hasNextPage"]:
                return
            after = result["pageInfo"]["endCursor"]

    async def subscribe(self, document: str, **variables: object) -> AsyncIterator[JsonObject]:
        """Yield the change messages of a subscription until it completes.

        Raises: RequestFailed if there are errors.
        """
        address = "ws" + self._url.removeprefix("http") + "/graphql"
        subprotocol = Subprotocol("graphql-transport-ws")
        async with connect(address, subprotocols=[subprotocol], compression=None, proxy=None) as socket:
            init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {self._token}"}}
            await socket.send(json.dumps(init))
            async for frame in socket:
                envelope = json.loads(frame)
                match envelope["type"]:
                    case "connection_ack":
                        payload = {"query": document, "variables": variables}
                        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                    case "ping":
                        await socket.send(json.dumps({"type": "pong"}))
                    case "next" if not envelope["payload"].get("errors"):
                        (message,) = envelope["payload"]["data"].values()
                        yield message
                    case "next" | "error":
                        raise RequestFailed(json.dumps(envelope["payload"]))
                    case "complete":
                        return
