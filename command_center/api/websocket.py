"""Serves GraphQL over WebSockets with the graphql-transport-ws protocol.

Implements https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md exactly. A `Socket` is one connection. Its
user is known from `connection_init` on. Each operation has its own task, and a context with the permissions at its
start. An error in an operation leaves the socket open; an invalid protocol message closes it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Final, NamedTuple

from graphql import GraphQLError, OperationType
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from command_center.api.errors import convert_error, create_request_error
from command_center.api.operations import Operations
from command_center.api.parameters import Malformed, Parameters, parse_json
from command_center.api.quotas import CODE, Hold, QuotaExceeded, UserQuotas
from command_center.api.socket_writer import SocketWriter, encode_head
from command_center.api.viewers import find_viewer
from command_center.graphql_engine.documents import Rejected
from command_center.graphql_engine.limits import SocketLimits
from command_center.web import authentication
from command_center.web.authentication import Claims, Tokens, Unauthenticated
from command_center.web.error_responses import rate_limited
from command_center.web.rate_limits import RateLimiter
from resolvers.context import Context, Services

PROTOCOL: Final = "graphql-transport-ws"
REASON_BYTES: Final = 123
ID_CHARACTERS: Final = 256
"""The longest id of an operation. It is stored as long as the operation runs, and sent with each of its messages."""
MAX_ACTIVE_OPERATIONS: Final = 10
"""Operations that one socket executes at the same time. The others wait, so that other clients get their share."""


class ConnectionClosed(Exception):
    """The connection ends with a close code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Running(NamedTuple):
    """One running operation of a WebSocket."""

    task: asyncio.Task[None]
    hold: Hold


class WebSocketEndpoint:
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
        await WebSocketSession(self, WebSocket(scope, receive, send)).run()


