"""The cookie by which a seller's own browser is known when it fetches their pixels and links. Pure.

Whoever asks the API from a browser gets it: long-lived, signed with a key of its own, unreadable to scripts, and good
for nothing but this. It is sent along to `/t` alone. As the API never sees that one, a second one for `/graphql`
remembers that it was given, so that not every answer brings it.

It goes as far as browsers let it. A link that is followed opens our address itself, and the cookie comes along. A pixel
in a webmail page is a picture on somebody else's page: over TLS the cookie is allowed there (SameSite=None), but Safari
and Firefox send none to third parties, and webmail that fetches pictures through a proxy of its own never does. An
application on another origin must ask with credentials included, or its browser drops the cookie; and BASE_URL must be
on the host that the API is asked at. Where the cookie is missing, nothing is lost but this one piece of evidence.
"""

from collections.abc import Mapping
from functools import lru_cache

from command_center.mail.links import Links

NAME = "command_center_device"
SECONDS = 365 * 24 * 3600
PATHS = ("/t", "/graphql")
REMEMBERED = 10_000
"""Users for whom nothing is signed again: a program that keeps no cookies is given them with every answer."""


def owner(links: Links, cookies: Mapping[str, str]) -> int | None:
    """The user whose device sent these cookies; None where nothing of ours is among them."""
    token = cookies.get(NAME)
    return None if token is None else links.open_device(token)


def missing_headers(links: Links, cookies: Mapping[str, str], user_id: int) -> tuple[str, ...]:
    """Returns the values of the Set-Cookie headers for the browser that sent these cookies; none if it has them."""
    return () if owner(links, cookies) == user_id else headers(links, user_id)


@lru_cache(REMEMBERED)
def headers(links: Links, user_id: int) -> tuple[str, ...]:
    """The values of the Set-Cookie headers that make a browser the user's."""
    reach = "SameSite=None; Secure" if links.secure else "SameSite=Lax"
    token = links.device(user_id)
    return tuple(f"{NAME}={token}; Max-Age={SECONDS}; Path={path}; HttpOnly; {reach}" for path in PATHS)
