"""Pixels and links as a recipient's mail program fetches them, over a real database."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from command_center.actions import users
from command_center.actions.context import ActionContext
from command_center.actions.engagements import Recorder
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.connections import open_database
from command_center.database.fields import to_micros
from command_center.mail.links import Links
from command_center.mail.routes import PIXEL, tracking_routes
from models.emails import Email
from models.engagements import Engagement
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, Role
from models.people import Person
from tests.support.server import BROWSER, ManualClock

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LINKS = Links("a secret of some length", "http://mail.test")
TARGET = "https://a.example/x?y=1&z=%7B%20{}#part"
NEVER = 2**40


class Recipient:
    """A mail program, the email it shows, and the recorder at the other end."""

    def __init__(self, http: httpx.AsyncClient, email: Email, recorder: Recorder) -> None:
        self.http = http
        self.email = email
        self.recorder = recorder

    async def get(self, url: str, **headers: str) -> httpx.Response:
        return await self.http.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def events(self) -> list[Engagement]:
        return await Engagement.filter(email_id=self.email.id).order_by("id")


@asynccontextmanager
async def recipient(url: str) -> AsyncIterator[Recipient]:
    clock = ManualClock(to_micros(NOON))
    async with open_database(url):
        ctx = ActionContext(Writer(clock, Hub()))
        email = await _sent(ctx)
        recorder = Recorder(ctx)
        await recorder.start()
        transport = httpx.ASGITransport(
            Starlette(routes=tracking_routes(LINKS, recorder, clock)), client=("192.0.2.7", 4711)
        )
        async with httpx.AsyncClient(transport=transport, headers=BROWSER) as http:
            yield Recipient(http, email, recorder)
        await recorder.stop()


async def _sent(ctx: ActionContext) -> Email:
    sender = await users.add(ctx, "Sellers", "Sam", "sam@sellers.example", Role.MEMBER, "UTC")
    person = await Person.create(
        team_id=sender.team_id,
        owner=sender,
        name="P",
        name_folded="p",
        address="p@x.example",
        address_folded="p@x.example",
        created_at=NOON,
    )
    return await Email.create(
        team_id=sender.team_id,
        sender=sender,
        person=person,
        subject="Hello",
        subject_folded="hello",
        status=EmailStatus.SENT,
        created_at=NOON,
        updated_at=NOON,
        sent_at=NOON - timedelta(hours=1),
    )


async def test_a_fetched_pixel_is_a_view(database_url: str) -> None:
    async with recipient(database_url) as pat:
        answer = await pat.get(LINKS.pixel(pat.email.id), User_Agent="Mail/1.0")
        assert answer.status_code == 200
        assert answer.content == PIXEL
        assert len(PIXEL) == 43
        assert answer.headers["content-type"] == "image/gif"
        assert "no-store" in answer.headers["cache-control"]
        (event,) = await pat.events()
        assert (event.kind, event.verdict) == (EngagementKind.VIEW, EngagementVerdict.HUMAN)
        assert (event.occurred_at, event.user_agent, event.ip_address) == (NOON, "Mail/1.0", "192.0.2.7")
        await pat.get(LINKS.pixel(pat.email.id))
        assert (await Email.get(id=pat.email.id)).views == 2


async def test_an_invalid_pixel_gets_the_image_and_records_nothing(database_url: str) -> None:
    async with recipient(database_url) as pat:
        good = LINKS.pixel(pat.email.id)
        right = await pat.get(good)
        for bad in (good[:-5] + "x.gif", "http://mail.test/t/o/nonsense", LINKS.pixel(NEVER)):
            wrong = await pat.get(bad)
            assert (wrong.status_code, wrong.content) == (right.status_code, right.content)
            assert sorted(wrong.headers.items()) == sorted(right.headers.items())
        assert await Engagement.all().count() == 1


async def test_link_records_a_click_and_redirects_to_its_exact_target(database_url: str) -> None:
    async with recipient(database_url) as pat:
        answer = await pat.get(LINKS.click(pat.email.id, TARGET))
        assert (answer.status_code, answer.headers["location"]) == (302, TARGET)
        assert "no-store" in answer.headers["cache-control"]
        (event,) = await pat.events()
        assert (event.kind, event.url) == (EngagementKind.CLICK, TARGET)
        email = await Email.get(id=pat.email.id)
        assert (email.views, email.clicks) == (0, 1)


async def test_a_link_that_is_not_ours_leads_nowhere(database_url: str) -> None:
    async with recipient(database_url) as pat:
        good = LINKS.click(pat.email.id, TARGET)
        forged = Links("another secret", "http://mail.test").click(pat.email.id, "https://evil.example/")
        for bad in (good[:-1], good + "A", forged, "http://mail.test/t/c/https%3A%2F%2Fevil.example"):
            answer = await pat.get(bad)
            assert answer.status_code == 404
            assert "location" not in answer.headers
        assert await pat.events() == []


async def test_a_deleted_emails_links_still_lead_on(database_url: str) -> None:
    async with recipient(database_url) as pat:
        assert (await pat.get(LINKS.click(NEVER, TARGET))).headers["location"] == TARGET
        assert await Engagement.all().count() == 0


async def test_an_archived_email_is_not_tracked_and_still_served(database_url: str) -> None:
    async with recipient(database_url) as pat:
        await Email.filter(id=pat.email.id).update(archived=True)
        assert (await pat.get(LINKS.pixel(pat.email.id))).content == PIXEL
        assert (await pat.get(LINKS.click(pat.email.id, TARGET))).status_code == 302
        assert await pat.events() == []


@pytest.mark.parametrize(
    "headers", [{"Purpose": "prefetch"}, {"Sec_Purpose": "prefetch;prerender"}, {"X_Moz": "prefetch"}]
)
async def test_what_fetches_ahead_is_a_machine(sqlite_url: str, headers: Mapping[str, str]) -> None:
    async with recipient(sqlite_url) as pat:
        await pat.get(LINKS.pixel(pat.email.id), **headers)
        (event,) = await pat.events()
        assert event.verdict is EngagementVerdict.MACHINE
        assert (await Email.get(id=pat.email.id)).views == 0


async def test_head_records_a_machine_click_for_links_only(sqlite_url: str) -> None:
    async with recipient(sqlite_url) as pat:
        assert (await pat.http.head(LINKS.pixel(pat.email.id))).status_code == 200
        assert (await pat.http.post(LINKS.pixel(pat.email.id))).status_code == 405
        assert await pat.events() == []
        answer = await pat.http.head(LINKS.click(pat.email.id, TARGET))
        assert (answer.status_code, answer.headers["location"], answer.content) == (302, TARGET, b"")
        (event,) = await pat.events()
        assert (event.kind, event.verdict) == (EngagementKind.CLICK, EngagementVerdict.MACHINE)
        assert "head" in event.verdict_reason
        assert (await Email.get(id=pat.email.id)).clicks == 0


async def test_recipients_are_served_even_if_nothing_can_be_recorded(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise OSError("the database is away")

    async with recipient(sqlite_url) as pat:
        monkeypatch.setattr(pat.recorder, "record", fails)
        assert (await pat.get(LINKS.pixel(pat.email.id))).content == PIXEL
        assert (await pat.get(LINKS.click(pat.email.id, TARGET))).headers["location"] == TARGET


async def test_odd_headers_do_not_lose_the_event(sqlite_url: str) -> None:
    async with recipient(sqlite_url) as pat:
        await pat.get(LINKS.pixel(pat.email.id), User_Agent="x" * 9000)
        await pat.http.get(LINKS.pixel(pat.email.id), headers=[(b"User-Agent", b"\xff\xfe\x01agent")])
        first, second = await pat.events()
        assert len(first.user_agent or "") == 1000
        assert second.user_agent == "ÿþ\x01agent"
