"""Law 3: replay. What followers fold, frame by frame, is what a fresh query answers, whatever happens in between.

Runs are made from seeds, and a failure names its seed and the steps taken: LAW_SEED=… LAW_RUNS=1 repeats it.
"""

import asyncio
import io
import os
from collections import Counter
from typing import Any

import asyncpg
import pytest

from command_center.changes import log
from command_center.database.connections import database
from command_center.ids import decode_key
from command_center.lists import audit
from models.enums import EngagementKind, EngagementVerdict, Role
from tests.laws.simulation import Account, World
from tests.support.databases import Databases
from tests.support.list_replicas import Follower, members_of, row_of

RUNS = int(os.environ.get("LAW_RUNS", "10"))
STEPS = int(os.environ.get("LAW_STEPS", "25"))
SEED = int(os.environ.get("LAW_SEED", "1"))
PATIENCE = 900.0
"""Seconds within which a run has ended, however busy the machine."""
CHECKS = 0.08
"""How often, between two steps, everything is held against everything; at the end of a run in any case."""

FOLDERS = "{folders{folders{name emailCount}}}"
MAILS = """query($after:String){emails(first:200,after:$after){
    nodes{id folder engagementSummary{views clicks replies latest{id}}} pageInfo{hasNextPage endCursor}}}"""
LIST = "query($id:ID!){savedSearch(id:$id){state memberCount filter}}"
FRESH = """query($f:EmailFilter!,$after:String){emails(filter:$f,first:200,after:$after){
    nodes{id} pageInfo{hasNextPage endCursor}}}"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_is_folded_is_what_is_there(all_databases: Databases, kind: str) -> None:
    url = all_databases.make(kind)
    counted: Counter[str] = Counter()
    for seed in range(SEED, SEED + RUNS):
        if kind == "postgresql":
            asyncio.run(emptied(url))
        counted.update(asyncio.run(bounded(all_databases.make(kind) if kind == "sqlite" else url, seed)))
    print(f"{RUNS} runs of {STEPS} steps on {kind}: {dict(sorted(counted.items()))}")
    # A law about joins and leaves says nothing where none happen.
    assert counted["joined"] > 0
    assert counted["left"] > 0
    assert counted["overflows"] > 0


async def bounded(url: str, seed: int) -> dict[str, int]:
    """A run that does not end is a failure too, and says what was waiting."""
    task = asyncio.create_task(run(url, seed))
    if not (await asyncio.wait({task}, timeout=PATIENCE))[0]:
        stuck = io.StringIO()
        for each in asyncio.all_tasks():
            each.print_stack(file=stuck)
        raise AssertionError(f"LAW_SEED={seed} on {url.partition(':')[0]} does not end; its tasks:\n{stuck.getvalue()}")
    return task.result()


async def run(url: str, seed: int) -> dict[str, int]:
    """One run of the world; what happened in it."""
    async with World(url, seed) as world:
        try:
            for _ in range(STEPS):
                await world.step()
                if world.rng.random() < CHECKS:
                    world.note("check")
                    await check(world)
            await check(world)
        except Exception as exc:
            steps = "\n".join(f"{place:4} {what}" for place, what in enumerate(world.trace))
            exc.add_note(f"LAW_SEED={seed} on {url.partition(':')[0]}, after these steps:\n{steps}")
            raise
    return tally(world)


def tally(world: World) -> dict[str, int]:
    counted = Counter(world.counted)
    for account in world.accounts:
        for follower in account.followers:
            counted["followers"] += 1
            counted["resets folded"] += follower.resets
            counted["frames"] += len(follower.rows)
    for entries in world.logs.values():
        for entry in entries:
            counted[{1: "joined", 2: "left"}.get(int(entry.kind or 0), "other rows")] += 1
    return counted


async def emptied(url: str) -> None:
    """The database as it was made: making another takes a second."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%migration%'"
        )
        names = ", ".join(row["tablename"] for row in rows)
        await connection.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    finally:
        await connection.close()


# ---- what must be equal ------------------------------------------------------------------------


