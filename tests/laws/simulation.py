"""A simulation of two teams on a real server: what users, recipients and machines do, step by step.

All writes go through the API. The steps also run what the product runs by itself: the matcher, the sender loop and the
clock. Each step takes its random choices from `rng`.
"""

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from command_center.changes import log
from command_center.changes.entries import LogEntry
from command_center.database.connections import database
from command_center.ids import encode
from command_center.lists.invalidations import StaleBatch
from command_center.mail.outbox import Outbox
from command_center.mail.transport import Bounced, Deferred, Delivered, Envelope, Failed, Outcome, Unknown
from command_center.search.datetimes import format_moment
from command_center.web.authentication import Tokens
from models.enums import FailureCode, Role
from tests.laws.random_filters import KINDS, SPANS, URLS, VERDICTS, WORDS, FilterGenerator
from tests.support.list_replicas import ListReplica
from tests.support.server import SECRET, Client, ManualClock, Server, serving

_ERRORS = "userErrors{path code}"
PERSON = f"mutation($i:PersonInput!){{personCreate(input:$i){{person{{id}} {_ERRORS}}}}}"
GROUP = f"mutation($n:String!,$s:Boolean!){{groupCreate(name:$n,shared:$s){{group{{id}} {_ERRORS}}}}}"
JOIN = f"mutation($id:ID!,$p:[ID!]!){{groupAddPeople(id:$id,personIds:$p){{{_ERRORS}}}}}"
PART = f"mutation($id:ID!,$p:[ID!]!){{groupRemovePeople(id:$id,personIds:$p){{{_ERRORS}}}}}"
CAMPAIGN = f"mutation($n:String!){{campaignCreate(name:$n){{campaign{{id}} {_ERRORS}}}}}"
END = f"mutation($id:ID!){{campaignEnd(id:$id){{{_ERRORS}}}}}"
UNSUBSCRIBE = f"mutation($id:ID!){{personUnsubscribe(id:$id){{{_ERRORS}}}}}"
DRAFT = f"mutation($i:EmailDraftInput!){{emailDraft(input:$i){{email{{id}} {_ERRORS}}}}}"
REVISE = f"mutation($id:ID!,$i:EmailReviseInput!){{emailRevise(id:$id,input:$i){{{_ERRORS}}}}}"
SEND = f"mutation($id:ID!,$at:DateTime,$r:String){{emailSend(id:$id,at:$at,requestId:$r){{{_ERRORS}}}}}"
SUCCESS = f"mutation($ids:[ID!]!,$s:Boolean!){{emailMarkSuccess(ids:$ids,success:$s){{{_ERRORS}}}}}"
DELETE = f"mutation($ids:[ID!]!){{emailDelete(ids:$ids){{deletedIds {_ERRORS}}}}}"
BULKS = {
    name: f"mutation($ids:[ID!]!){{{name}(ids:$ids){{{_ERRORS}}}}}"
    for name in ("emailArchive", "emailUnarchive", "emailRetrySend")
}
RECORD = f"mutation($e:[EngagementInput!]!){{engagementRecord(events:$e){{recorded duplicates ignored {_ERRORS}}}}}"
FEED = "{engagements(first:50){nodes{id}}}"
RECLASSIFY = f"mutation($ids:[ID!]!,$v:EngagementVerdict!){{engagementReclassify(ids:$ids,verdict:$v){{{_ERRORS}}}}}"
REPORT = f"mutation($e:[DeliveryInput!]!){{deliveryRecord(events:$e){{recorded duplicates {_ERRORS}}}}}"
SAVE = f"mutation($i:SavedSearchCreateInput!){{savedSearchCreate(input:$i){{savedSearch{{id}} {_ERRORS}}}}}"
REFINE = f"mutation($id:ID!,$f:EmailFilter!){{savedSearchRefine(id:$id,filter:$f){{{_ERRORS}}}}}"
RENAME = f"mutation($id:ID!,$n:String!){{savedSearchRename(id:$id,name:$n){{{_ERRORS}}}}}"
SHARE = f"mutation($id:ID!,$s:Boolean!){{savedSearchShare(id:$id,shared:$s){{{_ERRORS}}}}}"
DROP = f"mutation($id:ID!){{savedSearchDelete(id:$id){{deletedIds {_ERRORS}}}}}"
PUBLISHED = "{sharedSearches(first:20){nodes{id}}}"
ADOPT = f"mutation($id:ID!){{savedSearchAdopt(sharedSearchId:$id){{savedSearch{{id}} {_ERRORS}}}}}"

