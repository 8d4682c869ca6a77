"""Generates texts that people type into subjects, names and mail, and texts that were made to do harm in a header."""

import random
import re

ENCODED_WORDS = (
    "=?utf-8?q?x=0D=0AReply-To=3A_thief=40evil.example?=",
    "=?utf-8?q?x=0D=0A=0D=0AInjected?=",
    "=?utf-8?B?eA0KQmNjOiB5QGV2aWwuZXhhbXBsZQ==?=",
    "=?iso-8859-1?Q?caf=E9?=",
    "=?utf-8?q?caf=C3=A9?=",
    "=?UTF-8*en?Q?a?=",
    "=?utf-8?q?unfinished",
    "=??=",
    "?==?",
    "=?",
)
FRAGMENTS = (
    *ENCODED_WORDS,
    "Bcc: y@evil.example",
    "<y@evil.example>",
    '"Doe, J" <y@evil.example>,',
    "(comment)",
    "group: a@x.example, b@x.example;",
    "undisclosed-recipients:;",
    "\\",
    '"',
    "'quoted'",
    'a\\"b',
    "x=3D_y",
    "100 % = all",
    "{}",
    "&amp; & <b>",
    "--=_boundary",
    "From me",
    ".",
    "your naïve 24 naïve Ünïcode Straße —",
    "Größe, KG",
    "“Jack” Bäckerei von O’Neil",
    "Ευάγγελος Παπαδόπουλος",
    "Пётр Ильич Чайковский",
    "日本語",
    "株式会社サンプル",
    "안녕하세요",
    "नमस्ते",
    "שלום עולם",
    "مرحبا بالعالم",
    "\u202babc\u202c",
    "สวัสดี",
    "e\u0301a\u0308",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "🐕🐶🐩",
    "𝕿𝖊𝖝𝖙",
    "x" * 90,
    "ß" * 70,
    "語" * 60,
    "\U0010fffd",
    "\xa0",
    "\xad",
    "\u200d",
    "\u2028",
    "\x85",
    "\ufffd",
)
# White space by Python or by JavaScript, and what both would remove at the ends of a text.
_EDGES = re.compile(r"^[\s\ufeff\u180e\x1c-\x1f\x85]+|[\s\ufeff\u180e\x1c-\x1f\x85]+$")
_WORDS = (
    "the",
    "of",
    "and",
    "your",
    "offer",
    "Acme",
    "Inc.",
    "week?",
    "Re:",
    "e-mail",
    "it's",
    "3.5%",
    "#1",
    "$5",
    "x@y",
)
_LOCAL = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~."


def line(source: random.Random, longest: int) -> str:
    """One line of text without control characters and without white space at its ends; never empty."""
    parts: list[str] = []
    for _ in range(source.choice((1, 2, 3, 5, 8, 20, 60))):
        parts.append(_part(source))
        parts.append(source.choice((" ", " ", " ", "", "  ", ", ")))
    return _EDGES.sub("", "".join(parts)[:longest]) or "x"


def _part(source: random.Random) -> str:
    kind = source.randrange(10)
    if kind < 4:
        return source.choice(_WORDS)
    if kind < 8:
        return source.choice(FRAGMENTS)
    if kind == 8:
        return "".join(chr(source.randrange(0x21, 0x7F)) for _ in range(source.randrange(1, 30)))
    return "".join(_character(source) for _ in range(source.randrange(1, 12)))


def _character(source: random.Random) -> str:
    """Any character that may be stored: neither a control character of ASCII nor half of a pair."""
    while True:
        number = source.randrange(0x20, source.choice((0x250, 0x3000, 0x10000, 0x110000)))
        if number != 0x7F and not 0xD800 <= number <= 0xDFFF:
            return chr(number)


def content(source: random.Random) -> str:
    """Text of several lines, with white space and signs where transfer encodings and SMTP are known to lose them."""
    edges = ("", "", " ", "\t", ".", "..", "From ", "=", "=20", "  ", "--", "\x0c")
    lines = [
        source.choice(edges) + line(source, source.choice((20, 200, 3000))) + source.choice(edges)
        for _ in range(source.randrange(1, 12))
    ]
    return source.choice(("\n", "\n", "\n\n")).join(lines) + source.choice(("\n", ""))


def address(source: random.Random) -> str:
    """An address whose local part may hold whatever is no white space, no bracket and no encoded word."""
    letters = source.choice((_LOCAL, _LOCAL, "abc.", "zoëж語🐕"))
    local = re.sub(r"=\?+", "=", "".join(source.choice(letters) for _ in range(source.randrange(1, 40))))
    local = local.encode()[:64].decode(errors="ignore")
    return f"{local}@{source.choice(('people.example', 'sub.people.example', 'x.' * 40 + 'example'))}"
