"""How a session with a mail server begins: greeting, EHLO and HELO, TLS, and signing in."""

import asyncio
import base64
import hmac
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from command_center.mail.smtp import SmtpTransport
from command_center.mail.smtp_session import mail_server
from command_center.mail.transport import Bounced, Deferred, Delivered, Failed, Outcome, Unknown
from models.enums import FailureCode
from tests.mail.smtp_scripts import make_message
from tests.support.smtp_servers import Mailbox, accounts, run_mail_server, run_scripted_server

AUTHORITY = trustme.CA()
LETTER = make_message("e")
TAKEN = ("250 ok", "250 ok", "354 go on", "250 queued")
HELLO = "250-mx\r\n250 SIZE 10"


async def outcome(url: str, reply_seconds: float = 2.0) -> Outcome:
    channel = SmtpTransport(url, reply_seconds, timeout_seconds=10)
    try:
        return await channel.send(LETTER)
    finally:
        await channel.close()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    AUTHORITY.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


async def test_the_connection_is_encrypted_where_the_server_offers_it(trusted: None) -> None:
    settings = {"authenticator": accounts("sam", "pass"), "auth_required": True, "require_starttls": True}
    async with run_mail_server(Mailbox(), tls_context=server_context(), **settings) as box:
        assert await outcome(f"smtp://sam:pass@localhost:{box.port}") == Delivered()
        assert len(box.taken) == 1
    async with run_mail_server(Mailbox(), tls_context=server_context(), require_starttls=True) as box:
        assert await outcome(f"smtp://127.0.0.1:{box.port}") == Delivered()


async def test_certificates_are_verified_only_if_a_password_is_sent() -> None:
    async with run_mail_server(Mailbox(), tls_context=server_context(), require_starttls=True) as box:
        assert await outcome(f"smtp://127.0.0.1:{box.port}") == Delivered()
    settings = {"authenticator": accounts("sam", "pass"), "tls_context": server_context()}
    async with run_mail_server(Mailbox(), **settings) as box:
        refused = await outcome(f"smtp://sam:pass@localhost:{box.port}")
        assert isinstance(refused, Deferred)
        assert refused.code is FailureCode.CHANNEL_UNREACHABLE
        assert "certificate" in refused.message
        assert box.taken == []