MICROSECOND = timedelta(microseconds=1)
LARGE_GROUP_EMAILS, LARGE_GROUP_LISTS = 20, 16
WIDE = "x" * 4000


class RandomTransport:
    """A mail transport with random outcomes; most emails are delivered."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def send(self, envelope: Envelope) -> Outcome:
        outcomes: list[Outcome] = [
            Delivered(),
            Bounced("no such user"),
            Failed(FailureCode.CHANNEL_REFUSED, "no"),
            Deferred("later"),
            Unknown("gone"),
        ]
        return self._rng.choices(outcomes, (12, 1, 1, 1, 1))[0]

    async def close(self) -> None:
        pass


@dataclass
class Account:
    """One user and what belongs to the user."""

    name: str
    team: str
    role: Role
    client: Client
    key: int = 0
    emails: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)
    replicas: list[ListReplica] = field(default_factory=list)


class Simulation:
    """Two teams with three users. `rng` decides all details, so that equal seeds give equal requests."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.rng = random.Random(seed)
        self.clock = ManualClock()
        self.accounts: list[Account] = []
        self.campaigns: list[str] = []
        self.logs: dict[int, list[LogEntry]] = {}
        self.events: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.large_group: tuple[str, list[str]] | None = None
        self.large_group_filled = False
        self.counted: dict[str, int] = {}
        self._number = 0
        self._stack = AsyncExitStack()
        self.server: Server

    # ---- start and end -----------------------------------------------------------------------------

    async def start(self, large_group: bool = False) -> None:
        """Starts the server with a few objects of each user. With `large_group` the queues of streams can overflow."""
        await self._start_server()
        for name, team, role in (("Ann", "Red", Role.MEMBER), ("Ada", "Red", Role.ADMIN), ("Zoe", "Blue", Role.MEMBER)):
            user = await self.server.user(name, team, role)
            token = Tokens(SECRET).issue(user, ("engagement:write",), timedelta(hours=9))
            self.accounts.append(Account(name, team, role, Client(self.server.url, token), user.id))
            self.logs.setdefault(user.team_id, [])
        for account in self.accounts:
            for _ in range(3):
                await self.create_person(account)
            await self.create_group(account)
            await self.create_campaign(account)
            for _ in range(3):
                await self.create_draft(account)
                await self.save_search(account)
            for email in account.emails[:2]:
                await self.mutate(account, SEND, id=email, at=None, r=None)
            await self.subscribe(account)
        if large_group:
            await self.add_large_group()
        await self.send_emails(self.accounts[0])
        await self.server.settle()

    async def stop(self) -> None:
        for account in self.accounts:
            for replica in account.replicas:
                await replica.disconnect(abruptly=True)
        await self._stop_server()
        for account in self.accounts:
            await account.client.http.aclose()

    async def _stop_server(self) -> None:
        self.counted["overflows"] = self.counted.get("overflows", 0) + self.server.engine.hub.overflows
        await self._stack.aclose()

    async def _start_server(self) -> None:
        self.server = await self._stack.enter_async_context(serving(self.url, self.clock, works=False, looks=False))
        engine = self.server.engine
        # Short queues overflow, and what overflows must come from the log.
        engine.hub.max_queued_entries = self.rng.choice((1, 4, 256))
        self.outbox = Outbox(engine.ctx, engine.links, RandomTransport(self.rng))
        for account in self.accounts:
            account.client.url = self.server.url

    async def match_meanwhile(self) -> None:
        # A refinement makes a backfill stale; the next batch starts it again.
        with suppress(StaleBatch):
            await self.server.engine.matcher.process_batch()

    def next(self) -> int:
        self._number += 1
        return self._number

    async def mutate(self, account: Account, document: str, **variables: Any) -> dict[str, Any]:
        """A mutation. User errors are as expected as successes; both are counted."""
        payload: dict[str, Any] = await account.client.one(document, **variables)
        outcome = "refused" if payload["userErrors"] else "done"
        self.counted[outcome] = self.counted.get(outcome, 0) + 1
        return payload

    def team(self, account: Account) -> list[Account]:
        return [other for other in self.accounts if other.team == account.team]

    # ---- people and campaigns ----------------------------------------------------------------------

    async def create_person(self, account: Account) -> None:
        number = self.next()
        more = {"company": self.rng.choice(WORDS)} if self.rng.random() < 0.6 else {}
        shared = self.rng.random() < 0.7
        given = {"name": f"P{number}", "address": f"p{number}@people.example", "shared": shared, **more}
        made = await self.mutate(account, PERSON, i=given)
        for each in self.team(account) if shared else [account]:
            each.people.append(made["person"]["id"])

    async def create_group(self, account: Account) -> None:
        shared = self.rng.random() < 0.5
        made = await self.mutate(account, GROUP, n=f"G{self.next()}", s=shared)
        for each in self.team(account) if shared else [account]:
            each.groups.append(made["group"]["id"])

    async def change_group(self, account: Account) -> None:
        if self.rng.random() < 0.1:
            await self.create_group(account)
        if account.groups and account.people:
            people = self.rng.sample(account.people, min(len(account.people), self.rng.randint(1, 4)))
            document = self.rng.choice((JOIN, JOIN, PART))
            await self.mutate(account, document, id=self.rng.choice(account.groups), p=people)

    async def create_campaign(self, account: Account) -> None:
        self.campaigns.append((await self.mutate(account, CAMPAIGN, n=f"C{self.next()}"))["campaign"]["id"])

    async def end_campaign(self, account: Account) -> None:
        with suppress(IndexError):
            await self.mutate(account, END, id=self.rng.choice(self.campaigns))

    async def unsubscribe(self, account: Account) -> None:
        await self.mutate(account, UNSUBSCRIBE, id=self.rng.choice(account.people))

    # ---- emails ------------------------------------------------------------------------------------

    async def create_draft(self, account: Account) -> None:
        given = {"personId": self.rng.choice(account.people), "subject": f"{self.rng.choice(WORDS)} {self.next()}"}
        if self.rng.random() < 0.3:
            given["campaignId"] = self.rng.choice(self.campaigns)
        if self.rng.random() < 0.3:
            given["subject"] = self.rng.choice(WORDS)
        email = (await self.mutate(account, DRAFT, i=given))["email"]
        if email is not None:
            account.emails.append(email["id"])

    async def send_emails(self, account: Account) -> None:
        for email in self._emails(account, 2):
            at = None if self.rng.random() < 0.6 else self._moment(self._span())
            await self.mutate(account, SEND, id=email, at=at, r=None)

    async def send_due_emails(self, account: Account) -> None:
        while await self.outbox.step():
            pass

    async def revise_email(self, account: Account) -> None:
        for email in self._emails(account, 1):
            change = self.rng.choice(("subject", "person", "at"))
            given: dict[str, Any] = {"subject": self.rng.choice(WORDS)}
            if change == "person":
                given = {"personId": self.rng.choice(account.people)}
            if change == "at":
                given = {"at": self._moment(self._span())}
            await self.mutate(account, REVISE, id=email, i=given)

    async def change_emails(self, account: Account) -> None:
        emails = self._emails(account, 3)
        kind = self.rng.choice((*BULKS, "success"))
        if kind == "success":
            await self.mutate(account, SUCCESS, ids=emails, s=self.rng.random() < 0.7)
        else:
            await self.mutate(account, BULKS[kind], ids=emails)

    async def delete_emails(self, account: Account) -> None:
        done = await self.mutate(account, DELETE, ids=self._emails(account, 2))
        account.emails = [email for email in account.emails if email not in done["deletedIds"]]

    def _emails(self, account: Account, most: int) -> list[str]:
        return self.rng.sample(account.emails, min(len(account.emails), self.rng.randint(1, most)))

    def _span(self) -> timedelta:
        return self.rng.choice(list(SPANS.values()))

    def _moment(self, ahead: timedelta) -> str:
        return format_moment(self.clock.moment + ahead // MICROSECOND)

    # ---- what comes back ---------------------------------------------------------------------------

    async def record_events(self, account: Account) -> None:
        """Events, new ones and known ones, in one request or in several at once."""
        requests = []
        for _ in range(self.rng.choice((1, 1, 1, 3))):
            batch = [event for email in self._emails(account, 2) for event in self._events(email)]
            batch += self.rng.sample(self.events, min(len(self.events), self.rng.choice((0, 0, 3))))
            self.rng.shuffle(batch)
            requests.append(self.mutate(account, RECORD, e=batch))
        await asyncio.gather(*requests)

    def _events(self, email: str) -> list[dict[str, Any]]:
        made = []
        for _ in range(self.rng.randint(1, 3)):
            kind = self.rng.choice(KINDS)
            edge = self.rng.choice((-1, 0, 1)) * MICROSECOND
            back = self.rng.choice((timedelta(0), timedelta(0), self._span(), -timedelta(minutes=4)))
            given = {"emailId": email, "kind": kind, "occurredAt": self._moment(edge - back)}
            given["dedupeKey"] = f"event {self.next()}"
            if kind == "CLICK":
                given["url"] = self.rng.choice(URLS)
            if self.rng.random() < 0.7:
                given["verdict"] = self.rng.choices(VERDICTS, (6, 1, 1))[0]
            else:
                given["ipAddress"] = self.rng.choice(("192.0.2.1", "198.51.100.1"))
            made.append(given)
        self.events.extend(made)
        return made

    async def reclassify_events(self, account: Account) -> None:
        ids = [node["id"] for node in (await account.client.one(FEED))["nodes"]]
        some = self.rng.sample(ids, min(len(ids), 4))
        await self.mutate(account, RECLASSIFY, ids=some, v=self.rng.choice(VERDICTS))

    async def report_deliveries(self, account: Account) -> None:
        """Bounces and complaints, now and then the same again."""
        for email in self._emails(account, 1):
            kind = self.rng.choice(("BOUNCED", "SPAM_COMPLAINT"))
            given = {"emailId": email, "kind": kind, "occurredAt": self._moment(timedelta(0))}
            self.reports.append(given | {"dedupeKey": f"report {self.next()}"})
        known = self.rng.sample(self.reports, min(len(self.reports), 1))
        await self.mutate(account, REPORT, e=[*self.reports[-1:], *known])

    # ---- lists -------------------------------------------------------------------------------------

    def generate_filter(self, account: Account) -> dict[str, Any]:
        ids = {
            "person": account.people,
            "personGroup": account.groups,
            "campaign": self.campaigns[:1] if account.team == "Blue" else self.campaigns,
        }
        known = {noun: values for noun, values in ids.items() if values}
        return FilterGenerator(self.rng, known, account.role is Role.ADMIN, self.clock.moment).filter()

    async def save_search(self, account: Account) -> None:
        shared = self.rng.random() < 0.3
        given = {"name": f"L{self.next()}", "filter": self.generate_filter(account), "shared": shared}
        self._saved(account, await self.mutate(account, SAVE, i=given))

    def _saved(self, account: Account, payload: dict[str, Any]) -> None:
        if payload["savedSearch"] is not None:
            account.searches.append(payload["savedSearch"]["id"])

    async def refine_search(self, account: Account) -> None:
        if account.searches:
            search = self.rng.choice(account.searches)
            for _ in range(self.rng.choice((1, 1, 2))):
                await self.mutate(account, REFINE, id=search, f=self.generate_filter(account))

    async def share_or_adopt_search(self, account: Account) -> None:
        """Renames and shares; or takes over what a colleague shared."""
        if account.searches and self.rng.random() < 0.5:
            search = self.rng.choice(account.searches)
            await self.mutate(account, RENAME, id=search, n=f"L{self.next()}")
            await self.mutate(account, SHARE, id=search, s=self.rng.random() < 0.7)
            return
        shared = (await account.client.one(PUBLISHED))["nodes"]
        if shared:
            self._saved(account, await self.mutate(account, ADOPT, id=self.rng.choice(shared)["id"]))

    async def delete_search(self, account: Account) -> None:
        if len(account.searches) > 1:
            search = account.searches.pop(self.rng.randrange(len(account.searches)))
            await self.mutate(account, DROP, id=search)

    async def toggle_admin_role(self, account: Account) -> None:
        """An admin is one no more, or is one again."""
        ada = self.accounts[1]
        ada.role = Role.MEMBER if ada.role is Role.ADMIN else Role.ADMIN
        await self.server.user(ada.name, ada.team, ada.role)

    async def toggle_large_group(self, account: Account) -> None:
        """All people of the large group join or leave it: one pass logs more entries than any queue holds."""
        if self.large_group is None:
            return
        ann = self.accounts[0]
        group, people = self.large_group
        self.large_group_filled = not self.large_group_filled
        await self.mutate(ann, JOIN if self.large_group_filled else PART, id=group, p=people)

    async def add_large_group(self) -> None:
        """A group of two people with more emails and more lists than a queue has places."""
        ann = self.accounts[0]
        made = await self.mutate(ann, GROUP, n="Large", s=False)
        people = []
        for _ in range(2):
            given = {"name": "C", "address": f"c{self.next()}@people.example", "shared": False}
            people.append((await self.mutate(ann, PERSON, i=given))["person"]["id"])
        self.large_group = (made["group"]["id"], people)
        mails = [
            {"personId": self.rng.choice(people), "subject": "Hi", "body": WIDE} for _ in range(LARGE_GROUP_EMAILS)
        ]
        for payload in await asyncio.gather(*(self.mutate(ann, DRAFT, i=mail) for mail in mails)):
            ann.emails.append(payload["email"]["id"])
        filter = {"personGroup": [self.large_group[0]]}
        saves = [{"name": f"Large {number}", "filter": filter} for number in range(LARGE_GROUP_LISTS)]
        for payload in await asyncio.gather(*(self.mutate(ann, SAVE, i=each) for each in saves)):
            ann.searches.append(payload["savedSearch"]["id"])
        for slow in (True, False):
            await self._subscribe(ann, None, slow)

    # ---- time, and who watches ---------------------------------------------------------------------

    async def advance_clock(self, account: Account) -> None:
        """On to where something comes of age, or a microsecond to either side of it."""
        now = self.clock.moment
        dates = await database().fetch(
            "SELECT created_at AS a, sent_at AS b, scheduled_at AS c, failed_at AS d FROM emails"
            " UNION ALL SELECT occurred_at, NULL, NULL, NULL FROM engagements"
        )
        spans = [span // MICROSECOND for span in (timedelta(0), *SPANS.values())]
        edges = {
            date + way * span for row in dates for date in row.values() if date for span in spans for way in (1, -1)
        }
        later = sorted(edge for edge in edges if edge > now)
        edge = self.rng.choice(later[: self.rng.choice((1, 3, 50))]) if later and self.rng.random() < 0.8 else now
        self.clock.moment = max(now + 1, edge + self.rng.choice((-1, 0, 1)))

    async def run_matcher(self, account: Account) -> None:
        if self.rng.random() < 0.3:
            await self.server.settle()
        else:
            await self.server.engine.matcher.process_batch(tick=self.rng.random() < 0.7)

    async def subscribe(self, account: Account) -> None:
        """One more subscriber; or one that was away comes back with its last cursor."""
        away = [each for each in account.replicas if not each.connected and not each.over]
        if away and self.rng.random() < 0.7:
            await self.reconnect(self.rng.choice(away))
            return
        which = self.rng.choice([None, None, *account.searches])
        await self._subscribe(account, which, slow=self.rng.random() < 0.25)

    async def _subscribe(self, account: Account, which: str | None, slow: bool) -> None:
        replica = ListReplica(account.client, which, slow)
        await replica.begin()
        if not replica.over:
            account.replicas.append(replica)
            await replica.connect()

    async def reconnect(self, replica: ListReplica) -> None:
        """Back with the last cursor; after an expiry with a fresh fetch."""
        await replica.disconnect()
        if replica.expired:
            await replica.begin()
        if not replica.over:
            await replica.connect()

    async def disconnect(self, account: Account) -> None:
        for replica in self._some_replicas(account):
            await replica.disconnect(abruptly=self.rng.random() < 0.5)

    async def pause_reading(self, account: Account) -> None:
        """Some stop reading, others go on."""
        for replica in self._some_replicas(account):
            replica.pause() if self.rng.random() < 0.7 else replica.resume()

    async def fold_messages(self, account: Account) -> None:
        for replica in self._some_replicas(account):
            await replica.fold()

    def _some_replicas(self, account: Account) -> list[ListReplica]:
        return self.rng.sample(account.replicas, min(len(account.replicas), 2))

    async def trim_logs(self, account: Account) -> None:
        """Drops the older part of the logs, so that some cursors expire."""
        await self.read_logs()
        before = self.clock.moment - self.rng.choice((0, 60_000_000))
        for team_id in await log.find_stale_teams(before):
            async with self.server.engine.ctx.writer.unit_of_work() as uow:
                await log.trim(uow.connection, team_id, before)

    async def restart(self, account: Account) -> None:
        """Stops the server with its pending invalidations and backfills, and starts another on the same database."""
        for each in self.accounts:
            for replica in each.replicas:
                if self.rng.random() < 0.5 or replica.slow:
                    await replica.disconnect(abruptly=True)
        await self._stop_server()
        for each in self.accounts:
            for replica in each.replicas:
                await replica.disconnect()
        self._stack = AsyncExitStack()
        await self._start_server()
        await self.outbox.recover()

    async def read_logs(self) -> None:
        """Keeps a copy of every row of the logs, since trimming drops them. Positions have no gaps."""
        for team_id, entries in self.logs.items():
            while more := await log.read_team(team_id, entries[-1].position if entries else 0):
                entries.extend(more)
            assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))

    def team_id(self, account: Account) -> int:
        return list(self.logs)[0 if account.team == "Red" else -1]

    def email_id(self, key: int) -> str:
        return encode("Email", key)
