"""graphql-transport-ws, to the letter of https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md.

One `Socket` is one connection: who asks is known once `connection_init` came, each operation has a task of its own and
a context with the rights of its moment. A mistake in an operation is told and the socket lives; a message that the
protocol does not know ends it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final, NamedTuple

from graphql import GraphQLError, OperationType
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from command_center.api.errors import coded, named
from command_center.api.operations import Operations
from command_center.api.parameters import Malformed, Parameters, parsed
from command_center.api.quotas import CODE, Hold, QuotaExceeded, UserQuotas
from command_center.api.socket_writer import SocketWriter, head
from command_center.api.viewers import viewer_of
from command_center.graphql_engine.documents import Rejected
from command_center.graphql_engine.limits import SocketLimits
from command_center.web import authentication
from command_center.web.authentication import Claims, Tokens, Unauthenticated
from command_center.web.error_responses import too_often
from command_center.web.rate_limits import RateLimiter
from resolvers.context import Context, Services

PROTOCOL: Final = "graphql-transport-ws"
REASON_BYTES: Final = 123
ID_CHARACTERS: Final = 256
"""The longest id of an operation. It is kept as long as the operation, and repeated in each of its messages."""
TURNS: Final = 10
"""Operations of one socket that are worked on at the same time; the others wait, so that other clients do not."""


class Ended(Exception):
    """The connection ends, with a code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Running(NamedTuple):
    """An operation under way."""

    task: asyncio.Task[None]
    hold: Hold


class Sockets:
    """`/graphql` over WebSockets, as an ASGI application."""

    def __init__(
        self,
        operations: Operations,
        services: Callable[[], Services],
        tokens: Tokens,
        rates: RateLimiter,
        limits: SocketLimits,
        quotas: UserQuotas,
    ) -> None:
        self.operations = operations
        self.services = services
        self.tokens = tokens
        self.rates = rates
        self.limits = limits
        self.quotas = quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Socket(self, WebSocket(scope, receive, send)).run()


