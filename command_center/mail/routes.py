"""The public `/t/…` routes: the pixel and the links in sent mail. What they answer never tells a good token from a bad.

An event is recorded before the answer: a view that was answered survives whatever happens next. Only while the
database fails the reader comes first, and the event is stored when it is back. The address noted is what uvicorn takes
for the client's: it believes a proxy on this machine, and one that FORWARDED_ALLOW_IPS names.
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
from command_center.actions.engagements import NewEvent, Recorder
from command_center.database.clock import Clock
from command_center.database.connections import database
from command_center.database.errors import Unavailable
from command_center.mail import devices
from command_center.mail.links import Links
from models.enums import EngagementKind

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
AGENT = 1000
CLOCK_SECONDS = 0.5
_NO_STORE: Mapping[str, str] = {
    "Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Robots-Tag": "noindex, nofollow",
}
_AHEAD = ("purpose", "sec-purpose", "x-purpose", "x-moz")
_WORDS = ("prefetch", "preview", "prerender")
_logger = logging.getLogger("command_center.tracking")


def routes(links: Links, recorder: Recorder, clock: Clock) -> list[Route]:
    """The routes of the pixel and of the links; no one signs in to them."""
    tracking = _Tracking(links, recorder, clock)
    return [
        Route("/t/o/{token}", tracking.pixel, methods=["GET"]),
        Route("/t/c/{token}", tracking.click, methods=["GET"]),
    ]


class _Tracking:
    def __init__(self, links: Links, recorder: Recorder, clock: Clock) -> None:
        self._links = links
        self._recorder = recorder
        self._clock = clock

    async def pixel(self, request: Request) -> Response:
        email_id = self._links.open_pixel(request.path_params["token"].removesuffix(".gif"))
        if email_id is not None:
            await self._record(request, email_id, EngagementKind.VIEW, None)
        return Response(PIXEL, media_type="image/gif", headers=_NO_STORE)

    async def click(self, request: Request) -> Response:
        found = self._links.open_click(request.path_params["token"])
        if found is None:
            return PlainTextResponse("Not found.\n", status_code=404, headers=_NO_STORE)
        email_id, target = found
        await self._record(request, email_id, EngagementKind.CLICK, target)
        # Not Starlette's RedirectResponse: it would spell the target anew.
        return Response(status_code=302, headers={**_NO_STORE, "Location": target})

    async def _record(self, request: Request, email_id: int, kind: EngagementKind, url: str | None) -> None:
        """A failure is ours: the recipient gets the picture or the redirect all the same.

        Asking for a link's head is following it, as scanners do. Asking for the picture's shows nobody anything.
        """
        head = request.method == "HEAD"
        if head and kind is EngagementKind.VIEW:
            return
        try:
            event = NewEvent(
                email_id=ids.encode("Email", email_id),
                kind=kind,
                occurred_at=await self._now(),
                dedupe_key=f"t:{secrets.token_hex(16)}",
                prefetch=fetched_ahead(request.headers),
                head=head,
                device=devices.owner(self._links, request.cookies),
                url=url,
                user_agent=request.headers.get("user-agent", "").replace("\x00", "")[:AGENT] or None,
                ip_address=request.client.host[:64] if request.client is not None else None,
            )
            await self._recorder.note(event)
        except Exception:
            _logger.exception("a %s of email %d could not be recorded", kind.name, email_id)

    async def _now(self) -> int:
        """This machine's moment where the database tells none."""
        try:
            async with asyncio.timeout(CLOCK_SECONDS):
                return await self._clock.now(database())
        except (TimeoutError, Unavailable):
            return time.time_ns() // 1000


def fetched_ahead(headers: Mapping[str, str]) -> bool:
    """Whether a program fetches before anybody looks. Header names are asked for in lower case."""
    return any(word in headers.get(name, "").lower() for name in _AHEAD for word in _WORDS)
