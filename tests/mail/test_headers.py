"""Header fields say what was typed: read here by a strict reader of RFC 5322 and RFC 2047 of the tests' own."""

import base64
import quopri
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest

from command_center.mail.headers import Mailbox, address_field, date_field, fixed_field, text_field
from tests.support.generated_texts import ENCODED_WORDS, FRAGMENTS, address, line
from tests.support.law_settings import CASES

WORD = re.compile(r"=\?utf-8\?([bq])\?([!->@-~]*)\?=")
MAILBOX = re.compile(r'(?s)(?:(.*?) )?<?((?:"(?:\\.|[^"\\])*"|[^"<>\s]+)@[A-Za-z0-9.-]+)>?')


def unfolded(field: str) -> tuple[str, str]:
    """A field's name and value. Fails if a line is too long, empty, or does not continue the field."""
    lines = field.split("\r\n")
    for place, each in enumerate(lines):
        assert len(each.encode()) <= 998
        # Only an address may be too long for its line.
        assert len(each) <= (76 if "=?" in each else 78) or ("@" in each and len(each.split()) <= 2)
        assert each.strip(" ")
        assert (each[0] == " ") == (place > 0)
        assert not re.search(r"[\x00-\x1f\x7f]", each)
    name, _, value = "".join(lines).partition(":")
    return name, value[1:]


def decoded(value: str) -> str:
    """What a value says. White space between two encoded words is part of neither."""
    said, encoded_before = [], False
    for gap, word in re.findall(r"(^|[ ])([^ ]*)", value):
        match = WORD.fullmatch(word)
        if match is None:
            assert "=?" not in word
            said += [gap, word]
        else:
            assert len(word) <= 75
            raw = base64.b64decode(match[2]) if match[1] == "b" else quopri.decodestring(match[2].replace("_", " "))
            # Each encoded word holds whole characters.
            said += ["" if encoded_before else gap, raw.decode()]
        encoded_before = match is not None
    return "".join(said)


def phrase(name: str) -> str:
    """What a display name says."""
    if name.startswith('"'):
        assert re.fullmatch(r'"[^"\\]*"', name)
        assert "=?" not in name
        return name[1:-1]
    said = decoded(name)
    assert WORD.search(name) or re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*", name)
    return said


def mailboxes(value: str) -> Sequence[tuple[str, str]]:
    """The names and the addresses of a field whose addresses hold no comma."""
    found = []
    for each in re.split(r'(?<=[a-z>]), (?=[^"]*(?:"[^"]*"[^"]*)*$)', value):
        match = MAILBOX.fullmatch(each)
        assert match is not None, each
        local, _, domain = match[2].rpartition("@")
        found.append((phrase(match[1] or ""), f"{local.strip(chr(34))}@{domain}"))
    return found


TYPED = (
    *FRAGMENTS,
    "plain words",
    " ",
    "  two  blanks  ",
    " at the ends ",
    "a" * 998,
    "a b" * 300,
    "word " * 150 + "end",
    "é" * 998,
    "語" * 998,
    "👩‍👩‍👧‍👦" * 140,
    " " * 998,
    "x" + " " * 500 + "y",
    "",
)


@pytest.mark.parametrize("text", TYPED)
def test_a_text_reads_as_it_was_typed(text: str) -> None:
    name, value = unfolded(text_field("Subject", text))
    assert (name, decoded(value)) == ("Subject", text)


@pytest.mark.parametrize("name", [each[:200] for each in TYPED])
def test_a_name_reads_as_it_was_typed(name: str) -> None:
    field = address_field("To", [Mailbox("pat@people.example", name)])
    assert mailboxes(unfolded(field)[1]) == [(name, "pat@people.example")]


def test_any_texts_and_addresses_read_as_they_were_typed() -> None:
    for number in range(CASES * 2):
        source = random.Random(number)
        text = line(source, 998)
        assert decoded(unfolded(text_field("Subject", text))[1]) == text
        wanted = [(line(source, 200) if number % 2 else "", address(source)) for _ in range(number % 3 + 1)]
        field = address_field("Cc", [Mailbox(address, name) for name, address in wanted])
        assert mailboxes(unfolded(field)[1]) == wanted


@pytest.mark.parametrize("text", ENCODED_WORDS[:7])
def test_texts_like_encoded_words_are_encoded(text: str) -> None:
    assert text not in text_field("Subject", f"about {text} here")
    assert text not in address_field("To", [Mailbox("pat@people.example", text)])


def test_simple_texts_stay_legible() -> None:
    assert text_field("Subject", "Your offer, 50% off: #1 [a]") == "Subject: Your offer, 50% off: #1 [a]"
    pat = "pat@people.example"
    for name, written in (("", pat), ("Pat Doe", f"Pat Doe <{pat}>"), ("Doe, P.", f'"Doe, P." <{pat}>')):
        assert address_field("To", [Mailbox(pat, name)]) == f"To: {written}"
    assert text_field("Subject", "Your café, booked") == "Subject: =?utf-8?q?Your_caf=C3=A9=2C_booked?="
    assert address_field("To", [Mailbox("zoë-a.b@people.example")]) == "To: zoë-a.b@people.example"
    assert address_field("To", [Mailbox(".a@people.example")]) == 'To: ".a"@people.example'
    assert text_field("Subject", "日本") == "Subject: =?utf-8?b?5pel5pys?="


@pytest.mark.parametrize("breaker", ["\r\nBcc: x@y.example", "\n\nBody", "\r", "\x00", "\x7f", "\t", "\x1b[1m"])
def test_control_characters_become_spaces(breaker: str) -> None:
    plain = " " + breaker.lstrip("\r\n\x00\x7f\t\x1b")
    assert decoded(unfolded(text_field("Subject", f"a{breaker}b"))[1]) == f"a{plain}b"
    field = address_field("To", [Mailbox("pat@people.example", f"a{breaker}b")])
    assert mailboxes(unfolded(field)[1]) == [(f"a{plain}b", "pat@people.example")]


def test_lone_surrogates_become_replacement_characters() -> None:
    assert decoded(unfolded(text_field("Subject", "a\ud83db"))[1]) == "a\ufffdb"


@pytest.mark.parametrize("wrong", ["a@b\r\nBcc: x@y", "a@b>, <c@d", "a b@c", "a@", "@b", "a@b c", "a\x00@b"])
def test_invalid_addresses_make_no_header_field(wrong: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        address_field("To", [Mailbox(wrong)])


@pytest.mark.parametrize("wrong", ["a\r\nBcc: x", "é", "x" * 998, "\t"])
def test_a_value_of_the_product_is_printable_ascii(wrong: str) -> None:
    with pytest.raises(ValueError, match="not the value"):
        fixed_field("Message-ID", wrong)


def test_a_date_is_in_utc() -> None:
    assert date_field("Date", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "Date: Fri, 02 Jan 2026 03:04:05 +0000"
    ahead = datetime(2024, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert date_field("Date", ahead) == "Date: Thu, 29 Feb 2024 19:00:00 +0000"
