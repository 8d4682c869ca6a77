"""The command line as an operator meets it: what it makes, and one clear line with a non-zero code where it cannot."""

import asyncio
import re
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from command_center import ids
from command_center.database.connections import database, open_database
from command_center.server.setting_definitions import TABLE
from command_center.server.settings import PREFIX
from models.enums import Role
from tests.support.commands import CommandResult, InlineCommand, assert_usage_error, run_command
from tests.support.emails import create_draft, create_person
from tests.support.paths import ROOT
from tests.support.server import SECRET, Client, serving

pytestmark = pytest.mark.slow

SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id}}}"
MEMBERS = "query($id:ID!){savedSearch(id:$id){memberCount members{nodes{email{id}}}}}"
LOOK = "{viewer{name role timeZone address}}"


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_user_is_created_updated_and_signed_in_with_a_token(database_url: str, run_inline: InlineCommand) -> None:
    known = {"DATABASE_URL": database_url, "SECRET": SECRET}
    add = ("user", "add", "--team", "Apples", "--address")
    first = run_inline(*add, "Ann@apples.example", "--name", "Ann", **known)
    assert first == CommandResult(0, "Ann@apples.example\n", "")
    more = ("--name", "Anna", "--admin", "--time-zone", "Asia/Tokyo")
    assert run_inline(*add, "ANN@apples.example", *more, **known) == CommandResult(0, "ANN@apples.example\n", "")
    token = run_inline("token", "ann@APPLES.example", "--scope", "engagement:write", "--expires", "PT2H", **known)
    assert (token.code, token.err, token.out.count("\n")) == (0, "", 1)
    claims = jwt.decode(token.out.strip(), SECRET, algorithms=["HS256"], issuer="command-center")
    assert claims["scope"] == "engagement:write"
    assert timedelta(seconds=claims["exp"] - claims["iat"]) == timedelta(hours=2)

    async def sign_in() -> None:
        async with serving(database_url, works=False, looks=False) as server:
            ann = Client(server.url, token.out.strip())
            server.clients.append(ann)
            assert await ann.one(LOOK) == {
                "name": "Anna",
                "role": "ADMIN",
                "timeZone": "Asia/Tokyo",
                "address": "ANN@apples.example",
            }
            assert await database().fetch_one("SELECT COUNT(*) AS count FROM users") == {"count": 1}

    asyncio.run(sign_in())


def test_an_invalid_command_is_one_line_and_changes_nothing(sqlite_url: str, run_inline: InlineCommand) -> None:
    known = {"DATABASE_URL": sqlite_url, "SECRET": SECRET}
    add = ("user", "add", "--name", "Ann", "--address", "ann@apples.example", "--team")
    assert run_inline(*add, "Apples", **known).code == 0
    assert_usage_error(run_inline(*add, "Bananas", **known), "address", "another team")
    assert_usage_error(run_inline(*add, "Apples", "--time-zone", "Mars/Olympus", **known), "time-zone")
    assert_usage_error(run_inline(*add, " ", **known), "team")
    assert_usage_error(run_inline("token", "bob@apples.example", **known), "bob@apples.example")
    assert_usage_error(run_inline("token", "ann@apples.example", "--expires", "soon", **known), "--expires")
    assert_usage_error(
        run_inline("token", "ann@apples.example", "--scope", "all", **known), "--scope", "engagement:write"
    )
    assert_usage_error(run_inline("token", "ann@apples.example", DATABASE_URL=sqlite_url), f"{PREFIX}SECRET is missing")
    assert_usage_error(run_inline("serve", "--port", "99999", **known), "99999")
    assert_usage_error(run_inline("worker", **known), "PostgreSQL")


