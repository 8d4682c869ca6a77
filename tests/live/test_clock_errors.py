"""A clock that is wrong for a while, on both databases: nothing timed happens by it, and there is a way back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from command_center.database import clock_state
from command_center.database.clock import DatabaseClock
from command_center.database.connections import database, open_database
from command_center.lists import audit
from command_center.lists.matcher import DECIDED_AHEAD_MICROSECONDS
from command_center.server.leases import hold_lease
from tests.support.commands import InlineCommand, run_command
from tests.support.emails import RecipientTransport, create_draft, create_person, send_due_emails
from tests.support.emails import send_email as schedule
from tests.support.monitoring import read_metric, read_warnings
from tests.support.searches import MEMBERS, RECORD, create_email, make_event, save_search, wait_until_live
from tests.support.server import SECRET, Client, Server, serving

DAY = timedelta(days=1) // timedelta(microseconds=1)
STATE = "query($id:ID!){node(id:$id){... on Email{folder createdAt}}}"
PAST_TICK = (
    "INSERT INTO matcher_state (id, transitions_until) VALUES (1, ?)"
    " ON CONFLICT (id) DO UPDATE SET transitions_until = ?"
)


class Wrong:
    """How far the readings of a clock are from the truth, in microseconds, and how much time is made up."""

    def __init__(self, error: int = 0) -> None:
        self.error = error

    def clock(self) -> DatabaseClock:
        return DatabaseClock(lambda reading: reading + self.error, check=0.05, paused_check=0.05)


def micros() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not await holds():
            await asyncio.sleep(0.05)


async def paused(server: Server) -> bool:
    return bool(await read_warnings(server))


async def going(server: Server) -> bool:
    return not await read_warnings(server)


async def time_passes(client: Client) -> None:
    """Waits until an email has joined a list by time alone."""
    search = await save_search(client, {"createdAt": {"olderThan": "PT1S"}}, "Older than a second")
    await create_email(client, 7)

    async def joined() -> bool:
        found = await client.one(MEMBERS, id=search)
        return any(node["cause"]["kind"] == "CLOCK" for node in found["members"]["nodes"])

    await wait_until_live(client, search)
    await until(joined)


async def test_a_clock_that_is_wrong_for_seconds_triggers_nothing(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = Wrong()
    async with serving(database_url, wrong.clock()) as server:
        ann = await server.client("Ann")
        search = await save_search(ann, {"createdAt": {"olderThan": "P30D"}})
        await create_email(ann)
        await wait_until_live(ann, search)
        later = await create_draft(ann, await create_person(ann, "later@example.org"))
        await schedule(ann, later, (datetime.now(UTC) + timedelta(days=1)).isoformat())
        assert await going(server)
        assert await read_metric(server, "command_center_clock_paused") == 0
        wrong.error = 400 * DAY
        await until(lambda: paused(server))
        assert "the clock is paused: it jumped ahead" in (await read_warnings(server))[0]
        assert await read_metric(server, "command_center_clock_paused") == 1
        # Writes go on, by the last good time and what has passed since.
        written = await ann.one(STATE, id=await create_email(ann, 2))
        assert abs(datetime.fromisoformat(written["createdAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
        # Several looks of the matcher and the outbox.
        await asyncio.sleep(0.7)
        assert (await ann.one(MEMBERS, id=search))["memberCount"] == 0
        assert (await ann.one(STATE, id=later))["folder"] == "SCHEDULED"
        ticks = await database().fetch("SELECT transitions_until FROM matcher_state")
        assert all(row["transitions_until"] <= micros() for row in ticks)
        wrong.error = 0
        await until(lambda: going(server))
        await time_passes(ann)
        assert (await ann.one(MEMBERS, id=search))["memberCount"] == 0
        row = await database().fetch_one("SELECT max(at) AS newest FROM changes")
        assert row is not None
        assert row["newest"] <= micros()
    reports = [record.getMessage() for record in caplog.records if record.name == "command_center.clock"]
    assert len(reports) == 2
    assert "jumped ahead" in reports[0]
    assert "right again" in reports[1]


async def test_one_decision_holds_for_all_processes(database_url: str) -> None:
    wrong = Wrong()
    async with serving(database_url, wrong.clock()) as server:
        ann = await server.client("Ann")
        wrong.error = 2 * DAY

        async def stored() -> bool:
            return (await clock_state.load_clock_state(database())).paused

        await until(stored)
        # A process that starts meanwhile has seen no jump of its own: two days could be its downtime.
        other = wrong.clock()
        await other.start()
        assert other.pause_reason() is not None
        assert await other.now(database()) < micros() + DAY
        state = await clock_state.load_clock_state(database())
        await clock_state.store_acceptance(database(), await other.reading(database()), state.decision)
        await until(lambda: going(server))
        await other.check()
        assert other.pause_reason() is None
        assert await other.now(database()) > micros() + DAY
        written = await ann.one(STATE, id=await create_email(ann))
        assert datetime.fromisoformat(written["createdAt"]) > datetime.now(UTC) + timedelta(days=1)
        await time_passes(ann)


@asynccontextmanager
async def ticked(url: str, before: timedelta) -> AsyncIterator[None]:
    async with open_database(url):
        then = micros() - before // timedelta(microseconds=1)
        await database().execute(PAST_TICK, then, then)
        yield


def test_after_a_long_downtime_the_clock_is_accepted_by_command(run_inline: InlineCommand, database_url: str) -> None:
    async def prepare(days: int) -> None:
        async with ticked(database_url, timedelta(days=days)):
            pass

    async def served(ready: bool) -> None:
        async with serving(database_url) as server:
            ann = await server.client("Ann")
            assert await going(server) is ready
            if ready:
                await time_passes(ann)

    asyncio.run(prepare(29))
    assert run_inline("clock", DATABASE_URL=database_url).code == 0
    asyncio.run(prepare(31))
    said = run_inline("clock", DATABASE_URL=database_url)
    assert said.code == 1
    assert "the clock is paused: it jumped ahead" in said.out
    assert "--accept" in said.out
    asyncio.run(served(ready=False))
    assert run_inline("clock", "--accept", DATABASE_URL=database_url).code == 0
    said = run_inline("clock", DATABASE_URL=database_url)
    assert (said.code, said.out.splitlines()[-1].split()) == (0, ["state", "running"])
    asyncio.run(served(ready=True))
    assert "nothing to accept" in run_inline("clock", "--accept", DATABASE_URL=database_url).out


def test_a_reset_leads_back_from_times_that_a_wrong_clock_stored(run_inline: InlineCommand, database_url: str) -> None:
    async def by_a_wrong_clock() -> None:
        async with serving(database_url, Wrong(400 * DAY).clock()) as server:
            ann = await server.client("Ann")
            mail = await create_email(ann)
            old = await save_search(ann, {"createdAt": {"until": "2027-06-01T00:00:00Z"}}, "By a date")
            ever = await save_search(ann, {"engagement": [{"kind": "VIEW", "atLeast": 0, "atMost": 0}]}, "Unread")
            for search in (old, ever):
                await wait_until_live(ann, search)
            await ann.one(RECORD, e=[make_event(mail, "CLICK", "1", datetime.now(UTC) + timedelta(days=400))])

    async def by_the_right_one() -> None:
        async with serving(database_url) as server:
            ann = await server.client("Ann")
            assert await going(server)
            await time_passes(ann)
            rows = await database().fetch("SELECT max(created_at) AS newest FROM emails")
            assert rows[0]["newest"] <= micros()
            times = await database().fetch_one("SELECT transitions_until, evaluated_until FROM matcher_state")
            assert times is not None
            assert max(times["transitions_until"], times["evaluated_until"]) <= micros() + DECIDED_AHEAD_MICROSECONDS
            async with asyncio.timeout(10):
                while True:
                    try:
                        assert await audit.find_differences(server.engine.ctx.writer) == []
                        return
                    except audit.InvalidationsPending:
                        await asyncio.sleep(0.05)

    asyncio.run(by_a_wrong_clock())
    said = run_inline("clock", DATABASE_URL=database_url)
    assert said.code == 1
    assert "before times that are stored" in said.out
    assert "--reset" in said.out
    refused = run_inline("clock", "--accept", DATABASE_URL=database_url)
    assert refused.code == 2
    assert "--reset" in refused.err
    done = run_inline("clock", "--reset", DATABASE_URL=database_url)
    assert done.code == 0
    assert "engagements.occurred_at: 1" in done.out
    assert run_inline("clock", DATABASE_URL=database_url).code == 0
    asyncio.run(by_the_right_one())


def test_after_a_reset_no_email_waits_for_a_wrong_due_time(run_inline: InlineCommand, database_url: str) -> None:
    """One that was sent at once, one to be tried again, and one that its sender scheduled."""

    async def by_a_wrong_clock() -> list[str]:
        async with serving(database_url, Wrong(400 * DAY).clock(), works=False) as server:
            ann = await server.client("Ann")
            deferred, at_once, scheduled = [
                await create_draft(ann, await create_person(ann, f"{name}@example.org"))
                for name in ("deferred", "sent", "later")
            ]
            await schedule(ann, deferred)
            await send_due_emails(server, RecipientTransport())
            assert (await ann.one(STATE, id=deferred))["folder"] == "SCHEDULED"
            await schedule(ann, at_once)
            await schedule(ann, scheduled, (datetime.now(UTC) + timedelta(days=500)).isoformat())
            return [deferred, at_once, scheduled]

    async def by_the_right_one(emails: list[str]) -> None:
        async with serving(database_url, works=False) as server:
            ann = await server.client("Ann")
            await send_due_emails(server, RecipientTransport({}))
            folders = [(await ann.one(STATE, id=each))["folder"] for each in emails]
            assert folders == ["DELIVERED", "DELIVERED", "SCHEDULED"]

    emails = asyncio.run(by_a_wrong_clock())
    done = run_inline("clock", "--reset", DATABASE_URL=database_url)
    assert done.code == 0
    assert "emails.due_at: 2" in done.out
    asyncio.run(by_the_right_one(emails))


async def test_a_reset_is_refused_while_a_server_works(sqlite_url: str) -> None:
    async with hold_lease(sqlite_url):
        said = await run_command("clock", "--reset", DATABASE_URL=sqlite_url, SECRET=SECRET)
    assert said.code == 2
    assert "stop every `serve` and `worker` first" in said.err
