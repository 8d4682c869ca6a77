"""Buckets go by the viewer's own day: the field, the filter's SQL and the C library's clocks agree, wherever one is."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.resources import as_file, files
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from command_center.database.connections import database
from command_center.database.fields import to_micros
from command_center.search.task_buckets import bucket_of, days_of
from command_center.time_zones import local_day
from models.enums import TaskBucket
from tests.support.emails import create_person
from tests.support.server import Client, ManualClock, Server, serving
from tests.support.tasks import COMPLETE, TASK, create_task, find_task_names

# Days that begin at one o'clock or are left out, halves and quarters of hours, clocks that change by half an hour.
ZONES = (
    *("UTC", "Europe/Berlin", "America/Los_Angeles", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "Africa/Cairo", "Pacific/Kiritimati", "Pacific/Chatham", "Asia/Beirut"),
)
CHANGES = (
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia goes over the date line: there is no 30th.
    datetime(2018, 11, 4, 3, tzinfo=UTC),  # São Paulo goes from midnight to one.
    datetime(2018, 2, 18, 2, tzinfo=UTC),  # São Paulo has the hour before midnight twice.
    datetime(2026, 4, 23, 22, tzinfo=UTC),  # Cairo goes from midnight to one.
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # Lord Howe goes on by half an hour.
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Berlin.
    datetime(2026, 1, 1, tzinfo=UTC),
)
MIDNIGHTS = st.builds(
    lambda near, hours, off: near + timedelta(hours=hours, microseconds=off),
    st.sampled_from(CHANGES),
    st.integers(-30, 30),
    st.sampled_from([-1, 0, 1]),
)
MOMENTS = MIDNIGHTS | st.datetimes(datetime(2000, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
AWAY = (-400, -2, -1, 0, 1, 2, 3, 6, 7, 8, 9, 400)
"""The days that tasks are due on, counted from the day in UTC; a viewer's own day may be one off."""
EACH = "query{" + "".join(f"{each}:tasks(filter:{{bucket:[{each}]}}){{nodes{{id}}}}" for each in TaskBucket.__members__)
BUCKETS = EACH + "tasks(first:200){nodes{id dueOn bucket}} no:tasks(filter:{bucket:[]}){nodes{id}}}"


@contextmanager
def clocks_of(zone: str) -> Iterator[None]:
    """The process's own clocks, as the C library reads them from the same tables by its own rules."""
    before = os.environ.get("TZ")
    with as_file(files("tzdata").joinpath("zoneinfo", *zone.split("/"))) as table:
        os.environ["TZ"] = f":{table}"
        time.tzset()
        try:
            yield
        finally:
            os.environ.pop("TZ")
            if before is not None:
                os.environ["TZ"] = before
            time.tzset()


