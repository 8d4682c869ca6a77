"""`python -m benchmarks.floor FILE PORT`: the least a durable event can cost with the same parts.

A POST, one row committed with synchronous FULL, one frame to the one who listens; no GraphQL, no lists, no rights.
"""

import asyncio
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

TABLE = (
    "CREATE TABLE events (id INTEGER PRIMARY KEY, email_id TEXT, kind TEXT, occurred_at TEXT, dedupe_key TEXT UNIQUE)"
)
ROW = "INSERT INTO events (email_id, kind, occurred_at, dedupe_key) VALUES (?, ?, ?, ?)"
COLUMNS = ("emailId", "kind", "occurredAt", "dedupeKey")


class Floor:
    """One writing thread, one connection; `sockets` are those who listen."""

    def __init__(self, path: str) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._sockets: set[WebSocket] = set()

    def _commit(self, values: tuple[Any, ...]) -> None:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(TABLE)
        with self._connection:
            self._connection.execute(ROW, values)

    async def event(self, request: Request) -> Response:
        event = orjson.loads(await request.body())
        values = tuple(event[name] for name in COLUMNS)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, values)
        frame = orjson.dumps({"dedupeKey": event["dedupeKey"]}).decode()
        for socket in self._sockets:
            await socket.send_text(frame)
        return Response(b'{"recorded":1}', media_type="application/json")

    async def follow(self, socket: WebSocket) -> None:
        await socket.accept()
        self._sockets.add(socket)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            self._sockets.discard(socket)


def main() -> None:
    floor = Floor(sys.argv[1])
    routes = [Route("/event", floor.event, methods=["POST"]), WebSocketRoute("/follow", floor.follow)]
    uvicorn.run(
        Starlette(routes=routes),
        port=int(sys.argv[2]),
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
