"""The security headers, which restrict what a browser does with a response."""

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
_SAME_ORIGIN: Final[Headers] = ((b"cross-origin-resource-policy", b"same-origin"),)
# Webmail pages of other origins embed the tracking pixel.
_CROSS_ORIGIN: Final[Headers] = ((b"cross-origin-resource-policy", b"cross-origin"),)
_NO_STORE: Final[Headers] = ((b"cache-control", b"no-store"),)
# One year. Subdomains are excluded, because others may operate them.
_TLS: Final[Headers] = ((b"strict-transport-security", b"max-age=31536000"),)


class SecurityHeaders:
    """Adds security headers to a response, unless its route has set them.

    `secure` means that only HTTPS is used.
    """

    def __init__(self, secure: bool) -> None:
        always = (*_ALWAYS, *(_TLS if secure else ()))
        self.default: Headers = (*always, *_SAME_ORIGIN)
        self._tracking: Headers = (*always, *_CROSS_ORIGIN)
        self._graphql: Headers = (*self.default, *_NO_STORE)

    def complete(self, headers: Iterable[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
        """Return a response's headers with the missing security headers added.

        `path` is the path of the request.
        """
        present = list(headers)
        names = {name.lower() for name, _ in present}
        return present + [header for header in self._for(path) if header[0] not in names]

    def _for(self, path: str) -> Headers:
        if path == GRAPHQL:
            return self._graphql
        return self._tracking if path.startswith(TRACKING) else self.default
