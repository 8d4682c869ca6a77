"""What the servers' answers mean. Every server here listens on a real socket."""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from command_center.mail.smtp import BadAddress, SmtpTransport
from command_center.mail.smtp_dialogue import data_chunks
from command_center.mail.transport import Bounced, Deferred, Delivered, Envelope, Failed, Outcome, Unknown
from models.enums import FailureCode
from tests.support.smtp_servers import Mailbox, accounts, run_mail_server, run_scripted_server

TO = "pat@people.example"
LETTER = Envelope("sam@sellers.example", TO, b"Subject: Hello\r\n\r\n.\r\n..dots\r\nlast\r\n")


@asynccontextmanager
async def channel(url: str, answer_seconds: float = 5, patience: float = 10) -> AsyncIterator[SmtpTransport]:
    made = SmtpTransport(url, answer_seconds, patience)
    try:
        yield made
    finally:
        await made.close()


async def outcome(url: str, envelope: Envelope = LETTER, answer_seconds: float = 5, patience: float = 10) -> Outcome:
    async with channel(url, answer_seconds, patience) as made:
        return await made.send(envelope)


async def test_a_message_arrives_as_it_was() -> None:
    async with run_mail_server(Mailbox()) as box:
        assert await outcome(box.url) == Delivered()
    (taken,) = box.taken
    assert (taken.mail_from, taken.rcpt_tos) == ("sam@sellers.example", [TO])
    assert taken.content == LETTER.content


@pytest.mark.parametrize(
    "answers, expected",
    [
        ({TO: "550 no such user"}, Bounced("550 no such user")),
        ({TO: "554 5.7.1 no"}, Bounced("554 5.7.1 no")),
        ({"DATA": "550 looks like spam"}, Bounced("550 looks like spam")),
        ({TO: "450 greylisted"}, Deferred("450 greylisted")),
        ({"DATA": "452 disk full"}, Deferred("452 disk full")),
        ({"MAIL": "451 busy"}, Deferred("451 busy")),
        ({"MAIL": "421 going down"}, Deferred("421 going down")),
        ({"MAIL": "550 not you"}, Failed(FailureCode.CHANNEL_REFUSED, "550 not you")),
        ({"MAIL": "530 sign in first"}, Deferred("530 sign in first")),
    ],
)
async def test_refusals(answers: dict[str, str], expected: Outcome) -> None:
    async with run_mail_server(Mailbox(answers)) as box:
        assert await outcome(box.url) == expected
        assert box.taken == []


async def test_after_a_refusal_the_connection_serves_the_next_message() -> None:
    async with run_mail_server(Mailbox({TO: "550 no such user"})) as box, channel(box.url) as made:
        assert isinstance(await made.send(LETTER), Bounced)
        other = Envelope("sam@sellers.example", "carl@people.example", b"Subject: x\r\n\r\nx\r\n")
        assert await made.send(other) == Delivered()
        assert box.taken[0].rcpt_tos == ["carl@people.example"]
        assert len(box.sessions) == 1


async def test_a_hundred_messages_share_a_few_connections() -> None:
    async with run_mail_server(Mailbox()) as box, channel(box.url) as made:
        gate = asyncio.Semaphore(8)

        async def one() -> Outcome:
            async with gate:
                return await made.send(LETTER)

        began = time.monotonic()
        assert set(await asyncio.gather(*(one() for _ in range(100)))) == {Delivered()}
        assert time.monotonic() - began < 10
        assert len(box.taken) == 100
        assert len(box.sessions) <= 8


async def test_sign_in() -> None:
    settings = {"authenticator": accounts("sam", "p@ss:word"), "auth_required": True, "auth_require_tls": False}
    async with run_mail_server(Mailbox(), **settings) as box:
        host = f"127.0.0.1:{box.port}"
        assert await outcome(f"smtp://sam:p%40ss%3Aword@{host}") == Delivered()
        refused = await outcome(f"smtp://sam:wrong@{host}")
        assert isinstance(refused, Deferred)
        assert refused.code is FailureCode.CHANNEL_REFUSED
        assert "535" in refused.message
        unsigned = await outcome(f"smtp://{host}")
        assert isinstance(unsigned, Deferred)
        assert unsigned.code is FailureCode.CHANNEL_REFUSED


async def test_credentials_need_a_server_with_authentication() -> None:
    async with run_mail_server(Mailbox()) as box:
        answer = await outcome(f"smtp://sam:x@127.0.0.1:{box.port}")
        assert isinstance(answer, Deferred)
        assert answer.code is FailureCode.CHANNEL_REFUSED


