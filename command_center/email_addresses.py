"""Validates, converts and compares email addresses. Pure.

An address is stored as it was entered. The delivery form is used in envelopes and headers: the local part unchanged,
the domain in ASCII by UTS #46 (non-transitional) and IDNA 2008. The comparison key decides which addresses are the
same; emails are never sent to it.
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
_EXAMPLE_MESSAGE = "An address looks like name@example.com."
_LOCAL_PART = re.compile(r"[^\s@<>()\[\]\\,;:\"]+")
_ASCII_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_JOINERS = frozenset("\u200c\u200d")
# Characters without a visible form, from Unicode's Default_Ignorable_Code_Point, beyond the categories below; the blank
# Braille pattern; and the replacement character.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\ufffd"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_NUMBER_SEPARATOR = " "
"""Separates a comparison key from the number of a duplicate; no valid address has a space."""


class InvalidAddress(ValueError):
    """The text is not an email address.

    The message gives the reason in a sentence for the user.
    """


def normalize_address(text: str) -> str:
    """Return an address in the form in which it is stored.

    That is as entered, but in NFC and without surrounding white space. Raises: InvalidAddress.
    """
    local, domain = _split(text)
    _ascii_domain(domain)
    return f"{local}@{normalize('NFC', domain)}"


def delivery_form(text: str) -> str:
    """Return an address in its form for SMTP envelopes and mail headers.

    The local part is unchanged, the domain in ASCII. Raises: InvalidAddress.
    """
    local, domain = _split(text)
    return f"{local}@{_ascii_domain(domain)}"


def comparison_key(text: str) -> str:
    """Return a key that is equal for all spellings of one address.

    The local part of the key is case-folded. Raises: InvalidAddress.
    """
    local, domain = _split(text)
    return f"{fold(local)}@{_ascii_domain(domain)}"


def lookup_key(text: str) -> str:
    """Return the comparison key of an address, or the folded text if it is invalid.

    Old rows may contain invalid addresses.
    """
    try:
        return comparison_key(text)
    except InvalidAddress:
        return fold(text.strip())


def distinct_addresses(texts: Iterable[str], seen: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the addresses in order, without duplicates and without those in `seen`.

    Different spellings of one address count as duplicates.
    """
    keys = set(map(lookup_key, seen))
    distinct_texts: list[str] = []
    for text in texts:
        key = lookup_key(text)
        if key not in keys:
            keys.add(key)
            distinct_texts.append(text)
    return tuple(distinct_texts)


def numbered_key(key: str, number: int) -> str:
    """Return the key that is stored for one of several rows with the same address.

    It is the comparison key with the row's number; the key of row 1 has no number.
    """
    return key if number == 1 else f"{key}{_NUMBER_SEPARATOR}{number}"


def lower_numbered_keys(stored: str) -> list[str]:
    """Return the stored keys of the lower-numbered rows with the same address.

    Several rows with one address are numbered from 1.
    """
    key, _, number = stored.partition(_NUMBER_SEPARATOR)
    return [numbered_key(key, lower) for lower in range(1, int(number or 1))]


def strip_number(stored: str) -> str:
    """Return the comparison key of an address from a stored key.

    Stored keys end with a number if several rows have the same address.
    """
    return stored.partition(_NUMBER_SEPARATOR)[0]


def domain_of(text: str) -> str:
    """Return the domain of an address as a key for comparison.

    For an invalid domain it is the lower-case text.
    """
    return domain_key(text.rpartition("@")[2])


def domain_key(domain: str) -> str:
    """Return a key that is equal for all spellings of one domain.

    For an invalid domain it is the lower-case text.
    """
    text = domain.strip().removesuffix(".")
    try:
        return _ascii_domain(text)
    except InvalidAddress:
        return text.casefold()


def link_host(host: str) -> str:
    """Return the host of a web address in ASCII, as browsers do. Raises: InvalidAddress.

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
    """Return the local part of an address in NFC, and its domain as written.

    Raises: InvalidAddress, for example if the address contains invisible characters.
    """
    local, at, domain = text.strip().rpartition("@")
    for part, allowed in ((local, frozenset[str]()), (domain, _JOINERS)):
        for char in part:
            if char not in allowed and (category(char) in _INVISIBLE_CATEGORIES or _IGNORABLE.match(char)):
                raise InvalidAddress(f"The address contains the character {_described(char)}, which must be removed.")
    local = normalize("NFC", local)
    if not at or not domain or not _LOCAL_PART.fullmatch(local):
        raise InvalidAddress(_EXAMPLE_MESSAGE)
    if "=?" in local:
        # RFC 2047 allows no encoded word in an address, and many programs that read mail decode one all the same.
        raise InvalidAddress("The part of an address before the @ must not contain =?.")
    if len(local.encode()) > MAX_LOCAL_PART_BYTES:
        raise InvalidAddress(f"The part of an address before the @ may have at most {MAX_LOCAL_PART_BYTES} bytes.")
    return local, domain


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str:
    """Return the domain in ASCII and lower case. Raises: InvalidAddress."""
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
            raise InvalidAddress(_EXAMPLE_MESSAGE)
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
    """Return whether a label that begins with xn-- encodes a name canonically.

    The name must contain characters outside ASCII. Which ones is not checked, because the registry of the domain
    decides that.
    """
    punycode = label.removeprefix("xn--")
    try:
        decoded = punycode.encode("ascii").decode("punycode")
        return (
            not decoded.isascii()
            and decoded.encode("punycode").decode("ascii") == punycode
            and idna.uts46_remap(decoded, std3_rules=False) == decoded
        )
    except (UnicodeError, OverflowError):
        return False


def _unmappable(domain: str, exc: idna.IDNAError) -> InvalidAddress:
    return InvalidAddress(f"The domain {domain} is not a valid internet domain: {exc}.")


def _described(char: str) -> str:
    described = name(char, "")
    return f"U+{ord(char):04X} ({described})" if described else f"U+{ord(char):04X}"
