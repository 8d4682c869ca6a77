"""The demo as a command: builds the stage, shows the run on the terminal, and ends cleanly when told to."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from command_center.demo.checks import CheckReport
from command_center.demo.client import Client
from command_center.demo.environment import Environment, Folder, start_environment, throw_away_folder
from command_center.demo.scenario import Plan, Scenario
from command_center.demo.terminal import Terminal, TerminalState
from command_center.server.serving import bound

HOST = "127.0.0.1"
DRAWN_SECONDS = 0.25
INTERRUPTED = 130
_logger = logging.getLogger("command_center.demo")


async def run(port: int, seed: int, seconds: float, once: bool, patience: int) -> int:
    """0 where all went as it must, 1 where not, 130 where a run with `once` was interrupted. Raises Misconfigured."""
    listener = bound(HOST, port)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    screen = Terminal(TerminalState())
    with throw_away_folder() as folder, _logging(folder, screen):
        async with start_environment(listener, folder) as stage:
            verdict = await _show(stage, folder, screen, stop, Plan(seed, seconds, once, patience))
        folder.keep = verdict is not None and bool(verdict.problems)
        ending = f"Kept for a look: {folder.path}" if folder.keep else f"Deleted: {folder.path}"
        screen.print([*_read_out(verdict), ending])
    if verdict is None:
        return INTERRUPTED if once else 0
    return 1 if verdict.problems else 0


async def _show(
    stage: Environment, folder: Folder, screen: Terminal, stop: asyncio.Event, plan: Plan
) -> CheckReport | None:
    """The run on the screen; None where it was stopped before its end."""
    application, integration = await stage.seller()
    heading = [
        "Command Center demo. GraphiQL, signed in as Sam Seller:",
        # With the right to record events, so that one can play the recipients' servers by hand.
        f"{stage.url}/graphiql#token={integration}",
        f"The mail that arrives: {folder.mail}",
        "The folder and the database in it are deleted at the end." + ("" if plan.once else " Ctrl-C ends it."),
    ]
    with screen.running(heading):
        async with (
            _client(stage.url, application) as seller,
            _client(stage.url, integration) as servers,
            _playing(Scenario(stage, screen, seller, servers, plan)) as play,
        ):
            running = asyncio.create_task(play.run(), name="run")
            stopped = asyncio.create_task(stop.wait(), name="stop")
            drawing = asyncio.create_task(_draw(screen), name="draw")
            try:
                return await _until_over(stage, screen, plan, running, stopped)
            finally:
                for task in (running, stopped, drawing):
                    task.cancel()
                await asyncio.wait({running, stopped, drawing})


async def _until_over(
    stage: Environment,
    screen: Terminal,
    plan: Plan,
    running: "asyncio.Task[CheckReport]",
    stopped: "asyncio.Task[bool]",
) -> CheckReport | None:
    """Waits for the end of the run; then, without `once`, until stopped."""
    await asyncio.wait({running, stopped, stage.serving}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        if stage.serving.done():
            raise RuntimeError("the demo's server ended by itself")
        return None
    verdict = _verdict(running)
    if not plan.once:
        for line in _read_out(verdict):
            screen.say(line)
        result = "something went WRONG" if verdict.problems else "all sent, all lists equal to fresh queries"
        screen.board.status = f"Over: {result}. Serving until Ctrl-C."
        await asyncio.wait({stopped, stage.serving}, return_when=asyncio.FIRST_COMPLETED)
    return verdict


def _verdict(running: "asyncio.Task[CheckReport]") -> CheckReport:
    """What the run found; that it broke off is a finding as well."""
    exc = running.exception()
    if exc is None:
        return running.result()
    _logger.error("the run broke off", exc_info=exc)
    return CheckReport(problems=[f"the run broke off: {exc!r}"])


def _read_out(verdict: CheckReport | None) -> list[str]:
    if verdict is None:
        return ["Stopped before the run was over."]
    return [*verdict.lines, *(f"WRONG: {problem}" for problem in verdict.problems)]


async def _draw(screen: Terminal) -> None:
    while True:
        screen.refresh()
        await asyncio.sleep(DRAWN_SECONDS)


@asynccontextmanager
async def _client(url: str, token: str) -> AsyncIterator[Client]:
    client = Client(url, token)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def _playing(play: Scenario) -> AsyncIterator[Scenario]:
    try:
        yield play
    finally:
        await play.end()


@contextmanager
def _logging(folder: Folder, screen: Terminal) -> Iterator[None]:
    """Warnings go to the feed and, whole, to a file: written to the terminal they would tear the layout."""

    class Feed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            screen.say(f"{record.levelname.lower()}: {record.getMessage()}", "red")

    root = logging.getLogger()
    before = root.handlers[:]
    handlers: list[logging.Handler] = [logging.FileHandler(folder.log, delay=True), Feed()]
    for handler in handlers:
        handler.setLevel(logging.WARNING)
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root.handlers = handlers
    try:
        yield
    finally:
        root.handlers = before
        with suppress(OSError):
            handlers[0].close()
