"""Parses the target of a link or picture like a browser. Pure.

It follows the URL standard of WHATWG, as far as mail needs it.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from command_center.actions.markup.vocabulary import words

LINK_SCHEMES = words("http https mailto tel sms cid geo sip sips xmpp webcal callto facetime whatsapp")
MAX_TRACKED_LENGTH = 2_000
PICTURE_SCHEMES = frozenset(("http", "https", "cid"))
_ENDS = "".join(map(chr, range(33)))
_BREAK = re.compile(r"(?<![ \t])[ \t]*+[\r\n][ \t\r\n]*+")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*+):")
_PORT = re.compile(r"[0-9]{1,5}(?=[/?#]|\Z)")
_HOST = re.compile(r"((?:[\w-]++\.)++)(?:xn--[a-z0-9-]++|[^\W\d_]{2,63})(?::[0-9]{1,5})?(?=[/?#]|\Z)", re.IGNORECASE)
_MAILBOX = re.compile(r"[^\s@/?#:]++@[\w-]++(?:\.[\w-]++)++\Z")
_FILE_EXTENSIONS = words(
    "asp aspx cfm css csv doc docx gif htm html ico ics jpeg jpg js json jsp jpe pdf php png ppt pptx svg txt"
    " webp xls xlsx xml zip"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Holds a URL as a browser follows it.

    `scheme` is empty if the URL has neither a scheme nor a host. Such a URL leads nowhere from an email.
    """

    url: str
    scheme: str


def parse_target(value: str) -> Target:
    """Return the target in an attribute's decoded value.

    Surrounding white space, tabs, and line breaks with the indentation of the next line are removed. A host without a
    scheme (`ex.example/p`, `//ex.example/p`) means https.
    """
    text = _BREAK.sub("", value.strip(_ENDS)).replace("\t", "")
    if text[:2] in ("//", "\\\\", "/\\", "\\/"):
        return Target("https://" + text[2:].lstrip("/\\"), "https")
    match = _SCHEME.match(text)
    if match is None or ("." in match[1] and _PORT.match(text, match.end())):
        return _without_scheme(text)
    scheme = match[1].lower()
    if scheme in ("http", "https"):
        rest = text[match.end() :]
        if not rest.startswith("//") or rest[2:3] in ("/", "\\"):
            text = f"{scheme}://" + rest.lstrip("/\\")
    return Target(text, scheme)


def _without_scheme(text: str) -> Target:
    if _MAILBOX.match(text):
        return Target("mailto:" + text, "mailto")
    match = _HOST.match(text)
    if match is not None:
        host = match[0].partition(":")[0]
        if match.end() < len(text) or host.rpartition(".")[2].lower() not in _FILE_EXTENSIONS:
            return Target("https://" + text, "https")
    return Target(text, "")


def shown(url: str) -> str:
    """Return a URL for plain text.

    White space is percent-encoded, because mail programs end a link there.
    """
    return re.sub(r"\s", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), url)


def is_trackable(url: str) -> bool:
    """Return whether a web address can be tracked.

    It must have a host, and mail programs must not truncate its tracked link.
    """
    try:
        return len(url) <= MAX_TRACKED_LENGTH and bool(urlsplit(url).hostname)
    except ValueError:
        return False
