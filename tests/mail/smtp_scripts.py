"""A mail server on a real socket that replies whatever a script says, and an oracle that says what that means.

The server is honest but for one step of one email, which it recognises by the email's own sender: there it sends the
bytes of a fault. Every other step, and every other email, gets what RFC 5321 asks for.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from command_center.mail.transport import Bounced, Deferred, Delivered, Envelope, Failed, Outcome, Unknown
from models.enums import FailureCode

OFFERED = b"250-mail.example at your service\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250 SMTPUTF8\r\n"
STEPS = ("MAIL", "TO", "DATA", "END")
HONEST = {"MAIL": b"250 2.1.0 ok\r\n", "TO": b"250 ok\r\n", "DATA": b"354 go on\r\n"}
HONEST |= {"END": b"250 2.0.0 queued\r\n", "BANNER": b"220 mail.example ESMTP\r\n", "EHLO": OFFERED}


class After(Enum):
    """What the server does after the bytes of a fault."""

    GOES_ON = "goes on"
    CLOSES = "closes"
    SILENT = "is silent"
    ENDLESS = "never ends"


@dataclass(frozen=True)
class Fault:
    """What the server sends in place of one reply: pieces, each in a packet of its own."""

    step: str
    pieces: tuple[bytes, ...]
    after: After = After.GOES_ON
    pause: float = 0.0


@dataclass
class ScriptedServer:
    """An honest server, but for `faults` (by sender or person in To), and those of new and of used connections."""

    port: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    greetings: list[Fault | None] = field(default_factory=list)
    resumes: list[Fault | None] = field(default_factory=list)
    taken: dict[str, list[tuple[tuple[str, ...], bytes]]] = field(default_factory=lambda: defaultdict(list))
    connections: int = 0
    offered: bytes = OFFERED

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        greeting = self.greetings.pop(0) if self.greetings else None
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                await _Conversation(self, reader, writer, greeting).run()
        finally:
            # Also if the test is over while the script still runs.
            writer.close()
        with suppress(ConnectionError, OSError):
            await writer.wait_closed()


class _Closed(ConnectionError):
    """The script ends the connection."""


class _Conversation:
    def __init__(
        self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: Fault | None
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.greeting = greeting
        self.sender = self.person = ""
        self.recipients: list[str] = []
        self.greeted = 0

    async def run(self) -> None:
        await self.answer("BANNER")
        while line := await self.reader.readline():
            verb = line.split(b":", 1)[0].upper().split(b" ")[0].strip()
            address = b"".join(re.findall(rb"<(.*)>", line)).decode()
            if verb in (b"EHLO", b"HELO"):
                self.greeted += 1
                await self.answer("EHLO")
            elif verb == b"MAIL":
                self.sender, self.person, self.recipients = address, "", []
                await self.answer("MAIL")
            elif verb == b"RCPT":
                self.person = address
                reply = await self.answer("TO")
                if reply.startswith(b"2"):
                    self.recipients.append(address)
            elif verb == b"DATA":
                if not self.recipients:
                    await self.send(b"554 no valid recipients\r\n")
                elif (await self.answer("DATA")).startswith(b"3"):
                    content = await self.reader.readuntil(b"\r\n.\r\n")
                    self.server.taken[self.sender].append((tuple(self.recipients), content[:-3]))
                    await self.answer("END")
            elif verb == b"QUIT":
                await self.send(b"221 bye\r\n")
                return
            else:
                await self.send(b"500 what\r\n")

    async def answer(self, step: str) -> bytes:
        """Gives the honest reply or the fault; returns what was sent first."""
        fault = self._fault(step)
        if fault is None:
            await self.send(HONEST[step] if step != "EHLO" else self.server.offered)
            return HONEST[step]
        for number, piece in enumerate(fault.pieces):
            if number and fault.pause:
                await asyncio.sleep(fault.pause)
            await self.send(piece)
        if fault.after is After.CLOSES:
            raise _Closed
        if fault.after is After.SILENT:
            await self.reader.read()
            raise _Closed
        while fault.after is After.ENDLESS:
            await self.send(b"250-and so on\r\n" * 1000)
            await asyncio.sleep(0)
        return fault.pieces[0] if fault.pieces else b""

    def _fault(self, step: str) -> Fault | None:
        if step in STEPS:
            fault = self.server.faults.get(self.sender) or self.server.faults.get(self.person)
            return fault if fault is not None and fault.step == step else None
        if step == "EHLO" and self.greeted > 1:
            return self.server.resumes.pop(0) if self.server.resumes else None
        return self.greeting if self.greeting is not None and self.greeting.step == step else None

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@asynccontextmanager
async def scripted_server(offered: bytes = OFFERED) -> AsyncIterator[ScriptedServer]:
    made = ScriptedServer(offered=offered)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.converse(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**24)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0.01)


# ---- what may come in place of a reply -------------------------------------------------------------------------------

_JUNK = (
    b"what?\r\n",
    b"HTTP/1.1 400 Bad Request\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00\x00\x00\x00\r\n",
    b"+25 ok\r\n",
    b" 250 ok\r\n",
    b"25 ok\r\n",
    b"2500 ok\r\n",
    b"250ok\r\n",
    b"150 wait\r\n",
    b"650 more than five\r\n",
    b"099 less than two\r\n",
    b"\xd9\xa2\xd9\xa5\xd9\xa0 ok\r\n",
    b"250-one\r\n550 two\r\n",
    b"550-one\r\n250 two\r\n",
    b"250-one\r\nwhat?\r\n",
    b"\r\n",
    b"\xff\xfe\xfd\r\n",
)
_TEXTS = (
    b"",
    b" ok",
    b" 5.1.1 \xe4\xf6\xfc unknown",
    b" \xc7\xeb\xca\xb9\xd3\xc3",
    b" nul \x00 and \x1b[31m red \x7f",
    b" \xed\xa0\x80 half a character",
    b" " + b"long " * 3000,
    " Empfänger 存在しない ‮ reversed".encode(),
    b"\ttab",
    b" 354 250 221 numbers",
    b" bare \r return",
)


def formatted(dice: Random, code: int, longest: int = 2**20) -> bytes:
    """A well-formed reply with this code, in any of the ways servers write one."""
    number = b"%d" % code
    texts = [text for text in _TEXTS if len(text) <= longest]
    lines = [dice.choice(texts) for _ in range(dice.choice((1, 1, 1, 2, 5)))]
    end = b"\r\n" if dice.random() < 0.9 else b"\n"
    *before, last = lines
    return b"".join(number + b"-" + text[1:] + end for text in before) + number + last + end


def some_code(dice: Random) -> int:
    """A code that servers use, or one of which only the first digit is known."""
    known = (250, 251, 252, 220, 221, 235, 334, 354, 421, 450, 451, 452, 454, 500, 501, 502, 503, 504, 521, 530, 535)
    return dice.choice((*known, 550, 551, 552, 553, 554, 555, 571, dice.randint(200, 599)))


def split(dice: Random, data: bytes) -> tuple[bytes, ...]:
    """The same bytes in a few packets."""
    if len(data) < 2 or dice.random() < 0.7:
        return (data,)
    cuts = sorted({dice.randint(1, min(len(data) - 1, 40)) for _ in range(dice.randint(1, 4))})
    return tuple(data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True))


Verdict = tuple[type[Outcome], FailureCode | None]
"""What is right of an outcome: its kind, and the code of a failure."""


@dataclass(frozen=True)
class Case:
    """One email's fault, with the outcomes that are right: any of them."""

    fault: Fault | None
    right: frozenset[Verdict]


