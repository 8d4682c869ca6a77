"""The GraphiQL page and its files as Starlette routes.

They depend on almost nothing else of the server. Nothing is loaded from another origin. The page's
Content-Security-Policy forbids inline scripts, inline styles and eval. If the assets were not fetched, the page says
how to fetch them.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from command_center.api.graphiql.assets import ASSETS, VENDOR
from command_center.web import compression

_FOLDER = Path(__file__).parent

# In the order in which the page needs them: later scripts use earlier ones.
SCRIPTS: Final = ("react.js", "react-dom.js", "graphiql.js", "explorer.js", "operations.js", "console.js")
STYLES: Final = ("graphiql.css", "explorer.css", "console.css")

TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

# GraphiQL's dialogs stop the page from scrolling with a style element whose content never changes, so its hash is
# allowed. React and CodeMirror set all other styles through the DOM, to which style-src does not apply. connect-src
# 'self' includes the WebSocket of the same origin.
SCROLL_LOCK: Final = "'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='"
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {SCROLL_LOCK}",
        "connect-src 'self'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
# A URL contains the hash of its content, so the content never changes.
CACHE_CONTROL_IMMUTABLE: Final = "public, max-age=31536000, immutable"

PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Command Center</title>
<link rel="icon" href="data:,">
{styles}
</head>
<body>
<header id="session" aria-label="Session"></header>
<main id="graphiql"><p class="loading">Loading…</p></main>
{scripts}
</body>
</html>
"""

BARE_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Command Center</title><link rel="icon" href="data:,"></head>
<body>
<h1>Command Center</h1>
<p>The API runs. The files that GraphiQL is made of were not fetched yet; with the npm registry in reach,</p>
<pre>make assets</pre>
<p>(or <code>python -m command_center.api.graphiql.assets</code>) fetches them. Then load this page again.</p>
</body>
</html>
"""


def routes() -> Sequence[Route]:
    """Return the routes of the page at `/graphiql` and of its files below it."""
    return [
        Route("/graphiql", page, methods=["GET"]),
        Route("/graphiql/{digest}/{name}", file, methods=["GET"]),
    ]


async def page(request: Request) -> Response:
    """Serve the page, or 503 and an explanation while its files are missing."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    addresses = {name: _address(name) for name in (*STYLES, *SCRIPTS)}
    if None in addresses.values():
        return HTMLResponse(BARE_PAGE, status_code=503, headers=headers)
    styles = "\n".join(f'<link rel="stylesheet" href="{addresses[name]}">' for name in STYLES)
    scripts = "\n".join(f'<script src="{addresses[name]}" defer></script>' for name in SCRIPTS)
    return HTMLResponse(PAGE.format(styles=styles, scripts=scripts), headers=headers)


async def file(request: Request) -> Response:
    """Serve one file of the GraphiQL page, whose URL contains a hash of its content.

    Returns 304 if the browser has it. Only names on the lists exist, so no path can lead to other files.
    """
    name = request.path_params["name"]
    address = _address(name) if name in SCRIPTS or name in STYLES else None
    if address is None:
        return PlainTextResponse("Not found", status_code=404)
    path = _path(name)
    # After an upgrade an old page may request the old hash. It gets the current file, which must not be cached.
    headers = {
        "Cache-Control": CACHE_CONTROL_IMMUTABLE if address == request.url.path else "no-store",
        # Weak, because it is the same for all content codings.
        "ETag": f'W/"{address.split("/")[2]}"',
        "Vary": "Accept-Encoding",
    }
    if _has_current(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if "range" not in request.headers and compression.accepts_gzip(request.headers.raw):
        body = await asyncio.to_thread(_gzipped, path, path.stat().st_mtime_ns)
        return Response(body, media_type=TYPES[path.suffix], headers={**headers, "Content-Encoding": "gzip"})
    return FileResponse(path, media_type=TYPES[path.suffix], headers=headers)


def _has_current(request: Request, etag: str) -> bool:
    """Return whether If-None-Match contains the tag.

    The comparison is the weak one (RFC 9110, 13.1.2).
    """
    etags = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    return "*" in etags or etag.removeprefix("W/") in etags


@lru_cache(maxsize=16)
def _gzipped(path: Path, modified_ns: int) -> bytes:
    """Compress a file at the highest level.

    The result is cached until the file's modification time changes.
    """
    return compression.gzip(path.read_bytes(), 9)


def _path(name: str) -> Path:
    return (VENDOR if name in ASSETS else _FOLDER) / name


def _address(name: str) -> str | None:
    path = _path(name)
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError:
        return None
    return f"/graphiql/{_digest(path, modified_ns)}/{name}"


@cache
def _digest(path: Path, modified_ns: int) -> str:
    """Return the hash of a file, which is cached until its modification time changes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
