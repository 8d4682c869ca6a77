"""Engagement events on their way in: many callers in one commit, against a row at a time through Tortoise."""

import asyncio
import itertools

from benchmarks.measure import Ratio, ratio
from command_center import ids
from command_center.actions import emails, people, users
from command_center.actions.emails import NewEmail
from command_center.actions.engagement_requests import NewEvent
from command_center.actions.people import NewPerson
from command_center.server.runtime import Runtime, run_runtime
from models.emails import Email
from models.enums import EngagementKind, Role
from models.viewers import Viewer
from tests.support.server import settings

CALLERS = 400
ROWS = 40


async def run(database_url: str) -> Ratio:
    async with run_runtime(settings(database_url), run_worker=False) as engine:
        return await _run(engine)


async def _run(engine: Runtime) -> Ratio:
    user = await users.add(engine.ctx, "Team", "Ann", "ann@example.com", Role.MEMBER, "UTC")
    viewer = Viewer(user.id, user.team_id, Role.MEMBER)
    person = await people.create(engine.ctx, viewer, NewPerson("Pat", "pat@example.org"))
    email = await emails.draft(engine.ctx, viewer, NewEmail(ids.encode("Person", person.id), "Hello"))
    email_id = ids.encode("Email", email.id)
    numbers = itertools.count()

    async def one() -> None:
        event = NewEvent(email_id, EngagementKind.VIEW, 1, f"k{next(numbers)}")
        assert (await engine.recorder.record([event], viewer)).recorded == 1

    async def together() -> None:
        await asyncio.gather(*(one() for _ in range(CALLERS)))

    async def row_by_row() -> None:
        for _ in range(ROWS):
            row = await Email.get(id=email.id)
            row.views += 1
            await row.save()

    await together()
    await row_by_row()
    return await ratio(
        "a durable event, 400 callers at once: group commit / Tortoise get + save",
        together,
        row_by_row,
        (CALLERS, ROWS),
    )
