"""Serves GraphQL over HTTP: POST of JSON, GET and HEAD of queries.

Implements https://graphql.github.io/graphql-over-http/draft/ exactly. Only the GraphiQL page is served without a token.
A request that this specification does not allow gets an error status and a coded error. Any other request gets 200 as
application/json. As application/graphql-response+json it gets 400 if nothing was executed.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from graphql import GraphQLError, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from command_center.api import streaming
from command_center.api.errors import RETRY_SECONDS, convert_error
from command_center.api.idempotency import (
    IdempotencyRefused,
    IdempotentRequests,
    IdempotentResponse,
    hash_request,
    parse_key,
)
from command_center.api.operations import Operation, Operations, encode_json
from command_center.api.parameters import Malformed, parse_json
from command_center.api.quotas import CODE, Hold, QuotaExceeded, UserQuotas
from command_center.api.viewers import find_viewer
from command_center.database.errors import Unavailable
from command_center.graphql_engine.documents import Rejected
from command_center.web import authentication, negotiation
from command_center.web.authentication import Claims, Tokens, Unauthenticated
from command_center.web.error_responses import ErrorResponse, rate_limited
from command_center.web.negotiation import Form
from command_center.web.rate_limits import RateLimiter
from command_center.web.shutdown import Shutdown
from models.viewers import Viewer
from resolvers.context import Context, Services

ALLOWED: Final = "GET, HEAD, POST"
_QUERY_STRING_METHODS: Final = ("GET", "HEAD")
"""Methods whose parameters are in the query string. HEAD is answered like GET, but without the body."""
_STATUS: Final = {"UNAVAILABLE": 503, "TIMEOUT": 503, "INTERNAL": 500}
"""The status of a response without data, by the code of its first error. All other codes get 400."""


class HttpError(Exception):
    """A request that is rejected with an error response."""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__(response.message)
        self.response = response


DeviceCookies = Callable[[Mapping[str, str], int], Iterable[str]]
"""Returns the values of Set-Cookie that mark the browser as the user's, for a request's cookies and a user's id."""


class HttpEndpoint:
    """`/graphql` over HTTP, as an ASGI application."""

    def __init__(
        self,
        operations: Operations,
        services: Callable[[], Services],
        idempotent_requests: Callable[[], IdempotentRequests],
        tokens: Tokens,
        rates: RateLimiter,
        device_cookies: DeviceCookies,
        page: Callable[[Request], Awaitable[Response]],
        shutdown: Shutdown,
        quotas: UserQuotas,
    ) -> None:
        self._operations = operations
        self._services = services
        self._idempotent_requests = idempotent_requests
        self._tokens = tokens
        self._rates = rates
        self._device_cookies = device_cookies
        self._page = page
        self._shutdown = shutdown
        self._quotas = quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response: ASGIApp
        if _wants_page(request):
            response = await self._page(request)
        else:
            try:
                response = await self._respond(request)
            except HttpError as exc:
                response = exc.response.to_response(scope)
            except Unavailable as exc:
                response = _create_unavailable_response(exc).to_response(scope)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        claims, viewer = await self._authenticate(request)
        if request.scope["method"] not in (*_QUERY_STRING_METHODS, "POST"):
            raise _create_method_error("GraphQL is asked for with GET, HEAD or POST.", ALLOWED)
        accept = request.headers.get("accept")
        form = negotiation.choose_form(accept)
        if form is None:
            forms = ", ".join(each.value for each in (*negotiation.SINGLE_FORMS, *negotiation.STREAM_FORMS))
            raise HttpError(ErrorResponse(406, "NOT_ACCEPTABLE", f"An answer comes as one of {forms}."))
        try:
            parameters = self._operations.parse_parameters(await _read_parameters(request))
        except Malformed as exc:
            raise HttpError(ErrorResponse(_choose_status(exc), exc.code, str(exc))) from exc
        try:
            operation = self._operations.prepare(parameters)
            if operation.kind is OperationType.SUBSCRIPTION:
                return await self._subscribe(operation, claims, viewer, accept)
            if operation.kind is OperationType.MUTATION and request.scope["method"] in _QUERY_STRING_METHODS:
                raise _create_method_error("A mutation is asked for with POST.", "POST")
            answer = await self._execute(operation, Context(self._services(), viewer), request)
        except Rejected as exc:
            return self._reject(exc.errors, form)
        if form in negotiation.STREAM_FORMS:
            return streaming.StreamedResponse(
                form, streaming.stream_one_payload(answer.body), claims.expires_at, self._shutdown
            )
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        response = Response(answer.body, headers=headers, media_type=f"{form.value}; charset=utf-8")
        self._mark_device(request, response, viewer)
        return response

    async def _execute(self, operation: Operation, context: Context, request: Request) -> IdempotentResponse:
        """Execute a query or mutation. Raises: Rejected or HttpError."""
        keys = request.headers.getlist("idempotency-key") if operation.kind is OperationType.MUTATION else []
        try:
            key = parse_key(keys)
            if key is None:
                return IdempotentResponse(encode_json(await self._operations.execute_within_limit(operation, context)))

            async def run(claimed_context: Context) -> bytes:
                return encode_json(await self._operations.execute(operation, claimed_context))

            parameters = operation.parameters
            request_fingerprint = hash_request(parameters.query, parameters.operation_name, parameters.variables)
            return await self._idempotent_requests().execute_once(context, key, request_fingerprint, run)
        except IdempotencyRefused as exc:
            raise HttpError(ErrorResponse(exc.status, exc.code, str(exc))) from exc

    async def _authenticate(self, request: Request) -> tuple[Claims, Viewer]:
        try:
            claims = self._tokens.verify(authentication.parse_bearer_token(request.headers.get("authorization")))
            if wait := self._rates.take(claims.user_id):
                raise HttpError(rate_limited("user", self._rates.per_minute, wait))
            return claims, await find_viewer(claims)
        except Unauthenticated as exc:
            raise HttpError(ErrorResponse(401, "UNAUTHENTICATED", str(exc), {"WWW-Authenticate": "Bearer"})) from exc
        except Unavailable as exc:
            # The user is looked up before anything is executed, so nothing was changed.
            exc.rolled_back = True
            raise

    async def _subscribe(self, operation: Operation, claims: Claims, viewer: Viewer, accept: str | None) -> ASGIApp:
        form = negotiation.choose_stream_form(accept)
        if form is None:
            ways = "over a WebSocket, as text/event-stream, or as multipart/mixed with subscriptionSpec"
            raise HttpError(ErrorResponse(406, "NOT_ACCEPTABLE", f"A subscription comes {ways}."))
        hold = self._hold(operation, viewer)
        try:
            payloads = await self._operations.subscribe(operation, Context(self._services(), viewer))
        except Rejected as exc:
            payloads = streaming.stream_one_payload(encode_json(self._operations.create_error_response(exc.errors)))
        except BaseException:
            hold.release()
            raise
        return streaming.StreamedResponse(form, payloads, claims.expires_at, self._shutdown, hold.release)

    def _hold(self, operation: Operation, viewer: Viewer) -> Hold:
        """Count a subscription towards its user's quota, until the result is released.

        Raises: HttpError if the user has too many open.
        """
        hold: Hold | None = None
        try:
            hold = self._quotas.hold(viewer.user_id, operation.parameters)
            hold.subscribe(operation.prepared)
        except QuotaExceeded as exc:
            if hold is not None:
                hold.release()
            raise HttpError(ErrorResponse(429, CODE, str(exc))) from exc
        return hold

    def _reject(self, errors: list[GraphQLError], form: Form) -> ASGIApp:
        response_body = self._operations.create_error_response(errors)
        if form in negotiation.STREAM_FORMS:
            return streaming.StreamedResponse(
                form, streaming.stream_one_payload(encode_json(response_body)), math.inf, self._shutdown
            )
        code = response_body["errors"][0]["extensions"]["code"]
        status = _STATUS.get(code, 400 if form is Form.RESPONSE else 200)
        return Response(encode_json(response_body), status, media_type=f"{form.value}; charset=utf-8")

    def _mark_device(self, request: Request, response: Response, viewer: Viewer) -> None:
        """Set a cookie that marks the browser as the viewer's, unless it has one."""
        for value in self._device_cookies(request.cookies, viewer.user_id):
            response.headers.append("set-cookie", value)