def oracle_day(moment: datetime, zone: str) -> date:
    with clocks_of(zone):
        local = time.localtime(to_micros(moment) // 1_000_000)
    return date(local.tm_year, local.tm_mon, local.tm_mday)


def oracle_bucket(due_on: date, today: date) -> str:
    """By walking along the calendar."""
    if due_on < today:
        return "OVERDUE"
    names = ["TODAY", "TOMORROW", *["NEXT_7_DAYS"] * 6]
    walked = today
    while due_on > walked and names:
        walked += timedelta(days=1)
        names.pop(0)
    return names[0] if names else "LATER"


@given(zone=st.sampled_from(ZONES), moment=MOMENTS)
@example(zone="Pacific/Apia", moment=datetime(2011, 12, 30, 9, 59, 59, 999999, tzinfo=UTC))
@example(zone="Pacific/Apia", moment=datetime(2011, 12, 30, 10, tzinfo=UTC))
@settings(deadline=None)
def test_a_day_is_the_one_that_the_clocks_of_the_place_show(zone: str, moment: datetime) -> None:
    assert local_day(to_micros(moment), zone) == oracle_day(moment, zone)


def test_over_the_date_line_a_day_is_left_out() -> None:
    before, after = (to_micros(CHANGES[0] + timedelta(microseconds=off)) for off in (-1, 0))
    assert (local_day(before, "Pacific/Apia"), local_day(after, "Pacific/Apia")) == (
        date(2011, 12, 29),
        date(2011, 12, 31),
    )
    assert (
        local_day(before, "Mars/Olympus")
        == local_day(before, "../etc/passwd")
        == local_day(before, "")
        == date(2011, 12, 30)
    )


@given(today=st.dates(date(1000, 1, 1), date(9000, 1, 1)), due_on=st.dates(), near=st.integers(-10, 10))
def test_every_day_is_in_one_bucket_and_its_bucket_holds_it(today: date, due_on: date, near: int) -> None:
    for due in (due_on, today + timedelta(days=near)):
        bucket = bucket_of(due, today)
        assert bucket.name == oracle_bucket(due, today)
        for each in TaskBucket:
            first, last = days_of(each, today)
            inside = (first is None or first <= due) and (last is None or due <= last)
            assert inside == (each is bucket)


async def _prepared(stack: AsyncExitStack, url: str, clock: ManualClock) -> tuple[Server, Client, list[str]]:
    server = await stack.enter_async_context(serving(url, clock, works=False, looks=False))
    ann = await server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    tasks = [(await create_task(ann, dora, f"{away}"))["id"] for away in AWAY]
    done = [(await create_task(ann, dora, "done"))["id"] for _ in AWAY]
    await ann.one(COMPLETE, ids=done)
    return server, ann, tasks


async def _agree(server: Server, ann: Client, clock: ManualClock, zone: str, moment: datetime) -> None:
    await server.user("Ann", time_zone=zone)
    clock.moment = to_micros(moment)
    due = [moment.date() + timedelta(days=away) for away in AWAY]
    await database().execute_many(
        "UPDATE tasks SET due_on = ? WHERE id = ?", [(day, n + 1) for n, day in enumerate([*due, *due])]
    )
    answer = await ann(BUCKETS)
    today = oracle_day(moment, zone)
    held = {bucket: {node["id"] for node in answer[bucket]["nodes"]} for bucket in TaskBucket.__members__}
    assert answer["no"]["nodes"] == []
    open_ = [node for node in answer["tasks"]["nodes"] if node["bucket"] is not None]
    assert len(open_) == len(AWAY)
    assert len(answer["tasks"]["nodes"]) == 2 * len(AWAY)
    for node in answer["tasks"]["nodes"]:
        expected = None if node["bucket"] is None else oracle_bucket(date.fromisoformat(node["dueOn"]), today)
        assert node["bucket"] == expected, (zone, moment, node)
        assert [bucket for bucket, ids in held.items() if node["id"] in ids] == ([expected] if expected else [])


@pytest.mark.slow
def test_the_field_and_the_filter_agree_with_the_calendar(database_url: str) -> None:
    clock = ManualClock()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            server, ann, _ = runner.run(_prepared(stack, database_url, clock))

            @given(zone=st.sampled_from(ZONES), moment=MOMENTS)
            @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def agree(zone: str, moment: datetime) -> None:
                runner.run(_agree(server, ann, clock, zone, moment))

            agree()
        finally:
            runner.run(stack.aclose())


async def test_two_viewers_may_see_a_task_in_different_buckets(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    await quiet_server.user("Bob", time_zone="Pacific/Kiritimati")
    clock.moment = to_micros(datetime(2026, 5, 4, 12, tzinfo=UTC))
    dora = await create_person(ann, "dora@example.org")
    task = (await create_task(ann, dora, dueOn="2026-05-05", assigneeId=bob.user_id))["id"]

    async def bucket(client: Client) -> Any:
        shown = (await client.one(TASK, id=task))["bucket"]
        assert await find_task_names(client, bucket=[shown]) == ["Call back"]
        return shown

    assert (await bucket(ann), await bucket(bob)) == ("TOMORROW", "TODAY")
    clock.advance(timedelta(hours=12))
    assert (await bucket(ann), await bucket(bob)) == ("TODAY", "TODAY")
    clock.advance(timedelta(hours=10))
    assert (await bucket(ann), await bucket(bob)) == ("TODAY", "OVERDUE")
    # A user who moves takes the day along.
    await quiet_server.user("Bob", time_zone="America/Los_Angeles")
    assert await bucket(bob) == "TODAY"


@pytest.mark.parametrize("away, bucket", [(-1, "OVERDUE"), (0, "TODAY"), (1, "TOMORROW"), (2, "NEXT_7_DAYS")])
def test_the_nearest_days(away: int, bucket: str) -> None:
    today = date(2026, 2, 27)
    assert bucket_of(today + timedelta(days=away), today).name == bucket
    assert bucket_of(today + timedelta(days=7), today) is TaskBucket.NEXT_7_DAYS
    assert bucket_of(today + timedelta(days=8), today) is TaskBucket.LATER