async def test_without_what_it_needs_nothing_starts(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, however long it is " * 100)
    serve = ("serve", "--port", "0")
    assert_usage_error(await run_command(*serve, DATABASE_URL=sqlite_url), f"{PREFIX}SECRET is missing")
    with taken_port() as port:
        said = await run_command("serve", "--port", str(port), DATABASE_URL=sqlite_url, SECRET=SECRET)
        assert_usage_error(said, f"127.0.0.1:{port}", "in use")
    for url in (
        f"sqlite:///{tmp_path}",
        f"sqlite:///{tmp_path}/no/such/folder/x.db",
        f"sqlite:///{tmp_path}/text.db",
        "postgresql://postgres@127.0.0.1:1/nothing",
    ):
        assert_usage_error(await run_command(*serve, DATABASE_URL=url, SECRET=SECRET), f"{PREFIX}DATABASE_URL")
    for words in (("migrate",), ("audit",)):
        said = await run_command(*words, DATABASE_URL=f"sqlite:///{tmp_path}", SECRET=SECRET)
        assert_usage_error(said, f"{PREFIX}DATABASE_URL")


WRONG = {
    "DATABASE_URL": ("mysql://localhost/x", "", "x.db", "postgresql://sam:short@db.example/x?sslmod=require"),
    "SECRET": ("short", ""),
    "BASE_URL": ("mail.example.com", "ftp://x.example", ""),
    "SMTP_URL": ("mail.example.com:25", "http://x.example", "smtp://"),
    "LOG_RETENTION": ("30 days", "P0D", "-P1D", ""),
    "EMAILS_PER_DAY": ("0", "-1", "1.5", "many", "", "٣"),
    "COPIES": ("0", "-1", "many", ""),
    "SELECT_AND_SEND_PEOPLE": ("0", "x"),
    "GROUP_SEND_PEOPLE": ("0", "x"),
    "SEARCHES_PER_USER": ("0", "x"),
    "EVENTS_PER_REQUEST": ("0", "x"),
    "BLOCKED_DOMAINS": ("jo@example.com", "*.example.com", "a.example b.example", "https://a.example", "a..example"),
    "FILTER_DEPTH": ("0", "x"),
    "FILTER_LEAVES": ("0", "x"),
    "DOCUMENT_TOKENS": ("0", "x"),
    "DOCUMENT_DEPTH": ("0", "x"),
    "DOCUMENT_ALIASES": ("0", "x"),
    "DOCUMENT_ROOT_FIELDS": ("0", "x"),
    "DOCUMENT_DIRECTIVES": ("0", "x"),
    "QUERY_COST": ("0", "x"),
    "VARIABLE_VALUES": ("0", "x"),
    "ANSWER_ERRORS": ("0", "x"),
    "BODY_BYTES": ("0", "x"),
    "HEADER_BYTES": ("0", "x"),
    "FRAME_BYTES": ("0", "x"),
    "SOCKET_OPERATIONS": ("0", "x"),
    "USER_REQUESTS": ("0", "x"),
    "ADDRESS_REQUESTS": ("0", "x"),
    "REQUEST_TIME": ("10", "PT0S"),
    "BODY_TIME": ("10", "PT0S"),
    "HEADER_TIME": ("10", "PT0S"),
    "SOCKET_INIT_TIME": ("10", "PT0S"),
    "USER_SOCKETS": ("0", "x"),
    "USER_SUBSCRIPTIONS": ("0", "x"),
    "USER_OPERATION_BYTES": ("0", "x"),
    "SQLITE_CACHE_BYTES": ("0", "x", "999999"),
    "ALLOWED_ORIGINS": ("app.example.com", "https://app.example.com/", "*", "https://a.example b.example"),
    "ALLOWED_HEADERS": ("x request", "x-request-id;", "*, é"),
    "LOG_LEVEL": ("loud", ""),
}


def test_a_wrong_setting_is_reported_with_the_allowed_values(run_inline: InlineCommand) -> None:
    assert set(WRONG) == {setting.name for setting in TABLE}
    for name, values in WRONG.items():
        for value in values:
            said = run_inline("config", **{name: value})
            assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), (name, value)
            assert said.err.startswith(f"command-center: {PREFIX}{name} is ")
            assert "must" in said.err
            assert "short" not in said.err


def test_the_settings_in_force_are_printed_without_secrets(run_inline: InlineCommand) -> None:
    given = {
        "SECRET": SECRET,
        "SMTP_URL": "smtp://user:pass/w@rd@mail.example.com",
        "DATABASE_URL": "postgresql://postgres:hid/d@n@db.example/x?sslpassword=covered",
        "FILTER_DEPTH": "5",
    }
    said = run_inline("config", **given, FILTER_DEEP="9")
    assert said.code == 0
    assert {setting.name for setting in TABLE} == set(re.findall(rf"^(?:# )?{PREFIX}(\w+)", said.out, re.MULTILINE))
    assert f"\n{PREFIX}FILTER_DEPTH=5\n" in said.out
    assert f"\n{PREFIX}FILTER_LEAVES=64\n" in said.out
    assert f"# {PREFIX}SMTP_URL is set and secret: smtp://user:***@mail.example.com\n" in said.out
    assert not [secret for secret in (SECRET, "pass/", "rd@", "hid", "d@n", "covered") if secret in said.out]
    assert said.err == f"command-center: {PREFIX}FILTER_DEEP is no setting of ours\n"
    assert f"# {PREFIX}SECRET is not set\n" in run_inline("config").out


def test_the_page_about_settings_is_generated_from_the_code(run_inline: InlineCommand) -> None:
    said = run_inline("config", "--markdown")
    assert (said.code, said.err) == (0, "")
    assert said.out == (ROOT / "docs/settings.md").read_text()
    for setting in TABLE:
        row = next(line for line in said.out.splitlines() if line.startswith(f"| `{PREFIX}{setting.name}` |"))
        assert setting.description in row
        assert not setting.default or f"`{setting.default}`" in row


def test_what_config_prints_can_be_pasted_back(run_inline: InlineCommand, tmp_path: Path) -> None:
    given = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/a file's name.db",
        "LOG_RETENTION": "P1DT36H90S",
        "REQUEST_TIME": "PT2M",
        "BLOCKED_DOMAINS": "b.example, a.example",
        "ALLOWED_ORIGINS": "",
    }
    printed = run_inline("config", **given).out
    assert f"{PREFIX}LOG_RETENTION=P2DT12H1M30S\n" in printed
    script = f"set -a\n{printed}\nset +a\nenv -0"
    out = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True, env={}).stdout
    pasted = dict(line.split("=", 1) for line in out.split("\0") if line.startswith(PREFIX))
    assert len(pasted) == len(TABLE) - 1
    again = run_inline("config", **{name.removeprefix(PREFIX): value for name, value in pasted.items()}).out
    assert again == printed


