"""Trouble with the mail server as a whole: emails wait, one connection probes, and operators see it."""

import asyncio
import logging
import socket
from datetime import datetime, timedelta

import pytest

from command_center.database.fields import to_micros
from command_center.mail import smtp_health
from command_center.mail.retries import MAX_RETRY_MICROSECONDS
from command_center.mail.smtp import SmtpTransport
from command_center.mail.transport import Deferred, Delivered, Outcome
from models.emails import Email
from models.enums import EmailStatus, FailureCode
from tests.mail.smtp_scripts import After, Fault, make_message, scripted_server
from tests.support.emails import DELIVERY_STATE, create_draft, create_person, send_email
from tests.support.monitoring import read_metrics
from tests.support.outbox import MINUTE, open_sender_team, send_all_due
from tests.support.server import PATIENCE, ManualClock, serving
from tests.support.smtp_servers import Mailbox
from tests.support.smtp_servers import run_mail_server as mail_serving

NO_SERVICE = Fault("BANNER", (b"554 no service\r\n",), After.CLOSES)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "command_center.mail"]


async def test_a_thousand_emails_do_not_make_a_thousand_connections() -> None:
    async with scripted_server() as server:
        server.greetings = [NO_SERVICE] * 2000
        channel, gate = SmtpTransport(server.url, 5, timeout_seconds=30), asyncio.Semaphore(8)

        async def one(number: int) -> Outcome:
            async with gate:
                return await channel.send(make_message(f"e{number}"))

        outcomes = await asyncio.gather(*(one(number) for number in range(1000)))
        await channel.close()
    assert set(outcomes) == {Deferred("554 no service", FailureCode.CHANNEL_REFUSED)}
    assert server.connections < 30


