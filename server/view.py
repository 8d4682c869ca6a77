"""/graphql: POST and GET, the WebSocket, and GraphiQL for a browser. Nothing but GraphiQL answers without a token."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from mail import devices
from mail.links import Links
from models.unavailable import Unavailable
from models.viewers import Viewer
from resolvers.context import Context, Services
from schema.build import Schema
from server import auth
from server.auth import Claims, Tokens, Unauthenticated
from server.errors import RETRY_SECONDS, away, coded

INIT_TIMEOUT = timedelta(seconds=5)


class Connection:
    """A WebSocket's: who is asking is known once connection_init came. Each operation gets a context of its own."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.connection_params: Mapping[str, Any] | None = None
        self.claims: Claims | None = None

    async def fresh(self) -> Context:
        """A context with the rights of this moment."""
        if self.claims is None:
            raise Unauthenticated("A bearer token is needed.")
        return Context(self.services, await auth.viewer(self.claims))


class View(GraphQL[Any, None]):
    """Strawberry's ASGI view with our contexts."""

    def __init__(
        self,
        schema: Schema,
        services: Callable[[], Services],
        tokens: Tokens,
        links: Links,
        page: Callable[[Request], Awaitable[Response]],
    ) -> None:
        super().__init__(
            schema,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=INIT_TIMEOUT,
        )
        self._services = services
        self._tokens = tokens
        self._links = links
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            if self._wants_page(request):
                await (await self._page(request))(scope, receive, send)
                return
            try:
                scope["command_center.viewer"] = await self._viewer(request)
            except Unauthenticated as exc:
                await _refusal(str(exc))(scope, receive, send)
                return
            except Exception as exc:
                # Who is asking is looked up before there is any field that could go wrong.
                await _failure(exc)(scope, receive, send)
                return
        try:
            await super().__call__(scope, receive, send)
        except Unavailable as exc:
            # Who is asking could not be looked up; 1013 is "try again later".
            told = coded(GraphQLError(str(exc), original_error=exc))
            await send({"type": "websocket.close", "code": 1013, "reason": told.message})

    @staticmethod
    def _wants_page(request: Request) -> bool:
        accept = request.headers.get("accept", "")
        return request.method in ("GET", "HEAD") and "query" not in request.query_params and "text/html" in accept

    async def _viewer(self, request: HTTPConnection) -> Viewer:
        token = auth.bearer(request.headers.get("authorization"))
        return await auth.viewer(self._tokens.read(token))

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Any:
        if isinstance(request, WebSocket):
            return Connection(self._services())
        viewer: Viewer = request.scope["command_center.viewer"]
        if isinstance(response, Response):
            self._mark_device(request, response, viewer)
        return Context(self._services(), viewer)

    def _mark_device(self, request: Request, response: Response, viewer: Viewer) -> None:
        """From now on the browser is known as the viewer's own, unless it is already."""
        if devices.owner(self._links, request.cookies) != viewer.user_id:
            for value in devices.headers(self._links, viewer.user_id):
                response.headers.append("set-cookie", value)

    async def on_ws_connect(self, context: Any) -> Any:
        params = context.connection_params or {}
        header = next((value for key, value in params.items() if str(key).lower() == "authorization"), None)
        try:
            claims = self._tokens.read(auth.bearer(header))
            await auth.viewer(claims)
        except Unauthenticated as exc:
            raise ConnectionRejectionError from exc
        context.claims = claims
        return await super().on_ws_connect(context)

    def encode_json(self, data: object) -> str:
        try:
            return orjson.dumps(data).decode()
        except TypeError:
            # A lone surrogate that a client sent and an error repeats: JSON can escape what UTF-8 cannot hold.
            return json.dumps(data)


def _failure(cause: Exception) -> Response:
    if isinstance(cause, Unavailable):
        cause.undone = True
    error = coded(GraphQLError(str(cause), original_error=cause))
    status, headers = (503, {"Retry-After": str(RETRY_SECONDS)}) if away([error]) else (500, None)
    body = orjson.dumps({"errors": [error.formatted]})
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _refusal(message: str) -> Response:
    body = {"errors": [{"message": message, "extensions": {"code": "UNAUTHENTICATED"}}]}
    return Response(
        orjson.dumps(body),
        status_code=401,
        media_type="application/json",
        headers={"WWW-Authenticate": "Bearer"},
    )
