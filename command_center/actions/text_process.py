"""Runs pure functions of long texts in processes of their own, so that they do not delay the event loop.

Threads would not do: they share the interpreter's lock with the event loop. A process is started when it is first
needed, has a low priority, and ends when this process does, however that ends.
"""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

INLINE_CHARACTERS = 2_000
"""Texts up to this length are handled by the caller: that takes less time than sending them to and fro."""
TIMEOUT_SECONDS = 120.0
BACKGROUND_NICENESS = 10
WAITED_FOR_NICENESS = 3
"""Of a process that requests wait for: on a busy machine it must not wait much longer than others."""
_SIZE_BYTES = 8
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
T = TypeVar("T")


class TextProcessLost(Exception):
    """The process ended or took too long, twice in succession or while it was at work."""


class TextProcess:
    """One process, which carries out one call at a time, in the order they are made."""

    def __init__(self, niceness: int = BACKGROUND_NICENESS) -> None:
        self._niceness = niceness
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def run(self, length: int, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function of a module, here if the text is short. Raises what it raises, and TextProcessLost."""
        if length <= INLINE_CHARACTERS:
            return function(*arguments)
        call = pickle.dumps((function, arguments))
        async with self._lock:
            try:
                succeeded, result = pickle.loads(await self._answer(call))
            except BaseException:
                # An answer that nobody waits for must not be taken for the next call's.
                self._discard()
                raise
        if not succeeded:
            raise result
        return result  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _answer(self, call: bytes) -> bytes:
        """The answer to a call. A process that ended is replaced once: it may have ended long before."""
        for last in (False, True):
            try:
                return await self._exchange(call)
            except (OSError, EOFError) as exc:
                self._discard()
                # Of the exceptions that mean that it ended, a timeout is none.
                if last or isinstance(exc, TimeoutError):
                    raise TextProcessLost("The process for long texts ended or took too long.") from exc
        raise AssertionError

    async def _exchange(self, call: bytes) -> bytes:
        if self._process is None:
            self._process = await _start(self._niceness)
        writer, reader = self._process.stdin, self._process.stdout
        assert writer is not None
        assert reader is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            writer.write(len(call).to_bytes(_SIZE_BYTES, "big") + call)
            await writer.drain()
            size = int.from_bytes(await reader.readexactly(_SIZE_BYTES), "big")
            return await reader.readexactly(size)

    def _discard(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()


async def _start(niceness: int) -> asyncio.subprocess.Process:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", __name__, str(niceness)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=kept | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )


def serve(calls: BinaryIO, answers: BinaryIO) -> None:
    """Carries out calls until there are no more."""
    while len(size := calls.read(_SIZE_BYTES)) == _SIZE_BYTES:
        function, arguments = pickle.loads(calls.read(int.from_bytes(size, "big")))
        try:
            answer = pickle.dumps((True, function(*arguments)))
        except Exception as exc:
            answer = pickle.dumps((False, exc))
        answers.write(len(answer).to_bytes(_SIZE_BYTES, "big") + answer)
        answers.flush()


def main() -> None:
    # The end of the calls ends this process; a signal to the whole group must not come before.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
