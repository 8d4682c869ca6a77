"""What a later version writes into the change log is skipped and counted, and ends no stream."""

from typing import Any

from command_center.database.connections import database, transaction
from models.enums import ChangeKind
from tests.support.engagements import FEED
from tests.support.monitoring import read_metrics
from tests.support.searches import FOLLOW, MEMBERS, RECORD, create_email, save_search
from tests.support.server import ManualClock, Server
from tests.support.tasks import FOLLOW as TASKS

UNKNOWN = 99
VIEWED: dict[str, Any] = {"engagement": [{"kind": "VIEW"}]}
LONG_AGO = "2020-01-01T00:00:00Z"


async def append(team_id: int, owner_id: int, search_id: int, kind: int = UNKNOWN, cause: int | None = None) -> None:
    """One more entry, as another process writes it."""
    async with transaction() as tx:
        log = await tx.fetch_one(
            "UPDATE change_logs SET position = position + 1, check_value = 7 WHERE team_id = ? RETURNING position",
            team_id,
        )
        assert log is not None
        await tx.execute(
            "INSERT INTO changes (team_id, position, kind, owner_id, search_id, member_id, email_id, cause_kind, at,"
            " check_value) VALUES (?, ?, ?, ?, ?, 1, 1, ?, 1, 7)",
            *(team_id, log["position"], kind, owner_id, search_id, cause),
        )


async def test_entries_of_unknown_kinds_are_skipped_and_counted(quiet_server: Server, clock: ManualClock) -> None:
    quiet_server.engine.hub.poll_seconds = 0.05
    ann = await quiet_server.client("Ann")
    mail, search = await create_email(ann), await save_search(ann, VIEWED)
    await quiet_server.settle()
    began = (await ann.one(MEMBERS, id=search))["members"]["asOf"]
    row = await database().fetch_one("SELECT id, team_id, owner_id FROM saved_searches")
    assert row is not None
    where = (row["team_id"], row["owner_id"], row["id"])
    view = {"emailId": mail, "kind": "VIEW", "occurredAt": LONG_AGO}
    await append(*where)
    async with (
        ann.follow(FOLLOW, id=search) as one,
        ann.follow(FEED, after=began) as feed,
        ann.follow(TASKS, after=began) as tasks,
    ):
        for stream in (one, feed, tasks):
            assert (await stream.frame())["__typename"] == "CaughtUp"
        for _ in range(3):
            await append(*where)
        await append(*where, kind=ChangeKind.MEMBER_LEFT, cause=UNKNOWN)
        # A change that is known, with a cause that is not: the change counts.
        left = await one.frame()
        assert (left["__typename"], left["cause"]["kind"]) == ("MemberLeft", "EMAIL_CHANGED")
        await append(*where)
        await ann.one(RECORD, e=[view | {"dedupeKey": "1"}])
        await quiet_server.settle()
        joined = (await one.until("MemberJoined"))[-1]
        assert (await feed.frame())["__typename"] == "EngagementRecorded"
        assert await tasks.quiet()
        assert (await read_metrics(quiet_server))["unknown_log_entries_total"] == 4
    await append(*where)
    async with ann.follow(FOLLOW, id=search, after=began) as one:
        frames = await one.until("CaughtUp")
        assert [frame["__typename"] for frame in frames] == ["MemberLeft", "MemberJoined", "CaughtUp"]
        assert frames[1]["cursor"] == joined["cursor"]
    async with ann.follow(FOLLOW, id=search, after=frames[-1]["cursor"]) as one:
        assert [frame["__typename"] for frame in await one.until("CaughtUp")] == ["CaughtUp"]
    # A membership whose cause is unknown is shown as well.
    await database().execute("UPDATE memberships SET cause_kind = ?", UNKNOWN)
    member = (await ann.one(MEMBERS, id=search))["members"]["nodes"][0]
    assert member["cause"]["kind"] == "EMAIL_CHANGED"


async def test_invalidations_of_unknown_kinds_wait_for_a_newer_version(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    mail, search = await create_email(ann), await save_search(ann, VIEWED)
    await quiet_server.settle()
    await ann.one(RECORD, e=[{"emailId": mail, "kind": "VIEW", "occurredAt": LONG_AGO, "dedupeKey": "1"}])
    await database().execute("UPDATE invalidations SET cause = ?, engagement_id = NULL", UNKNOWN)
    await database().execute(
        "INSERT INTO invalidations (team_id, kind, subject_id, cause, progress)"
        " SELECT team_id, ?, subject_id, cause, 0 FROM invalidations",
        UNKNOWN,
    )
    await quiet_server.settle()
    member = (await ann.one(MEMBERS, id=search))["members"]["nodes"][0]
    assert member["cause"] == {"kind": "EMAIL_CHANGED", "engagement": None}
    assert [row["kind"] for row in await database().fetch("SELECT kind FROM invalidations")] == [UNKNOWN]
