"""A restored backup: cursors issued after it expire, those from before it resume, however far the new log has grown."""

import base64

import pytest
from tortoise.context import require_context
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from command_center.changes import log
from command_center.changes.cursors import parse
from command_center.changes.entries import LogEntry, StreamKind, Topic
from command_center.changes.subscribers import LogLost
from command_center.database.connections import configuration, database, migrate, open_database, transaction
from models.enums import ChangeKind
from tests.support.databases import Databases
from tests.support.searches import RECORD, SAVE, create_email, make_event
from tests.support.server import ManualClock, Server, serving
from tests.support.streams import ALL, AS_OF, make_changes, message_kinds, resume_stream


async def test_a_cursor_issued_after_the_backup_always_expires(database_url: str, all_databases: Databases) -> None:
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        before = await make_changes(server, ann, 3)
        at_backup = parse(before[-1]).position
    backup = all_databases.back_up(database_url)
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        lost = await make_changes(server, ann, 4)
        assert message_kinds(await resume_stream(ann, lost[1])) == ["SavedSearchUpserted"] * 2 + ["CaughtUp"]
        caught_up = (await resume_stream(ann, lost[-1]))[0]["cursor"]
    all_databases.restore(backup, database_url)
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        assert parse((await ann.one(AS_OF))["asOf"]).position == at_backup
        # Before the new log reaches their positions, and after.
        for cursor in (*lost, caught_up):
            assert message_kinds(await resume_stream(ann, cursor)) == ["CursorExpired"]
        new = await make_changes(server, ann, 7)
        for cursor in (*lost, caught_up):
            assert message_kinds(frames := await resume_stream(ann, cursor)) == ["CursorExpired"]
            assert frames[0]["cursor"] == cursor
        # What both histories have in common is still a place in the log.
        for place, cursor in enumerate(before):
            expected = ["SavedSearchUpserted"] * (len(before) - 1 - place + len(new)) + ["CaughtUp"]
            assert message_kinds(await resume_stream(ann, cursor)) == expected
        for place, cursor in enumerate(new):
            assert len(await resume_stream(ann, cursor)) == len(new) - place


async def test_a_cursor_without_a_check_value_expires_once(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    *_, newest = await make_changes(quiet_server, ann, 2)
    log_id, position, _ = base64.urlsafe_b64decode(newest + "==").decode().split(".")[:3]
    old = base64.urlsafe_b64encode(f"{log_id}.{position}".encode()).decode()
    frames = await resume_stream(ann, old)
    assert [(frame["__typename"], frame["cursor"]) for frame in frames] == [("CursorExpired", old)]
    assert message_kinds(await resume_stream(ann, newest)) == ["CaughtUp"]


async def test_the_first_position_and_the_last_trimmed_one_can_resume(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    start = (await ann.one(AS_OF))["asOf"]
    assert parse(start).position == 0
    cursors = await make_changes(quiet_server, ann, 3)
    assert len(await resume_stream(ann, start)) == 4
    team_id = (await database().fetch("SELECT id FROM teams"))[0]["id"]
    async with transaction() as tx:
        await tx.execute("UPDATE changes SET at = 1 WHERE position <= ?", parse(cursors[1]).position)
        assert await log.trim(tx, team_id, 2) == 2
    assert message_kinds(await resume_stream(ann, start)) == ["CursorExpired"]
    assert message_kinds(await resume_stream(ann, cursors[0])) == ["CursorExpired"]
    assert message_kinds(await resume_stream(ann, cursors[1])) == ["SavedSearchUpserted", "CaughtUp"]
    async with transaction() as tx:
        await tx.execute("UPDATE changes SET at = 1")
        await log.trim(tx, team_id, 2)
    assert message_kinds(await resume_stream(ann, cursors[2])) == ["CaughtUp"]
    # Another history that was trimmed up to the same position.
    await database().execute("UPDATE change_logs SET check_value = check_value + 1, trimmed_check = trimmed_check + 1")
    assert message_kinds(await resume_stream(ann, cursors[2])) == ["CursorExpired"]
    await make_changes(quiet_server, ann, 1)
    assert message_kinds(await resume_stream(ann, cursors[2])) == ["CursorExpired"]


@pytest.mark.parametrize("grown", [0, 1, 2])
async def test_open_streams_end_when_the_log_is_replaced(quiet_server: Server, grown: int) -> None:
    """Replaced by a log that is shorter, of the same length, and longer than what this process knows."""
    ann = await quiet_server.client("Ann")
    await make_changes(quiet_server, ann, 2)
    hub = quiet_server.engine.hub
    user = (await database().fetch("SELECT id, team_id FROM users"))[0]
    topic = Topic(user["id"], StreamKind.SEARCHES)
    follower = await hub.subscribe(user["team_id"], topic, None)
    # Another process restores: the last entry is gone, and others come in its place.
    last = follower.initial_state.position
    async with transaction() as tx:
        await tx.execute("DELETE FROM changes WHERE position = ?", last)
        await tx.execute(
            "UPDATE change_logs SET position = ?, check_value = (SELECT check_value FROM changes WHERE position = ?)",
            *(last - 1, last - 1),
        )
        await log.append(tx, [LogEntry(user["team_id"], ChangeKind.SEARCH_UPSERTED, user["id"], 1)] * grown, 7)
    with pytest.raises(LogLost):
        await follower.next()
    follower.close()
    # Whoever comes next starts with the log as it is.
    again = await hub.subscribe(user["team_id"], topic, None)
    assert again.initial_state.position == last - 1 + grown
    again.close()


async def test_the_migration_adds_check_values_to_existing_entries(database_url: str, all_databases: Databases) -> None:
    async with serving(database_url, works=False) as server:
        await make_changes(server, await server.client("Ann"), 2)
    config = configuration(database_url)["apps"]
    async with open_database(database_url):
        step = MigrationTarget(app_label="models", name="0007_address_keys")
        await MigrationExecutor(require_context().db(), config).migrate([step])
        await migrate(database_url)
        rows = await database().fetch("SELECT check_value FROM changes ORDER BY position")
        assert len({row["check_value"] for row in rows} - {0}) == len(rows) == 2
        head = await database().fetch_one("SELECT check_value FROM change_logs")
        assert head == rows[-1]
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        as_of = (await ann.one(AS_OF))["asOf"]
        await make_changes(server, ann, 1)
        assert message_kinds(await resume_stream(ann, as_of)) == ["SavedSearchUpserted", "CaughtUp"]


async def test_memberships_have_the_check_values_of_their_entries(server: Server) -> None:
    ann = await server.client("Ann")
    mails = [await create_email(ann, number) for number in range(3)]
    await ann.one(SAVE, i={"name": "Viewed", "filter": {"engagement": [{"kind": "VIEW"}]}})
    async with ann.follow(ALL) as stream:
        await stream.until("CaughtUp")
        await ann.one(RECORD, e=[make_event(mail, "VIEW", mail) for mail in mails])
        cursors = [(await stream.until("MemberJoined"))[-1]["cursor"] for _ in mails]
    for place, cursor in enumerate(cursors):
        assert message_kinds(await resume_stream(ann, cursor)) == ["MemberJoined"] * (2 - place) + ["CaughtUp"]
