"""Redirects to the path that a client most likely means.

This adds or removes a final slash, and leads from `/` to the page. `Location` is a path, because the client chooses the
Host header, and behind a proxy it names the wrong host.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from command_center.web.security_headers import GRAPHQL


def install_redirects(app: Starlette) -> None:
    """Redirect `/` to the GraphQL page, and replace Starlette's slash redirects."""
    app.router.routes.append(Route("/", _to_page, methods=["GET"]))
    app.router.redirect_slashes = False
    not_found = app.router.default

    async def redirect_or_not_found(scope: Scope, receive: Receive, send: Send) -> None:
        location = _other_path(app, scope) if scope["type"] == "http" else None
        if location is None:
            await not_found(scope, receive, send)
        else:
            await RedirectResponse(location)(scope, receive, send)

    app.router.default = redirect_or_not_found


async def _to_page(request: Request) -> Response:
    return RedirectResponse(_with_query(GRAPHQL, request.scope))


def _other_path(app: Starlette, scope: Scope) -> str | None:
    """Return the path with a final slash added or removed, if a route matches it.

    The query is kept.
    """
    path: str = scope["path"]
    raw: str = scope["raw_path"].decode("ascii")
    if path.endswith("/") != raw.endswith("/"):
        return None
    path, raw = (each.rstrip("/") if path.endswith("/") else f"{each}/" for each in (path, raw))
    other = {**scope, "path": path}
    # With a second slash in front, browsers would take what follows it for a host.
    if raw.startswith("//") or all(route.matches(other)[0] is Match.NONE for route in app.router.routes):
        return None
    return _with_query(raw, scope)


def _with_query(path: str, scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path
