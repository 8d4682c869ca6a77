"""The grammar of SMTP replies: read in any pieces, refused if it is broken, and bounded in memory."""

import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.mail.smtp_replies import MAX_REPLY_BYTES, ProtocolError, Reply, ReplyParser, make_readable

CALM = settings(deadline=None)
TEXTS = st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b" ").replace(b"\r", b" ").strip())
REPLIES = st.tuples(st.integers(min_value=200, max_value=599), st.lists(TEXTS, min_size=1, max_size=4))


def parsed(*pieces: bytes) -> list[Reply]:
    parser = ReplyParser()
    for piece in pieces:
        parser.feed(piece)
    assert not parser.partial
    return list(parser.replies)


def written(code: int, texts: list[bytes]) -> bytes:
    *before, last = texts
    return b"".join(b"%d-%b\r\n" % (code, text) for text in before) + b"%d %b\r\n" % (code, last)


@CALM
@given(st.lists(REPLIES, max_size=4), st.lists(st.integers(min_value=0, max_value=200)))
def test_replies_are_the_same_in_whatever_pieces_they_arrive(
    replies: list[tuple[int, list[bytes]]], cuts: list[int]
) -> None:
    data = b"".join(written(*each) for each in replies)
    places = sorted({min(cut, len(data)) for cut in cuts})
    pieces = [data[a:b] for a, b in zip((0, *places), (*places, len(data)), strict=True)]
    found = parsed(*pieces)
    assert [reply.code for reply in found] == [code for code, _ in replies]
    assert found == parsed(data)
    for reply in found:
        # Every database stores it, and every client reads it.
        reply.text.encode()
        assert "\x00" not in reply.text
        assert len(reply.text) <= 900


@pytest.mark.parametrize(
    "data",
    [
        b"what?\r\n",
        b"25\r\n",
        b"+25 ok\r\n",
        b" 250 ok\r\n",
        b"2500 ok\r\n",
        b"250ok\r\n",
        b"100 wait\r\n",
        b"600 ok\r\n",
        b"250-one\r\n251 two\r\n",
        b"250-one\r\ntwo\r\n",
        b"\r\n",
        # Recognised without the end of a line.
        b"\x16\x03\x01\x02\x00",
        b"HTTP",
        b"250\rok",
    ],
)
def test_malformed_replies_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parsed(data + b"\r\n" if data.endswith(b"ok") else data)


@pytest.mark.parametrize(
    "data, text",
    [
        (b"250\r\n", "250"),
        (b"250 \r\n", "250"),
        (b"250\tok\n", "250 ok"),
        (b"550-5.7.26 one\r\n550 5.7.26 two\r\n", "550 5.7.26 one\n5.7.26 two"),
        ("550 Empfänger 存在しない\r\n".encode(), "550 Empfänger 存在しない"),
        (b"550 Empf\xe4nger\r\n", "550 Empfänger"),
        (b"550 a\x00b\x1b[31m\x7f\r\n", "550 a\\x00b\\x1b[31m\\x7f"),
        (b"550 \xed\xa0\x80\r\n", "550 í\xa0€"),
        ("550 a\u202eb\u2028c\r\n".encode(), "550 a\\u202eb\\u2028c"),
    ],
)
def test_replies_are_readable(data: bytes, text: str) -> None:
    (reply,) = parsed(data)
    assert reply.text == text


def test_complete_replies_before_an_error_are_used() -> None:
    parser = ReplyParser()
    with pytest.raises(ProtocolError):
        parser.feed(b"550 no\r\nwhat?\r\n")
    assert [reply.code for reply in parser.replies] == [550]


@pytest.mark.parametrize("piece", [b"x" * 65536, b"550-" + b"y" * 60 + b"\r\n"])
def test_long_replies_are_truncated_and_endless_ones_refused(piece: bytes) -> None:
    parser = ReplyParser()
    parser.feed(b"550-begin\r\n550-" if piece[:1] == b"x" else b"550-begin\r\n")
    block = piece * (65536 // len(piece))

    def feed() -> None:
        for _ in range(2 * MAX_REPLY_BYTES // len(block)):
            parser.feed(block)

    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="more than"):
            feed()
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()


def test_a_long_reply_that_ends_is_one_reply() -> None:
    (reply,) = parsed(b"550 5.1.1 " + "ü".encode() * 400_000 + b"\r\n")
    assert reply.code == 550
    assert reply.text.startswith("550 5.1.1 üüü")
    assert reply.text.endswith("ü…")


@CALM
@given(st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=sys.maxunicode)))
def test_readable_text_can_be_encoded(text: str) -> None:
    assert "\x00" not in make_readable(text)
    make_readable(text).encode()
