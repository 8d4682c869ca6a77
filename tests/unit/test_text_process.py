"""Long texts are handled in a process of their own, which comes back if it ends, and ends with its server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from command_center.actions.text_process import INLINE_CHARACTERS, TextProcess, TextProcessLost
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

LONG = INLINE_CHARACTERS + 1


@pytest.fixture
async def process() -> AsyncIterator[TextProcess]:
    made = TextProcess()
    yield made
    await made.close()


async def test_a_long_text_is_handled_elsewhere_and_a_short_one_here(process: TextProcess) -> None:
    assert await process.run(LONG - 1, os.getpid) == os.getpid()
    other = await process.run(LONG, os.getpid)
    assert other != os.getpid()
    assert await process.run(LONG, os.getpid) == other
    assert await process.run(LONG, str.upper, "x" * 1_000_000) == "X" * 1_000_000


async def test_an_exception_is_raised_here(process: TextProcess) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await process.run(LONG, int, "x")
    assert await process.run(LONG, int, "7") == 7


async def test_a_process_that_ended_is_replaced(process: TextProcess) -> None:
    first = await process.run(LONG, os.getpid)
    os.kill(first, signal.SIGKILL)
    assert await process.run(LONG, os.getpid) != first
    with pytest.raises(TextProcessLost):
        await process.run(LONG, os._exit, 1)
    assert await process.run(LONG, int, "7") == 7


async def test_a_call_that_is_cancelled_leaves_no_answer_behind(process: TextProcess) -> None:
    task = asyncio.create_task(process.run(LONG, str.upper, "x" * 10_000_000))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.gather(*(process.run(LONG, int, str(each)) for each in range(5))) == list(range(5))


PARENT = """
import asyncio, os, time
from command_center.actions.text_process import TextProcess
print(asyncio.run(TextProcess().run(5000, os.getpid)), flush=True)
os.kill(os.getpid(), 9)
"""


async def test_it_ends_with_its_server_however_that_ends() -> None:
    # The parent's own loop may clean up before it is killed: what is left then must have ended as well.
    done = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, cwd=ROOT, check=False)
    child = int(done.stdout)
    for _ in range(500):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split(") ")[1][0] == "Z":
            return
        await asyncio.sleep(0.01)
    pytest.fail("it goes on")
