"""A world that lives: two teams on the real server, doing at random what people, recipients and machines do.

Everything goes through the front door, GraphQL on a socket. Where the product works by itself, the world says when: the
matcher looks, the sender loop takes a step and the clock moves as the dice fall, often in the middle of a request.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
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
from tests.laws.random_filters import KINDS, SPANS, URLS, VERDICTS, WORDS, Wishes
from tests.support.list_replicas import Follower
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
FLOOD_MAILS, FLOOD_LISTS = 20, 16
WIDE = "x" * 4000


class Dice:
    """A mail server of moods: nearly always it takes what it is given."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def send(self, envelope: Envelope) -> Outcome:
        moods: list[Outcome] = [
            Delivered(),
            Bounced("no such user"),
            Failed(FailureCode.CHANNEL_REFUSED, "no"),
            Deferred("later"),
            Unknown("gone"),
        ]
        return self._rng.choices(moods, (12, 1, 1, 1, 1))[0]

    async def close(self) -> None:
        pass


@dataclass
class Account:
    """One user, and what they have made."""

    name: str
    team: str
    role: Role
    client: Client
    key: int = 0
    emails: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)


class World:
    """Made of one seed: the same seed takes the same steps. `trace` says which."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.seed = seed
        self.rng = random.Random(seed)
        self.clock = ManualClock()
        self.accounts: list[Account] = []
        self.campaigns: list[str] = []
        self.logs: dict[int, list[LogEntry]] = {}
        self.events: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.trace: list[str] = []
        self.flooded: tuple[str, list[str]] | None = None
        self.crowded = False
        self.counted: dict[str, int] = {}
        self._number = 0
        self._stack = AsyncExitStack()
        self.server: Server

    # ---- its life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> "World":
        await self._start()
        for name, team, role in (("Ann", "Red", Role.MEMBER), ("Ada", "Red", Role.ADMIN), ("Zoe", "Blue", Role.MEMBER)):
            user = await self.server.user(name, team, role)
            token = Tokens(SECRET).issue(user, ("engagement:write",), timedelta(hours=9))
            self.accounts.append(Account(name, team, role, Client(self.server.url, token), user.id))
            self.logs.setdefault(user.team_id, [])
        for account in self.accounts:
            for _ in range(3):
                await self.person(account)
            await self.group(account)
            await self.campaign(account)
            for _ in range(3):
                await self.draft(account)
                await self.save(account)
            for email in account.emails[:2]:
                await self.ask(account, SEND, id=email, at=None, r=None)
            await self.follow(account)
        if self.seed % 4 == 0:
            await self.crowd()
        await self.send(self.accounts[0])
        await self.server.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        for account in self.accounts:
            for follower in account.followers:
                await follower.disconnect(abruptly=True)
        await self._stop()
        for account in self.accounts:
            await account.client.http.aclose()

    async def _stop(self) -> None:
        self.counted["overflows"] = self.counted.get("overflows", 0) + self.server.engine.hub.overflows
        await self._stack.aclose()

    async def _start(self) -> None:
        self.server = await self._stack.enter_async_context(serving(self.url, self.clock, works=False, looks=False))
        engine = self.server.engine
        # Short queues overflow, and what overflows must come from the log.
        engine.hub.max_queued_entries = self.rng.choice((1, 4, 256))
        self.outbox = Outbox(engine.ctx, engine.links, Dice(self.rng))
        for account in self.accounts:
            account.client.url = self.server.url

    async def restart(self) -> None:
        """Stops the server as it stands, marks and unfilled lists and all, and starts another on the same database."""
        for account in self.accounts:
            for follower in account.followers:
                if self.rng.random() < 0.5 or follower.slow:
                    await follower.disconnect(abruptly=True)
        await self._stop()
        for account in self.accounts:
            for follower in account.followers:
                await follower.disconnect()
        self._stack = AsyncExitStack()
        await self._start()
        await self.outbox.recover()

    # ---- steps -------------------------------------------------------------------------------------

    async def step(self) -> None:
        """One thing that happens to someone; now and then while the matcher is looking."""
        account = self.rng.choices(self.accounts, (5, 4, 2))[0]
        steps: list[tuple[int, Callable[[Account], Awaitable[None]]]] = [
            (5, self.draft),
            (8, self.send),
            (7, self.send_due),
            (24, self.record),
            (4, self.reclassify),
            (4, self.revise),
            (7, self.bulk),
            (2, self.delete),
            (4, self.report),
            (2, self.person),
            (5, self.regroup),
            (1, self.campaign),
            (1, self.end),
            (1, self.unsubscribe),
            (5, self.save),
            (4, self.refine),
            (3, self.publish),
            (2, self.drop),
            (2, self.promote),
            (12, self.advance),
            (8, self.look),
            (5, self.follow),
            (4, self.lose),
            (3, self.dawdle),
            (3, self.glance),
            (1, self.trim),
            (2, self.reopen),
            (20 if self.flooded else 0, self.flood),
        ]
        weights = [weight for weight, _ in steps]
        step = self.rng.choices([each for _, each in steps], weights)[0]
        self.note(f"{step.__name__}: {account.name}")
        if step.__name__ not in ("look", "reopen") and self.rng.random() < 0.3:
            self.trace[-1] += ", while the matcher looks"
            await asyncio.gather(step(account), self._look_meanwhile())
        else:
            await step(account)

    async def _look_meanwhile(self) -> None:
        # A refinement takes the ground from under a fill; the next look begins it anew.
        with suppress(StaleBatch):
            await self.server.engine.matcher.process_batch()

    def note(self, what: str) -> None:
        self.trace.append(what)

    def next(self) -> int:
        self._number += 1
        return self._number

    async def ask(self, account: Account, document: str, **variables: Any) -> dict[str, Any]:
        """A mutation; what it refuses by name is refused rightly as often as not, and is only counted."""
        payload: dict[str, Any] = await account.client.one(document, **variables)
        outcome = "refused" if payload["userErrors"] else "done"
        self.counted[outcome] = self.counted.get(outcome, 0) + 1
        return payload

    def team(self, account: Account) -> list[Account]:
        return [other for other in self.accounts if other.team == account.team]

    # ---- people and campaigns ----------------------------------------------------------------------

    async def person(self, account: Account) -> None:
        number = self.next()
        more = {"company": self.rng.choice(WORDS)} if self.rng.random() < 0.6 else {}
        shared = self.rng.random() < 0.7
        given = {"name": f"P{number}", "address": f"p{number}@people.example", "shared": shared, **more}
        made = await self.ask(account, PERSON, i=given)
        for each in self.team(account) if shared else [account]:
            each.people.append(made["person"]["id"])

    async def group(self, account: Account) -> None:
        shared = self.rng.random() < 0.5
        made = await self.ask(account, GROUP, n=f"G{self.next()}", s=shared)
        for each in self.team(account) if shared else [account]:
            each.groups.append(made["group"]["id"])

    async def regroup(self, account: Account) -> None:
        if self.rng.random() < 0.1:
            await self.group(account)
        if account.groups and account.people:
            people = self.rng.sample(account.people, min(len(account.people), self.rng.randint(1, 4)))
            document = self.rng.choice((JOIN, JOIN, PART))
            await self.ask(account, document, id=self.rng.choice(account.groups), p=people)

    async def campaign(self, account: Account) -> None:
        self.campaigns.append((await self.ask(account, CAMPAIGN, n=f"C{self.next()}"))["campaign"]["id"])

    async def end(self, account: Account) -> None:
        with suppress(IndexError):
            await self.ask(account, END, id=self.rng.choice(self.campaigns))

    async def unsubscribe(self, account: Account) -> None:
        await self.ask(account, UNSUBSCRIBE, id=self.rng.choice(account.people))

    # ---- emails ------------------------------------------------------------------------------------

    async def draft(self, account: Account) -> None:
        given = {"personId": self.rng.choice(account.people), "subject": f"{self.rng.choice(WORDS)} {self.next()}"}
        if self.rng.random() < 0.3:
            given["campaignId"] = self.rng.choice(self.campaigns)
        if self.rng.random() < 0.3:
            given["subject"] = self.rng.choice(WORDS)
        email = (await self.ask(account, DRAFT, i=given))["email"]
        if email is not None:
            account.emails.append(email["id"])

    async def send(self, account: Account) -> None:
        for email in self._emails(account, 2):
            at = None if self.rng.random() < 0.6 else self._moment(self._span())
            await self.ask(account, SEND, id=email, at=at, r=None)

    async def send_due(self, account: Account) -> None:
        while await self.outbox.step():
            pass

    async def revise(self, account: Account) -> None:
        for email in self._emails(account, 1):
            change = self.rng.choice(("subject", "person", "at"))
            given: dict[str, Any] = {"subject": self.rng.choice(WORDS)}
            if change == "person":
                given = {"personId": self.rng.choice(account.people)}
            if change == "at":
                given = {"at": self._moment(self._span())}
            await self.ask(account, REVISE, id=email, i=given)

    async def bulk(self, account: Account) -> None:
        emails = self._emails(account, 3)
        kind = self.rng.choice((*BULKS, "success"))
        if kind == "success":
            await self.ask(account, SUCCESS, ids=emails, s=self.rng.random() < 0.7)
        else:
            await self.ask(account, BULKS[kind], ids=emails)

    async def delete(self, account: Account) -> None:
        done = await self.ask(account, DELETE, ids=self._emails(account, 2))
        account.emails = [email for email in account.emails if email not in done["deletedIds"]]

    def _emails(self, account: Account, most: int) -> list[str]:
        return self.rng.sample(account.emails, min(len(account.emails), self.rng.randint(1, most)))

    def _span(self) -> timedelta:
        return self.rng.choice(list(SPANS.values()))

    def _moment(self, ahead: timedelta) -> str:
        return format_moment(self.clock.moment + ahead // MICROSECOND)

    # ---- what comes back ---------------------------------------------------------------------------

    async def record(self, account: Account) -> None:
        """Events, new ones and known ones, in one request or in several at once."""
        requests = []
        for _ in range(self.rng.choice((1, 1, 1, 3))):
            batch = [event for email in self._emails(account, 2) for event in self._events(email)]
            batch += self.rng.sample(self.events, min(len(self.events), self.rng.choice((0, 0, 3))))
            self.rng.shuffle(batch)
            requests.append(self.ask(account, RECORD, e=batch))
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

    async def reclassify(self, account: Account) -> None:
        ids = [node["id"] for node in (await account.client.one(FEED))["nodes"]]
        some = self.rng.sample(ids, min(len(ids), 4))
        await self.ask(account, RECLASSIFY, ids=some, v=self.rng.choice(VERDICTS))

    async def report(self, account: Account) -> None:
        """Bounces and complaints, now and then the same again."""
        for email in self._emails(account, 1):
            kind = self.rng.choice(("BOUNCED", "SPAM_COMPLAINT"))
            given = {"emailId": email, "kind": kind, "occurredAt": self._moment(timedelta(0))}
            self.reports.append(given | {"dedupeKey": f"report {self.next()}"})
        known = self.rng.sample(self.reports, min(len(self.reports), 1))
        await self.ask(account, REPORT, e=[*self.reports[-1:], *known])

    # ---- lists -------------------------------------------------------------------------------------

    def wish(self, account: Account) -> dict[str, Any]:
        ids = {
            "person": account.people,
            "personGroup": account.groups,
            "campaign": self.campaigns[:1] if account.team == "Blue" else self.campaigns,
        }
        known = {noun: values for noun, values in ids.items() if values}
        return Wishes(self.rng, known, account.role is Role.ADMIN, self.clock.moment).filter()

    async def save(self, account: Account) -> None:
        shared = self.rng.random() < 0.3
        given = {"name": f"L{self.next()}", "filter": self.wish(account), "shared": shared}
        self._saved(account, await self.ask(account, SAVE, i=given))

    def _saved(self, account: Account, payload: dict[str, Any]) -> None:
        if payload["savedSearch"] is not None:
            account.searches.append(payload["savedSearch"]["id"])

    async def refine(self, account: Account) -> None:
        if account.searches:
            search = self.rng.choice(account.searches)
            for _ in range(self.rng.choice((1, 1, 2))):
                await self.ask(account, REFINE, id=search, f=self.wish(account))

    async def publish(self, account: Account) -> None:
        """Renames and shares; or takes over what a colleague shared."""
        if account.searches and self.rng.random() < 0.5:
            search = self.rng.choice(account.searches)
            await self.ask(account, RENAME, id=search, n=f"L{self.next()}")
            await self.ask(account, SHARE, id=search, s=self.rng.random() < 0.7)
            return
        shared = (await account.client.one(PUBLISHED))["nodes"]
        if shared:
            self._saved(account, await self.ask(account, ADOPT, id=self.rng.choice(shared)["id"]))

    async def drop(self, account: Account) -> None:
        if len(account.searches) > 1:
            search = account.searches.pop(self.rng.randrange(len(account.searches)))
            await self.ask(account, DROP, id=search)

    async def promote(self, account: Account) -> None:
        """An admin is one no more, or is one again."""
        ada = self.accounts[1]
        ada.role = Role.MEMBER if ada.role is Role.ADMIN else Role.ADMIN
        await self.server.user(ada.name, ada.team, ada.role)

    async def flood(self, account: Account) -> None:
        """Many people come into a group, or leave it: one look says more than any follower's queue holds."""
        if self.flooded is None:
            return
        ann = self.accounts[0]
        group, crowd = self.flooded
        self.crowded = not self.crowded
        await self.ask(ann, JOIN if self.crowded else PART, id=group, p=crowd)

    async def crowd(self) -> None:
        """One world in four has a crowd: a group of a few, with more mail and more lists than a queue has places."""
        ann = self.accounts[0]
        made = await self.ask(ann, GROUP, n="Crowd", s=False)
        people = []
        for _ in range(2):
            given = {"name": "C", "address": f"c{self.next()}@people.example", "shared": False}
            people.append((await self.ask(ann, PERSON, i=given))["person"]["id"])
        self.flooded = (made["group"]["id"], people)
        mails = [{"personId": self.rng.choice(people), "subject": "Hi", "body": WIDE} for _ in range(FLOOD_MAILS)]
        for payload in await asyncio.gather(*(self.ask(ann, DRAFT, i=mail) for mail in mails)):
            ann.emails.append(payload["email"]["id"])
        wish = {"personGroup": [self.flooded[0]]}
        saves = [{"name": f"Crowd {number}", "filter": wish} for number in range(FLOOD_LISTS)]
        for payload in await asyncio.gather(*(self.ask(ann, SAVE, i=each) for each in saves)):
            ann.searches.append(payload["savedSearch"]["id"])
        for slow in (True, False):
            await self._subscribe(ann, None, slow)

    # ---- time, and who watches ---------------------------------------------------------------------

    async def advance(self, account: Account) -> None:
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
        self.trace[-1] += f" to {self.clock.moment}"

    async def look(self, account: Account) -> None:
        if self.rng.random() < 0.3:
            await self.server.settle()
        else:
            await self.server.engine.matcher.process_batch(tick=self.rng.random() < 0.7)

    async def follow(self, account: Account) -> None:
        """One more subscriber; or one that was away comes back with its last cursor."""
        away = [each for each in account.followers if not each.connected and not each.over]
        if away and self.rng.random() < 0.7:
            await self.again(self.rng.choice(away))
            return
        which = self.rng.choice([None, None, *account.searches])
        await self._subscribe(account, which, slow=self.rng.random() < 0.25)

    async def _subscribe(self, account: Account, which: str | None, slow: bool) -> None:
        follower = Follower(account.client, which, slow)
        await follower.begin()
        if not follower.over:
            account.followers.append(follower)
            await follower.connect()

    async def again(self, follower: Follower) -> None:
        """Back with the last cursor; after an expiry with a fresh fetch."""
        await follower.disconnect()
        if follower.expired:
            await follower.begin()
        if not follower.over:
            await follower.connect()

    async def lose(self, account: Account) -> None:
        for follower in self._some_followers(account):
            await follower.disconnect(abruptly=self.rng.random() < 0.5)

    async def dawdle(self, account: Account) -> None:
        """Some stop reading, others go on."""
        for follower in self._some_followers(account):
            follower.pause() if self.rng.random() < 0.7 else follower.resume()

    async def glance(self, account: Account) -> None:
        for follower in self._some_followers(account):
            await follower.fold()

    def _some_followers(self, account: Account) -> list[Follower]:
        return self.rng.sample(account.followers, min(len(account.followers), 2))

    async def trim(self, account: Account) -> None:
        """Drops the older part of the logs, so that some cursors expire."""
        await self.read_logs()
        before = self.clock.moment - self.rng.choice((0, 60_000_000))
        for team_id in await log.stale_teams(before):
            async with self.server.engine.ctx.writer.unit_of_work() as uow:
                await log.trim(uow.connection, team_id, before)

    async def reopen(self, account: Account) -> None:
        await self.restart()

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
