"""Creates and verifies signed tokens. Pure.

Pixels, tracked links, unsubscribe links and device cookies contain them.

The signature covers the target of a tracked link, so the server redirects only to links from the seller's own mail.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from urllib.parse import quote, urlsplit

from command_center.email_addresses import link_host

VERSION = b"\x01"
SIGNATURE_BYTES = 16
"""A signature has 128 bits."""
MAX_TARGET_CHARACTERS = 2000
"""Links with more characters are not tracked, because mail programs truncate links that are not much longer."""
_PIXEL, _CLICK, _UNSUBSCRIBE, _DEVICE = b"pixel", b"click", b"unsubscribe", b"device"
# These ASCII characters of a URL are not percent-encoded.
_SAFE = "!#$%&'()*+,-./:;=?@[\\]^_`{|}~"


class Links:
    """Creates and verifies the tokens of one installation.

    `open_…` methods return None for every token that this installation did not sign.
    """

    def __init__(self, secret: str, base_url: str) -> None:
        # It must be ASCII, because it also appears in headers.
        self._base = (trackable_url(base_url) or base_url).rstrip("/")
        # Each purpose has its own key, so that no token is valid for another purpose. The secret also signs API tokens.
        self._keys = {
            purpose: hmac.digest(secret.encode(), b"command-center/tracking/" + purpose, sha256)
            for purpose in (_PIXEL, _CLICK, _UNSUBSCRIBE, _DEVICE)
        }

    @property
    def secure(self) -> bool:
        """Return whether our links use https."""
        return self._base.startswith("https:")

    @property
    def domain(self) -> str:
        """Return the host of our links.

        It is also the right-hand side of our Message-IDs.
        """
        host = urlsplit(self._base).hostname or ""
        return host if host and ":" not in host else "localhost"

    def pixel(self, email_id: int) -> str:
        """Return the URL of an email's tracking pixel."""
        return f"{self._base}/t/o/{self._token(_PIXEL, _encode_key(email_id))}.gif"

    def click(self, email_id: int, target: str) -> str:
        """Return the tracked link that redirects to `target`.

        `target` must be a result of `trackable_url`.
        """
        return f"{self._base}/t/c/{self._token(_CLICK, _encode_key(email_id) + target.encode('ascii'))}"

    def unsubscribe(self, email_id: int, person_id: int) -> str:
        """Return the link that unsubscribes a person from all mail.

        It stays valid when the email is deleted.
        """
        return f"{self._base}/t/u/{self._token(_UNSUBSCRIBE, _encode_key(email_id) + _encode_key(person_id))}"

    def open_pixel(self, token: str) -> int | None:
        """Return the email id of a pixel token."""
        payload = self._verified_payload(_PIXEL, token)
        return _split_key(payload)[0] if payload is not None else None

    def open_click(self, token: str) -> tuple[int, str] | None:
        """Return the email id and the target of a click token."""
        payload = self._verified_payload(_CLICK, token)
        return _split_key(payload) if payload is not None else None

    def open_unsubscribe(self, token: str) -> tuple[int, int] | None:
        """Return the email id and the person id of an unsubscribe token."""
        payload = self._verified_payload(_UNSUBSCRIBE, token)
        if payload is None:
            return None
        end = 1 + payload[0]
        return _split_key(payload[:end])[0], _split_key(payload[end:])[0]

    def device(self, user_id: int) -> str:
        """Return a token for a browser in which the user has signed in."""
        return self._token(_DEVICE, _encode_key(user_id))

    def open_device(self, token: str) -> int | None:
        """Return the user id of a device token."""
        payload = self._verified_payload(_DEVICE, token)
        return _split_key(payload)[0] if payload is not None else None

    def _token(self, purpose: bytes, payload: bytes) -> str:
        return _encode(VERSION + self._signature(purpose, payload) + payload)

    def _verified_payload(self, purpose: bytes, token: str) -> bytes | None:
        raw = _decode(token)
        if raw is None or len(raw) <= 1 + SIGNATURE_BYTES or raw[:1] != VERSION:
            return None
        payload = raw[1 + SIGNATURE_BYTES :]
        return payload if hmac.compare_digest(raw[1 : 1 + SIGNATURE_BYTES], self._signature(purpose, payload)) else None

    def _signature(self, purpose: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._keys[purpose], VERSION + purpose + b"\x00" + payload, sha256)[:SIGNATURE_BYTES]


def trackable_url(target: str) -> str | None:
    """Return a link in the form that is tracked, or None if it cannot be tracked.

    It must be http or https with a host. Characters outside ASCII are encoded.
    """
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
    encoded = f"{parts.scheme}://{quote(netloc, safe=_SAFE)}{quote(rest, safe=_SAFE)}"
    return encoded if len(encoded) <= MAX_TARGET_CHARACTERS else None


def _encode_key(key: int) -> bytes:
    """Encode a row's id, preceded by its length, so that more data can follow."""
    raw = key.to_bytes(max(1, (key.bit_length() + 7) // 8), "big")
    return bytes([len(raw)]) + raw


def _split_key(payload: bytes) -> tuple[int, str]:
    """Return the id at the start of a payload, and the text after it."""
    end = 1 + payload[0]
    return int.from_bytes(payload[1:end], "big"), payload[end:].decode("ascii")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(token: str) -> bytes | None:
    """Decode a token. Return None unless it is the canonical encoding.

    Several texts may decode to the same bytes, and only one of them is a token.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _encode(raw) == token else None
