"""What begins or ends because of a change of rights says so, whatever else happens to the email meanwhile."""

import os
import random
from datetime import timedelta
from typing import Any

import pytest

from command_center.changes import log
from command_center.changes.entries import LogEntry
from command_center.database.connections import database
from command_center.database.fields import from_micros
from command_center.ids import decode_key
from command_center.lists import audit
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind, Role
from tests.support.searches import DRAFT, PERSON, RECORD, make_event, save_search
from tests.support.server import Client, ManualClock, Server

pytestmark = pytest.mark.slow

STEPS = int(os.environ.get("LAW_STEPS", "12")) * 5
SEED = int(os.environ.get("LAW_SEED", "1"))
GROUP = "mutation($n:String!,$s:Boolean!){groupCreate(name:$n,shared:$s){group{id}}}"
ADD = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){userErrors{code}}}"
REMOVE = "mutation($id:ID!,$p:[ID!]!){groupRemovePeople(id:$id,personIds:$p){userErrors{code}}}"
VIEW: dict[str, Any] = {"kind": "VIEW", "within": "PT2S"}
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"engagement": [{"kind": "VIEW", "atLeast": 3}]},
    {"engagement": [VIEW]},
    {"not": {"engagement": [VIEW]}},
)
MOVES = {ChangeKind.MEMBER_JOINED: True, ChangeKind.MEMBER_LEFT: False}


class Office:
    """An admin who is demoted and promoted again, a colleague, and what happens to the emails of both."""

    def __init__(self, server: Server, clock: ManualClock, rng: random.Random) -> None:
        self.server, self.clock, self.rng = server, clock, rng
        self.role = self.settled_role = Role.ADMIN
        self.pending: set[int] = set()
        """The lists that are still to be filled after a change of rights."""
        self.moved: set[tuple[int, int]] = set()
        self.foreign: set[int] = set()
        self.emails: list[str] = []
        self.people: list[str] = []
        self.searches: set[int] = set()
        self.position = 0
        self.seen = 0
        self.recorded = 0

    async def furnish(self) -> None:
        self.boss = await self.server.client("Boss", role=Role.ADMIN)
        self.ann = await self.server.client("Ann")
        for number in range(6):
            await self._email(self.ann if number < 4 else self.boss, number)
        self.group = (await self.boss.one(GROUP, n="Group", s=True))["group"]["id"]
        await self.boss.one(ADD, id=self.group, p=self.people[::2])
        for number, filter in enumerate((*FILTERS, {"personGroup": [self.group]})):
            key = decode_key(
                "SavedSearch", await save_search(self.boss, {"everySender": True} | filter, f"List {number}")
            )
            assert key is not None
            self.searches.add(key)
        await save_search(self.ann, {"engagement": [{"kind": "VIEW", "within": "PT1S"}]})
        await self.settle()

    async def _email(self, client: Client, number: int) -> None:
        person = (await client.one(PERSON, i={"name": f"P{number}", "address": f"p{number}@example.org"}))["person"][
            "id"
        ]
        mail = (await client.one(DRAFT, i={"personId": person, "subject": "Hello"}))["email"]["id"]
        self.people.append(person)
        self.emails.append(mail)
        if client is self.ann:
            self.foreign.add(decode_key("Email", mail) or 0)

    async def toggle(self) -> None:
        self.role = Role.MEMBER if self.role is Role.ADMIN else Role.ADMIN
        await self.server.user("Boss", role=self.role)

    async def advance(self) -> None:
        self.clock.advance(timedelta(milliseconds=self.rng.choice((1, 100, 700, 1900))))

    async def record(self) -> None:
        at = from_micros(self.clock.moment) - timedelta(milliseconds=self.rng.choice((0, 0, 500, 1999, 2000, 2500)))
        self.recorded += 1
        await self.ann.one(RECORD, e=[make_event(self.rng.choice(self.emails[:4]), "VIEW", f"a{self.recorded}", at)])
        await self.boss.one(RECORD, e=[make_event(self.rng.choice(self.emails[4:]), "VIEW", f"b{self.recorded}", at)])

    async def regroup(self) -> None:
        await self.boss.one(self.rng.choice((ADD, REMOVE)), id=self.group, p=self.rng.sample(self.people, 2))

    async def look(self) -> None:
        await self._look(self.rng.random() < 0.5)

    async def _look(self, tick: bool) -> bool:
        rows = await database().fetch("SELECT kind, subject_id, cause FROM invalidations")
        self.pending = {row["subject_id"] for row in rows if row["cause"] == ChangeCauseKind.ACCESS_CHANGED}
        if any(row["kind"] == InvalidationKind.USER for row in rows):
            self.pending = self.searches
        more = await self.server.engine.matcher.process_batch(tick)
        await self.server.engine.matcher.wait_for_set_aside()
        await self.check()
        return more

    async def restart(self) -> None:
        await self.server.engine.matcher.start()

    async def settle(self) -> None:
        while await self._look(tick=True):
            pass
        self.settled_role = self.role
        self.moved.clear()
        assert await audit.find_differences(self.server.engine.ctx.writer) == []

    async def check(self) -> None:
        row = await database().fetch_one("SELECT team_id FROM users WHERE name = 'Boss'")
        assert row is not None
        for entry in await log.read_team(row["team_id"], self.position):
            self.position = entry.position
            if entry.kind in MOVES and entry.search_id in self.searches:
                self._check(entry)
        assert self.position == (await log.load_state(row["team_id"])).position

    def _check(self, entry: LogEntry) -> None:
        assert entry.search_id is not None
        assert entry.email_id is not None
        assert entry.kind is not None
        key, joined = (entry.search_id, entry.email_id), MOVES[entry.kind]
        access = entry.cause_kind is ChangeCauseKind.ACCESS_CHANGED
        appeared = self.settled_role is Role.MEMBER and key not in self.moved
        if entry.email_id not in self.foreign or entry.search_id not in self.pending:
            # The rights concern others' mail only, and each list once.
            assert not access, entry
        elif appeared if joined else self.role is Role.MEMBER:
            assert access, entry
            self.seen += 1
        self.moved.add(key)


async def test_access_changes_are_the_cause_despite_concurrent_changes(
    quiet_server: Server, clock: ManualClock
) -> None:
    rng = random.Random(SEED)
    office = Office(quiet_server, clock, rng)
    await office.furnish()
    steps = (office.toggle, office.advance, office.record, office.regroup, office.look, office.restart, office.settle)
    for step in rng.choices(steps, (3, 6, 6, 2, 8, 1, 2), k=STEPS):
        await step()
    await office.settle()
    assert office.seen > 5