@asynccontextmanager
async def encrypted(replies: tuple[str, ...]) -> AsyncIterator[str]:
    """A server that speaks TLS from the first byte. Nothing of a connection is left when it ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            await writer.start_tls(server_context())
            for reply in replies:
                writer.write(reply.encode() + b"\r\n")
                await writer.drain()
                await reader.readuntil(b"\r\n.\r\n" if reply.startswith("354") else b"\r\n")
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(converse(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0.01)


async def test_tls_from_the_first_byte(trusted: None) -> None:
    async with encrypted(("220 hi", HELLO, *TAKEN, "221 bye")) as host:
        assert await outcome(f"smtps://{host}") == Delivered()


async def test_a_failed_handshake_is_temporary() -> None:
    async with encrypted(("220 hi",)) as host, run_scripted_server("220 hi", "…") as (plain, _):
        for url in (f"smtps://{host}", plain.replace("smtp:", "smtps:")):
            answer = await outcome(url)
            assert isinstance(answer, Deferred)
            assert answer.code is FailureCode.CHANNEL_UNREACHABLE
            assert "TLS" in answer.message or "no connection" in answer.message


@pytest.mark.parametrize(
    "consent, code",
    [
        # Somebody on the way added a reply that would have come before the encrypted one.
        ("220 go\r\n250 2.0.0 injected", FailureCode.CHANNEL_REFUSED),
        ("220 go\r\n250-", FailureCode.CHANNEL_REFUSED),
        ("454 not now", FailureCode.CHANNEL_REFUSED),
        ("501 what", FailureCode.CHANNEL_REFUSED),
        ("334 go", FailureCode.CHANNEL_REFUSED),
        ("220 go", FailureCode.CHANNEL_UNREACHABLE),
    ],
)
async def test_no_message_is_sent_unencrypted_after_a_failed_starttls(consent: str, code: FailureCode) -> None:
    async with run_scripted_server("220 hi", "250-mx\r\n250 STARTTLS", consent, None) as (url, heard):
        answer = await outcome(url, 0.5)
        assert isinstance(answer, Deferred)
        assert answer.code is code
        assert not any(line.startswith(b"MAIL") for line in heard)


async def test_a_password_is_not_sent_unencrypted_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not mail_server("smtp://sam:pass@mail.example.com").clear_password
    assert mail_server("smtp://sam:pass@mail.example.com?clear_password=yes").clear_password
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert mail_server(f"smtp://sam:pass@{host}").clear_password
    # Every name of this machine leads to the loopback, and this one does not look like it.
    monkeypatch.setattr("command_center.mail.smtp_session._LOOPBACK", re.compile("nothing"))
    async with run_scripted_server("220 hi", "250-mx\r\n250 AUTH PLAIN", "…") as (url, heard):
        answer = await outcome(url.replace("//", "//sam:pass@"))
        assert isinstance(answer, Deferred)
        assert "STARTTLS" in answer.message
        assert len(heard) == 1
        assert not any(line.startswith(b"AUTH") for line in heard)


async def test_ways_to_sign_in() -> None:
    challenge = base64.b64encode(b"<1.2@mx>").decode()
    for offer, replies in (
        ("AUTH PLAIN LOGIN", ("235 ok",)),
        ("AUTH=PLAIN", ("235 ok",)),
        ("AUTH LOGIN", ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok")),
        ("AUTH CRAM-MD5 PLAIN", (f"334 {challenge}", "235 ok")),
    ):
        hello = f"250-mx\r\n250 {offer}"
        async with run_scripted_server("220 hi", hello, *replies, hello, *TAKEN, "221 bye") as (url, heard):
            assert await outcome(url.replace("//", "//sam:p%40ss@")) == Delivered()
        if "CRAM" in offer:
            digest = hmac.new(b"p@ss", b"<1.2@mx>", "md5").hexdigest()
            assert base64.b64decode(heard[2]) == f"sam {digest}".encode()
        elif offer == "AUTH LOGIN":
            assert [base64.b64decode(line) for line in heard[2:4]] == [b"sam", b"p@ss"]
        else:
            assert base64.b64decode(heard[1].split()[-1]) == b"\0sam\0p@ss"


@pytest.mark.parametrize(
    "offer, replies",
    [
        ("AUTH PLAIN", ("535 5.7.8 no",)),
        ("AUTH PLAIN", ("454 4.7.0 later",)),
        ("AUTH PLAIN", ("334 more",)),
        ("AUTH PLAIN", ("235 ok\r\n535 no",)),
        ("AUTH LOGIN", ("235 already",)),
        ("AUTH LOGIN", ("334 VXNlcm5hbWU6", "535 no")),
        ("AUTH LOGIN", ("334 VXNlcm5hbWU6", "235 without a password")),
        ("AUTH CRAM-MD5", ("334 not base64!",)),
        ("AUTH GSSAPI", ()),
        ("SIZE", ()),
    ],
)
async def test_a_refused_login_is_temporary(offer: str, replies: tuple[str, ...]) -> None:
    async with run_scripted_server("220 hi", f"250-mx\r\n250 {offer}", *replies, None) as (url, heard):
        answer = await outcome(url.replace("//", "//sam:pass@"))
        assert isinstance(answer, Deferred)
        assert answer.code is FailureCode.CHANNEL_REFUSED
        assert "pass" not in answer.message.replace("password", "")
        assert not any(line.startswith(b"MAIL") for line in heard)


@pytest.mark.parametrize("refusal", ["500 what", "502 no", "550 no"])
async def test_an_old_server_is_greeted_with_helo(refusal: str) -> None:
    async with run_scripted_server("220 hi", refusal, "250 hello", *TAKEN, "221 bye") as (url, heard):
        assert await outcome(url) == Delivered()
        assert heard[1].startswith(b"HELO ")


@pytest.mark.parametrize(
    "banner", ["554 no service", "521 no mail here", "421 too busy", "354 go on", "SSH-2.0-OpenSSH"]
)
async def test_a_server_that_does_not_greet_is_tried_again(banner: str) -> None:
    async with run_scripted_server(banner) as (url, _):
        answer = await outcome(url)
        assert isinstance(answer, Deferred)
        assert answer.code is FailureCode.CHANNEL_REFUSED


async def test_an_unknown_host_name_is_retried() -> None:
    for host in ("nobody.invalid", "a..b", "x" * 70 + ".invalid"):
        answer = await outcome(f"smtp://{host}")
        assert isinstance(answer, Deferred)
        assert answer.code is FailureCode.CHANNEL_UNREACHABLE


@pytest.mark.parametrize(
    "replies, expected",
    [
        # One reply for each recipient, as LMTP has it.
        (("250 ok", "250 ok", "354 go", "250 one\r\n550 two"), Delivered),
        # Replies that came before they were asked for are nobody's.
        (("250 ok\r\n250 ok\r\n354 go\r\n250 queued",), Deferred),
        (("250 ok", "550 no such user\r\n421 too many errors"), Bounced),
        (("250 ok", "550 no such user\r\nsee our page"), Bounced),
        (("250 ok", "550 one line\r\n550 and another"), Bounced),
        (("250 ok", "550 no such user\r\n250 ok"), Deferred),
        (("250 ok", "250 ok", "354 go", "550 no\r\n250 queued"), Unknown),
        (("250 ok", "250 ok", "354 go\r\n250 queued"), Deferred),
        (("550 5.7.1 not you",), Failed),
    ],
)
async def test_replies_in_numbers(replies: tuple[str, ...], expected: type[Outcome]) -> None:
    async with run_scripted_server("220 hi", HELLO, *replies, HELLO, None) as (url, _):
        assert type(await outcome(url)) is expected
