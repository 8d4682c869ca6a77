"""/graphql: POST and GET, the WebSocket, and GraphiQL for a browser. Nothing but GraphiQL answers without a token."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
from graphql import GraphQLError, OperationType, get_operation_ast, parse
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import GraphQLRequestData, process_result
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult

from mail import devices
from mail.links import Links
from models.viewers import Viewer
from resolvers.context import Context, Services
from schema.build import Schema
from server import auth
from server.auth import Claims, Tokens, Unauthenticated
from server.errors import coded
from server.graphql.repeats import Answer, RepeatRefused, Repeats, fingerprint, key_in

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


class Answered(Exception):
    """A mutation with an Idempotency-Key has its answer already in bytes."""

    def __init__(self, answer: Answer, sub_response: Response) -> None:
        super().__init__()
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        self.response = Response(answer.body, media_type="application/json", headers=headers)
        self.response.headers.raw.extend(sub_response.headers.raw)


class View(GraphQL[Any, None]):
    """Strawberry's ASGI view with our contexts."""

    def __init__(
        self,
        schema: Schema,
        services: Callable[[], Services],
        tokens: Tokens,
        links: Links,
        page: Callable[[Request], Awaitable[Response]],
        repeats: Callable[[], Repeats],
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
        self._repeats = repeats

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
        except Answered as exc:
            await exc.response(scope, receive, send)
        except RepeatRefused as exc:
            body = {"errors": [{"message": str(exc), "extensions": {"code": exc.code}}]}
            await Response(orjson.dumps(body), exc.status, media_type="application/json")(scope, receive, send)

    async def execute_single(
        self,
        request: Request,
        request_adapter: Any,
        sub_response: Response,
        context: Any,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Raises Answered for a mutation with an Idempotency-Key."""
        execute = super().execute_single
        keys = request.headers.getlist("idempotency-key")
        if not keys or not _mutates(request_data):
            return await execute(request, request_adapter, sub_response, context, root_value, request_data)

        async def run(claimed: Context) -> bytes:
            result = await execute(request, request_adapter, sub_response, claimed, root_value, request_data)
            return self.encode_json(process_result(result)).encode()

        print_ = fingerprint(request_data.query or "", request_data.operation_name, request_data.variables)
        raise Answered(await self._repeats().answer(context, key_in(keys) or "", print_, run), sub_response)

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


def _mutates(asked: GraphQLRequestData) -> bool:
    try:
        operation = get_operation_ast(parse(asked.query or ""), asked.operation_name)
    except GraphQLError:
        return False
    return operation is not None and operation.operation is OperationType.MUTATION


def _failure(cause: Exception) -> Response:
    body = {"errors": [coded(GraphQLError(str(cause), original_error=cause)).formatted]}
    return Response(orjson.dumps(body), status_code=500, media_type="application/json")


def _refusal(message: str) -> Response:
    body = {"errors": [{"message": message, "extensions": {"code": "UNAUTHENTICATED"}}]}
    return Response(
        orjson.dumps(body),
        status_code=401,
        media_type="application/json",
        headers={"WWW-Authenticate": "Bearer"},
    )
