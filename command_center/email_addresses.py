"""Email addresses: which are valid, the form mail is delivered to, and which of them are the same.

An address is stored as it was entered. The delivery form goes into envelopes and headers: the local part unchanged,
the domain in ASCII by UTS #46 (non-transitional) and IDNA 2008. The comparison key decides which addresses are the
same; mail is never sent to it. Pure.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import dropwhile
from unicodedata import category, name, normalize

import idna

from command_center.search.text import fold

MAX_ADDRESS_CHARACTERS = 320
MAX_LOCAL_PART_BYTES = 64
MAX_DOMAIN_CHARACTERS = 253
MAX_LABEL_CHARACTERS = 63
_SHAPE = "An address looks like name@example.com."
_LOCAL_PART = re.compile(r"[^\s@<>()\[\]\\,;:\"]+")
_ASCII_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_JOINERS = frozenset("\u200c\u200d")
# Characters that leave no mark, from Unicode's Default_Ignorable_Code_Point, beyond the categories below; the blank of
# Braille; and the sign for what could not be decoded.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\ufffd"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_NUMBERED = " "
"""Separates a comparison key from the number of a duplicate; no valid address has a space."""


class InvalidAddress(ValueError):
    """The text is not an email address; the message says why, in a sentence for the user."""


def normalize_address(text: str) -> str:
    """Return the address as it is stored: as entered, in NFC, without white space around. Raises InvalidAddress."""
    local, domain = _split(text)
    _ascii_domain(domain)
    return f"{local}@{normalize('NFC', domain)}"


def delivery_form(text: str) -> str:
    """Return the form that envelopes and headers contain. Raises InvalidAddress."""
    local, domain = _split(text)
    return f"{local}@{_ascii_domain(domain)}"


def comparison_key(text: str) -> str:
    """Return the form in which equal addresses are equal: the local part case-folded. Raises InvalidAddress."""
    local, domain = _split(text)
    return f"{fold(local)}@{_ascii_domain(domain)}"


def lookup_key(text: str) -> str:
    """Return the comparison key, and for an invalid address, as old rows may contain, its folded text."""
    try:
        return comparison_key(text)
    except InvalidAddress:
        return fold(text.strip())


def distinct(texts: Iterable[str], seen: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the addresses in their order, each once in whatever spelling, without those in `seen`."""
    keys = set(map(lookup_key, seen))
    first: list[str] = []
    for text in texts:
        key = lookup_key(text)
        if key not in keys:
            keys.add(key)
            first.append(text)
    return tuple(first)


def numbered_key(key: str, number: int) -> str:
    """Return the key that the row with this number among those of one address is stored with; the first has none."""
    return key if number == 1 else f"{key}{_NUMBERED}{number}"


def lower_numbered_keys(stored: str) -> list[str]:
    """Return the keys of the rows that come before this one among those of its address."""
    key, _, number = stored.partition(_NUMBERED)
    return [numbered_key(key, lower) for lower in range(1, int(number or 1))]


def without_number(stored: str) -> str:
    """Return the comparison key in a stored key."""
    return stored.partition(_NUMBERED)[0]


def domain_of(text: str) -> str:
    """Return the domain of an address in its comparison form, and the domain as written if it is invalid."""
    return domain_key(text.rpartition("@")[2])


def domain_key(domain: str) -> str:
    """Return the form in which equal domains are equal, and the lower-case text of an invalid domain."""
    text = domain.strip().removesuffix(".")
    try:
        return _ascii_domain(text)
    except InvalidAddress:
        return text.casefold()


def link_host(host: str) -> str:
    """Return the host of a web address in ASCII, as browsers do. Raises InvalidAddress.

    Browsers apply the same mapping as `delivery_form` but not the restrictions of IDNA 2008, so emoji remain.
    """
    labels = _mapped(host).split(".")
    encoded = [label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels]
    if any(len(label) > MAX_LABEL_CHARACTERS for label in encoded):
        raise InvalidAddress(f"A part of the domain {host} is too long.")
    return ".".join(encoded)


