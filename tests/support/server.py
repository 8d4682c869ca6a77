"""A real server on a real socket, in the test's own event loop, and clients that talk to it as applications do."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import websockets
from starlette.middleware import Middleware

from command_center.actions import users
from command_center.api.broadcast import BroadcastGroups
from command_center.api.operations import Operations
from command_center.database.clock import Clock
from command_center.database.connections import Connection
from command_center.server.app import create_app
from command_center.server.runtime import Runtime
from command_center.server.serving import bind_socket, create_server
from command_center.server.settings import PREFIX, Settings, read_settings
from command_center.web.authentication import Tokens
from models.enums import Role
from models.users import User
from tests.support.double_execution import DoubleExecutor

SECRET = "a secret that is only for these tests, and long enough"
PATIENCE = 20.0
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
"""The headers of a person's program: the test client's own name is that of an HTTP library, which is a machine's."""
Observer = Callable[[str, Mapping[str, Any], Any], None]
observers: list[Observer] = []
"""Called with every document, its variables, and the answer or one frame of it."""


class ManualClock(Clock):
    """A clock that the test moves, in microseconds; it starts at a moment long gone by."""

    def __init__(self, moment: int = 1_700_000_000_000_000) -> None:
        self.moment = moment

    async def now(self, connection: Connection) -> int:
        return self.moment

    def advance(self, span: timedelta) -> None:
        self.moment += span // timedelta(microseconds=1)


def settings(database_url: str, **more: str) -> Settings:
    """The settings of a test's server. Mail goes nowhere unless SMTP_URL is given."""
    given = {"DATABASE_URL": database_url, "SECRET": SECRET, "SMTP_URL": "smtp://127.0.0.1:1", "LOG_LEVEL": "warning"}
    given |= more
    return read_settings({PREFIX + name: value for name, value in given.items()})


class Failed(AssertionError):
    """An answer had errors; `codes` are theirs."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(json.dumps(errors, indent=1))
        self.errors = errors
        self.codes = [error.get("extensions", {}).get("code") for error in errors]


@dataclass
class Client:
    """One signed-in user's application."""

    url: str
    token: str
    user_id: str = ""
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=PATIENCE, headers=BROWSER))

    async def raw(self, document: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        answer = await self.http.post(
            f"{self.url}/graphql",
            # Escaped to ASCII, as some clients do: only so can a text say half a character.
            content=json.dumps({"query": document, "variables": variables}),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        found: dict[str, Any] = answer.json()
        for observe in observers:
            observe(document, variables, found)
        return found

    async def __call__(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors. Raises Failed."""
        found = await self.raw(document, **variables)
        if found.get("errors"):
            raise Failed(found["errors"])
        data: dict[str, Any] = found["data"]
        return data

    async def one(self, document: str, **variables: Any) -> Any:
        """The only field of the data."""
        return next(iter((await self(document, **variables)).values()))

    @asynccontextmanager
    async def follow(self, document: str, **variables: Any) -> AsyncIterator["Stream"]:
        """One subscription on a socket of its own."""
        address = self.url.replace("http://", "ws://") + "/graphql"
        async with websockets.connect(
            address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")], compression=None
        ) as socket:
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}}
            await socket.send(json.dumps(init))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            payload = {"query": document, "variables": variables}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            yield Stream(socket, document, variables)


class Completed(Exception):
    """The stream ended."""


class Stream:
    """The frames of one subscription."""

    def __init__(self, socket: websockets.ClientConnection, document: str, variables: Mapping[str, Any]) -> None:
        self.socket = socket
        self._asked = (document, variables)

    async def frame(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The next frame's only field. Raises Completed and Failed."""
        while True:
            # Not wait_for: on Python 3.11 it may swallow a cancellation that meets a message.
            async with asyncio.timeout(patience):
                message = json.loads(await self.socket.recv())
            if message["type"] == "complete":
                raise Completed
            if message["type"] == "error":
                raise Failed(message["payload"])
            if message["type"] == "next":
                payload = message["payload"]
                for observe in observers:
                    observe(*self._asked, payload)
                if payload.get("errors"):
                    raise Failed(payload["errors"])
                found: dict[str, Any] = next(iter(payload["data"].values()))
                return found

    async def until(self, kind: str, patience: float = PATIENCE) -> list[dict[str, Any]]:
        """Frames up to and including the first of a kind."""
        frames = []
        while True:
            frames.append(await self.frame(patience))
            if frames[-1]["__typename"] == kind:
                return frames

    async def quiet(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while."""
        try:
            await self.frame(seconds)
        except TimeoutError:
            return True
        return False


@dataclass
class Server:
    """A running server, from outside and from inside."""

    url: str
    engine: Runtime
    clients: list[Client] = field(default_factory=list)
    operations: Operations | None = None

    @property
    def audiences(self) -> BroadcastGroups:
        assert self.operations is not None
        return self.operations.broadcast_groups

    async def user(self, name: str, team: str = "Team", role: Role = Role.MEMBER, time_zone: str = "UTC") -> User:
        """Makes or updates a user, as the command line does."""
        address = f"{name.lower()}@{team.lower()}.example"
        return await users.add(self.engine.ctx, team, name, address, role, time_zone)

    async def client(
        self, name: str, team: str = "Team", role: Role = Role.MEMBER, scopes: tuple[str, ...] = ("engagement:write",)
    ) -> Client:
        """A user of that name, signed in."""
        user = await self.user(name, team, role)
        token = Tokens(SECRET).issue(user, scopes, timedelta(hours=1))
        client = Client(self.url, token)
        client.user_id = (await client.one("{viewer{id}}"))["id"]
        self.clients.append(client)
        return client

    async def settle(self) -> None:
        """The matcher has looked at everything. For servers that were started without one of their own."""
        await self.engine.matcher.settle()


@asynccontextmanager
async def serving(
    database_url: str, clock: Clock | None = None, works: bool = True, looks: bool = True, **more: str
) -> AsyncIterator[Server]:
    """The product on a free port. With `looks=False` the test drives the matcher by `settle`."""
    async with serving_with_middleware((), database_url, clock, works, looks, **more) as made:
        yield made


@asynccontextmanager
async def serving_with_middleware(
    around: Sequence[Middleware],
    database_url: str,
    clock: Clock | None = None,
    works: bool = True,
    looks: bool = True,
    **more: str,
) -> AsyncIterator[Server]:
    """The same with something around the application."""
    listener = bind_socket("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    given = settings(database_url, **({"BASE_URL": url} | more))

    class Executed(DoubleExecutor):
        differences: ClassVar[list[str]] = []

    app = create_app(given, clock, works, looks, Executed)
    app.user_middleware[:0] = around
    running = create_server(app, given)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        while not running.started:
            if task.done():
                await task
                raise AssertionError("the server ended before it started")
            await asyncio.sleep(0.005)
        made = Server(url, app.state.runtime, operations=app.state.operations)
        if not looks:
            await made.engine.matcher.start()
        try:
            yield made
        finally:
            for client in made.clients:
                await client.http.aclose()
        assert not Executed.differences, "\n\n".join(Executed.differences[:3])
    finally:
        running.should_exit = True
        await task
        listener.close()
