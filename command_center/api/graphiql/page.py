"""The GraphiQL page and its files, as plain Starlette pieces that know next to nothing of the rest of the server.

Nothing comes from another origin, and the policy sent with the page lets nothing else run: no inline script, no
inline style, no eval. Where the assets were not fetched, the page says how to get them.
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

HERE = Path(__file__).parent

# In the order the page needs them: whoever comes later uses who came before.
SCRIPTS: Final = ("react.js", "react-dom.js", "graphiql.js", "explorer.js", "operations.js", "console.js")
STYLES: Final = ("graphiql.css", "explorer.css", "console.css")

TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

# GraphiQL's dialogs stop the page from scrolling with a style element that is always the same: it is let in by its
# hash. All other styles that React and CodeMirror set go through the DOM, which style-src does not rule. connect-src
# 'self' holds for the WebSocket of the same origin too.
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
# An address holds the hash of its content, so it may be kept for ever.
FOR_EVER: Final = "public, max-age=31536000, immutable"

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
    """The page at `/graphiql`, and its files below."""
    return [
        Route("/graphiql", page, methods=["GET"]),
        Route("/graphiql/{digest}/{name}", file, methods=["GET"]),
    ]


async def page(request: Request) -> Response:
    """The page; 503 and a plain explanation as long as its files are missing."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    addresses = {name: _address(name) for name in (*STYLES, *SCRIPTS)}
    if None in addresses.values():
        return HTMLResponse(BARE_PAGE, status_code=503, headers=headers)
    styles = "\n".join(f'<link rel="stylesheet" href="{addresses[name]}">' for name in STYLES)
    scripts = "\n".join(f'<script src="{addresses[name]}" defer></script>' for name in SCRIPTS)
    return HTMLResponse(PAGE.format(styles=styles, scripts=scripts), headers=headers)


async def file(request: Request) -> Response:
    """One file, by the hash of its content; names not on the list do not exist, so no path can lead elsewhere.

    304 if the browser has it already.
    """
    name = request.path_params["name"]
    address = _address(name) if name in SCRIPTS or name in STYLES else None
    if address is None:
        return PlainTextResponse("Not found", status_code=404)
    path = _path(name)
    # After an upgrade an old page may still ask by the old hash: it gets what there is, to be kept by nobody.
    headers = {
        "Cache-Control": FOR_EVER if address == request.url.path else "no-store",
        # Weak, because it is the same whatever the file is coded as.
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
    """Whether If-None-Match holds the tag, by the weak comparison (RFC 9110, 13.1.2)."""
    given = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    return "*" in given or etag.removeprefix("W/") in given


@lru_cache(maxsize=16)
def _gzipped(path: Path, changed: int) -> bytes:
    """Compress a file as it was when it last changed, as far as it goes: that is done once."""
    return compression.gzip(path.read_bytes(), 9)


def _path(name: str) -> Path:
    return (VENDOR if name in ASSETS else HERE) / name


def _address(name: str) -> str | None:
    path = _path(name)
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return None
    return f"/graphiql/{_digest(path, changed)}/{name}"


@cache
def _digest(path: Path, changed: int) -> str:
    """The hash of a file as it was when it last changed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
