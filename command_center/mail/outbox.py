"""Sends due emails: claims them, hands them over, and records the outcomes.

Claiming and recording are two transactions, with the hand-over in between. An email is claimed before anything leaves,
so a crash between the hand-over and the recording is noticed afterwards. Such an email fails with OUTCOME_UNKNOWN, and
is never sent again automatically.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from command_center.actions.context import ActionContext
from command_center.actions.markup import filling
from command_center.actions.text_process import TextProcessLost
from command_center.database.connections import database
from command_center.database.errors import FailureLog, Unavailable
from command_center.mail import claims
from command_center.mail.claims import ClaimedEmail
from command_center.mail.compose import Unsendable, compose_copies, compose_email
from command_center.mail.hand_over_batches import HandOverBatch
from command_center.mail.links import Links
from command_center.mail.outcomes import HandOverResult, record_outcomes
from command_center.mail.statistics import MailStatistics
from command_center.mail.texts import TemplatesMissing
from command_center.mail.transport import (
    HAND_OVER_TIMEOUT_SECONDS,
    Delivered,
    Envelope,
    Failed,
    MailTransport,
    NotHandedOver,
    Outcome,
    RefusedCopy,
    Unknown,
)
from models.enums import FailureCode

POLL_INTERVAL_SECONDS = 1.0
"""The outbox polls the database at least this often, and retries after an error at this interval."""
MIN_WAIT_SECONDS = 0.05
RECOVERY_INTERVAL_SECONDS = 60.0
GRACE_SECONDS = 3.0
"""A stopped outbox waits at most this long for running hand-overs."""
MAX_RECORD_ATTEMPTS = 5
_NOT_RECORDED = Unknown("The outcome of the sending could not be recorded.")
MAX_START_DELAY_SECONDS = 240.0
"""A claim that is older than this is released instead of being handed over."""
MAX_COPIES_SECONDS = 120.0
"""Handing over the copies of one email takes at most this long."""
LOST_CLAIM_MICROSECONDS = int(
    (MAX_START_DELAY_SECONDS + HAND_OVER_TIMEOUT_SECONDS + MAX_COPIES_SECONDS + 60) * 1_000_000
)
"""If several processes share the database, a claim older than this belongs to a process that has died.

The unit is microseconds, and the value 10 minutes.
"""
MAX_DATABASE_WAIT_SECONDS = 300.0
"""An outcome waits at most this long for an unavailable database.

