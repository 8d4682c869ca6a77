"""Content comes through its transfer encoding unchanged, and no line of it can be taken for anything else."""

import base64
import quopri
import random
import re

import pytest

from command_center.mail.mime import alternative_message, transfer_encoded
from tests.support.generated_texts import content
from tests.support.law_settings import CASES


def parts(message: bytes) -> list[str]:
    """The contents of the parts, decoded line by line as RFC 2045 says."""
    head, _, rest = message.partition(b"\r\n\r\n")
    boundary = re.search(rb'boundary="([^"]+)"', head)
    assert boundary is not None
    found = []
    for part in (b"\r\n" + rest).split(b"\r\n--" + boundary[1])[1:-1]:
        fields, _, encoded = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = encoded.split(b"\r\n")
        assert all(len(each) <= 76 and each.isascii() and b"\r" not in each and b"\n" not in each for each in lines)
        if b"base64" in fields:
            raw = base64.b64decode(encoded)
        else:
            assert b"quoted-printable" in fields
            assert not any(each.endswith((b" ", b"\t")) or each.startswith((b".", b"From ")) for each in lines)
            raw = b"\r\n".join(map(quopri.decodestring, re.sub(rb"=\r\n", b"", encoded).split(b"\r\n")))
        found.append(raw.decode())
    return found


CONTENTS = (
    "",
    "\n",
    " ",
    "a\n",
    "a \n b\t\n\t\n",
    ".\n..\n.a\n",
    "From me\nFrom\n",
    "x" * 5000,
    "." * 5000,
    "From " * 1000,
    "=" * 5000,
    "é" * 5000,
    "語" * 5000,
    "🐕" * 5000 + "x" * 60_000,
    "x " * 3000,
    *("x" * count + "=é \n" for count in range(60, 80)),
    "\x00\x0b\x0c\x1b\x7f\x85\u2028",
    "--=_boundary--\n--\n",
)


@pytest.mark.parametrize("text", CONTENTS, ids=range(len(CONTENTS)))
def test_content_is_transferred_unchanged(text: str) -> None:
    message = alternative_message(["Subject: s"], "7", text, text + "é")
    assert parts(message) == [text.replace("\n", "\r\n"), text.replace("\n", "\r\n") + "é"]
    assert message.endswith(b"--\r\n")


def test_any_content_is_transferred_unchanged() -> None:
    for number in range(CASES):
        source = random.Random(number)
        texts = [content(source), content(source)]
        assert parts(alternative_message([], "7", *texts)) == [text.replace("\n", "\r\n") for text in texts]


def test_every_kind_of_line_end_becomes_one() -> None:
    assert parts(alternative_message([], "7", "a\rb\nc\r\nd", "\ud83d"))[0] == "a\r\nb\r\nc\r\nd"


def test_lone_surrogates_become_replacement_characters() -> None:
    assert parts(alternative_message([], "7", "a", "\ud83d")) == ["a", "\ufffd"]


def test_the_shorter_encoding_is_taken() -> None:
    assert transfer_encoded("Viele Grüße aus München und bis bald".encode())[0] == "quoted-printable"
    assert transfer_encoded("株式会社サンプル".encode())[0] == "base64"