class WebSocketSession:
    """One WebSocket connection."""

    def __init__(self, server: WebSocketEndpoint, websocket: WebSocket) -> None:
        self._server = server
        self._websocket = websocket
        self._writer = SocketWriter(websocket)
        self._claims: Claims | None = None
        self._init_received = False
        self._operations: dict[str, _Running] = {}
        self._active = asyncio.Semaphore(MAX_ACTIVE_OPERATIONS)
        self._closing: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        if PROTOCOL not in self._websocket.scope["subprotocols"]:
            await self._websocket.accept()
            await self._websocket.close(4406, "Subprotocol not acceptable")
            return
        await self._websocket.accept(subprotocol=PROTOCOL)
        self._close_later(self._server.limits.init.total_seconds(), 4408, "Connection initialisation timeout")
        try:
            while True:
                await self._handle(await self._receive())
                # The next message may be there already, so other tasks run first.
                await asyncio.sleep(0)
        except ConnectionClosed as exc:
            await self._close(exc.code, str(exc))
        except WebSocketDisconnect:
            pass
        finally:
            await self._clean_up()

    async def _receive(self) -> Mapping[str, object]:
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1005))
        text = received.get("text")
        if text is None:
            raise ConnectionClosed(4400, "A message is a text, not bytes")
        try:
            message = parse_json(text)
        except Malformed as exc:
            raise ConnectionClosed(4400, "A message is JSON") from exc
        if not isinstance(message, dict):
            raise ConnectionClosed(4400, "A message is a JSON object")
        return message

    async def _handle(self, message: Mapping[str, object]) -> None:
        if not self._writer.open:
            return
        match message.get("type"):
            case "connection_init":
                await self._initialise(_parse_payload(message))
            case "ping":
                _parse_payload(message)
                await self._writer.send_message({"type": "pong"})
            case "pong":
                _parse_payload(message)
            case "subscribe":
                await self._subscribe(_parse_id(message), message.get("payload"))
            case "complete":
                self._cancel(_parse_id(message))
            case _:
                raise ConnectionClosed(4400, "A message's type is one of the graphql-transport-ws protocol")

    async def _initialise(self, payload: Mapping[str, object]) -> None:
        if self._init_received:
            raise ConnectionClosed(4429, "Too many initialisation requests")
        self._init_received = True
        header = next((value for key, value in payload.items() if key.lower() == "authorization" and value), None)
        # Clients other than browsers may send the header with the handshake, as with any other request.
        header = header or self._websocket.headers.get("authorization")
        try:
            claims = self._server.tokens.verify(authentication.parse_bearer_token(header))
            await find_viewer(claims)
        except Unauthenticated as exc:
            raise ConnectionClosed(4403, f"Forbidden: {exc}") from exc
        except Exception as exc:
            # The client sent nothing wrong, so the close code lets it reconnect later.
            raise ConnectionClosed(1013, convert_error(GraphQLError(str(exc), original_error=exc)).message) from exc
        if not self._writer.open:
            return
        try:
            self._server.quotas.open_socket(claims.user_id)
        except QuotaExceeded as exc:
            raise ConnectionClosed(1013, str(exc)) from exc
        for timer in self._timers:
            timer.cancel()
        self._close_later(claims.expires_at - time.time(), 4403, "Forbidden: The token has expired.")
        self._claims = claims
        await self._writer.send_message({"type": "connection_ack"})

    async def _subscribe(self, name: str, payload: object) -> None:
        claims = self._claims
        if claims is None:
            raise ConnectionClosed(4401, "Unauthorized")
        if name in self._operations:
            raise ConnectionClosed(4409, f"Subscriber for {name} already exists")
        if not isinstance(payload, dict):
            raise ConnectionClosed(4400, "An operation's payload is an object with `query`")
        try:
            parameters = self._server.operations.parse_parameters(payload)
        except Malformed as exc:
            if exc.code == "BAD_REQUEST":
                raise ConnectionClosed(4400, str(exc)) from exc
            await self._refuse(name, [create_request_error(str(exc), exc.code)])
            return
        max_operations = self._server.limits.operations
        if len(self._operations) >= max_operations:
            error = create_request_error(
                f"{max_operations} operations at once are allowed on one socket.", "TOO_MANY_OPERATIONS"
            )
            await self._refuse(name, [error])
        elif wait := self._server.rates.take(claims.user_id):
            refusal = rate_limited("user", self._server.rates.per_minute, wait)
            await self._refuse(name, [create_request_error(refusal.message, refusal.code, **refusal.extensions)])
        else:
            try:
                hold = self._server.quotas.hold(claims.user_id, parameters)
            except QuotaExceeded as exc:
                await self._refuse(name, [create_request_error(str(exc), CODE)])
                return
            task = asyncio.create_task(self._operate(name, parameters, claims, hold))
            # A task that is cancelled before it starts would not release the hold itself.
            task.add_done_callback(lambda _: hold.release())
            self._operations[name] = _Running(task, hold)

    async def _operate(self, name: str, parameters: Parameters, claims: Claims, hold: Hold) -> None:
        try:
            async with self._active:
                operation = self._server.operations.prepare(parameters)
                context = Context(self._server.services(), await find_viewer(claims))
            if operation.kind is OperationType.SUBSCRIPTION:
                hold.subscribe(operation.prepared)
                message_head = encode_head(name)
                context.sink = self._writer.create_sender(message_head)
                async with aclosing(await self._server.operations.subscribe(operation, context)) as payloads:
                    del context
                    async for payload in payloads:
                        await self._writer.send_payload(message_head, payload)
            else:
                # The operation stays active until the client has read the response, so few responses wait in memory
                # for a client that does not read.
                async with self._active:
                    answer = await self._server.operations.execute_within_limit(operation, context)
                    await self._writer.send_message({"id": name, "type": "next", "payload": answer})
            # From now on the client may use the id for another operation.
            self._operations.pop(name, None)
            await self._writer.send_message({"id": name, "type": "complete"})
        except Rejected as exc:
            self._operations.pop(name, None)
            await self._refuse(name, exc.errors)
        except QuotaExceeded as exc:
            self._operations.pop(name, None)
            await self._refuse(name, [create_request_error(str(exc), CODE)])
        except Unauthenticated as exc:
            await self._close(4403, f"Forbidden: {exc}")
        except Exception as exc:
            self._operations.pop(name, None)
            await self._refuse(name, [GraphQLError(str(exc), original_error=exc)])

    async def _refuse(self, name: str, errors: list[GraphQLError]) -> None:
        formatted_errors = self._server.operations.create_error_response(errors)["errors"]
        await self._writer.send_message({"id": name, "type": "error", "payload": formatted_errors})

    def _cancel(self, name: str) -> None:
        running = self._operations.pop(name, None)
        if running is not None:
            running.task.cancel()
            # The client may use the quota that it has freed in its next message.
            running.hold.release()

    def _close_later(self, seconds: float, code: int, reason: str) -> None:
        def end() -> None:
            task = asyncio.create_task(self._close(code, reason))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

        self._timers.append(asyncio.get_running_loop().call_later(max(0.0, seconds), end))

    async def _close(self, code: int, reason: str) -> None:
        """Close the connection, and send nothing more.

        The reading loop continues until the client has closed too.
        """
        if not self._writer.open:
            return
        self._writer.open = False
        for name in list(self._operations):
            if self._operations[name].task is not asyncio.current_task():
                self._cancel(name)
        with suppress(WebSocketDisconnect, RuntimeError, OSError):
            await self._websocket.close(code, reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore"))

    async def _clean_up(self) -> None:
        self._writer.open = False
        for timer in self._timers:
            timer.cancel()
        tasks = [*(running.task for running in self._operations.values()), *self._closing]
        self._operations.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._claims is not None:
            self._server.quotas.close_socket(self._claims.user_id)


def _parse_payload(message: Mapping[str, object]) -> Mapping[str, object]:
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise ConnectionClosed(4400, "A message's payload is an object")
    return payload or {}


def _parse_id(message: Mapping[str, object]) -> str:
    name = message.get("id")
    if not isinstance(name, str) or not name:
        raise ConnectionClosed(4400, "An operation's id is a text that is not empty")
    if len(name) > ID_CHARACTERS:
        raise ConnectionClosed(4400, f"An operation's id has at most {ID_CHARACTERS} characters")
    return name
