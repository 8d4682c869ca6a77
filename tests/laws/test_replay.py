"""Law 3: replay. Folding the change messages from any cursor equals a fresh query, whatever happens in between.

A Hypothesis state machine runs the steps of the simulation. LAW_RUNS is the number of its runs, LAW_STEPS the number of
steps of each, and LAW_SEED selects other runs. Hypothesis prints the shortest steps that it found for a failure.
"""

import asyncio
import io
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from command_center.changes import log
from command_center.database.connections import database
from command_center.ids import decode_key
from command_center.lists import audit
from models.enums import EngagementKind, EngagementVerdict, Role
from tests.laws.simulation import Account, Simulation
from tests.support.databases import Databases
from tests.support.list_replicas import ListReplica, members_of, row_of

RUNS = int(os.environ.get("LAW_RUNS", "10"))
STEPS = int(os.environ.get("LAW_STEPS", "25"))
SEED = int(os.environ.get("LAW_SEED", "1"))
MAX_RUN_SECONDS = 900.0
"""A run that takes longer is a failure, however busy the machine."""

FOLDERS = "{folders{folders{name emailCount}}}"
MAILS = """query($after:String){emails(first:200,after:$after){
    nodes{id folder engagementSummary{views clicks replies latest{id}}} pageInfo{hasNextPage endCursor}}}"""
LIST = "query($id:ID!){savedSearch(id:$id){state memberCount filter}}"
FRESH = """query($f:EmailFilter!,$after:String){emails(filter:$f,first:200,after:$after){
    nodes{id} pageInfo{hasNextPage endCursor}}}"""

STEP_WEIGHTS = {
    "create_draft": 5,
    "send_emails": 8,
    "send_due_emails": 7,
    "record_events": 24,
    "reclassify_events": 4,
    "revise_email": 4,
    "change_emails": 7,
    "delete_emails": 2,
    "report_deliveries": 4,
    "create_person": 2,
    "change_group": 5,
    "create_campaign": 1,
    "end_campaign": 1,
    "unsubscribe": 1,
    "save_search": 5,
    "refine_search": 4,
    "share_or_adopt_search": 3,
    "delete_search": 2,
    "toggle_admin_role": 2,
    "advance_clock": 12,
    "run_matcher": 8,
    "subscribe": 5,
    "disconnect": 4,
    "pause_reading": 3,
    "fold_messages": 3,
    "trim_logs": 1,
    "restart": 2,
    "toggle_large_group": 20,
}
"""How often each step occurs, relative to the others. The last one occurs only if there is a large group."""
STEPS_WITHOUT_MATCHER = {"run_matcher", "restart"}
"""The steps that never run while the matcher runs."""
SEEDS = st.integers(0, 2**32 - 1)
USERS = st.sampled_from((0,) * 5 + (1,) * 4 + (2,) * 2)


class ReplayMachine(RuleBasedStateMachine):
    """Runs the steps of a simulation, and checks everything after some of them and at the end.

    Nothing that Hypothesis draws depends on the state of the server, so that a run can be repeated and shortened. The
    details of a step follow from its seed.
    """

    make_url: ClassVar[Callable[[], str]]
    counted: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.simulation: Simulation | None = None
        self.has_large_group = False
        self.failed = False
        self.deadline = time.monotonic() + MAX_RUN_SECONDS

    @initialize(seed=SEEDS, large_group=st.sampled_from((False, False, False, True)))
    def start(self, seed: int, large_group: bool) -> None:
        simulation = Simulation(type(self).make_url(), seed)
        self.run(simulation.start(large_group))
        self.simulation, self.has_large_group = simulation, large_group

    @rule(
        name=st.runner().flatmap(lambda machine: st.sampled_from(step_names(machine.has_large_group))),
        user=USERS,
        seed=SEEDS,
        while_matching=st.sampled_from((False,) * 7 + (True,) * 3),
        then_check=st.sampled_from((False,) * 12 + (True,)),
    )
    def step(self, name: str, user: int, seed: int, while_matching: bool, then_check: bool) -> None:
        simulation = self.simulation
        assert simulation is not None
        simulation.rng.seed(seed)
        work = getattr(simulation, name)(simulation.accounts[user])
        if while_matching and name not in STEPS_WITHOUT_MATCHER:
            work = together(work, simulation.match_meanwhile())
        self.run(work)
        if then_check:
            self.run(check(simulation))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self.runner.run(bounded(work, self.deadline - time.monotonic()))
        except BaseException:
            self.failed = True
            raise

    def teardown(self) -> None:
        simulation = self.simulation
        try:
            if simulation is not None and not self.failed:
                self.run(check(simulation))
                self.counted.update(tally(simulation))
        finally:
            if simulation is not None:
                self.runner.run(simulation.stop())
                self.counted["overflows"] += simulation.counted["overflows"]
            self.runner.close()


