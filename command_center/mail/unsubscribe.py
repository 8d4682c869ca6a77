"""Serves the public `/t/u/…` route of unsubscribe links.

The link of every email leads to it.

GET shows a page and changes nothing; POST unsubscribes. A POST comes from the form on the page, or from the one-click
button of a mail program (RFC 8058). Its body is ignored, because the signed URL contains everything. The route needs no
authentication and tracks nothing.
"""

import base64
import hashlib
import html
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from command_center.actions import people
from command_center.actions.context import ActionContext
from command_center.database.connections import database
from command_center.database.errors import FailureLog, OutcomeUnknown, Unavailable
from command_center.mail.links import Links

_STYLE: Final = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto 0;padding:0 1.25rem;color:#1f2328;"
    "background:#fff}h1{font-size:1.5rem;line-height:1.25}button{font:inherit;font-weight:600;padding:.6rem 1.4rem;"
    "border:2px solid #0b57d0;border-radius:.5rem;background:#0b57d0;color:#fff;cursor:pointer}"
    "button:focus-visible{outline:3px solid #1f2328;outline-offset:3px}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
# The form has no action, so it posts to the URL of the page, even if a proxy changes the path.
_FORM: Final = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>Unsubscribe</button></form>"
)
_RECIPIENT = (
    "SELECT p.address, p.unsubscribed_at, t.name AS team, u.name AS sender FROM people p"
    " JOIN teams t ON t.id = p.team_id LEFT JOIN emails e ON e.id = ? AND e.team_id = p.team_id"
    " LEFT JOIN users u ON u.id = e.sender_id WHERE p.id = ?"
)
_logger = logging.getLogger("command_center.unsubscribe")
_outage = FailureLog(_logger, "unsubscribe requests wait for the database")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Holds the person of an unsubscribe link.

    `sender` is None if the email was deleted.
    """

    key: int
    address: str
    unsubscribed: bool
    team: str
    sender: str | None


def unsubscribe_routes(links: Links, ctx: ActionContext) -> list[Route]:
    """Return the unsubscribe route."""
    return [Route("/t/u/{token}", _UnsubscribeEndpoint(links, ctx).answer, methods=["GET", "POST"])]


class _UnsubscribeEndpoint:
    """Handles the requests for unsubscribe links."""

    def __init__(self, links: Links, ctx: ActionContext) -> None:
        self._links = links
        self._ctx = ctx

    async def answer(self, request: Request) -> Response:
        try:
            recipient = await self._recipient(request.path_params["token"])
            if recipient is None:
                return PlainTextResponse("Not found.\n", status_code=404, headers=HEADERS)
            if request.method == "POST":
                await people.unsubscribe_by_key(self._ctx, recipient.key)
                return _done_page(recipient)
            return _done_page(recipient) if recipient.unsubscribed else _confirmation_page(recipient)
        except Unavailable as exc:
            _outage.warn(exc)
            prefix = "" if isinstance(exc, OutcomeUnknown) else "Nothing was changed. "
            return _page("That did not work", f"<p>{prefix}Please try again in a moment.</p>", 503)
        except Exception:
            _logger.exception("an unsubscribe request failed")
            return _page("That did not work", "<p>Nothing was changed. Please try again in a moment.</p>", 503)

    async def _recipient(self, token: str) -> Recipient | None:
        ids = self._links.open_unsubscribe(token)
        if ids is None:
            return None
        email_id, person_id = ids
        row = await database().fetch_one(_RECIPIENT, email_id, person_id)
        if row is None:
            return None
        unsubscribed = row["unsubscribed_at"] is not None
        return Recipient(person_id, row["address"], unsubscribed, row["team"], row["sender"])


def mask_address(address: str) -> str:
    """Return a masked address that its owner recognises.

    Anyone else who has the link learns only two letters and the top-level domain.
    """
    local, _, domain = address.rpartition("@")
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}•••@{(name or top)[:1]}•••{dot}{top if dot else ''}"


def _confirmation_page(recipient: Recipient) -> Response:
    senders = f"<b>{html.escape(recipient.team)}</b>"
    if recipient.sender is not None:
        senders = f"<b>{html.escape(recipient.sender)}</b> and everyone else of {senders}"
    hint = html.escape(mask_address(recipient.address))
    return _page("Unsubscribe?", f"<p>{senders} will stop sending email to <b>{hint}</b>.</p>\n{_FORM}")


def _done_page(recipient: Recipient) -> Response:
    hint, team = html.escape(mask_address(recipient.address)), html.escape(recipient.team)
    return _page("You are unsubscribed", f"<p><b>{team}</b> sends no more email to <b>{hint}</b>.</p>")


def _page(title: str, content: str, status: int = 200) -> Response:
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n"
    )
    return HTMLResponse(text, status_code=status, headers=HEADERS)
