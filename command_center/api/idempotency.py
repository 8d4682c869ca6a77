"""Runs a mutation with an Idempotency-Key only once.

Repeated requests get the same bytes for 24 hours. The transport decides which documents may have a key, and how an
error looks on the wire. Once such a request has started, it runs to its end, even if every client that waits for it
disconnects.
"""

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

from command_center.changes import idempotency
from command_center.changes.idempotency import IdempotencyClaim, IdempotencyRequest, KeyReused, StoredResponse
from resolvers.context import Context

MAX_KEY_CHARACTERS = 200
ABANDONED_MARGIN = timedelta(seconds=20)
"""A claim without a sign of life counts as abandoned when the request timeout and this margin have passed."""
POLL_INTERVAL_SECONDS = 0.1
STOP_SECONDS = 5.0
_STRUCTURED_STRING = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_logger = logging.getLogger("command_center.idempotency")


class IdempotencyRefused(Exception):
    """The request is not executed, and there is no response to repeat.

    `code` is for programs, `status` for HTTP.
    """

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class IdempotentResponse:
    """The body of a response.

    `replayed` means that an earlier request with the key produced it.
    """

    body: bytes
    replayed: bool = False

    @property
    def has_errors(self) -> bool:
        """Whether the response contains errors."""
        return bool(json.loads(self.body).get("errors"))


Run = Callable[[Context], Awaitable[bytes]]
"""Executes the request in a context and returns the body of the response."""


def parse_key(headers: Sequence[str]) -> str | None:
    """Return the key in the values of the Idempotency-Key header, or None.

    It may be plain or a structured string. Raises: IdempotencyRefused if the key is invalid.
    """
    if not headers:
        return None
    key = _unquote(headers[0]) if headers[0].startswith('"') else headers[0]
    if len(headers) > 1 or not 1 <= len(key) <= MAX_KEY_CHARACTERS or not all("!" <= letter <= "~" for letter in key):
        message = f"An Idempotency-Key is 1 to {MAX_KEY_CHARACTERS} visible ASCII characters."
        raise IdempotencyRefused(message, "BAD_USER_INPUT", 400)
    return key


def _unquote(text: str) -> str:
    """Return the content of an RFC 8941 string, or "" if the text is not one."""
    match = _STRUCTURED_STRING.fullmatch(text)
    return "" if match is None else re.sub(r"\\(.)", r"\1", match[1])


def hash_request(document: str, operation: str | None, variables: Mapping[str, object] | None) -> str:
    """Return a hash of a request's text, operation name and variables."""
    text = json.dumps([document, operation, variables or {}], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


class IdempotentRequests:
    """Runs the requests with an idempotency key in this process.

    `timeout` is how long a request may take.
    """

    def __init__(self, timeout: timedelta) -> None:
        self._timeout = timeout
        self._process = secrets.token_hex(8)
        self._running: dict[tuple[int, str], tuple[str, asyncio.Task[IdempotentResponse]]] = {}

    async def stop(self) -> None:
        """Wait for running requests, and cancel those that take longer than STOP_SECONDS."""
        tasks = {task for _, task in self._running.values()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks)

    async def execute_once(self, context: Context, key: str, fingerprint: str, run: Run) -> IdempotentResponse:
        """Return the response to the viewer's first request with this key.

        The first request is executed by `run` in its own task. Raises: IdempotencyRefused, and any error of `run`.
        """
        request_id = (context.viewer.user_id, key)
        if request_id not in self._running:
            request = IdempotencyRequest(*request_id, fingerprint, self._process)
            task = asyncio.create_task(self._claim_or_wait(context, request, run), name="request with a key")
            self._running[request_id] = fingerprint, task
            task.add_done_callback(lambda _: self._running.pop(request_id))
            return await self._wait_for_result(task)
        other, task = self._running[request_id]
        if other != fingerprint:
            raise _create_taken_error()
        return replace(await self._wait_for_result(task), replayed=True)

    async def _wait_for_result(self, task: asyncio.Task[IdempotentResponse]) -> IdempotentResponse:
        # Slightly longer than the task itself waits for another process, so that the task gives up first.
        await asyncio.wait({task}, timeout=self._timeout.total_seconds() + 2 * POLL_INTERVAL_SECONDS)
        if not task.done() or task.cancelled():
            raise _create_progress_error()
        return task.result()

    async def _claim_or_wait(self, context: Context, request: IdempotencyRequest, run: Run) -> IdempotentResponse:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout.total_seconds()
        abandoned_micros = (self._timeout + ABANDONED_MARGIN) // timedelta(microseconds=1)
        while True:
            try:
                outcome = await idempotency.claim(context.ctx.writer.clock, request, abandoned_micros)
            except KeyReused as exc:
                raise _create_taken_error() from exc
            if isinstance(outcome, IdempotencyClaim):
                return await _execute(context, outcome, run)
            if isinstance(outcome, StoredResponse):
                return _replay(outcome)
            if loop.time() >= until:
                raise _create_progress_error()
            await asyncio.sleep(POLL_INTERVAL_SECONDS)


async def _execute(context: Context, claim: IdempotencyClaim, run: Run) -> IdempotentResponse:
    try:
        response = IdempotentResponse(await run(replace(context, claim=claim)))
    except BaseException:
        await _record(idempotency.release(claim))
        raise
    # If nothing was done and the response has errors, a retry may succeed, so the key becomes free again.
    if response.has_errors and await _record(idempotency.release(claim)):
        return response
    if not await _record(idempotency.store_response(claim, response.body.decode())):
        raise _create_progress_error()
    return response


async def _record(work: Awaitable[bool]) -> bool:
    """Await a write that records how a request ended, and return its result.

    If the database fails, the result is True, because the response that was produced remains valid.
    """
    try:
        return await work
    except Exception:
        _logger.exception("the end of a request with an Idempotency-Key could not be stored")
        return True


def _replay(stored: StoredResponse) -> IdempotentResponse:
    if stored.response is None:
        message = (
            "This request was executed, wholly or in part, and its response is lost. It is not executed again: query"
            " what it did."
        )
        raise IdempotencyRefused(message, "ANSWER_LOST", 410)
    return IdempotentResponse(stored.response.encode(), replayed=True)


def _create_taken_error() -> IdempotencyRefused:
    return IdempotencyRefused("This Idempotency-Key was used for another request.", "TAKEN", 422)


def _create_progress_error() -> IdempotencyRefused:
    return IdempotencyRefused("The first request with this Idempotency-Key is still under way.", "IN_PROGRESS", 409)
