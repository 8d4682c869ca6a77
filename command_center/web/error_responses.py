"""Responses to rejected requests: GraphQL errors on /graphql, else a line of text.

GraphQL errors have the media type that the request accepts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Scope

from command_center.web import negotiation
from command_center.web.negotiation import Form
from command_center.web.security_headers import GRAPHQL


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The response to a rejected request.

    `code` is for programs; the message names what is allowed.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, object] = field(default_factory=dict)
    """Further members of the error's `extensions`."""

    def to_response(self, scope: Scope) -> Response:
        """Return the response, which also works for the handshake of a WebSocket."""
        if scope["path"] != GRAPHQL:
            return PlainTextResponse(f"{self.message}\n", self.status, self.headers)
        error = {"message": self.message, "extensions": {"code": self.code, **self.extensions}}
        # A client that accepts streams only, or nothing that exists here, gets plain JSON.
        accepts_response_type = negotiation.choose_form(Headers(scope=scope).get("accept")) is Form.RESPONSE
        media_type = Form.RESPONSE.value if accepts_response_type else Form.JSON.value
        return JSONResponse({"errors": [error]}, self.status, self.headers, f"{media_type}; charset=utf-8")


def rate_limited(who: str, per_minute: int, wait: float) -> ErrorResponse:
    """Return the error response to a request that came `wait` seconds too early.

    `who` names in the message what the rate applies to, such as a user. `per_minute` is the number of allowed requests.
    """
    seconds = max(1, math.ceil(wait))
    message = f"One {who} may send {per_minute:,} requests a minute; try again in {seconds} s."
    return ErrorResponse(429, "RATE_LIMITED", message, {"Retry-After": str(seconds)}, {"retryAfter": seconds})
