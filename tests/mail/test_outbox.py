"""The sender loop against a real database and a real mail server: each email leaves once or says why not."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from command_center.actions.context import Limits
from command_center.database.fields import from_micros, to_micros
from command_center.mail import claims, outbox
from command_center.mail.smtp import SmtpTransport
from command_center.mail.transport import (
    Bounced,
    Deferred,
    Envelope,
    Failed,
    Outcome,
    Unknown,
)
from models.campaigns import Campaign
from models.changes import Invalidation
from models.emails import Email
from models.enums import EmailStatus, FailureCode, FolderName
from tests.support.outbox import (
    LINKS,
    MINUTE,
    NOON,
    FixedOutcomeTransport,
    open_sender_team,
    run_outbox,
    send_all_due,
    wait_until,
)
from tests.support.smtp_servers import Mailbox, run_mail_server


async def test_a_hundred_emails_leave_by_smtp_each_once(database_url: str) -> None:
    async with open_sender_team(database_url) as at, run_mail_server(Mailbox()) as box:
        emails = [await at.email() for _ in range(100)]
        channel = SmtpTransport(box.url)
        await send_all_due(at.outbox(channel))
        await channel.close()
        assert sorted(one.rcpt_tos[0] for one in box.taken) == sorted(f"p{n}@people.example" for n in range(1, 101))
        sent = await Email.get(id=emails[0].id)
        assert (sent.status, sent.sent_at, sent.due_at, sent.claimed_at) == (EmailStatus.SENT, NOON, None, None)
        assert sent.attempts == 1
        assert sent.message_id is not None
        contents = [one.content for one in box.taken if isinstance(one.content, bytes)]
        mine = [content for content in contents if sent.message_id.encode() in content]
        assert len(mine) == 1
        assert b"https://mail.example.com/t/c/" in mine[0].replace(b"=\r\n", b"")
        assert await at.counts() == {FolderName.DELIVERED: 100}
        assert await Invalidation.filter(subject_id=sent.id).exists()


@pytest.mark.parametrize(
    "answer, status, code",
    [
        (Bounced("550 no such user"), EmailStatus.BOUNCED, FailureCode.BOUNCED),
        (Failed(FailureCode.CHANNEL_REFUSED, "535 who"), EmailStatus.FAILED, FailureCode.CHANNEL_REFUSED),
        (Failed(FailureCode.CHANNEL_UNREACHABLE, "nobody"), EmailStatus.FAILED, FailureCode.CHANNEL_UNREACHABLE),
        (Unknown("broke"), EmailStatus.FAILED, FailureCode.OUTCOME_UNKNOWN),
    ],
)
async def test_failed_emails_have_their_reasons(
    database_url: str, answer: Bounced | Failed | Unknown, status: EmailStatus, code: FailureCode
) -> None:
    async with open_sender_team(database_url) as at:
        made = await at.email()
        channel = FixedOutcomeTransport(lambda _: answer)
        await send_all_due(at.outbox(channel))
        email = await Email.get(id=made.id)
        assert (email.status, email.failure_code, email.failure_message) == (status, code, answer.message)
        assert (email.failed_at, email.sent_at, email.due_at, email.claimed_at) == (NOON, None, None, None)
        assert await at.counts() == {email.folder: 1}
        at.clock.moment += 3 * 24 * 60 * MINUTE
        await send_all_due(at.outbox(channel))
        assert len(channel.taken) == 1


async def test_a_deferred_email_backs_off_and_fails_after_a_day(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        made = await at.email()
        channel = FixedOutcomeTransport(lambda _: Deferred("450 later"))
        sender = at.outbox(channel)
        waits: list[int] = []
        while True:
            await send_all_due(sender)
            email = await Email.get(id=made.id)
            if email.status is not EmailStatus.SCHEDULED:
                break
            assert email.scheduled_at == email.due_at
            assert await at.counts() == {FolderName.SCHEDULED: 1}
            due = to_micros(email.due_at) if isinstance(email.due_at, datetime) else 0
            waits.append((due - at.clock.moment) // MINUTE)
            at.clock.moment = due - 1
            assert not await sender.step()
            at.clock.moment = due
        assert waits[:7] == [1, 2, 5, 10, 20, 40, 60]
        assert sum(waits) == 24 * 60
        assert (email.status, email.failure_code) == (EmailStatus.FAILED, FailureCode.CHANNEL_REFUSED)
        assert "450 later" in str(email.failure_message)
        assert len({one.content.split(b"Message-ID: ")[1].split(b"\r\n")[0] for one in channel.taken}) == 1


async def test_a_scheduled_email_leaves_when_it_is_due_and_not_before(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        due = at.clock.moment + MINUTE
        made = await at.email(status=EmailStatus.SCHEDULED, due_at=due, scheduled_at=due)
        channel = FixedOutcomeTransport()
        sender = at.outbox(channel)
        at.clock.moment = due - 1
        assert not await sender.step()
        at.clock.moment = due
        await send_all_due(sender)
        email = await Email.get(id=made.id)
        assert (email.status, email.scheduled_at) == (EmailStatus.SENT, from_micros(due))
        assert await at.counts() == {FolderName.DELIVERED: 1}


async def test_nothing_leaves_to_whom_nothing_may_be_sent(database_url: str) -> None:
    async with open_sender_team(database_url, Limits(blocked_domains=frozenset({"blocked.example"}))) as at:
        gone = await at.email(person=await at.person(unsubscribed_at=NOON))
        blocked = await at.email(person=await at.person(address="x@blocked.example"))
        ended = await Campaign.create(
            team_id=at.sender.team_id, owner=at.sender, name="C", created_at=NOON, ended_at=NOON
        )
        late = await at.email(campaign=ended)
        good = await at.email()
        channel = FixedOutcomeTransport()
        await send_all_due(at.outbox(channel))
        codes = [(await Email.get(id=one.id)).failure_code for one in (gone, blocked, late, good)]
        expected = [FailureCode.UNSUBSCRIBED, FailureCode.BLOCKED_DOMAIN, FailureCode.CAMPAIGN_ENDED, None]
        assert codes == expected
        assert len(channel.taken) == 1
        assert await at.counts() == {FolderName.FAILED: 3, FolderName.DELIVERED: 1}


async def test_over_the_daily_limit_emails_wait_for_the_next_day(database_url: str) -> None:
    async with open_sender_team(database_url, Limits(emails_per_day=3), zone="Asia/Kolkata") as at:
        midnight = datetime(2026, 11, 24, 18, 30, tzinfo=UTC)
        await at.email(status=EmailStatus.SENT, due_at=None, sent_at=datetime(2026, 11, 23, 18, 29, tzinfo=UTC))
        await at.email(status=EmailStatus.SENT, due_at=None, sent_at=datetime(2026, 11, 23, 18, 30, tzinfo=UTC))
        waiting = [await at.email() for _ in range(7)]
        channel = FixedOutcomeTransport()
        sender = at.outbox(channel)
        await send_all_due(sender)
        assert len(channel.taken) == 2
        later = await Email.filter(id__in=[one.id for one in waiting], status=EmailStatus.SCHEDULED)
        assert len(later) == 5
        assert {(one.due_at, one.scheduled_at, one.attempts) for one in later} == {(midnight, midnight, 0)}
        at.clock.moment = to_micros(midnight)
        await send_all_due(sender)
        assert len(channel.taken) == 5
        assert await at.counts() == {FolderName.DELIVERED: 7, FolderName.SCHEDULED: 2}


async def test_the_limit_counts_what_another_worker_has_in_hand(postgres_url: str) -> None:
    async with open_sender_team(postgres_url, Limits(emails_per_day=60)) as at:
        for _ in range(120):
            await at.email()
        channel = FixedOutcomeTransport()
        await asyncio.gather(*(send_all_due(at.outbox(channel)) for _ in range(4)))
        assert len(channel.taken) == 60
        assert await at.counts() == {FolderName.DELIVERED: 60, FolderName.SCHEDULED: 60}


async def test_several_workers_never_send_one_email_twice(postgres_url: str) -> None:
    async with open_sender_team(postgres_url) as at:
        for _ in range(230):
            await at.email()
        channel = FixedOutcomeTransport()
        await asyncio.gather(*(send_all_due(at.outbox(channel)) for _ in range(5)))
        assert len(channel.taken) == len({one.recipient for one in channel.taken}) == 230


async def test_an_email_is_claimed_before_anything_leaves(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        made = await at.email()
        channel = FixedOutcomeTransport(hold=asyncio.Event())
        step = asyncio.create_task(at.outbox(channel).step())
        await wait_until(lambda: bool(channel.taken))
        held = await Email.get(id=made.id)
        assert (held.status, held.claimed_at, held.attempts) == (EmailStatus.IN_PROGRESS, NOON, 1)
        assert held.message_id is not None
        assert held.message_id.encode() in channel.taken[0].content
        assert not await at.outbox(FixedOutcomeTransport()).step()
        assert channel.hold is not None
        channel.hold.set()
        await step
        assert (await Email.get(id=made.id)).status is EmailStatus.SENT


async def test_after_a_crash_the_outcome_is_unknown_and_not_resent(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        made, waiting = await at.email(), await at.email(due_at=at.clock.moment + MINUTE, status=EmailStatus.SCHEDULED)
        taken, _ = await claims.claim_batch(at.ctx, LINKS.domain)
        assert [one.email_id for one in taken] == [made.id]
        at.clock.moment += outbox.LOST_CLAIM_MICROSECONDS
        channel = FixedOutcomeTransport()
        sender = at.outbox(channel)
        assert await sender.recover() == 1
        await send_all_due(sender)
        email = await Email.get(id=made.id)
        assert (email.status, email.failure_code) == (EmailStatus.FAILED, FailureCode.OUTCOME_UNKNOWN)
        assert [one.recipient for one in channel.taken] == ["p2@people.example"]
        assert (await Email.get(id=waiting.id)).status is EmailStatus.SENT
        assert await at.counts() == {FolderName.FAILED: 1, FolderName.DELIVERED: 1}


async def test_with_several_workers_a_live_workers_claim_is_kept(postgres_url: str) -> None:
    async with open_sender_team(postgres_url) as at:
        await at.email()
        await claims.claim_batch(at.ctx, LINKS.domain)
        at.clock.moment += outbox.LOST_CLAIM_MICROSECONDS - 1
        assert await at.outbox(FixedOutcomeTransport()).recover() == 0


async def test_with_one_process_claims_found_at_startup_are_lost(sqlite_url: str) -> None:
    async with open_sender_team(sqlite_url) as at:
        await at.email()
        await claims.claim_batch(at.ctx, LINKS.domain)
        assert await at.outbox(FixedOutcomeTransport()).recover() == 1


async def test_an_outcome_after_the_email_was_given_up_changes_nothing(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        made = await at.email()
        channel = FixedOutcomeTransport(hold=asyncio.Event())
        step = asyncio.create_task(at.outbox(channel).step())
        await wait_until(lambda: bool(channel.taken))
        at.clock.moment += outbox.LOST_CLAIM_MICROSECONDS
        assert await at.outbox(FixedOutcomeTransport()).recover() == 1
        assert channel.hold is not None
        channel.hold.set()
        await step
        assert (await Email.get(id=made.id)).failure_code is FailureCode.OUTCOME_UNKNOWN


async def test_what_cannot_be_composed_fails_alone(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        wrong = await at.email(cc=["not an address"])
        good = await at.email(cc=["carl@people.example"], bcc=["bücher@people.example"])
        channel = FixedOutcomeTransport()
        await send_all_due(at.outbox(channel))
        failed = await Email.get(id=wrong.id)
        assert failed.failure_code is FailureCode.CHANNEL_REFUSED
        assert "not an address" in str(failed.failure_message)
        assert (await Email.get(id=good.id)).status is EmailStatus.SENT
        assert [each.recipient for each in channel.taken[1:]] == ["carl@people.example", "bücher@people.example"]


async def test_an_unexpected_transport_error_is_an_unknown_outcome(database_url: str) -> None:
    def broken(_: Envelope) -> Outcome:
        raise RuntimeError("no one thought of this")

    async with open_sender_team(database_url) as at:
        made = await at.email()
        await send_all_due(at.outbox(FixedOutcomeTransport(broken)))
        assert (await Email.get(id=made.id)).failure_code is FailureCode.OUTCOME_UNKNOWN


async def test_the_loop_is_woken_and_polls_as_well(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        channel = FixedOutcomeTransport()
        # One that looks by itself once an hour has to be woken.
        async with run_outbox(at.outbox(channel, look=3600)):
            await asyncio.sleep(0.2)
            await at.email()
            at.ctx.writer.sends_due.set()
            await wait_until(lambda: len(channel.taken) == 1)
        async with run_outbox(at.outbox(channel)):
            await asyncio.sleep(0.2)
            await at.email()
            await wait_until(lambda: len(channel.taken) == 2)


async def test_the_loop_survives_a_failing_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_sender_team(database_url) as at:
        channel = FixedOutcomeTransport()
        failures = 0

        async def fails(*_: Any) -> None:
            nonlocal failures
            failures += 1
            raise OSError("the database is away")

        with monkeypatch.context() as patch:
            patch.setattr(claims, "next_due", fails)
            async with run_outbox(at.outbox(channel)):
                await wait_until(lambda: failures > 0)
                patch.undo()
                await at.email()
                await wait_until(lambda: len(channel.taken) == 1)


async def test_a_graceful_stop_finishes_sends_and_releases_claims(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        for _ in range(20):
            await at.email()
        channel = FixedOutcomeTransport(hold=asyncio.Event())
        async with run_outbox(at.outbox(channel)) as task:
            await wait_until(lambda: len(channel.taken) == 8)
            task.cancel()
            await asyncio.sleep(0.05)
            assert channel.hold is not None
            channel.hold.set()
        assert len(channel.taken) == 8
        assert await at.counts() == {FolderName.DELIVERED: 8, FolderName.IN_PROGRESS: 12}
        back = await Email.filter(status=EmailStatus.IN_PROGRESS)
        assert {(one.claimed_at, one.due_at, one.attempts, one.first_attempt_at) for one in back} == {
            (None, NOON, 0, None)
        }
        await send_all_due(at.outbox(channel))
        assert len({one.recipient for one in channel.taken}) == len(channel.taken) == 20
