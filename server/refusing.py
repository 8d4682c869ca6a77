"""How a request is told that it goes no further: GraphQL's errors on /graphql, a line of text elsewhere."""

from dataclasses import dataclass, field

from starlette.responses import JSONResponse, PlainTextResponse, Response

from server.guards import GRAPHQL


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why; `code` is for programs, the message names what is allowed."""

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, path: str) -> Response:
        """Answers a request as well as the handshake of a WebSocket."""
        if path != GRAPHQL:
            return PlainTextResponse(f"{self.message}\n", self.status, self.headers)
        error = {"message": self.message, "extensions": {"code": self.code}}
        return JSONResponse({"errors": [error]}, self.status, self.headers)