def step_names(large_group: bool) -> list[str]:
    """The names of the steps, each as often as it weighs."""
    names = STEP_WEIGHTS if large_group else STEP_WEIGHTS.keys() - {"toggle_large_group"}
    return [name for name in STEP_WEIGHTS if name in names for _ in range(STEP_WEIGHTS[name])]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_folded_messages_equal_a_fresh_query(all_databases: Databases, kind: str) -> None:
    url = all_databases.make(kind)

    def make_url() -> str:
        if kind == "sqlite":
            return all_databases.make(kind)
        asyncio.run(empty_tables(url))
        return url

    counted: Counter[str] = Counter()
    machine = type("Replay", (ReplayMachine,), {"make_url": staticmethod(make_url), "counted": counted})
    run_state_machine_as_test(
        seed(SEED)(machine),
        settings=settings(
            # The first run is always the smallest one, and the first step of each is the start.
            max_examples=RUNS + 1,
            stateful_step_count=STEPS + 1,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # To explain a failure takes many more runs.
            phases=[phase for phase in settings().phases if phase is not Phase.explain],
        ),
    )
    print(f"{RUNS} runs of {STEPS} steps on {kind}: {dict(sorted(counted.items()))}")
    # Without joins, leaves and overflows the law would be true of nothing.
    assert counted["joined"] > 0
    assert counted["left"] > 0
    assert counted["overflows"] > 0


async def together(*works: Coroutine[Any, Any, None]) -> None:
    await asyncio.gather(*works)


async def bounded(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Fails if the work does not end, with the stacks of the tasks that wait."""
    task = asyncio.create_task(work)
    if not (await asyncio.wait({task}, timeout=seconds))[0]:
        stacks = io.StringIO()
        for each in asyncio.all_tasks():
            each.print_stack(file=stacks)
        raise AssertionError(f"the run does not end; its tasks:\n{stacks.getvalue()}")
    task.result()


def tally(simulation: Simulation) -> Counter[str]:
    """What happened in a run, except for the overflows, which are known when its server has stopped."""
    counted = Counter({name: count for name, count in simulation.counted.items() if name != "overflows"})
    for account in simulation.accounts:
        for replica in account.replicas:
            counted["replicas"] += 1
            counted["resets folded"] += replica.resets
            counted["messages"] += len(replica.rows)
    for entries in simulation.logs.values():
        for entry in entries:
            counted[{1: "joined", 2: "left"}.get(int(entry.kind or 0), "other rows")] += 1
    return counted


async def empty_tables(url: str) -> None:
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


async def check(simulation: Simulation) -> None:
    """Everything against everything, once the matcher has nothing left to look at."""
    await simulation.server.settle()
    assert await audit.find_differences(simulation.server.engine.ctx.writer) == []
    await simulation.read_logs()
    await check_summaries(simulation)
    for account in simulation.accounts:
        await check_folders(account)
        lists = await check_lists(account)
        for replica in list(account.replicas):
            await check_replica(simulation, account, replica, lists)


async def check_summaries(simulation: Simulation) -> None:
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


async def check_replica(
    simulation: Simulation, account: Account, replica: ListReplica, lists: dict[str, dict[str, str]]
) -> None:
    """Its messages must equal the rows of the log, and its folded lists must equal the lists."""
    team_id = simulation.team_id(account)
    replica.resume()
    if not replica.over and not replica.connected:
        await simulation.reconnect(replica)
    concerned = list(replica.concerned(simulation.logs[team_id], account.key))
    await replica.reach(concerned[-1].position if concerned else 0)
    assert replica.errors == []
    if replica.expired:
        # Rightly so: the log was trimmed past where it stood. It fetches anew and goes on from there.
        assert replica.position < (await log.load_state(team_id)).trimmed_to
        await simulation.reconnect(replica)
        concerned = list(replica.concerned(simulation.logs[team_id], account.key))
    assert replica.rows == [row_of(entry) for entry in concerned], account.name
    await replica.fold()
    if replica.search_id is None:
        folded = {search_id: stays for search_id, stays in replica.lists.items() if stays}
        assert folded == {search_id: stays for search_id, stays in lists.items() if stays}, account.name
    else:
        assert replica.lists.get(replica.search_id, {}) == lists.get(replica.search_id, {}), account.name
    assert replica.search_id is None or decode_key("SavedSearch", replica.search_id)