def strip_invisible(text: str) -> str:
    """Return the text without white space and invisible characters at its ends.

    Joiners and variation selectors at the end may belong to an emoji and stay.
    """
    start = "".join(dropwhile(_is_padding, text))
    return "".join(dropwhile(_is_padding, reversed(start)))[::-1]


def _is_padding(char: str) -> bool:
    return char.isspace() or (category(char) in ("Cc", "Cf", "Zl", "Zp") and char not in _JOINERS)


def _split(text: str) -> tuple[str, str]:
    """Return the local part in NFC and the domain as written, both without invisible characters."""
    local, at, domain = text.strip().rpartition("@")
    for part, allowed in ((local, frozenset[str]()), (domain, _JOINERS)):
        for char in part:
            if char not in allowed and (category(char) in _INVISIBLE_CATEGORIES or _IGNORABLE.match(char)):
                raise InvalidAddress(f"The address contains the character {_described(char)}, which must be removed.")
    local = normalize("NFC", local)
    if not at or not domain or not _LOCAL_PART.fullmatch(local):
        raise InvalidAddress(_SHAPE)
    if "=?" in local:
        # RFC 2047 allows no encoded word in an address, and many programs that read mail decode one all the same.
        raise InvalidAddress("The part of an address before the @ must not contain =?.")
    if len(local.encode()) > MAX_LOCAL_PART_BYTES:
        raise InvalidAddress(f"The part of an address before the @ may have at most {MAX_LOCAL_PART_BYTES} bytes.")
    return local, domain


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str:
    """Return the domain in ASCII and lower case. Raises InvalidAddress."""
    labels = [_ascii_label(label, domain) for label in _mapped(domain).split(".")]
    mapped = ".".join(labels)
    if len(mapped) > MAX_DOMAIN_CHARACTERS:
        raise InvalidAddress(f"A domain may have at most {MAX_DOMAIN_CHARACTERS} characters.")
    return mapped


def _mapped(domain: str) -> str:
    if len(domain) > MAX_ADDRESS_CHARACTERS:
        raise InvalidAddress(f"A domain may have at most {MAX_DOMAIN_CHARACTERS} characters.")
    try:
        return idna.uts46_remap(domain, std3_rules=False)
    except idna.IDNAError as exc:
        raise _unmappable(domain, exc) from exc


def _ascii_label(label: str, domain: str) -> str:
    if not label:
        raise InvalidAddress(f"The domain {domain} has an empty part: no dot may be first, last or beside another.")
    if label.isascii():
        if not _ASCII_LABEL.fullmatch(label):
            raise InvalidAddress(_SHAPE)
        if label.startswith("xn--") and not _is_encoded(label):
            raise InvalidAddress(f"The part {label} of the domain is not the encoded form of any name.")
        encoded = label
    else:
        try:
            encoded = idna.alabel(label).decode()
        except idna.IDNAError as exc:
            raise _unmappable(domain, exc) from exc
    if len(encoded) > MAX_LABEL_CHARACTERS:
        raise InvalidAddress(f"Each part of a domain may have at most {MAX_LABEL_CHARACTERS} characters.")
    return encoded


def _is_encoded(label: str) -> bool:
    """Whether a label that begins with xn-- is what a name outside ASCII is encoded as, and is its only encoding.

    Which characters the name may contain is for its registry to judge: an ASCII domain exists or does not.
    """
    rest = label.removeprefix("xn--")
    try:
        decoded = rest.encode("ascii").decode("punycode")
        return (
            not decoded.isascii()
            and decoded.encode("punycode").decode("ascii") == rest
            and idna.uts46_remap(decoded, std3_rules=False) == decoded
        )
    except (UnicodeError, OverflowError):
        return False


def _unmappable(domain: str, exc: idna.IDNAError) -> InvalidAddress:
    return InvalidAddress(f"The domain {domain} is not a valid internet domain: {exc}.")


def _described(char: str) -> str:
    described = name(char, "")
    return f"U+{ord(char):04X} ({described})" if described else f"U+{ord(char):04X}"
