"""The address of a PostgreSQL database may have the parameters that libpq knows."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import trustme

from command_center.database.connections import database, open_database
from command_center.database.postgres.url import parse

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@asynccontextmanager
async def tls_in_front(url: str, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A port that speaks PostgreSQL's TLS (without a context it offers none) in front of the database's own socket."""
    parameters = parse_qs(urlsplit(url).query)
    path = f"{parameters['host'][0]}/.s.PGSQL.5432"

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError, ssl.SSLError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            first = await reader.readexactly(8)
            offered = first == SSL_REQUEST
            if offered:
                writer.write(b"N" if context is None else b"S")
                if context is not None:
                    await writer.start_tls(context)
            inner_reader, inner_writer = await asyncio.open_unix_connection(path)
            if not offered:
                inner_writer.write(first)
            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def connects(url: str) -> str:
    """Opens the database, and returns the application name that the server knows the session by."""
    async with open_database(url):
        row = await database().fetch_one("SELECT current_setting('application_name') AS name")
    return str(row and row["name"])


async def test_tls_is_required_and_verified_as_asked(postgres_url: str, authority: trustme.CA, tmp_path: Path) -> None:
    name = urlsplit(postgres_url).path.removeprefix("/")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")

    def at(port: int, parameters: str) -> str:
        return f"postgresql://postgres:@localhost:{port}/{name}?application_name=a%20test&{parameters}"

    root, other = quote(str(tmp_path / "ca.pem")), quote(str(tmp_path / "other.pem"))
    async with tls_in_front(postgres_url, context) as port:
        for parameters in ("sslmode=require", f"sslmode=verify-full&sslrootcert={root}", "sslmode=prefer"):
            assert await connects(at(port, f"{parameters}&connect_timeout=3&channel_binding=prefer")) == "a test"
        with pytest.raises(Exception, match=r"(?i)certificate verify failed"):
            await connects(at(port, f"sslmode=verify-full&sslrootcert={other}"))
    async with tls_in_front(postgres_url, None) as port:
        assert await connects(at(port, "sslmode=disable")) == "a test"
        with pytest.raises(Exception, match=r"(?i)SSL"):
            await connects(at(port, "sslmode=require"))


async def test_settings_of_the_session_are_passed_on(postgres_url: str) -> None:
    url = f"{postgres_url}&options=-c%20lock_timeout%3D1234&fallback_application_name=ours"
    async with open_database(url):
        row = await database().fetch_one("SELECT current_setting('lock_timeout') AS wait, current_user AS name")
    assert row == {"wait": "1234ms", "name": "postgres"}
    assert await connects(url) == "ours"


def test_passwords_may_be_written_as_they_are() -> None:
    quoted = parse("postgresql://sam:p%40ss%2Fw%23%3Frd@db.example/x").dsn
    assert parse("postgresql://sam:p@ss/w#%3Frd@db.example/x").dsn == quoted
    assert (
        parse("postgres://db.example/x?application_name=a@b").dsn == "postgresql://db.example/x?application_name=a%40b"
    )


@pytest.mark.parametrize(
    "parameters, complaint",
    [
        ("sslmod=require", "sslmod"),
        ("sslmode=on", "disable, allow, prefer, require, verify-ca, verify-full"),
        ("channel_binding=require", "channel_binding"),
        ("requirepeer=postgres", "requirepeer"),
        ("connect_timeout=soon", "connect_timeout"),
        ("search_path=x", "options"),
        ("sslmode", r"\?sslmode=require"),
    ],
)
def test_unknown_parameters_are_reported_with_the_allowed_ones(parameters: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"must .*{complaint}"):
        parse(f"postgresql://sam:hidden@db.example/x?{parameters}")
