"""Records engagement events with group commit.

Many callers share one transaction and wait for its commit.

`engagement_writer` writes a batch. While the database is unavailable, events from tracking links wait in a retry buffer
in memory.
"""

import asyncio
import copy
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from command_center.actions.context import ActionContext
from command_center.actions.engagement_requests import (
    EngagementRecordResult,
    NewEvent,
    RecordRequest,
    RequestPart,
    email_key,
    validate_event,
    with_trimmed_key,
)
from command_center.actions.engagement_writer import lock_statement, write_batch
from command_center.actions.fair_queue import FairQueue
from command_center.actions.inputs import check_event_count
from command_center.actions.retry_buffer import RetryBuffer
from command_center.changes.idempotency import IdempotencyClaim
from command_center.changes.wakeups import wait_for
from command_center.database.errors import FailureLog, Unavailable
from command_center.errors import ErrorCollector
from models.viewers import Viewer

EVENTS_PER_YIELD = 100
"""Number of events that are validated before the event loop can run other requests."""
READER_WAIT_SECONDS = 1.0
"""The longest time that a reader's picture or page is delayed to store the view or click."""
_logger = logging.getLogger("command_center.engagements")


class Recorder:
    """The only writer of new rows in `engagements`.

    One loop commits the events of all waiting callers.
    """

    def __init__(self, ctx: ActionContext) -> None:
        self._ctx = ctx
        self._waiting = FairQueue[RecordRequest]()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._outage = FailureLog(_logger, "events wait for the database")
        self.retry_buffer: RetryBuffer[RecordRequest] = RetryBuffer(self._outage)
        self.tally: Counter[str] = Counter(recorded=0, duplicate=0, ignored=0, refused=0)
        """Counts the events since the start of the process by result."""

    async def start(self) -> None:
        """Start the loop that commits batches."""
        self._loop = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Stop the loop. Callers that still wait get a ConnectionError."""
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
        for request in self._waiting:
            if not request.done.done() and not request.durable:
                request.done.set_exception(ConnectionError("the server is stopping"))
        if unstored := len(self.retry_buffer) + sum(request.durable for request in self._waiting):
            _logger.error("%d views and clicks are lost: the server stopped before the database was back", unstored)

    async def record(
        self, events: Sequence[NewEvent], viewer: Viewer | None, claim: IdempotencyClaim | None = None
    ) -> EngagementRecordResult:
        """Record those events that have not been recorded before.

        The result has an error for each refused event; its path contains the index of the event.

        `claim` belongs to a request with an Idempotency-Key; the last commit of the request marks it as done. Raises:
        UserErrors (LIMIT_REACHED) for too many events, Unavailable if the database fails.
        """
        check_event_count(len(events), self._ctx.limits.events_per_request, ("events",))
        outcome = EngagementRecordResult()
        errors = ErrorCollector()
        valid: list[tuple[int, int, NewEvent]] = []
        for index, event in enumerate(events):
            if validate_event(event, index, errors):
                valid.append((index, email_key(event), with_trimmed_key(event)))
            if index % EVENTS_PER_YIELD == EVENTS_PER_YIELD - 1:
                await asyncio.sleep(0)
        outcome.errors.extend(errors)
        if valid:
            request = RecordRequest(valid, viewer, outcome, asyncio.get_running_loop().create_future(), claim)
            self._waiting.add(request)
            self._wake.set()
            await request.done
        outcome.errors.sort(key=lambda error: int(error.path[1]))
        return outcome

    async def record_from_reader(self, event: NewEvent) -> None:
        """Record a view or click that a recipient of an email caused by a tracking link.

        Waits at most `READER_WAIT_SECONDS` for the commit. An event that cannot be stored by then is stored later. An
        invalid event is only logged.
        """
        if not validate_event(event, 0, errors := ErrorCollector()):
            _logger.warning("an event of a tracking link is refused: %s", next(iter(errors)).message)
            return
        done = asyncio.get_running_loop().create_future()
        request = RecordRequest(
            [(0, email_key(event), with_trimmed_key(event))], None, EngagementRecordResult(), done, durable=True
        )
        if self.retry_buffer:
            self.retry_buffer.add([request])
            return
        self._waiting.add(request)
        self._wake.set()
        await asyncio.wait({done}, timeout=READER_WAIT_SECONDS)

    async def _run(self) -> None:
        """Commit batches, and retry buffered requests, until cancelled."""
        while True:
            await wait_for(self._wake, self.retry_buffer.seconds_until_retry())
            self._wake.clear()
            self._waiting.add_first([*map(RecordRequest.reset, self.retry_buffer.take_due())])
            while self._waiting:
                await self._process(self._waiting.take_batch())

    async def _process(self, batch: list[RequestPart]) -> None:
        """Commit a batch, and handle its failure."""
        try:
            await self._commit(batch)
            self.retry_buffer.reset()
        except Unavailable as exc:
            self._postpone(batch, exc)
        except Exception as exc:
            await self._commit_separately(batch, exc)

    def _postpone(self, batch: Sequence[RequestPart], cause: Unavailable) -> None:
        """Move requests of tracking links to the retry buffer, and fail all others.

        This happens if the database is unavailable. All callers stop waiting, because they have waited long enough for
        this attempt.
        """
        self._outage.warn(cause)
        in_batch = [part.request for part in batch]
        others = [request for request in self._waiting.clear() if request not in in_batch]
        self.retry_buffer.add([request for request in (*in_batch, *others) if request.durable])
        self.retry_buffer.back_off()
        for request in in_batch:
            _fail(request, copy.copy(cause))
        not_written = Unavailable(*cause.args)
        not_written.rolled_back = True
        for request in others:
            _fail(request, copy.copy(not_written))

    async def _commit(self, batch: Sequence[RequestPart]) -> None:
        """Commit a batch in one transaction, and resolve the completed requests.

        The counts and errors of each part are added to the outcome of its request first.
        """
        results = await self._ctx.writer.run_in_transaction(partial(write_batch, batch), partial(lock_statement, batch))
        for part, outcome in zip(batch, results, strict=True):
            total = part.request.outcome
            total.recorded += outcome.recorded
            total.duplicates += outcome.duplicates
            total.ignored += outcome.ignored
            total.errors.extend(outcome.errors)
            if part.last:
                part.request.resolve()
            self.tally["recorded"] += outcome.recorded
            self.tally["duplicate"] += outcome.duplicates
            self.tally["ignored"] += outcome.ignored
            self.tally["refused"] += len(outcome.errors)

    async def _commit_separately(self, batch: Sequence[RequestPart], cause: Exception) -> None:
        """Commit each part of a failed batch separately.

        So one bad request does not fail the others.
        """
        if len(batch) == 1:
            self._waiting.discard(batch[0].request)
            _fail(batch[0].request, cause)
            return
        _logger.warning("a shared commit failed and is repeated in parts: %s", cause)
        for index, part in enumerate(batch):
            try:
                await self._commit([part])
            except Unavailable as exc:
                self._postpone(batch[index:], exc)
                return
            except Exception as exc:
                self._waiting.discard(part.request)
                _fail(part.request, exc)


def _fail(request: RecordRequest, cause: Exception) -> None:
    """Raise the failure in the waiting caller.

    A durable request comes from a tracking link. Its caller gets no error and only stops waiting.
    """
    if request.durable:
        # The reader gets no error. A failure is logged, unless the request is in the retry buffer.
        request.resolve()
        if not isinstance(cause, Unavailable):
            _logger.error("a view or click could not be recorded", exc_info=cause)
    elif not request.done.done():
        request.done.set_exception(cause)
