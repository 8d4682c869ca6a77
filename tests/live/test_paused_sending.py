"""Sending after a restore: a restored database is recognised, and nothing leaves it before an operator says so."""

import asyncio
import base64
import shutil
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from command_center.changes import restores
from command_center.database.connections import database, sqlite_path, transaction
from command_center.server.leases import LeaseHeld, hold_lease
from tests.support.commands import InlineCommand
from tests.support.databases import Databases
from tests.support.emails import create_draft, create_person, moment, send_due_emails
from tests.support.emails import send_email as schedule
from tests.support.monitoring import read_metric, read_warnings
from tests.support.server import Client, ManualClock, Server, serving
from tests.support.streams import make_changes, message_kinds, resume_stream

T = TypeVar("T")


def phase(url: str, work: Callable[[Server, Client], Awaitable[T]]) -> T:
    """Runs a fresh process on the database, with no client but the one that works."""

    async def served() -> T:
        async with serving(url, works=False) as server:
            return await work(server, await server.client("Ann"))

    return asyncio.run(served())


async def mail(_: Server, client: Client) -> None:
    """Schedules an email that is due when the next process starts."""
    number = (await database().fetch("SELECT count(*) AS count FROM emails"))[0]["count"]
    made = await create_draft(client, await create_person(client, f"p{number}@example.org"))
    await schedule(client, made, (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat())
    await asyncio.sleep(0.6)


async def sent(server: Server, _: Client) -> int:
    return len((await send_due_emails(server)).taken)


async def reported(server: Server, _: Client) -> list[str]:
    found = await read_warnings(server)
    assert await read_metric(server, "command_center_sending_paused") == len(found)
    return found


async def one_change(server: Server, client: Client) -> None:
    await make_changes(server, client, 1)


def stamp(url: str) -> Path:
    return Path(sqlite_path(url) + ".stamp")


def test_a_restored_database_sends_nothing_until_resumed(
    run_inline: InlineCommand, database_url: str, all_databases: Databases
) -> None:
    phase(database_url, mail)
    backup = all_databases.back_up(database_url)
    assert phase(database_url, sent) == 1
    all_databases.restore(backup, database_url)
    assert phase(database_url, sent) == 0
    (warning,) = phase(database_url, reported)
    assert "sending is paused, because the database was restored" in warning
    said = run_inline("resume-sending", "--list", DATABASE_URL=database_url)
    assert said.code == 0
    assert "Team: ann@team.example: 1, due from" in said.out
    assert "sending is paused" in said.out
    assert phase(database_url, sent) == 0
    assert "sending is resumed" in run_inline("resume-sending", DATABASE_URL=database_url).out
    assert phase(database_url, reported) == []
    assert phase(database_url, sent) == 1
    said = run_inline("resume-sending", DATABASE_URL=database_url)
    assert said.out.splitlines() == ["0 emails are due", "sending is not paused"]


def test_changes_alone_make_the_stamp_be_ahead(sqlite_url: str, all_databases: Databases) -> None:
    phase(sqlite_url, mail)
    backup = all_databases.back_up(sqlite_url)
    phase(sqlite_url, one_change)
    all_databases.restore(backup, sqlite_url)
    assert phase(sqlite_url, sent) == 0


def test_a_copy_in_another_place_is_paused(database_url: str, all_databases: Databases) -> None:
    phase(database_url, mail)
    assert phase(all_databases.back_up(database_url), sent) == 0
    assert phase(database_url, sent) == 1


def test_a_start_restart_crash_or_upgrade_does_not_pause(database_url: str) -> None:
    is_file = database_url.startswith("sqlite")
    if is_file:
        # Of a database that was here before.
        stamp(database_url).write_text("0123456789abcdef 1 90 12345 7")
    phase(database_url, mail)
    before = stamp(database_url).read_text() if is_file else ""
    phase(database_url, one_change)
    assert phase(database_url, sent) == 1
    if is_file:
        # Killed before the stamp was written.
        stamp(database_url).write_text(before)
    phase(database_url, mail)
    assert phase(database_url, sent) == 1

    async def forget(_: Server, __: Client) -> None:
        await database().execute("DELETE FROM restore_state")

    # From a version without stamps.
    phase(database_url, forget)
    if is_file:
        stamp(database_url).unlink()
    phase(database_url, mail)
    assert phase(database_url, sent) == 1


@pytest.mark.parametrize(
    "damage", ["", "garbage\udcff", " 7 8", "{name} 1 99999999999999999999 5 1", "{name} 1 -5 5 1"]
)
def test_a_damaged_stamp_pauses(sqlite_url: str, damage: str) -> None:
    phase(sqlite_url, mail)
    name = stamp(sqlite_url).read_text().split()[0]
    stamp(sqlite_url).write_text(damage.format(name=name), errors="surrogateescape")
    assert phase(sqlite_url, sent) == 0


def test_database_has_one_stamp_and_one_lease_for_all_its_links(sqlite_url: str) -> None:
    phase(sqlite_url, mail)
    link = Path(sqlite_path(sqlite_url) + ".link")
    link.symlink_to(sqlite_path(sqlite_url))
    assert phase(f"sqlite:///{link}", sent) == 1
    phase(sqlite_url, mail)
    assert phase(sqlite_url, sent) == 1

    async def both() -> None:
        async with hold_lease(sqlite_url):
            with pytest.raises(LeaseHeld):
                async with hold_lease(f"sqlite:///{link}", wait=False):
                    pass

    asyncio.run(both())


def test_an_unreadable_system_identifier_is_no_sign_of_a_restore(postgres_url: str) -> None:
    role = f"limited_{uuid.uuid4().hex}"
    limited = postgres_url.replace("//postgres:@", f"//{role}:@")
    assert limited != postgres_url

    async def restrict(_: Server, __: Client) -> None:
        for statement in (
            f"CREATE ROLE {role} LOGIN",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
            "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        ):
            await database().execute(statement)

    async def identity(_: Server, __: Client) -> str | None:
        state = await restores.load_state(database())
        assert state is not None
        return state.identity

    phase(postgres_url, restrict)
    known = phase(postgres_url, identity)
    assert phase(limited, identity) == known
    phase(limited, mail)
    assert phase(postgres_url, sent) == 1

    async def forget(_: Server, __: Client) -> None:
        await database().execute("UPDATE restore_state SET identity = NULL")

    # Started for the first time by the role that may not, and then by the one that may.
    phase(postgres_url, forget)
    assert (phase(limited, identity) or "").startswith("unknown/")
    phase(limited, mail)
    assert phase(postgres_url, sent) == 1
    assert phase(postgres_url, identity) == known


def test_a_stamp_that_is_missing_or_of_another_database_pauses(sqlite_url: str, all_databases: Databases) -> None:
    other = all_databases.make("sqlite")
    for url in (sqlite_url, other):
        phase(url, mail)
    shutil.copy(stamp(other), stamp(sqlite_url))
    assert phase(sqlite_url, sent) == 0
    stamp(other).unlink()
    assert phase(other, sent) == 0


async def test_a_cursor_of_a_lost_history_pauses_but_not_a_forged_one(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    *_, common = await make_changes(quiet_server, ann, 2)
    lost = await make_changes(quiet_server, ann, 3)

    async def state() -> restores.StoredRestoreState:
        found = await restores.load_state(database())
        assert found is not None
        return found

    # Genuine cursors with another position, check value, number of restores, signature and log.
    for part, text in ((1, "99"), (1, "3"), (2, "abc"), (3, "7"), (4, "0" * 16), (0, "another")):
        for cursor in (common, lost[-1]):
            assert message_kinds(await resume_stream(ann, forged(cursor, part, text)))[-1] in (
                "CursorExpired",
                "CaughtUp",
            )
    assert not (await state()).paused
    await go_back(common)
    for cursor in lost:
        assert message_kinds(await resume_stream(ann, cursor)) == ["CursorExpired"]
    assert ((await state()).paused, (await state()).restores) == (True, 1)
    # A client that comes later with a cursor of the same lost history pauses nothing again.
    await restores.resume_sending(database())
    for cursor in lost:
        assert message_kinds(await resume_stream(ann, cursor)) == ["CursorExpired"]
    assert not (await state()).paused
    assert message_kinds(await resume_stream(ann, common)) == ["CaughtUp"]
    # Another restore is recognised, also to a time before the first one.
    (newer,) = await make_changes(quiet_server, ann, 1)
    await go_back(common)
    await database().execute("UPDATE restore_state SET restores = 0")
    assert message_kinds(await resume_stream(ann, newer)) == ["CursorExpired"]
    assert ((await state()).paused, (await state()).restores) == (True, 2)


async def test_a_process_sends_nothing_from_a_replaced_database(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    made = await create_draft(ann, await create_person(ann, "p@example.org"))
    await schedule(ann, made, moment(clock, 60))
    *_, common = await make_changes(quiet_server, ann, 1)
    await make_changes(quiet_server, ann, 1)
    clock.advance(timedelta(seconds=61))
    await go_back(common)
    assert await sent(quiet_server, ann) == 0
    await restores.resume_sending(database())
    assert await sent(quiet_server, ann) == 1


def forged(cursor: str, part: int, text: str) -> str:
    """A cursor with one of its parts replaced."""
    parts = base64.urlsafe_b64decode(cursor + "==").decode().split(".")
    parts[part] = text
    return base64.urlsafe_b64encode(".".join(parts).encode()).decode()


async def go_back(cursor: str) -> None:
    """Makes the log as of a cursor, as after a restore that left no other trace."""
    position = int(base64.urlsafe_b64decode(cursor + "==").decode().split(".")[1])
    async with transaction() as tx:
        await tx.execute("DELETE FROM changes WHERE position > ?", position)
        check = "(SELECT check_value FROM changes WHERE position = ?)"
        await tx.execute(f"UPDATE change_logs SET position = ?, check_value = {check}", position, position)