It is less than the age of a lost claim, so no other process fails the email before.
"""
_logger = logging.getLogger("command_center.outbox")


class Outbox:
    """Sends the emails of one database.

    Several may run on one PostgreSQL database, but only one on an SQLite file.

    `max_concurrent` limits the number of concurrent hand-overs. `poll_seconds` is the maximum interval between two
    polls of the database.
    """

    def __init__(
        self,
        ctx: ActionContext,
        links: Links,
        transport: MailTransport,
        max_concurrent: int = 8,
        poll_seconds: float = POLL_INTERVAL_SECONDS,
    ) -> None:
        self._ctx = ctx
        self._links = links
        self._transport = transport
        self._max_concurrent = max_concurrent
        self._poll_seconds = poll_seconds
        self._last_recovery = float("-inf")
        self._paused = False
        self.statistics = MailStatistics()
        self._outage = FailureLog(_logger, "the outbox waits for the database")

    async def run(self) -> None:
        """Recover lost claims and send due emails, until cancelled.

        After the cancellation, running hand-overs get GRACE_SECONDS, and their outcomes are recorded.
        """
        try:
            while True:
                self._ctx.writer.sends_due.clear()
                try:
                    await self._recover_periodically()
                    if not await self.step():
                        await self._wait_for_work()
                except Unavailable as exc:
                    self._outage.warn(exc)
                    await asyncio.sleep(POLL_INTERVAL_SECONDS)
                except Exception:
                    _logger.exception("a pass over the outbox failed and will be repeated")
                    await asyncio.sleep(POLL_INTERVAL_SECONDS)
        finally:
            await self._transport.close()

    async def recover(self) -> int:
        """Fail the emails of lost claims with OUTCOME_UNKNOWN, and return their number.

        A claim is lost if its outcome was never recorded. On SQLite no other process sends, so every claim is lost; on
        PostgreSQL only old claims are. Must not run at the same time as `step`.
        """
        before = await self._now() - LOST_CLAIM_MICROSECONDS if database().postgres else None
        lost_count = 0
        while count := await claims.fail_lost_claims(self._ctx, before):
            lost_count += count
        self.statistics.failed[FailureCode.OUTCOME_UNKNOWN] += lost_count
        if lost_count:
            _logger.warning("%d emails were being handed over when their sender stopped: OUTCOME_UNKNOWN", lost_count)
        return lost_count

    async def step(self) -> bool:
        """Claim one batch of due emails, send it and record the outcomes.

        Returns whether more emails may be due.
        """
        due = await claims.next_due(database())
        if due is None or due > await self._now():
            return False
        self._paused = not await self._may_send()
        if self._paused:
            return False
        started_at = time.monotonic()
        try:
            claimed, more = await claims.claim_batch(self._ctx, self._links.domain, self.statistics.failed)
        except TemplatesMissing as exc:
            await self._parse_templates(exc.bodies)
            return True
        if claimed:
            await self._complete(HandOverBatch(claimed, self._max_concurrent, started_at))
        return more

    async def _may_send(self) -> bool:
        writer = self._ctx.writer
        return writer.clock.pause_reason() is None and await writer.restores.may_send()

    async def _parse_templates(self, bodies: Sequence[str]) -> None:
        """Parse the fields of long bodies outside the event loop.

        The next claim fills them in.
        """
        for body in bodies:
            try:
                template = await self._ctx.composer.run(len(body), filling.parse_template, body)
            except TextProcessLost:
                template = filling.parse_template(body)
            filling.cache_template(body, template)

    async def _recover_periodically(self) -> None:
        if time.monotonic() - self._last_recovery >= RECOVERY_INTERVAL_SECONDS:
            await self.recover()
            self._last_recovery = time.monotonic()

    async def _wait_for_work(self) -> None:
        due = await claims.next_due(database())
        wait = self._poll_seconds if due is None or self._paused else (due - await self._now()) / 1_000_000
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait, MIN_WAIT_SECONDS), self._poll_seconds)):
                await self._ctx.writer.sends_due.wait()

    async def _now(self) -> int:
        return await self._ctx.writer.clock.now(database())

    async def _complete(self, batch: HandOverBatch) -> None:
        """Send the emails of a batch, and record the outcomes.

        If the task is cancelled, the outcomes are still recorded before this raises.
        """
        work = asyncio.create_task(self._send_batch(batch), name="outbox batch")
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            batch.stop.set()
            while not work.done():
                # A second cancellation must not lose the outcomes either.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            raise

    async def _send_batch(self, batch: HandOverBatch) -> None:
        """Hand over the emails of a batch, and record outcomes as they arrive.

        Simultaneous outcomes are recorded in one transaction.
        """
        # Short emails should not wait until long ones are composed.
        ordered = sorted(batch.claims, key=lambda claim: len(claim.email.body))
        tasks = {asyncio.create_task(self._send_unless_stopped(batch, claim)): claim for claim in ordered}
        stop = asyncio.create_task(batch.stop.wait())
        while tasks and not batch.stop.is_set():
            await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in tasks if task.done()]
            await self._record(batch, [batch.result_of(task, tasks.pop(task)) for task in done])
        stop.cancel()
        await self._finish_batch(batch, tasks)

    async def _finish_batch(
        self, batch: HandOverBatch, tasks: dict[asyncio.Task[Outcome | None], ClaimedEmail]
    ) -> None:
        """Record what remains of a batch that stops.

        Running hand-overs get GRACE_SECONDS. Those that take longer are cancelled, and their outcome is Unknown if
        the message may have left. Emails that were not started are released.
        """
        if not tasks:
            return
        _, hanging = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._record(batch, [batch.result_of(task, claim) for task, claim in tasks.items()])

    async def _send_unless_stopped(self, batch: HandOverBatch, claim: ClaimedEmail) -> Outcome | None:
        async with batch.gate:
            if batch.stop.is_set() or time.monotonic() - batch.started_at > MAX_START_DELAY_SECONDS:
                return None
            return await self._hand_over(batch, claim)

    async def _hand_over(self, batch: HandOverBatch, claim: ClaimedEmail) -> Outcome:
        try:
            email = claim.email
            message = await self._ctx.composer.run(len(email.body), compose_email, email, self._links)
        except Unsendable as exc:
            return Failed(FailureCode.CHANNEL_REFUSED, str(exc))
        except Exception:
            _logger.exception("email %d could not be composed", claim.email_id)
            return Failed(FailureCode.CHANNEL_REFUSED, "The message could not be put together.")
        batch.started.add(claim.email_id)
        try:
            outcome = await self._transport.send(message)
        except NotHandedOver:
            batch.started.discard(claim.email_id)
            raise
        except Exception:
            _logger.exception("handing over email %d failed with an unexpected error", claim.email_id)
            return Unknown("Sending ended with an unexpected error.")
        if isinstance(outcome, Delivered) and (claim.email.cc or claim.email.bcc):
            return Delivered(tuple(await self._send_copies(claim)))
        return outcome

    async def _send_copies(self, claim: ClaimedEmail) -> list[RefusedCopy]:
        """Hand over each cc and bcc as a message of its own.

        So a refusal concerns only one recipient.

        Return the copies that did not leave. They are never retried, even if the outbox stops meanwhile, because the
        email itself has left.
        """
        refused: list[RefusedCopy] = []
        remaining: list[Envelope] = []
        reason = "no time was left"
        try:
            remaining = await self._ctx.composer.run(len(claim.email.body), compose_copies, claim.email, self._links)
            async with asyncio.timeout(MAX_COPIES_SECONDS):
                while remaining:
                    outcome = await self._transport.send(remaining[0])
                    copy = remaining.pop(0)
                    if not isinstance(outcome, Delivered):
                        refused.append(RefusedCopy(copy.recipient, outcome.message))
        except (TimeoutError, NotHandedOver, asyncio.CancelledError):
            pass
        except Exception:
            _logger.exception("handing over a copy of email %d failed with an unexpected error", claim.email_id)
            reason = "an unexpected error"
        return refused + [RefusedCopy(copy.recipient, reason) for copy in remaining]

    async def _record(self, batch: HandOverBatch, results: Sequence[HandOverResult]) -> None:
        """Record outcomes in one transaction.

        If that fails, record each in its own transaction.

        After MAX_RECORD_ATTEMPTS an email fails with OUTCOME_UNKNOWN.
        """
        groups = [list(results)]
        for attempt in range(MAX_RECORD_ATTEMPTS):
            failed: list[list[HandOverResult]] = []
            for group in groups:
                try:
                    await self._record_together(batch, group)
                except Exception:
                    _logger.exception("the outcome of %d emails could not be recorded yet", len(group))
                    failed.extend([each] for each in group)
            if not failed:
                return
            groups = failed
            await asyncio.sleep(0.1 * 2**attempt)
        for group in groups:
            with suppress(Exception):
                await self._record_together(batch, [(claim, _NOT_RECORDED) for claim, _ in group])

    async def _record_together(self, batch: HandOverBatch, results: Sequence[HandOverResult]) -> None:
        """Record outcomes in one transaction.

        While the database is unavailable, it waits up to MAX_DATABASE_WAIT_SECONDS, or until the outbox stops.
        """
        deadline = time.monotonic() + MAX_DATABASE_WAIT_SECONDS
        while True:
            try:
                recorded = await record_outcomes(self._ctx, results)
            except Unavailable as exc:
                self._outage.warn(exc)
                if batch.stop.is_set() or time.monotonic() > deadline:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_INTERVAL_SECONDS):
                        await batch.stop.wait()
            else:
                self.statistics.count(recorded)
                for each in recorded:
                    _log_refused_copies(each.claim, each.outcome)
                return


def _log_refused_copies(claim: ClaimedEmail, outcome: Outcome | None) -> None:
    if isinstance(outcome, Delivered) and outcome.refused_copies:
        reasons = "; ".join(sorted({" ".join(each.message.split()) for each in outcome.refused_copies}))
        number = len(outcome.refused_copies)
        _logger.warning(
            "email %d left, but the mail server refused %d of its copies: %s", claim.email_id, number, reasons
        )