_REFUSED, _UNREACHABLE = FailureCode.CHANNEL_REFUSED, FailureCode.CHANNEL_UNREACHABLE
DELIVERED, BOUNCED, UNKNOWN = (Delivered, None), (Bounced, None), (Unknown, None)
PUT_OFF, LOST, REFUSED = (Deferred, _REFUSED), (Deferred, _UNREACHABLE), (Failed, _REFUSED)


def verdict(outcome: Outcome) -> Verdict:
    return type(outcome), outcome.code if isinstance(outcome, Deferred | Failed) else None


def by_reply(step: str, code: int) -> Verdict:
    """The right outcome of an email for which one step was answered so, and all others as they should be."""
    wanted = 3 if step == "DATA" else 2
    kind = code // 100
    if kind == wanted:
        return DELIVERED
    if kind in (2, 3):
        return UNKNOWN if step == "END" else PUT_OFF
    if kind == 4:
        return PUT_OFF
    if step == "MAIL":
        return PUT_OFF if code in (530, 534, 535, 538) else REFUSED
    return BOUNCED


def single(dice: Random, step: str) -> tuple[Fault, set[Verdict]]:
    """One reply in place of another."""
    code = some_code(dice)
    fault = Fault(step, split(dice, formatted(dice, code)), pause=dice.choice((0.0, 0.002)))
    return fault, {by_reply(step, code)}


def closing(dice: Random, step: str) -> tuple[Fault, set[Verdict]]:
    """One reply, and then the server hangs up."""
    code = some_code(dice)
    fault = Fault(step, (formatted(dice, code),), After.CLOSES)
    right = by_reply(step, code)
    if step == "END" or right[0] is not Delivered:
        return fault, {right}
    # The server was content and left: before the end of the data nothing has left, and then nobody knows.
    return fault, {LOST, UNKNOWN} if step == "DATA" else {LOST}