async def check(world: World) -> None:
    """Everything against everything, once the matcher has nothing left to look at."""
    await world.server.settle()
    assert await audit.find_differences(world.server.engine.ctx.writer) == []
    await world.read_logs()
    await check_summaries(world)
    for account in world.accounts:
        await check_folders(account)
        lists = await check_lists(account)
        for follower in list(account.followers):
            await check_follower(world, account, follower, lists)


async def check_summaries(world: World) -> None:
    """Counts and the newest event on each email, against its events."""
    events = await database().fetch("SELECT id, email_id, kind, verdict, occurred_at, dedupe_key FROM engagements")
    assert len({event["dedupe_key"] for event in events}) == len(events)
    human = [event for event in events if event["verdict"] == EngagementVerdict.HUMAN]
    counts = Counter((event["email_id"], event["kind"]) for event in human)
    newest: dict[int, tuple[int, str, int]] = {}
    for event in human:
        place = (event["occurred_at"], event["dedupe_key"], event["id"])
        newest[event["email_id"]] = max(newest.get(event["email_id"], place), place)
    rows = await database().fetch(
        "SELECT id, views, clicks, replies, latest_engagement_id, latest_activity_at FROM emails"
    )
    for row in rows:
        found = (row["views"], row["clicks"], row["replies"])
        assert found == tuple(counts[row["id"], int(kind)] for kind in EngagementKind), row
        latest = newest.get(row["id"])
        told = (row["latest_activity_at"], row["latest_engagement_id"])
        assert told == ((None, None) if latest is None else (latest[0], latest[2])), row
    assert {event["email_id"] for event in events} <= {row["id"] for row in rows}


async def check_folders(account: Account) -> None:
    """The counts of the folders against a scan of one's own emails."""
    mails: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = await account.client.one(MAILS, after=after)
        mails += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert {mail["id"] for mail in mails} == set(account.emails)
    groups = await account.client.one(FOLDERS)
    told = {each["name"]: each["emailCount"] for group in groups for each in group["folders"] if each["emailCount"]}
    assert told == Counter(mail["folder"] for mail in mails), account.name


async def check_lists(account: Account) -> dict[str, dict[str, str]]:
    """Each list, all its pages, against a fresh run of its filter; the lists by id."""
    lists: dict[str, dict[str, str]] = {}
    for search_id in account.searches:
        search = await account.client.one(LIST, id=search_id)
        stays, _ = await members_of(account.client, search_id)
        lists[search_id] = stays
        assert search["state"] == "LIVE"
        assert search["memberCount"] == len(stays)
        assert len(set(stays.values())) == len(stays)
        if account.role is Role.ADMIN or not ({"everySender", "sender"} & set(search["filter"])):
            assert set(stays.values()) == await fresh(account, search["filter"]), (account.name, search)
    return lists


async def fresh(account: Account, filter: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    after: str | None = None
    while True:
        page = await account.client.one(FRESH, f=filter, after=after)
        found |= {node["id"] for node in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def check_follower(world: World, account: Account, follower: Follower, lists: dict[str, dict[str, str]]) -> None:
    """What it was told against the log, row by row; what it has folded against the lists as they are."""
    team_id = world.team_id(account)
    follower.resume()
    if not follower.over and not follower.connected:
        await world.again(follower)
    concerned = list(follower.concerned(world.logs[team_id], account.key))
    await follower.reach(concerned[-1].position if concerned else 0)
    assert follower.errors == []
    if follower.expired:
        # Rightly so: the log was trimmed past where it stood. It fetches anew and goes on from there.
        assert follower.position < (await log.load_state(team_id)).trimmed_to
        await world.again(follower)
        concerned = list(follower.concerned(world.logs[team_id], account.key))
    assert follower.rows == [row_of(entry) for entry in concerned], account.name
    await follower.fold()
    if follower.search_id is None:
        folded = {search_id: stays for search_id, stays in follower.lists.items() if stays}
        assert folded == {search_id: stays for search_id, stays in lists.items() if stays}, account.name
    else:
        assert follower.lists.get(follower.search_id, {}) == lists.get(follower.search_id, {}), account.name
    assert follower.search_id is None or decode_key("SavedSearch", follower.search_id)