class Socket:
    """One connection."""

    def __init__(self, home: Sockets, websocket: WebSocket) -> None:
        self._home = home
        self._websocket = websocket
        self._voice = SocketWriter(websocket)
        self._claims: Claims | None = None
        self._asked_in = False
        self._operations: dict[str, _Running] = {}
        self._turns = asyncio.Semaphore(TURNS)
        self._closing: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []

    async def run(self) -> None:
        """Until either side ends it."""
        if PROTOCOL not in self._websocket.scope["subprotocols"]:
            await self._websocket.accept()
            await self._websocket.close(4406, "Subprotocol not acceptable")
            return
        await self._websocket.accept(subprotocol=PROTOCOL)
        self._end_in(self._home.limits.init.total_seconds(), 4408, "Connection initialisation timeout")
        try:
            while True:
                await self._hear(await self._message())
                # The next message may be there already; others have a turn before it.
                await asyncio.sleep(0)
        except Ended as exc:
            await self._close(exc.code, str(exc))
        except WebSocketDisconnect:
            pass
        finally:
            await self._leave()

    async def _message(self) -> Mapping[str, Any]:
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1005))
        text = received.get("text")
        if text is None:
            raise Ended(4400, "A message is a text, not bytes")
        try:
            message = parsed(text)
        except Malformed as exc:
            raise Ended(4400, "A message is JSON") from exc
        if not isinstance(message, dict):
            raise Ended(4400, "A message is a JSON object")
        return message

    async def _hear(self, message: Mapping[str, Any]) -> None:
        if not self._voice.open:
            return
        match message.get("type"):
            case "connection_init":
                await self._init(_payload(message))
            case "ping":
                _payload(message)
                await self._voice.say({"type": "pong"})
            case "pong":
                _payload(message)
            case "subscribe":
                await self._subscribe(_id(message), message.get("payload"))
            case "complete":
                self._cancel(_id(message))
            case _:
                raise Ended(4400, "A message's type is one of the graphql-transport-ws protocol")

    async def _init(self, payload: Mapping[str, Any]) -> None:
        if self._asked_in:
            raise Ended(4429, "Too many initialisation requests")
        self._asked_in = True
        header = next((value for key, value in payload.items() if key.lower() == "authorization" and value), None)
        # Clients outside of browsers may send it with the handshake, as with every other request.
        header = header or self._websocket.headers.get("authorization")
        try:
            claims = self._home.tokens.read(authentication.bearer(header))
            await viewer_of(claims)
        except Unauthenticated as exc:
            raise Ended(4403, f"Forbidden: {exc}") from exc
        except Exception as exc:
            # The client may come again: nothing is wrong with what it said.
            raise Ended(1013, coded(GraphQLError(str(exc), original_error=exc)).message) from exc
        if not self._voice.open:
            return
        try:
            self._home.quotas.open_socket(claims.user_id)
        except QuotaExceeded as exc:
            raise Ended(1013, str(exc)) from exc
        for timer in self._timers:
            timer.cancel()
        self._end_in(claims.until - time.time(), 4403, "Forbidden: The token has expired.")
        self._claims = claims
        await self._voice.say({"type": "connection_ack"})

    async def _subscribe(self, name: str, payload: Any) -> None:
        claims = self._claims
        if claims is None:
            raise Ended(4401, "Unauthorized")
        if name in self._operations:
            raise Ended(4409, f"Subscriber for {name} already exists")
        if not isinstance(payload, dict):
            raise Ended(4400, "An operation's payload is an object with `query`")
        try:
            asked = self._home.operations.read(payload)
        except Malformed as exc:
            if exc.code == "BAD_REQUEST":
                raise Ended(4400, str(exc)) from exc
            await self._refuse(name, [named(str(exc), exc.code)])
            return
        most = self._home.limits.operations
        if len(self._operations) >= most:
            error = named(f"{most} operations at once are allowed on one socket.", "TOO_MANY_OPERATIONS")
            await self._refuse(name, [error])
        elif wait := self._home.rates.take(claims.user_id):
            refusal = too_often("user", self._home.rates.per_minute, wait)
            await self._refuse(name, [named(refusal.message, refusal.code, **refusal.more)])
        else:
            try:
                hold = self._home.quotas.hold(claims.user_id, asked)
            except QuotaExceeded as exc:
                await self._refuse(name, [named(str(exc), CODE)])
                return
            task = asyncio.create_task(self._operate(name, asked, claims, hold))
            # A task that is cancelled before it begins would not release it.
            task.add_done_callback(lambda _: hold.release())
            self._operations[name] = _Running(task, hold)

    async def _operate(self, name: str, asked: Parameters, claims: Claims, hold: Hold) -> None:
        try:
            async with self._turns:
                operation = self._home.operations.ready(asked)
                context = Context(self._home.services(), await viewer_of(claims))
            if operation.kind is OperationType.SUBSCRIPTION:
                hold.subscribe(operation.prepared)
                begin = head(name)
                context.sink = self._voice.sink(begin)
                async with aclosing(await self._home.operations.follow(operation, context)) as frames:
                    del context
                    async for frame in frames:
                        await self._voice.tell(begin, frame)
            else:
                # The turn lasts until the client has taken the answer: of one that reads nothing, few wait.
                async with self._turns:
                    answer = await self._home.operations.answer(operation, context)
                    await self._voice.say({"id": name, "type": "next", "payload": answer})
            # From here on the client may give the name to another operation.
            self._operations.pop(name, None)
            await self._voice.say({"id": name, "type": "complete"})
        except Rejected as exc:
            self._operations.pop(name, None)
            await self._refuse(name, exc.errors)
        except QuotaExceeded as exc:
            self._operations.pop(name, None)
            await self._refuse(name, [named(str(exc), CODE)])
        except Unauthenticated as exc:
            await self._close(4403, f"Forbidden: {exc}")
        except Exception as exc:
            self._operations.pop(name, None)
            await self._refuse(name, [GraphQLError(str(exc), original_error=exc)])

    async def _refuse(self, name: str, errors: list[GraphQLError]) -> None:
        told = self._home.operations.refusal(errors)["errors"]
        await self._voice.say({"id": name, "type": "error", "payload": told})

    def _cancel(self, name: str) -> None:
        running = self._operations.pop(name, None)
        if running is not None:
            running.task.cancel()
            # The client may use what it has given up with its next message.
            running.hold.release()

    def _end_in(self, seconds: float, code: int, reason: str) -> None:
        def end() -> None:
            task = asyncio.create_task(self._close(code, reason))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

        self._timers.append(asyncio.get_running_loop().call_later(max(0.0, seconds), end))

    async def _close(self, code: int, reason: str) -> None:
        """Nothing is said after this; the reading loop goes on until the other side has closed too."""
        if not self._voice.open:
            return
        self._voice.open = False
        for name in list(self._operations):
            if self._operations[name].task is not asyncio.current_task():
                self._cancel(name)
        with suppress(WebSocketDisconnect, RuntimeError, OSError):
            await self._websocket.close(code, reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore"))

    async def _leave(self) -> None:
        self._voice.open = False
        for timer in self._timers:
            timer.cancel()
        tasks = [*(running.task for running in self._operations.values()), *self._closing]
        self._operations.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._claims is not None:
            self._home.quotas.close_socket(self._claims.user_id)


def _payload(message: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise Ended(4400, "A message's payload is an object")
    return payload or {}


def _id(message: Mapping[str, Any]) -> str:
    name = message.get("id")
    if not isinstance(name, str) or not name:
        raise Ended(4400, "An operation's id is a text that is not empty")
    if len(name) > ID_CHARACTERS:
        raise Ended(4400, f"An operation's id has at most {ID_CHARACTERS} characters")
    return name
