"""The ASGI application: routes, middleware and lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from command_center.api.graphiql import page as graphiql
from command_center.api.http import HttpEndpoint
from command_center.api.idempotency import IdempotentRequests
from command_center.api.operations import Operations
from command_center.api.quotas import UserQuotas
from command_center.api.websocket import WebSocketEndpoint
from command_center.changes import restores
from command_center.database.clock import Clock
from command_center.database.connections import database
from command_center.graphql_engine.executor import PlannedExecutor
from command_center.mail import devices, unsubscribe
from command_center.mail import routes as tracking
from command_center.mail.links import Links
from command_center.server.metrics import Metrics, TrafficCounts, TrafficMiddleware
from command_center.server.runtime import Runtime, run_runtime
from command_center.server.schema_hints import HINTS
from command_center.server.settings import Settings
from command_center.web import redirects
from command_center.web.authentication import Tokens
from command_center.web.middleware import RequestLimitsMiddleware
from command_center.web.rate_limits import RateLimiter
from command_center.web.security_headers import GRAPHQL
from command_center.web.shutdown import Shutdown
from resolvers.context import Services
from schema.build import create_schema

SETTLE_SECONDS = 3.0
"""How long the operations that still run may take when the application stops."""
READY_SECONDS = 2.0
"""How long the database may take to answer a readiness check."""


def create_app(
    settings: Settings,
    clock: Clock | None = None,
    run_worker: bool = True,
    run_matcher: bool = True,
    executor: type[PlannedExecutor] = PlannedExecutor,
) -> Starlette:
    """Create the application.

    With `run_worker` this process matches and sends while it holds the lease. Without `run_matcher` a test drives the
    matcher.

    `app.state` has `operations`, `traffic`, `runtime` (the Runtime, once the application has started), and `shutdown`,
    which the server starts when it stops.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with run_runtime(settings, clock, run_worker, run_matcher) as runtime:
            app.state.runtime = runtime
            links, ctx = runtime.links, runtime.ctx
            app.router.routes.extend(tracking.tracking_routes(links, runtime.recorder, ctx.writer.clock))
            app.router.routes.extend(unsubscribe.unsubscribe_routes(links, ctx))
            yield
            await operations.settle(SETTLE_SECONDS)

    def get_services() -> Services:
        runtime: Runtime = app.state.runtime
        return runtime.services

    def get_idempotent_requests() -> IdempotentRequests:
        runtime: Runtime = app.state.runtime
        return runtime.idempotent_requests

    # Strawberry defines the schema; the executor needs the graphql-core schema inside it.
    operations = Operations(
        create_schema()._schema, settings.document_limits(), settings.response_limits(), HINTS, executor
    )
    secret = settings.signing_secret()
    tokens, links, rates = Tokens(secret), Links(secret, settings.base_url), RateLimiter(settings.user_requests)
    traffic, shutdown, quotas = TrafficCounts(), Shutdown(), UserQuotas(settings.user_limits())
    endpoint = HttpEndpoint(
        operations,
        get_services,
        get_idempotent_requests,
        tokens,
        rates,
        partial(devices.missing_headers, links),
        graphiql.page,
        shutdown,
        quotas,
    )
    app = Starlette(
        routes=[
            Route(GRAPHQL, endpoint),
            WebSocketRoute(
                GRAPHQL, WebSocketEndpoint(operations, get_services, tokens, rates, settings.socket_limits(), quotas)
            ),
            *graphiql.routes(),
            Route("/healthz", _health, methods=["GET"]),
            Route("/readyz", _readiness, methods=["GET"]),
        ],
        middleware=[
            Middleware(TrafficMiddleware, traffic),
            Middleware(RequestLimitsMiddleware, settings.edge_limits(), shutdown=shutdown),
            Middleware(_GraphQLShortcutMiddleware, endpoint),
        ],
        lifespan=lifespan,
    )
    redirects.install_redirects(app)
    app.state.operations = operations
    app.state.traffic = traffic
    app.state.shutdown = shutdown
    app.router.routes.append(Route("/metrics", Metrics(traffic, operations, app).page, methods=["GET"]))
    return app


class _GraphQLShortcutMiddleware:
    """Passes GraphQL requests directly to their endpoint.

    Nearly all requests are GraphQL requests. The router and its own middleware would add a tenth to the time of a small
    one.
    """

    def __init__(self, app: ASGIApp, endpoint: ASGIApp) -> None:
        self._app = app
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_graphql_post = scope["type"] == "http" and scope["path"] == GRAPHQL and scope["method"] == "POST"
        await (self._endpoint if is_graphql_post else self._app)(scope, receive, send)


async def _health(_: Request) -> Response:
    """Answer that the event loop of this process runs."""
    return JSONResponse({"status": "ok"})


async def _readiness(request: Request) -> Response:
    """Answer whether the database responds.

    A pause of the clock or of sending is only a warning, because requests are still served.
    """
    try:
        async with asyncio.timeout(READY_SECONDS):
            state = await restores.load_state(database())
    except Exception:
        return JSONResponse({"status": "the database does not answer"}, status_code=503)
    runtime: Runtime = request.app.state.runtime
    warnings = [warning] if (warning := runtime.ctx.writer.clock.pause_reason()) else []
    if state is not None and state.paused:
        warnings.append(f"sending is paused, because the database was restored: {state.reason}")
    return JSONResponse({"status": "ok"} | ({"warnings": warnings} if warnings else {}))