def junk(dice: Random, step: str) -> tuple[Fault, set[Verdict]]:
    """Bytes that are no reply."""
    data = dice.choice((*_JUNK, bytes(dice.choice(range(128, 256)) for _ in range(20)) + b"\r\n"))
    return Fault(step, split(dice, data)), {UNKNOWN if step == "END" else PUT_OFF}


def nothing(dice: Random, step: str) -> tuple[Fault, set[Verdict]]:
    """No reply, or a part of one; then silence or the end."""
    pieces = dice.choice(((), (b"2",), (b"250",), (b"250-and\r\n",), (b"550 5.1.1 no",), (b"354",)))
    after = dice.choice((After.CLOSES, After.CLOSES, After.CLOSES, After.SILENT))
    return Fault(step, pieces, after), {UNKNOWN if step == "END" else LOST}


def endless(dice: Random, step: str) -> tuple[Fault, set[Verdict]]:
    """A reply that never ends: by then it is too long, or too late."""
    return Fault(step, (b"250-and so on\r\n",), After.ENDLESS), {UNKNOWN} if step == "END" else {PUT_OFF, LOST}


def double(dice: Random, step: str) -> tuple[Fault, set[Verdict]]:
    """Two replies to one command, in one packet or the second a little later."""
    first = dice.choice((int(HONEST[step][:3]), int(HONEST[step][:3]), some_code(dice)))
    second = some_code(dice)
    late = dice.random() < 0.5
    replies = formatted(dice, first, 100), formatted(dice, second, 100)
    fault = Fault(step, replies if late else (b"".join(replies),), pause=dice.choice((0.001, 0.01, 0.03)))
    right = by_reply(step, first)
    if step == "END":
        return fault, _doubled_end(right, first, second)
    if right[0] in (Bounced, Failed):
        # Believed if the second says the same; otherwise nobody knows which of them was for this command.
        return fault, {right if second // 100 == 5 or second == 421 else PUT_OFF}
    if right[0] is Deferred or not late:
        return fault, {PUT_OFF}
    return fault, _shifted(step, second)


def _doubled_end(right: Verdict, first: int, second: int) -> set[Verdict]:
    if right in (DELIVERED, UNKNOWN):
        return {right}
    return {right if second // 100 == first // 100 or second == 421 else UNKNOWN}


def _shifted(step: str, second: int) -> set[Verdict]:
    """The first reply was as it should be and a second came late: from here on each reply is one command old."""
    if step == "DATA":
        # Before the end of the data it is out of turn. After it, it is what the server says of the message, which it
        # will take: a refusal is contradicted.
        return {PUT_OFF, DELIVERED if second // 100 == 2 else UNKNOWN}
    if step == "TO" and second // 100 == 3:
        # It reads as consent to the data; the true consent comes before or after the end of it.
        return {PUT_OFF, UNKNOWN}
    return {PUT_OFF}


def some_case(dice: Random) -> Case:
    """An email with a fault and what it must lead to."""
    step = dice.choice(STEPS)
    chance = dice.random()
    if chance < 0.45:
        fault, right = single(dice, step)
    elif chance < 0.55:
        fault, right = closing(dice, step)
    elif chance < 0.67:
        fault, right = junk(dice, step)
    elif chance < 0.77:
        fault, right = nothing(dice, step)
    elif chance < 0.775:
        fault, right = endless(dice, step)
    else:
        fault, right = double(dice, step)
    return Case(fault, frozenset(right))


def some_greeting(dice: Random) -> Case:
    """A connection that begins badly, and what it must lead to for the email it was opened for."""
    step = dice.choice(("BANNER", "EHLO"))
    chance = dice.random()
    if chance < 0.5:
        code = some_code(dice)
        good = code // 100 == 2 or (step == "EHLO" and code // 100 == 5)
        after = dice.choice((After.GOES_ON, After.GOES_ON, After.CLOSES))
        right = DELIVERED if good and after is After.GOES_ON else LOST if good else PUT_OFF
        return Case(Fault(step, split(dice, formatted(dice, code)), after), frozenset({right}))
    if chance < 0.65:
        fault, _ = junk(dice, step)
        return Case(fault, frozenset({PUT_OFF}))
    if chance < 0.8:
        fault, _ = nothing(dice, step)
        return Case(fault, frozenset({LOST}))
    first = dice.choice((int(HONEST[step][:3]), some_code(dice)))
    replies = formatted(dice, first, 100), formatted(dice, some_code(dice), 100)
    together = dice.random() < 0.5
    fault = Fault(step, (b"".join(replies),) if together else replies, pause=0.01)
    return Case(fault, frozenset({PUT_OFF}))


def make_message(name: str) -> Envelope:
    """An email that the server recognises by its sender."""
    content = f"Subject: {name}\r\n\r\n.\r\n..two\r\nlast of {name}".encode()
    return Envelope(f"{name}@sellers.example", f"to.{name}@people.example", content)
