"""The headers that every answer carries, so that a browser makes nothing of it but what was meant."""

from collections.abc import Iterable, Sequence
from typing import Final

Headers = Sequence[tuple[bytes, bytes]]

GRAPHQL: Final = "/graphql"
TRACKING: Final = "/t/"

_ALWAYS: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
)
_OURS: Final[Headers] = ((b"cross-origin-resource-policy", b"same-origin"),)
# The pixel is a picture on the page of somebody's webmail.
_ANYBODYS: Final[Headers] = ((b"cross-origin-resource-policy", b"cross-origin"),)
_UNKEPT: Final[Headers] = ((b"cache-control", b"no-store"),)
# A year; without the subdomains, which may be anybody's.
_TLS: Final[Headers] = ((b"strict-transport-security", b"max-age=31536000"),)


class SecurityHeaders:
    """What is added to an answer; what a route set itself stays as it is. `secure`: we are reached by HTTPS alone."""

    def __init__(self, secure: bool) -> None:
        always = (*_ALWAYS, *(_TLS if secure else ()))
        self.elsewhere: Headers = (*always, *_OURS)
        self._tracking: Headers = (*always, *_ANYBODYS)
        self._graphql: Headers = (*self.elsewhere, *_UNKEPT)

    def beside(self, headers: Iterable[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
        """The headers of an answer from that path, and those it lacks."""
        given = list(headers)
        names = {name.lower() for name, _ in given}
        return given + [header for header in self._for(path) if header[0] not in names]

    def _for(self, path: str) -> Headers:
        if path == GRAPHQL:
            return self._graphql
        return self._tracking if path.startswith(TRACKING) else self.elsewhere
