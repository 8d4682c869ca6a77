"""Serves the public `/t/…` routes of sent mail.

They are the tracking pixel and the tracked links.

The response to a pixel request does not reveal whether its token is valid. An event is recorded before the response is
sent, so a crash afterwards cannot lose it. While the database is unavailable, the response is sent first, and the event
is stored when the database is back. The recorded client address is the one that uvicorn reports. It trusts a proxy on
this machine, and the proxies in FORWARDED_ALLOW_IPS.
"""

import asyncio
import base64
import logging
import secrets
import time
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from command_center import ids
from command_center.actions.engagement_requests import NewEvent
from command_center.actions.engagements import Recorder
from command_center.database.clock import Clock
from command_center.database.connections import database
from command_center.database.errors import Unavailable
from command_center.mail import devices
from command_center.mail.links import Links
from models.enums import EngagementKind

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
MAX_USER_AGENT_CHARACTERS = 1000
CLOCK_TIMEOUT_SECONDS = 0.5
_NO_STORE: Mapping[str, str] = {
    "Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Robots-Tag": "noindex, nofollow",
}
_PREFETCH_HEADERS = ("purpose", "sec-purpose", "x-purpose", "x-moz")
_PREFETCH_WORDS = ("prefetch", "preview", "prerender")
_logger = logging.getLogger("command_center.tracking")


def tracking_routes(links: Links, recorder: Recorder, clock: Clock) -> list[Route]:
    """Return the routes of the pixel and the tracked links.

    They need no authentication.
    """
    tracking = _Tracking(links, recorder, clock)
    return [
        Route("/t/o/{token}", tracking.pixel, methods=["GET"]),
        Route("/t/c/{token}", tracking.click, methods=["GET"]),
    ]


class _Tracking:
    """Handles the requests for pixels and tracked links."""

    def __init__(self, links: Links, recorder: Recorder, clock: Clock) -> None:
        self._links = links
        self._recorder = recorder
        self._clock = clock

    async def pixel(self, request: Request) -> Response:
        """Record a view if the token is valid, and return the pixel in any case."""
        email_id = self._links.open_pixel(request.path_params["token"].removesuffix(".gif"))
        if email_id is not None:
            await self._record(request, email_id, EngagementKind.VIEW, None)
        return Response(PIXEL, media_type="image/gif", headers=_NO_STORE)

    async def click(self, request: Request) -> Response:
        """Record a click and redirect to the signed target.

        Return 404 if the token is invalid.
        """
        email_and_target = self._links.open_click(request.path_params["token"])
        if email_and_target is None:
            return PlainTextResponse("Not found.\n", status_code=404, headers=_NO_STORE)
        email_id, target = email_and_target
        await self._record(request, email_id, EngagementKind.CLICK, target)
        # Starlette's RedirectResponse would re-encode the target.
        return Response(status_code=302, headers={**_NO_STORE, "Location": target})

    async def _record(self, request: Request, email_id: int, kind: EngagementKind, url: str | None) -> None:
        """Record a view or a click.

        Errors are only logged, because the recipient must get the response anyway.

        A HEAD request for a link counts, because scanners follow links in this way. A HEAD request for the pixel does
        not, because it displays nothing.
        """
        is_head = request.method == "HEAD"
        if is_head and kind is EngagementKind.VIEW:
            return
        try:
            event = NewEvent(
                email_id=ids.encode("Email", email_id),
                kind=kind,
                occurred_at=await self._now(),
                dedupe_key=f"t:{secrets.token_hex(16)}",
                prefetch=is_prefetch(request.headers),
                head=is_head,
                device=devices.device_owner(self._links, request.cookies),
                url=url,
                user_agent=request.headers.get("user-agent", "").replace("\x00", "")[:MAX_USER_AGENT_CHARACTERS]
                or None,
                ip_address=request.client.host[:64] if request.client is not None else None,
            )
            await self._recorder.record_from_reader(event)
        except Exception:
            _logger.exception("a %s of email %d could not be recorded", kind.name, email_id)

    async def _now(self) -> int:
        """Return the current time of the database, in microseconds.

        If the database is unavailable, it is this machine's time.
        """
        try:
            async with asyncio.timeout(CLOCK_TIMEOUT_SECONDS):
                return await self._clock.now(database())
        except (TimeoutError, Unavailable):
            return time.time_ns() // 1000


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Return whether a program prefetches the URL, so that no person has seen it yet.

    `headers` must accept header names in lower case.
    """
    return any(word in headers.get(name, "").lower() for name in _PREFETCH_HEADERS for word in _PREFETCH_WORDS)