def _create_method_error(message: str, allowed: str) -> HttpError:
    return HttpError(ErrorResponse(405, "METHOD_NOT_ALLOWED", message, {"Allow": allowed}))


def _create_unavailable_response(cause: Unavailable) -> ErrorResponse:
    error = convert_error(GraphQLError(str(cause), original_error=cause))
    extensions = dict(error.extensions or {})
    return ErrorResponse(503, extensions.pop("code"), error.message, {"Retry-After": str(RETRY_SECONDS)}, extensions)


def _wants_page(request: Request) -> bool:
    if request.scope["method"] not in _QUERY_STRING_METHODS or "query" in request.query_params:
        return False
    return "text/html" in request.headers.get("accept", "")


def _choose_status(malformed: Malformed) -> int:
    # Apollo's clients send the full document only if this code comes with status 200.
    return 200 if malformed.code == "PERSISTED_QUERY_NOT_SUPPORTED" else 400


async def _read_parameters(request: Request) -> object:
    """Return the parameters of a request as a JSON value.

    Raises: Malformed or HttpError.
    """
    if request.scope["method"] in _QUERY_STRING_METHODS:
        return _parse_query_string(request)
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json" or not _is_utf8(parameters):
        raise HttpError(ErrorResponse(415, "UNSUPPORTED_MEDIA_TYPE", "A request's body is application/json, in UTF-8."))
    # The middleware has read the body, so it arrives as one message.
    return parse_json((await request.receive()).get("body", b""))


def _is_utf8(parameters: str) -> bool:
    """Return whether the charset of a content type is absent or UTF-8.

    JSON has no other encoding.
    """
    settings = dict(part.strip().lower().partition("=")[::2] for part in parameters.split(";"))
    return settings.get("charset", "utf-8").strip('"') in ("utf-8", "utf8", "us-ascii")


def _parse_query_string(request: Request) -> dict[str, object]:
    query_params = request.query_params
    parameters: dict[str, object] = {
        name: query_params[name] for name in ("query", "operationName") if name in query_params
    }
    for name in ("variables", "extensions"):
        if query_params.get(name):
            parameters[name] = parse_json(query_params[name])
    return parameters
