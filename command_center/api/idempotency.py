"""Idempotency-Key: a mutation with one is carried out once, however often it is asked for, and answered with the same
bytes for 24 h. Which documents it is for, and what a refusal looks like on the wire, is the transport's.

Once begun, such a request runs to its end, whoever waits for it or goes away.
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
from typing import Any

from command_center.changes import idempotency
from command_center.changes.idempotency import Asked, IdempotencyClaim, Kept, KeyTaken
from resolvers.context import Context

LENGTH = 200
MARGIN = timedelta(seconds=20)
"""How much longer than a request may take a claim stands of which nothing is known."""
LOOK_SECONDS = 0.1
STOP_SECONDS = 5.0
_STRING = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_logger = logging.getLogger("command_center.repeats")


class IdempotencyRefused(Exception):
    """The request is not carried out, and has no answer to repeat. `code` is for programs, `status` for HTTP."""

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer. `replayed`: somebody asked before."""

    body: bytes
    replayed: bool = False

    @property
    def erred(self) -> bool:
        return bool(json.loads(self.body).get("errors"))


Run = Callable[[Context], Awaitable[bytes]]
"""Carries the request out in a context and gives the body of the answer."""


def key_in(headers: Sequence[str]) -> str | None:
    """The key in the values of the Idempotency-Key header, plain or as a structured string; None where there is none.

    Raises RepeatRefused.
    """
    if not headers:
        return None
    key = _unquoted(headers[0]) if headers[0].startswith('"') else headers[0]
    if len(headers) > 1 or not 1 <= len(key) <= LENGTH or not all("!" <= letter <= "~" for letter in key):
        message = f"An Idempotency-Key is 1 to {LENGTH} visible ASCII characters."
        raise IdempotencyRefused(message, "BAD_USER_INPUT", 400)
    return key


def _unquoted(text: str) -> str:
    """What a string of RFC 8941 says; empty where it is none."""
    found = _STRING.fullmatch(text)
    return "" if found is None else re.sub(r"\\(.)", r"\1", found[1])


def fingerprint(document: str, operation: str | None, variables: Mapping[str, Any] | None) -> str:
    """The same for what asks the same in the same words."""
    asked = json.dumps([document, operation, variables or {}], sort_keys=True, separators=(",", ":"))
    return sha256(asked.encode()).hexdigest()


class IdempotentRequests:
    """The requests with a key that are under way in this process. `patience`: how long a request may take."""

    def __init__(self, patience: timedelta) -> None:
        self._patience = patience
        self._process = secrets.token_hex(8)
        self._under_way: dict[tuple[int, str], tuple[str, asyncio.Task[Answer]]] = {}

    async def stop(self) -> None:
        """Lets what is under way come to its end, for a while."""
        tasks = {task for _, task in self._under_way.values()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks)

    async def answer(self, context: Context, key: str, fingerprint: str, run: Run) -> Answer:
        """What the first was answered that came with this key of the viewer's; the first is carried out by `run`, in a
        task of its own. Raises RepeatRefused, and whatever `run` raised."""
        place = (context.viewer.user_id, key)
        if place not in self._under_way:
            asked = Asked(*place, fingerprint, self._process)
            task = asyncio.create_task(self._found(context, asked, run), name="request with a key")
            self._under_way[place] = fingerprint, task
            task.add_done_callback(lambda _: self._under_way.pop(place))
            return await self._result(task)
        other, task = self._under_way[place]
        if other != fingerprint:
            raise _taken()
        return replace(await self._result(task), replayed=True)

    async def _result(self, task: asyncio.Task[Answer]) -> Answer:
        # A little more than the task itself waits for another process, so that it is the one to give up.
        await asyncio.wait({task}, timeout=self._patience.total_seconds() + 2 * LOOK_SECONDS)
        if not task.done() or task.cancelled():
            raise _in_progress()
        return task.result()

    async def _found(self, context: Context, asked: Asked, run: Run) -> Answer:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience.total_seconds()
        gone = (self._patience + MARGIN) // timedelta(microseconds=1)
        while True:
            try:
                found = await idempotency.claim(context.ctx.writer.clock, asked, gone)
            except KeyTaken as exc:
                raise _taken() from exc
            if isinstance(found, IdempotencyClaim):
                return await _carried_out(context, found, run)
            if isinstance(found, Kept):
                return _kept(found)
            if loop.time() >= until:
                raise _in_progress()
            await asyncio.sleep(LOOK_SECONDS)


async def _carried_out(context: Context, claim: IdempotencyClaim, run: Run) -> Answer:
    try:
        answer = Answer(await run(replace(context, claim=claim)))
    except BaseException:
        await _written(idempotency.release(claim))
        raise
    # Where nothing was done and something went wrong, asking again may well go better.
    if answer.erred and await _written(idempotency.release(claim)):
        return answer
    if not await _written(idempotency.keep(claim, answer.body.decode())):
        raise _in_progress()
    return answer


async def _written(work: Awaitable[bool]) -> bool:
    """What is told of a request that is over. Where the database fails now, what was done and answered stays true."""
    try:
        return await work
    except Exception:
        _logger.exception("the end of a request with an Idempotency-Key was not written down")
        return True


def _kept(found: Kept) -> Answer:
    if found.answer is None:
        message = (
            "This request was carried out, wholly or in part, and its answer is lost. Nothing is done again: look at"
            " what it did."
        )
        raise IdempotencyRefused(message, "ANSWER_LOST", 410)
    return Answer(found.answer.encode(), replayed=True)


def _taken() -> IdempotencyRefused:
    return IdempotencyRefused("This Idempotency-Key was used for another request.", "TAKEN", 422)


def _in_progress() -> IdempotencyRefused:
    return IdempotencyRefused("The first request with this Idempotency-Key is still under way.", "IN_PROGRESS", 409)
