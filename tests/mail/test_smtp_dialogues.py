"""Mail servers that reply anything at any point: each email gets the right outcome, and no other email is affected.

SMTP_DIALOGUES is how many dialogues are tried; SMTP_SEED repeats a run.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import pytest

from command_center.mail.smtp import SmtpTransport
from command_center.mail.transport import Bounced, Deferred, Delivered, Envelope, Failed, Outcome
from tests.mail.smtp_scripts import (
    DELIVERED,
    Case,
    ScriptedServer,
    closing,
    junk,
    make_message,
    nothing,
    scripted_server,
    single,
    some_case,
    some_greeting,
    verdict,
)

DIALOGUES = int(os.environ.get("SMTP_DIALOGUES", "240"))
SEED = os.environ.get("SMTP_SEED", "1")
REPLY_SECONDS = 1.5
AT_ONCE = 24
EMAILS_PER_CHANNEL = 8


def dice(what: str, number: int) -> Random:
    return Random(f"{SEED}/{what}/{number}")


def sent_as_it_was(server: ScriptedServer, envelope: Envelope, outcome: Outcome) -> bool:
    """Whether what the server took agrees with the outcome: once or never, whole, and for its recipient."""
    taken = server.taken[envelope.sender]
    if isinstance(outcome, Delivered):
        return taken == [((envelope.recipient,), envelope.content.replace(b"\r\n.", b"\r\n..") + b"\r\n")]
    return len(taken) <= 1


def nothing_left(server: ScriptedServer, envelope: Envelope, outcome: Outcome, case: Case) -> bool:
    """Before the end of its data an email has not left, so what is sent again or reported as refused is not taken."""
    before = case.fault is not None and case.fault.step != "END"
    return not (before and isinstance(outcome, Deferred | Bounced | Failed)) or not server.taken[envelope.sender]


class Lag:
    """How late the event loop was at most: a machine that stood still let replies come too late."""

    async def __aenter__(self) -> "Lag":
        self.seconds = 0.0
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _measure(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + 0.05
            await asyncio.sleep(0.05)
            self.seconds = max(self.seconds, clock() - due)


async def settled(run: Callable[[int], Awaitable[list[str]]], number: int) -> list[str]:
    """What went wrong in a dialogue; again if the machine stood still meanwhile."""
    found: list[str] = []
    for _ in range(5):
        async with Lag() as lag:
            found = await run(number)
        if not found or lag.seconds < REPLY_SECONDS / 3:
            break
    return found


async def wait_until_taken(server: ScriptedServer, envelope: Envelope) -> None:
    """Waits until the server has read a message: with some faults it accepts it before its end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(REPLY_SECONDS):
            while not server.taken[envelope.sender]:
                await asyncio.sleep(0.001)


async def converse(server: ScriptedServer, number: int, size: int) -> list[str]:
    """Some emails with faults and some without on one channel, several at a time; returns what went wrong."""
    chance = dice("channel", number)
    cases = [some_case(chance) for _ in range(size)]
    innocent = [Case(None, frozenset({DELIVERED})) for _ in range(size)]
    mixed = [*cases, *innocent]
    chance.shuffle(mixed)
    gate = asyncio.Semaphore(chance.choice((1, 1, 2, 3)))
    channel = SmtpTransport(server.url, REPLY_SECONDS, timeout_seconds=60)

    async def one(place: int, case: Case) -> str | None:
        name = f"e{number}.{place}"
        server.taken.pop(f"{name}@sellers.example", None)
        if case.fault is not None:
            server.faults[f"{name}@sellers.example"] = case.fault
        envelope = make_message(name)
        async with gate:
            outcome = await channel.send(envelope)
        if isinstance(outcome, Delivered):
            await wait_until_taken(server, envelope)
        right = (
            verdict(outcome) in case.right
            and sent_as_it_was(server, envelope, outcome)
            and nothing_left(server, envelope, outcome, case)
        )
        taken = len(server.taken[envelope.sender])
        return None if right else f"{name}: {str(case)[:600]} led to {str(outcome)[:300]}; the server took {taken}"

    try:
        return [each for each in await asyncio.gather(*(one(*each) for each in enumerate(mixed))) if each]
    finally:
        await channel.close()


@pytest.mark.slow
async def test_any_reply_to_one_email_lets_all_others_arrive() -> None:
    channels = range(max(DIALOGUES // EMAILS_PER_CHANNEL, 1))
    gate = asyncio.Semaphore(AT_ONCE)
    async with scripted_server() as server:

        async def run(number: int) -> list[str]:
            async with gate:
                return await settled(lambda each: converse(server, each, EMAILS_PER_CHANNEL), number)

        wrong = [each for found in await asyncio.gather(*map(run, channels)) for each in found]
    assert not wrong, "\n".join(wrong[:20])


async def test_a_connection_that_begins_badly_puts_off_its_email_alone() -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(number: int) -> list[str]:
        case = some_greeting(dice("greeting", number))
        async with gate, scripted_server() as server:
            channel = SmtpTransport(server.url, REPLY_SECONDS, timeout_seconds=60)
            server.greetings = [case.fault]
            try:
                first, second = make_message("first"), make_message("second")
                outcome = await channel.send(first)
                after = await channel.send(second)
            finally:
                await channel.close()
            right = (
                verdict(outcome) in case.right
                and after == Delivered()
                and sent_as_it_was(server, first, outcome)
                and sent_as_it_was(server, second, after)
            )
            return [] if right else [f"{number}: {case} led to {outcome}, then {after}"]

    dialogues = (settled(run, number) for number in range(max(DIALOGUES // 10, 10)))
    wrong = [each for found in await asyncio.gather(*dialogues) for each in found]
    assert not wrong, "\n".join(wrong[:20])


async def test_a_used_connection_that_is_out_of_step_is_replaced() -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(number: int) -> list[str]:
        chance = dice("resume", number)
        fault, _ = chance.choice((single, closing, junk, nothing))(chance, "EHLO")
        async with gate, scripted_server() as server:
            channel = SmtpTransport(server.url, REPLY_SECONDS, timeout_seconds=60)
            server.resumes = [fault]
            try:
                outcomes = [await channel.send(make_message(name)) for name in ("first", "second", "third")]
            finally:
                await channel.close()
            right = outcomes == [Delivered()] * 3 and server.connections == 2
            return [] if right else [f"{number}: {fault} led to {outcomes} on {server.connections} connections"]

    dialogues = (settled(run, number) for number in range(max(DIALOGUES // 10, 10)))
    wrong = [each for found in await asyncio.gather(*dialogues) for each in found]
    assert not wrong, "\n".join(wrong[:20])