def test_a_later_command_keeps_the_fields_it_does_not_mention(sqlite_url: str, run_inline: InlineCommand) -> None:
    known = {"DATABASE_URL": sqlite_url, "SECRET": SECRET}
    add = ("user", "add", "--team", "Apples", "--address", "ann@apples.example", "--name")

    async def stored() -> tuple[int, str]:
        async with open_database(sqlite_url):
            row = await database().fetch_one("SELECT role, time_zone FROM users")
        return (row["role"], row["time_zone"]) if row else (0, "")

    steps: list[tuple[list[str], Role, str]] = [
        (["Ann"], Role.MEMBER, "UTC"),
        (["Ann", "--admin", "--time-zone", "Asia/Tokyo"], Role.ADMIN, "Asia/Tokyo"),
        (["Anna"], Role.ADMIN, "Asia/Tokyo"),
        (["Anna", "--time-zone", "UTC"], Role.ADMIN, "UTC"),
        (["Anna", "--member"], Role.MEMBER, "UTC"),
    ]
    for words, role, zone in steps:
        assert run_inline(*add, *words, **known).code == 0
        assert asyncio.run(stored()) == (role, zone), words


def test_an_older_program_leaves_a_newer_database_alone(database_url: str, run_inline: InlineCommand) -> None:
    known = {"DATABASE_URL": database_url, "SECRET": SECRET}

    async def migrated_by_a_newer_one() -> None:
        async with open_database(database_url):
            await database().execute(
                "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('models', '9999_later', ?)",
                datetime.now(UTC) if database().postgres else "2030-01-01 00:00:00",
            )

    asyncio.run(migrated_by_a_newer_one())
    for words in (
        ("serve", "--port", "0"),
        ("migrate",),
        ("audit",),
        ("user", "add", "--team", "T", "--name", "N", "--address", "n@t.example"),
    ):
        assert_usage_error(run_inline(*words, **known), f"{PREFIX}DATABASE_URL", "newer version", "9999_later")


def test_the_printed_schema_is_the_committed_one(run_inline: InlineCommand) -> None:
    said = run_inline("sdl")
    assert (said.code, said.err) == (0, "")
    assert said.out == (ROOT / "schema/schema.graphql").read_text()


def test_the_version_is_that_of_the_project(run_inline: InlineCommand) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run_inline("--version") == CommandResult(0, f"command-center {project['version']}\n", "")


def test_the_audit_finds_what_was_tampered_with_and_repairs_it(database_url: str, run_inline: InlineCommand) -> None:
    known = {"DATABASE_URL": database_url, "SECRET": SECRET}
    searches = asyncio.run(three_lists(database_url))
    assert run_inline("audit", **known) == CommandResult(0, "3 lists compared, 0 differ\n", "")
    asyncio.run(tamper(database_url, *(ids.decode_key("SavedSearch", each) or 0 for each in searches)))
    found = run_inline("audit", **known)
    assert found.code == 1, found
    lines = found.out.splitlines()
    assert (lines[0], lines[-1]) == ("3 lists compared, 2 differ", "repaired; 0 differ now")
    assert sorted(lines[1:-1]) == [
        "list 1: lacks 1, holds 0 too many, counts 3 of 2",
        "list 2: lacks 0, holds 0 too many, counts 7 of 3",
    ]
    assert run_inline("audit", **known) == CommandResult(0, "3 lists compared, 0 differ\n", "")
    assert asyncio.run(held(database_url, searches)) == [3, 3, 0]


async def three_lists(url: str) -> list[str]:
    """Two lists that hold three emails, one that holds none."""
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    filters: list[dict[str, Any]] = [{"createdAt": {"until": later}}, {}, {"any": []}]
    async with serving(url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        to = await create_person(ann, "p@example.org")
        for number in range(3):
            await create_draft(ann, to, f"S{number}")
        made = [await ann.one(SAVE, i={"name": "L", "filter": each}) for each in filters]
        await server.settle()
    return [each["savedSearch"]["id"] for each in made]


async def tamper(url: str, first: int, second: int, _: int) -> None:
    async with open_database(url):
        row = await database().fetch_one("SELECT MAX(id) AS id FROM memberships WHERE search_id = ?", first)
        assert await database().execute("DELETE FROM memberships WHERE id = ?", row and row["id"]) == 1
        await database().execute("UPDATE saved_searches SET member_count = 7 WHERE id = ?", second)


async def held(url: str, searches: list[str]) -> list[int]:
    async with serving(url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        found = [await ann.one(MEMBERS, id=search) for search in searches]
    assert [each["memberCount"] for each in found] == [len(each["members"]["nodes"]) for each in found]
    return [each["memberCount"] for each in found]
