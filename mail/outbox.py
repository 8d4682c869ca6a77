"""The sender loop: claims what is due, hands it over, writes down what became of it. Three steps, two transactions.

An email is claimed before anything leaves, so a crash between hand-over and writing down is seen afterwards: such an
email becomes OUTCOME_UNKNOWN and is never sent again by itself.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from actions.desk import Desk
from mail import claims
from mail.channel import PATIENCE, Channel, Failed, Outcome, Unknown
from mail.claims import Claim
from mail.compose import Unsendable, envelope
from mail.links import Links
from mail.results import Result, write_down
from models.database import database
from models.enums import FailureCode
from models.unavailable import Outage, Unavailable

LOOK_SECONDS = 1.0
SHORTEST_SECONDS = 0.05
RECOVER_SECONDS = 60.0
GRACE_SECONDS = 3.0
"""How long a loop that is told to stop waits for what is being handed over."""
START_SECONDS = 240.0
"""An email claimed longer ago is given back, not begun."""
LOST = int((START_SECONDS + PATIENCE + 180) * 1_000_000)
"""Where others share the database, a claim older than this (10 minutes) belongs to nobody that lives."""
TRIES = 5
PERSISTENCE_SECONDS = 300.0
"""How long an outcome waits for a database that fails: others take the claim for lost later than that."""
_logger = logging.getLogger("command_center.outbox")


class Outbox:
    """Sends the mail of one database. Several may run against one PostgreSQL, one against an SQLite file.

    `look` is how many seconds it rests at most where nobody wakes it.
    """

    def __init__(
        self, desk: Desk, links: Links, channel: Channel, at_once: int = 8, look: float = LOOK_SECONDS
    ) -> None:
        self._desk = desk
        self._links = links
        self._channel = channel
        self._at_once = at_once
        self._look = look
        self._recovered = float("-inf")
        self._outage = Outage(_logger, "the outbox waits for the database")

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
                    self._outage.tell(exc)
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
        if lost:
            _logger.warning("%d emails were being handed over when their sender stopped: OUTCOME_UNKNOWN", lost)
        return lost

    async def step(self) -> bool:
        """Claims one batch of what is due and sees it through. Whether there may be more."""
        due = await claims.next_due(database())
        if due is None or due > await self._now():
            return False
        began = time.monotonic()
        taken, more = await claims.claim(self._desk, self._links.domain)
        if taken:
            await self._see_through(_Batch(taken, self._at_once, began))
        return more

    async def _recover_sometimes(self) -> None:
        if time.monotonic() - self._recovered >= RECOVER_SECONDS:
            await self.recover()
            self._recovered = time.monotonic()

    async def _rest(self) -> None:
        due = await claims.next_due(database())
        wait = self._look if due is None else (due - await self._now()) / 1_000_000
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
        tasks = {asyncio.create_task(self._one(batch, claim)): claim for claim in batch.claims}
        stop = asyncio.create_task(batch.stop.wait())
        while tasks and not batch.stop.is_set():
            await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in tasks if task.done()]
            await self._write_down(batch, [task.result() for task in done])
            for task in done:
                del tasks[task]
        stop.cancel()
        await self._wind_up(batch, tasks)

    async def _wind_up(self, batch: "_Batch", tasks: dict[asyncio.Task[Result], Claim]) -> None:
        """What is being handed over may finish, what was not begun is given back, what hangs will be unknown."""
        if not tasks:
            return
        done, hanging = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        untouched = [(tasks[task], None) for task in hanging if tasks[task].email_id not in batch.begun]
        await self._write_down(batch, [*(task.result() for task in done), *untouched])

    async def _one(self, batch: "_Batch", claim: Claim) -> Result:
        async with batch.gate:
            if batch.stop.is_set() or time.monotonic() - batch.began > START_SECONDS:
                return claim, None
            batch.begun.add(claim.email_id)
            return claim, await self._hand_over(claim)

    async def _hand_over(self, claim: Claim) -> Outcome:
        try:
            ready = envelope(claim.letter, self._links)
        except Unsendable as exc:
            return Failed(FailureCode.CHANNEL_REFUSED, str(exc))
        except Exception:
            _logger.exception("email %d could not be composed", claim.email_id)
            return Failed(FailureCode.CHANNEL_REFUSED, "The message could not be put together.")
        try:
            return await self._channel.hand_over(ready)
        except Exception:
            _logger.exception("handing over email %d went wrong in an unforeseen way", claim.email_id)
            return Unknown("The sending went wrong in an unforeseen way.")

    async def _write_down(self, batch: "_Batch", results: Sequence[Result]) -> None:
        """Tries for a while: an outcome that is never written down becomes OUTCOME_UNKNOWN.

        A database that fails is waited for longer, unless the loop is told to stop.
        """
        until = time.monotonic() + PERSISTENCE_SECONDS
        attempt = 0
        while attempt < TRIES:
            try:
                await write_down(self._desk, results)
                break
            except Unavailable as exc:
                self._outage.tell(exc)
                if batch.stop.is_set() or time.monotonic() > until:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await batch.stop.wait()
            except Exception:
                _logger.exception("the outcome of %d emails could not be written down yet", len(results))
                await asyncio.sleep(0.2 * 2**attempt)
                attempt += 1


class _Batch:
    """What was claimed together, and how far it has come."""

    def __init__(self, taken: Iterable[Claim], at_once: int, began: float) -> None:
        self.claims = list(taken)
        self.began = began
        self.begun: set[int] = set()
        self.gate = asyncio.Semaphore(at_once)
        self.stop = asyncio.Event()
