"""The sender loop: claims what is due, hands it over, writes down what became of it. Three steps, two transactions.

An email is claimed before anything leaves, so a crash between hand-over and writing down is seen afterwards: such an
email becomes OUTCOME_UNKNOWN and is never sent again by itself.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from command_center.actions.context import ActionContext
from command_center.actions.markup import filling
from command_center.actions.text_process import TextProcessLost
from command_center.database.connections import database
from command_center.database.errors import FailureLog, Unavailable
from command_center.mail import claims
from command_center.mail.claims import ClaimedEmail
from command_center.mail.compose import Unsendable, copies, envelope
from command_center.mail.links import Links
from command_center.mail.outcomes import Result, write_down
from command_center.mail.statistics import MailStatistics
from command_center.mail.texts import TemplatesMissing
from command_center.mail.transport import (
    PATIENCE,
    Deferred,
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

LOOK_SECONDS = 1.0
SHORTEST_SECONDS = 0.05
RECOVER_SECONDS = 60.0
GRACE_SECONDS = 3.0
"""How long a loop that is told to stop waits for what is being handed over."""
TRIES = 5
_NOT_RECORDED = Unknown("The outcome of the sending could not be written down.")
START_SECONDS = 240.0
"""An email claimed longer ago is given back, not begun."""
COPIES_SECONDS = 120.0
"""The longest that handing over the copies of one email may take."""
LOST = int((START_SECONDS + PATIENCE + COPIES_SECONDS + 60) * 1_000_000)
"""Where others share the database, a claim older than this (10 minutes) belongs to nobody that lives."""
PERSISTENCE_SECONDS = 300.0
"""How long an outcome waits for a database that fails: others take the claim for lost later than that."""
_logger = logging.getLogger("command_center.outbox")


class Outbox:
    """Sends the mail of one database. Several may run against one PostgreSQL, one against an SQLite file.

    `look` is how many seconds it rests at most where nobody wakes it.
    """

    def __init__(
        self, ctx: ActionContext, links: Links, channel: MailTransport, at_once: int = 8, look: float = LOOK_SECONDS
    ) -> None:
        self._desk = ctx
        self._links = links
        self._channel = channel
        self._at_once = at_once
        self._look = look
        self._recovered = float("-inf")
        self._paused = False
        self.tally = MailStatistics()
        self._outage = FailureLog(_logger, "the outbox waits for the database")

    async def run(self) -> None:
        """Recovers, then sends whatever is due until cancelled; what is being handed over then is finished first."""
        try:
            while True:
                self._desk.writer.sends_due.clear()
                try:
                    await self._recover_sometimes()
                    if not await self.step():
                        await self._rest()
                except Unavailable as exc:
                    self._outage.warn(exc)
                    await asyncio.sleep(LOOK_SECONDS)
                except Exception:
                    _logger.exception("a look at the outbox failed and will be repeated")
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._channel.close()

    async def recover(self) -> int:
        """Fails with OUTCOME_UNKNOWN what was claimed and never written down; how many. Never called during a step.

        With SQLite nobody else sends, so whatever is claimed is lost. With PostgreSQL only old claims are.
        """
        before = await self._now() - LOST if database().postgres else None
        lost = 0
        while found := await claims.abandon(self._desk, before):
            lost += found
        self.tally.failed[FailureCode.OUTCOME_UNKNOWN] += lost
        if lost:
            _logger.warning("%d emails were being handed over when their sender stopped: OUTCOME_UNKNOWN", lost)
        return lost

    async def step(self) -> bool:
        """Claims one batch of what is due and sees it through. Whether there may be more."""
        due = await claims.next_due(database())
        if due is None or due > await self._now():
            return False
        self._paused = not await self._may_send()
        if self._paused:
            return False
        began = time.monotonic()
        try:
            taken, more = await claims.claim(self._desk, self._links.domain, self.tally.failed)
        except TemplatesMissing as exc:
            await self._read_templates(exc.bodies)
            return True
        if taken:
            await self._see_through(_Batch(taken, self._at_once, began))
        return more

    async def _may_send(self) -> bool:
        writer = self._desk.writer
        return writer.clock.pause() is None and await writer.restores.may_send()

    async def _read_templates(self, bodies: Sequence[str]) -> None:
        """Finds the fields of long bodies, away from the event loop; the next claim fills them in."""
        for body in bodies:
            try:
                found = await self._desk.composing.run(len(body), filling.read_template, body)
            except TextProcessLost:
                found = filling.read_template(body)
            filling.keep_template(body, found)

    async def _recover_sometimes(self) -> None:
        if time.monotonic() - self._recovered >= RECOVER_SECONDS:
            await self.recover()
            self._recovered = time.monotonic()

    async def _rest(self) -> None:
        due = await claims.next_due(database())
        wait = self._look if due is None or self._paused else (due - await self._now()) / 1_000_000
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait, SHORTEST_SECONDS), self._look)):
                await self._desk.writer.sends_due.wait()

    async def _now(self) -> int:
        return await self._desk.writer.clock.now(database())

    async def _see_through(self, batch: "_Batch") -> None:
        """A cancelled loop still writes down what it knows: the work goes on beside it for a moment."""
        work = asyncio.create_task(self._carry_out(batch), name="outbox batch")
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            batch.stop.set()
            while not work.done():
                # Whoever cancels twice is no less in need of the outcomes.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            raise

    async def _carry_out(self, batch: "_Batch") -> None:
        """Writes down outcomes as they come in, those that come together in one transaction."""
        # Short emails do not wait for long ones to be composed.
        ordered = sorted(batch.claims, key=lambda claim: len(claim.email.body))
        tasks = {asyncio.create_task(self._one(batch, claim)): claim for claim in ordered}
        stop = asyncio.create_task(batch.stop.wait())
        while tasks and not batch.stop.is_set():
            await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in tasks if task.done()]
            await self._write_down(batch, [_result(task, tasks.pop(task), batch) for task in done])
        stop.cancel()
        await self._wind_up(batch, tasks)

    async def _wind_up(self, batch: "_Batch", tasks: dict[asyncio.Task[Outcome | None], ClaimedEmail]) -> None:
        """What is being handed over may finish, what was not begun is given back, what hangs will be unknown."""
        if not tasks:
            return
        _, hanging = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._write_down(batch, [_result(task, claim, batch) for task, claim in tasks.items()])

    async def _one(self, batch: "_Batch", claim: ClaimedEmail) -> Outcome | None:
        async with batch.gate:
            if batch.stop.is_set() or time.monotonic() - batch.began > START_SECONDS:
                return None
            return await self._hand_over(batch, claim)

    async def _hand_over(self, batch: "_Batch", claim: ClaimedEmail) -> Outcome:
        try:
            letter = claim.email
            ready = await self._desk.composing.run(len(letter.body), envelope, letter, self._links)
        except Unsendable as exc:
            return Failed(FailureCode.CHANNEL_REFUSED, str(exc))
        except Exception:
            _logger.exception("email %d could not be composed", claim.email_id)
            return Failed(FailureCode.CHANNEL_REFUSED, "The message could not be put together.")
        batch.begun.add(claim.email_id)
        try:
            outcome = await self._channel.send(ready)
        except NotHandedOver:
            batch.begun.discard(claim.email_id)
            raise
        except Exception:
            _logger.exception("handing over email %d went wrong in an unforeseen way", claim.email_id)
            return Unknown("The sending went wrong in an unforeseen way.")
        if isinstance(outcome, Delivered) and (claim.email.cc or claim.email.bcc):
            return Delivered(tuple(await self._send_copies(claim)))
        return outcome

    async def _send_copies(self, claim: ClaimedEmail) -> list[RefusedCopy]:
        """Hands over each cc and bcc by itself: what the server replies about one concerns nobody else.

        Returns those that did not leave. None is tried again, also if the loop stops meanwhile, as the email has left.
        """
        refused: list[RefusedCopy] = []
        remaining: list[Envelope] = []
        reason = "no time was left"
        try:
            remaining = await self._desk.composing.run(len(claim.email.body), copies, claim.email, self._links)
            async with asyncio.timeout(COPIES_SECONDS):
                while remaining:
                    outcome = await self._channel.send(remaining[0])
                    copy = remaining.pop(0)
                    if not isinstance(outcome, Delivered):
                        refused.append(RefusedCopy(copy.recipient, outcome.message))
        except (TimeoutError, NotHandedOver, asyncio.CancelledError):
            pass
        except Exception:
            _logger.exception("handing over a copy of email %d went wrong in an unforeseen way", claim.email_id)
            reason = "an unforeseen error"
        return refused + [RefusedCopy(copy.recipient, reason) for copy in remaining]

    async def _write_down(self, batch: "_Batch", results: Sequence[Result]) -> None:
        """Records outcomes together; if the database will not have one of them, each by itself.

        An outcome that is never written down becomes OUTCOME_UNKNOWN.
        """
        groups = [list(results)]
        for attempt in range(TRIES):
            refused: list[list[Result]] = []
            for group in groups:
                try:
                    await self._persist(batch, group)
                except Exception:
                    _logger.exception("the outcome of %d emails could not be written down yet", len(group))
                    refused.extend([each] for each in group)
            if not refused:
                return
            groups = refused
            await asyncio.sleep(0.1 * 2**attempt)
        for group in groups:
            with suppress(Exception):
                await self._persist(batch, [(claim, _NOT_RECORDED) for claim, _ in group])

    async def _persist(self, batch: "_Batch", results: Sequence[Result]) -> None:
        """Writes outcomes down in one transaction. A database that fails is waited for, unless the loop is to stop."""
        until = time.monotonic() + PERSISTENCE_SECONDS
        while True:
            try:
                recorded = await write_down(self._desk, results)
            except Unavailable as exc:
                self._outage.warn(exc)
                if batch.stop.is_set() or time.monotonic() > until:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await batch.stop.wait()
            else:
                self.tally.count(recorded)
                for each in recorded:
                    _report_refused_copies(each.claim, each.outcome)
                return


def _report_refused_copies(claim: ClaimedEmail, outcome: Outcome | None) -> None:
    if isinstance(outcome, Delivered) and outcome.refused_copies:
        reasons = "; ".join(sorted({" ".join(each.message.split()) for each in outcome.refused_copies}))
        number = len(outcome.refused_copies)
        _logger.warning(
            "email %d left, but the mail server refused %d of its copies: %s", claim.email_id, number, reasons
        )


def _result(task: "asyncio.Task[Outcome | None]", claim: ClaimedEmail, batch: "_Batch") -> Result:
    """What became of a hand-over, however its task ended. Nothing that ended before it began has left."""
    if not task.cancelled() and task.exception() is None:
        return claim, task.result()
    if claim.email_id in batch.begun:
        return claim, Unknown("The sending was interrupted, so nobody knows whether the message left.")
    # Given back to be sent at once if the loop stops; otherwise what went wrong may go wrong again.
    return claim, None if batch.stop.is_set() else Deferred("The sending was interrupted.")


class _Batch:
    """What was claimed together, and how far it has come."""

    def __init__(self, taken: Iterable[ClaimedEmail], at_once: int, began: float) -> None:
        self.claims = list(taken)
        self.began = began
        self.begun: set[int] = set()
        self.gate = asyncio.Semaphore(at_once)
        self.stop = asyncio.Event()
