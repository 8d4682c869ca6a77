"""Signed links: which email a pixel or a click belongs to, where the click goes on to, whom a way out is for; and whose
device fetches them. Pure.

The target is part of what is signed, so that nothing here ever redirects anywhere but to a link of the seller's own.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from urllib.parse import quote, urlsplit

from command_center.email_addresses import link_host

VERSION = b"\x01"
MAC = 16
"""Bytes of the signature: 128 bits."""
LONGEST = 2000
"""Targets longer than this are left alone: mail programs cut links off not far beyond."""
_PIXEL, _CLICK, _LEAVE, _DEVICE = b"pixel", b"click", b"unsubscribe", b"device"
# Everything printable in ASCII that may stand in an address as it is.
_KEPT = "!#$%&'()*+,-./:;=?@[\\]^_`{|}~"


class Links:
    """Makes and opens the tokens of one installation."""

    def __init__(self, secret: str, base_url: str) -> None:
        # In ASCII, as it has to stand in headers too.
        self._base = (trackable(base_url) or base_url).rstrip("/")
        # A key for each purpose: the secret also signs bearer tokens, and a click's token is never a pixel's.
        self._keys = {
            purpose: hmac.digest(secret.encode(), b"command-center/tracking/" + purpose, sha256)
            for purpose in (_PIXEL, _CLICK, _LEAVE, _DEVICE)
        }

    @property
    def secure(self) -> bool:
        """Whether our links are fetched over TLS."""
        return self._base.startswith("https:")

    @property
    def domain(self) -> str:
        """The host our links lead to, which is also the right-hand side of our Message-IDs."""
        host = urlsplit(self._base).hostname or ""
        return host if host and ":" not in host else "localhost"

    def pixel(self, email_id: int) -> str:
        """Where the email's picture of one pixel is fetched from."""
        return f"{self._base}/t/o/{self._sealed(_PIXEL, _number(email_id))}.gif"

    def click(self, email_id: int, target: str) -> str:
        """The tracked link that goes on to `target`, which must be what `trackable` answered."""
        return f"{self._base}/t/c/{self._sealed(_CLICK, _number(email_id) + target.encode('ascii'))}"

    def unsubscribe(self, email_id: int, person_id: int) -> str:
        """The way out of all mail to the person, as this email offers it: it outlives the email."""
        return f"{self._base}/t/u/{self._sealed(_LEAVE, _number(email_id) + _number(person_id))}"

    def open_pixel(self, token: str) -> int | None:
        """The email a pixel's token names; None for anything we did not sign."""
        payload = self._opened(_PIXEL, token)
        return _split(payload)[0] if payload is not None else None

    def open_click(self, token: str) -> tuple[int, str] | None:
        """The email and the target that a click's token names; None for anything we did not sign."""
        payload = self._opened(_CLICK, token)
        return _split(payload) if payload is not None else None

    def open_unsubscribe(self, token: str) -> tuple[int, int] | None:
        """The email and the person that a way out names; None for anything we did not sign."""
        payload = self._opened(_LEAVE, token)
        if payload is None:
            return None
        end = 1 + payload[0]
        return _split(payload[:end])[0], _split(payload[end:])[0]

    def device(self, user_id: int) -> str:
        """A token for a browser that a user has signed in from."""
        return self._sealed(_DEVICE, _number(user_id))

    def open_device(self, token: str) -> int | None:
        """The user a device's token names; None for anything we did not sign."""
        payload = self._opened(_DEVICE, token)
        return _split(payload)[0] if payload is not None else None

    def _sealed(self, purpose: bytes, payload: bytes) -> str:
        return _text(VERSION + self._signature(purpose, payload) + payload)

    def _opened(self, purpose: bytes, token: str) -> bytes | None:
        raw = _bytes(token)
        if raw is None or len(raw) <= 1 + MAC or raw[:1] != VERSION:
            return None
        payload = raw[1 + MAC :]
        return payload if hmac.compare_digest(raw[1 : 1 + MAC], self._signature(purpose, payload)) else None

    def _signature(self, purpose: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._keys[purpose], VERSION + purpose + b"\x00" + payload, sha256)[:MAC]


def trackable(target: str) -> str | None:
    """A link as it may be tracked: http or https with a host, letters outside ASCII encoded. None leaves it alone."""
    text = target.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        if parts.scheme not in ("http", "https") or not host or any(ord(char) < 32 for char in text):
            return None
        netloc = parts.netloc if host.isascii() else parts.netloc.lower().replace(host, link_host(host))
    except (ValueError, UnicodeError):
        return None
    rest = text.partition("://")[2][len(parts.netloc) :]
    encoded = f"{parts.scheme}://{quote(netloc, safe=_KEPT)}{quote(rest, safe=_KEPT)}"
    return encoded if len(encoded) <= LONGEST else None


def _number(email_id: int) -> bytes:
    """The email's key with its length before it, so that a target can follow."""
    raw = email_id.to_bytes(max(1, (email_id.bit_length() + 7) // 8), "big")
    return bytes([len(raw)]) + raw


def _split(payload: bytes) -> tuple[int, str]:
    end = 1 + payload[0]
    return int.from_bytes(payload[1:end], "big"), payload[end:].decode("ascii")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(token: str) -> bytes | None:
    """The bytes of a token in its one right spelling: several texts may decode to the same bytes."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _text(raw) == token else None
