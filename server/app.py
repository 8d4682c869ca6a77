"""The ASGI application: routes and lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from strawberry.extensions import ParserCache, ValidationCache

from mail import routes as tracking
from mail import unsubscribing
from mail.links import Links
from models.clocks import Clock
from models.database import database
from resolvers.context import Services
from schema.build import build
from server import engine as engines
from server.auth import Tokens
from server.borders import Borders
from server.engine import Engine
from server.errors import CodedErrors
from server.graphiql import page as graphiql
from server.rates import Rates
from server.settings import Settings
from server.view import View

CACHED = 512


def create(settings: Settings, clock: Clock | None = None, works: bool = True, looks: bool = True) -> Starlette:
    """The application. Its engine is at `app.state.engine` while it runs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engines.running(settings, clock, works, looks) as engine:
            app.state.engine = engine
            app.router.routes.extend(tracking.routes(engine.links, engine.recorder, engine.desk.writer.clock))
            app.router.routes.extend(unsubscribing.routes(engine.links, engine.desk))
            yield

    def services() -> Services:
        engine: Engine = app.state.engine
        return engine.services

    schema = build([lambda: ParserCache(maxsize=CACHED), lambda: ValidationCache(maxsize=CACHED), CodedErrors])
    secret = settings.signing_secret()
    view: Any = View(schema, services, Tokens(secret), Links(secret, settings.base_url), graphiql.page)
    app = Starlette(
        routes=[
            Route("/graphql", view),
            WebSocketRoute("/graphql", view),
            *graphiql.routes(),
            Route("/healthz", _alive, methods=["GET"]),
            Route("/readyz", _ready, methods=["GET"]),
        ],
        middleware=[Middleware(Borders, settings)],
        lifespan=lifespan,
    )
    app.state.user_rates = Rates(settings.user_requests)
    return app


async def _alive(_: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def _ready(_: Request) -> Response:
    """The process can do its work: the database answers."""
    try:
        await database().row("SELECT 1 AS one")
    except Exception:
        return JSONResponse({"status": "the database does not answer"}, status_code=503)
    return JSONResponse({"status": "ok"})
