"""Runs pure functions on long texts in child processes.

So they do not delay the event loop.

Threads would not help because they share the interpreter lock with the event loop. A child process starts at its first
call, has a low priority, and ends with this process, even if this process is killed.
"""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, TypeVar

INLINE_CHARACTERS = 2_000
"""Texts up to this length are processed by the caller, which takes less time than communicating with a process."""
TIMEOUT_SECONDS = 120.0
BACKGROUND_NICENESS = 10
WAITED_FOR_NICENESS = 3
"""The niceness of a process that requests wait for: it must get enough time on a busy machine."""
_SIZE_BYTES = 8
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
T = TypeVar("T")


class TextProcessLost(Exception):
    """Raised if the child process took too long, or ended twice during one call.

    A process that ends is replaced once.
    """


class TextProcess:
    """A child process that executes one call at a time, in the order of the calls."""

    def __init__(self, niceness: int = BACKGROUND_NICENESS) -> None:
        self._niceness = niceness
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def run(self, length: int, function: Callable[..., T], *arguments: object) -> T:
        """Call a module-level function, in this process if the text is short.

        `length` is the number of characters.

        Raises: TextProcessLost, and the exceptions of the function.
        """
        if length <= INLINE_CHARACTERS:
            return function(*arguments)
        call = pickle.dumps((function, arguments))
        async with self._lock:
            try:
                succeeded, result = pickle.loads(await self._call(call))
            except BaseException:
                # The response of an abandoned call must not be read as the response of the next call.
                self._discard()
                raise
        if not succeeded:
            raise result
        return result  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Kill the child process, if there is one."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _call(self, call: bytes) -> bytes:
        """Send a call, and return its response.

        Replaces an ended process once: it may have ended long before.
        """
        for is_last_attempt in (False, True):
            try:
                return await self._exchange(call)
            except (OSError, EOFError) as exc:
                self._discard()
                # TimeoutError is an OSError, but does not mean that the process ended.
                if is_last_attempt or isinstance(exc, TimeoutError):
                    raise TextProcessLost("The process for long texts ended or took too long.") from exc
        raise AssertionError

    async def _exchange(self, call: bytes) -> bytes:
        """Send a call to the child process, started if necessary, and read its response."""
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
        """Kill the child process without waiting for its end.

        The next call starts another one.
        """
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()


async def _start(niceness: int) -> asyncio.subprocess.Process:
    """Start a child process that serves calls, with a minimal environment."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", __name__, str(niceness)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )


def serve(calls: BinaryIO, responses: BinaryIO) -> None:
    """Execute calls, and write their responses, until the input ends."""
    while len(size := calls.read(_SIZE_BYTES)) == _SIZE_BYTES:
        function, arguments = pickle.loads(calls.read(int.from_bytes(size, "big")))
        try:
            response = pickle.dumps((True, function(*arguments)))
        except Exception as exc:
            response = pickle.dumps((False, exc))
        responses.write(len(response).to_bytes(_SIZE_BYTES, "big") + response)
        responses.flush()


def main() -> None:
    """Serve calls from standard input in a child process.

    The first argument of the command line is its niceness.
    """
    # Only the end of the input ends this process: a signal to the whole process group must not end it earlier.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(int(sys.argv[1]))
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, responses)


if __name__ == "__main__":
    main()