async def test_nothing_listens_on_the_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = await outcome(f"smtp://127.0.0.1:{port}")
    assert isinstance(answer, Deferred)
    assert answer.code is FailureCode.CHANNEL_UNREACHABLE


EHLO = ("220 hello", "250 hello")


@pytest.mark.parametrize(
    "script",
    [
        (None,),
        ("220 hello", None),
        (*EHLO, None),
        (*EHLO, "250 OK", None),
        (*EHLO, "250 OK", "250 OK", None),
        ("…",),
        (*EHLO, "250 OK", "…"),
        (*EHLO, "250 OK", "250 OK", "…"),
    ],
)
async def test_a_connection_lost_before_the_data_sends_nothing(script: tuple[str | None, ...]) -> None:
    async with run_scripted_server(*script) as (url, _):
        answer = await outcome(url, answer_seconds=0.3)
        assert isinstance(answer, Deferred)
        assert answer.code is FailureCode.CHANNEL_UNREACHABLE
        assert answer.message


@pytest.mark.parametrize("end", [None, "…", "nonsense"])
async def test_a_connection_lost_after_the_data_was_given_is_unknown(end: str | None) -> None:
    async with run_scripted_server(*EHLO, "250 OK", "250 OK", "354 go on", end) as (url, heard):
        answer = await outcome(url, answer_seconds=0.3)
        assert isinstance(answer, Unknown)
        assert heard[4].endswith(b"last\r\n.\r\n")


async def test_patience_runs_out_before_and_after_the_data() -> None:
    async with run_scripted_server(*EHLO, "…") as (url, _):
        early = await outcome(url, answer_seconds=60, patience=0.3)
        assert isinstance(early, Deferred)
        assert early.code is FailureCode.CHANNEL_UNREACHABLE
    async with run_scripted_server(*EHLO, "250 OK", "250 OK", "354 go on", "…") as (url, _):
        assert isinstance(await outcome(url, answer_seconds=60, patience=0.3), Unknown)


@pytest.mark.parametrize(
    "script, expected",
    [
        (("421 too busy",), Deferred("421 too busy")),
        (("554 go away",), Deferred("554 go away")),
        ((*EHLO, "250 OK", "250 OK", "451 not now"), Deferred("451 not now")),
        ((*EHLO, "250 OK", "250 OK", "554 no valid message", "250 hello"), Bounced("554 no valid message")),
        # It hangs up right after its answer: the answer holds.
        ((*EHLO, "250 OK", "550 no such user", None), Bounced("550 no such user")),
    ],
)
async def test_answers_at_other_places(script: tuple[str, ...], expected: Outcome) -> None:
    async with run_scripted_server(*script) as (url, _):
        assert await outcome(url, answer_seconds=1) == expected


async def test_a_server_that_hung_up_meanwhile_is_called_again() -> None:
    async with run_mail_server(Mailbox(), timeout=0.2) as box, channel(box.url) as made:
        assert await made.send(LETTER) == Delivered()
        await asyncio.sleep(0.5)
        assert await made.send(LETTER) == Delivered()
        assert len(box.taken) == 2


async def test_addresses_outside_ascii_need_a_server_that_knows_them() -> None:
    letter = Envelope("sam@sellers.example", "zoë@people.example", "To: zoë@people.example\r\n\r\nx\r\n".encode(), True)
    async with run_mail_server(Mailbox()) as box:
        assert await outcome(box.url, letter) == Delivered()
        assert box.taken[0].rcpt_tos == ["zoë@people.example"]
    async with run_scripted_server(*EHLO) as (url, _):
        answer = await outcome(url, letter)
        assert isinstance(answer, Failed)
        assert answer.code is FailureCode.CHANNEL_REFUSED
        assert "SMTPUTF8" in answer.message


@pytest.mark.parametrize("url", ["", "mail.example.com", "http://mail.example.com", "smtp://", "smtp://host:port"])
def test_an_invalid_address_is_refused_before_connecting(url: str) -> None:
    with pytest.raises(BadAddress):
        SmtpTransport(url)


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\xe9"])).map(b"".join), st.integers(1, 8))
@example(b"", 1)
def test_a_message_sent_in_parts_is_converted_as_a_whole(content: bytes, size: int) -> None:
    whole = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    whole += b"" if whole.endswith(b"\r\n") else b"\r\n"
    assert b"".join(data_chunks(content, size)) == re.sub(rb"(?m)^\.", b"..", whole)