async def test_when_the_server_is_back_the_next_emails_leave(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server() as server:
        server.greetings = [NO_SERVICE] * 2
        channel = SmtpTransport(server.url, 5, timeout_seconds=30)
        first = [await channel.send(make_message(f"a{number}")) for number in range(2)]
        second = await asyncio.gather(*(channel.send(make_message(f"b{number}")) for number in range(5)))
        await channel.close()
    assert [type(each) for each in first] == [Deferred, Deferred]
    assert second == [Delivered()] * 5
    begun, ended = lines(caplog)
    assert "cannot be used" in begun
    assert "can be used again" in ended


async def test_an_outage_is_logged_periodically_not_per_email(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LOG_SECONDS", 0.4), ("WATCH_SECONDS", 0.1), ("SHORTEST_SECONDS", 0.1)):
        monkeypatch.setattr(smtp_health, name, seconds)
    async with scripted_server() as server:
        server.greetings = [NO_SERVICE] * 2000
        channel = SmtpTransport(server.url, 5, timeout_seconds=30)
        for number in range(100):
            assert isinstance(await channel.send(make_message(f"e{number}")), Deferred)
        assert len(lines(caplog)) < 5
        async with asyncio.timeout(PATIENCE):
            while len(lines(caplog)) < 3:
                await asyncio.sleep(0.02)
        assert "deferred 99 times" in lines(caplog)[-1] or "deferred 99 times" in lines(caplog)[-2]
        # Nothing is due, and yet the end is noticed.
        server.greetings.clear()
        async with asyncio.timeout(PATIENCE):
            while "can be used again" not in lines(caplog)[-1]:
                await asyncio.sleep(0.02)
        await channel.close()
    assert "cannot be used" in lines(caplog)[0]
    assert all("out of use" in each for each in lines(caplog)[1:-1])


async def test_a_refused_connection_is_no_outage_if_others_work(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server() as server:
        server.faults["slow@sellers.example"] = Fault("END", (b"25", b"0 queued\r\n"), pause=0.5)
        channel = SmtpTransport(server.url, 5, timeout_seconds=30)
        slow = asyncio.create_task(channel.send(make_message("slow")))
        await asyncio.sleep(0.2)
        server.greetings = [Fault("BANNER", (b"421 too many connections\r\n",), After.CLOSES)]
        assert await channel.send(make_message("e")) == Deferred("421 too many connections")
        assert await slow == Delivered()
        await channel.close()
    assert lines(caplog) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["closed", "refusing"])
async def test_an_email_is_deferred_for_a_day_and_then_fails(database_url: str, kind: str) -> None:
    async with open_sender_team(database_url) as at, scripted_server() as server:
        server.greetings = [NO_SERVICE] * 2000
        made = await at.email()
        channel = SmtpTransport(server.url if kind == "refusing" else f"smtp://127.0.0.1:{closed_port()}", 5)
        sender = at.outbox(channel)
        begun, waits = at.clock.moment, []
        while True:
            await send_all_due(sender)
            email = await Email.get(id=made.id)
            if email.status is not EmailStatus.SCHEDULED:
                break
            assert isinstance(email.due_at, datetime)
            moment = to_micros(email.due_at)
            waits.append((moment - at.clock.moment) // MINUTE)
            at.clock.moment = moment
        await channel.close()
        assert waits[:8] == [1, 2, 5, 10, 20, 40, 60, 60]
        assert at.clock.moment == begun + MAX_RETRY_MICROSECONDS
        code = FailureCode.CHANNEL_REFUSED if kind == "refusing" else FailureCode.CHANNEL_UNREACHABLE
        assert (email.status, email.failure_code) == (EmailStatus.FAILED, code)
        assert sender.statistics.failed == {code: 1}
        assert sender.statistics.deferred == len(waits)


async def test_each_emails_day_begins_with_its_own_first_attempt(sqlite_url: str) -> None:
    async with open_sender_team(sqlite_url) as at:
        early = await at.email()
        channel = SmtpTransport(f"smtp://127.0.0.1:{closed_port()}", 5)
        sender = at.outbox(channel)
        await send_all_due(sender)
        at.clock.moment += MAX_RETRY_MICROSECONDS
        late = await at.email()
        await send_all_due(sender)
        await channel.close()
        assert (await Email.get(id=early.id)).status is EmailStatus.FAILED
        assert (await Email.get(id=late.id)).status is EmailStatus.SCHEDULED


@pytest.mark.slow
async def test_an_outage_as_users_and_operators_see_it(database_url: str) -> None:
    clock = ManualClock()
    async with mail_serving(Mailbox()) as mailbox:
        port = closed_port()
        async with serving(database_url, clock, SMTP_URL=f"smtp://127.0.0.1:{port}") as server:
            ann = await server.client("Ann")
            ids = [await create_draft(ann, await create_person(ann, f"p{number}@example.org")) for number in range(3)]
            for each in ids:
                await send_email(ann, each)
            async with asyncio.timeout(PATIENCE):
                while {(await ann.one(DELIVERY_STATE, id=each))["status"] for each in ids} != {"SCHEDULED"}:
                    await asyncio.sleep(0.05)
            clock.advance(timedelta(seconds=30))
            found = await read_metrics(server)
            assert (found["emails_waiting"], found["oldest_waiting_email_seconds"]) == (3, 30)
            assert (found["emails_deferred_total"], found["emails_sent_total"]) == (3, 0)
            assert found['emails_failed_total{code="CHANNEL_UNREACHABLE"}'] == 0
        # The server is at its place again, and the emails leave by themselves when their wait is over.
        async with serving(database_url, clock, SMTP_URL=mailbox.url) as server:
            ann = await server.client("Ann")
            clock.advance(timedelta(seconds=31))
            async with asyncio.timeout(PATIENCE):
                while {(await ann.one(DELIVERY_STATE, id=each))["status"] for each in ids} != {"SENT"}:
                    await asyncio.sleep(0.05)
            found = await read_metrics(server)
            assert (found["emails_waiting"], found["oldest_waiting_email_seconds"]) == (0, 0)
            assert found["emails_sent_total"] == 3
        assert len(mailbox.taken) == 3


async def test_emails_that_failed_are_counted_by_code(sqlite_url: str) -> None:
    answers = {"b@example.org": "550 no such user", "MAIL": "250 ok"}
    async with mail_serving(Mailbox(answers)) as mailbox, serving(sqlite_url, SMTP_URL=mailbox.url) as server:
        ann = await server.client("Ann")
        for address in ("a@example.org", "b@example.org"):
            await send_email(ann, await create_draft(ann, await create_person(ann, address)))
        async with asyncio.timeout(PATIENCE):
            while (await read_metrics(server))["emails_waiting"]:
                await asyncio.sleep(0.05)
        found = await read_metrics(server)
        assert found["emails_sent_total"] == 1
        assert found['emails_failed_total{code="BOUNCED"}'] == 1


async def test_the_start_reports_whether_the_mail_server_can_be_used(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "command_center.runtime")

    async def report(url: str) -> str:
        caplog.clear()
        async with serving(sqlite_url, SMTP_URL=url), asyncio.timeout(PATIENCE):
            while True:
                for each in caplog.messages:
                    if "the mail server" in each:
                        return each
                await asyncio.sleep(0.01)

    async with mail_serving(Mailbox()) as mailbox:
        assert (await report(mailbox.url)).endswith("can be used")
    assert "cannot be used" in await report(f"smtp://127.0.0.1:{closed_port()}")
    async with scripted_server() as silent:
        silent.greetings = [Fault("BANNER", (), After.SILENT)]
        # The product starts and stops all the same.
        async with serving(sqlite_url, SMTP_URL=silent.url) as server:
            await server.client("Ann")
