"""An outbox without a server: a team with one sender, its emails, and a transport that returns fixed outcomes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from command_center.actions import users
from command_center.actions.context import ActionContext, Limits
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.connections import open_database
from command_center.database.fields import to_micros
from command_center.mail.links import Links
from command_center.mail.outbox import POLL_INTERVAL_SECONDS, Outbox
from command_center.mail.transport import Delivered, Envelope, MailTransport, Outcome
from models.emails import Email, FolderCount
from models.enums import EmailStatus, FolderName, Role
from models.people import Person
from models.users import User
from tests.support.server import ManualClock

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = 60 * 1_000_000
LINKS = Links("a secret of some length", "https://mail.example.com")


@dataclass
class FixedOutcomeTransport:
    """A channel that answers as told; `before` runs while the message is on its way."""

    answer: Callable[[Envelope], Outcome] = lambda _: Delivered()
    taken: list[Envelope] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def send(self, envelope: Envelope) -> Outcome:
        self.taken.append(envelope)
        if self.hold is not None:
            await self.hold.wait()
        return self.answer(envelope)

    async def close(self) -> None:
        pass


@dataclass
class SenderTeam:
    """A team with one sender, and what mail it has."""

    ctx: ActionContext
    clock: ManualClock
    sender: User
    people: int = 0

    def outbox(self, channel: MailTransport, look: float = POLL_INTERVAL_SECONDS) -> Outbox:
        return Outbox(self.ctx, LINKS, channel, poll_seconds=look)

    async def person(self, **values: Any) -> Person:
        self.people += 1
        address = values.pop("address", f"p{self.people}@people.example")
        return await Person.create(
            team_id=self.sender.team_id,
            owner=self.sender,
            name=f"P{self.people}",
            name_folded=f"p{self.people}",
            address=address,
            address_folded=address,
            created_at=NOON,
            **values,
        )

    async def email(self, **values: Any) -> Email:
        """An email that waits to be sent, by default at once. Counted as the actions count."""
        person = values.pop("person", None) or await self.person()
        given = {
            "team_id": self.sender.team_id,
            "sender": self.sender,
            "person": person,
            "subject": "Hello",
            "subject_folded": "hello",
            "body": "<p>Hi <a href='https://a.example/'>there</a></p>",
            "status": EmailStatus.IN_PROGRESS,
            "due_at": self.clock.moment,
            "created_at": NOON,
            "updated_at": NOON,
        }
        made = await Email.create(**{**given, **values})
        async with self.ctx.writer.unit_of_work() as uow:
            uow.move_count(made.sender_id, None, made.folder)
        return made

    async def counts(self) -> dict[FolderName, int]:
        rows = await FolderCount.filter(sender_id=self.sender.id)
        return {row.folder: row.email_count for row in rows if row.email_count}


@asynccontextmanager
async def open_sender_team(url: str, limits: Limits | None = None, zone: str = "UTC") -> AsyncIterator[SenderTeam]:
    clock = ManualClock(to_micros(NOON))
    async with open_database(url):
        ctx = ActionContext(Writer(clock, Hub()), limits or Limits())
        sender = await users.add(ctx, "Sellers", "Sam", "sam@sellers.example", Role.MEMBER, zone)
        yield SenderTeam(ctx, clock, sender)


async def send_all_due(sender: Outbox) -> None:
    while await sender.step():
        pass


@asynccontextmanager
async def run_outbox(sender: Outbox) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(sender.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
