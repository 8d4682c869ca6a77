"""Recognises a seller's own browser by a cookie. Pure.

So its requests for the pixels and links of that seller's mail are recognised.

The API sets the cookie in every browser that sends requests to it. It is long-lived, signed with its own key, hidden
from scripts, and used for nothing else. Browsers send it only to `/t`, so the API never sees it. A second cookie for
`/graphql` shows that both were set, so that not every response repeats them.

Whether the cookie arrives depends on the browser:

- A followed link opens our own address, so the cookie is sent.
- A pixel in webmail is a third-party request. Over TLS the cookie is allowed (SameSite=None), but Safari and Firefox
  block third-party cookies. Webmail that loads pictures through its own proxy never sends it.
- An application on another origin must send requests with credentials, or its browser drops the cookie.
- BASE_URL must have the same host as the API.

If the cookie is missing, only this piece of evidence is missing.
"""

from collections.abc import Mapping
from functools import lru_cache

from command_center.mail.links import Links

COOKIE_NAME = "command_center_device"
COOKIE_MAX_AGE_SECONDS = 365 * 24 * 3600
COOKIE_PATHS = ("/t", "/graphql")
MAX_CACHED_USERS = 10_000
"""Cookies of this many users are cached, because a client that stores no cookies gets them with every response."""


def device_owner(links: Links, cookies: Mapping[str, str]) -> int | None:
    """Return the id of the user whose browser sent these cookies.

    The result is None if no valid cookie of ours is among them.
    """
    token = cookies.get(COOKIE_NAME)
    return None if token is None else links.open_device(token)


def missing_headers(links: Links, cookies: Mapping[str, str], user_id: int) -> tuple[str, ...]:
    """Return the Set-Cookie headers that mark a browser as the user's.

    The result is empty if `cookies`, which the browser sent, already contain the user's cookie.
    """
    return () if device_owner(links, cookies) == user_id else cookie_headers(links, user_id)


@lru_cache(MAX_CACHED_USERS)
def cookie_headers(links: Links, user_id: int) -> tuple[str, ...]:
    """Return the values of the Set-Cookie headers that mark a browser as the user's."""
    policy = "SameSite=None; Secure" if links.secure else "SameSite=Lax"
    token = links.device(user_id)
    return tuple(
        f"{COOKIE_NAME}={token}; Max-Age={COOKIE_MAX_AGE_SECONDS}; Path={path}; HttpOnly; {policy}"
        for path in COOKIE_PATHS
    )
