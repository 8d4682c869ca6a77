"""Runs the demo as a command.

It starts the environment, displays the run, and stops cleanly on a signal.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from command_center.demo.checks import CheckReport
from command_center.demo.client import Client
from command_center.demo.environment import Environment, RunFolder, start_environment, throw_away_folder
from command_center.demo.scenario import Scenario, ScenarioOptions
from command_center.demo.terminal import Terminal, TerminalState
from command_center.server.serving import bind_socket

HOST = "127.0.0.1"
DRAW_INTERVAL_SECONDS = 0.25
INTERRUPTED_EXIT_CODE = 130
_logger = logging.getLogger("command_center.demo")


async def run(port: int, seed: int, seconds: float, once: bool, reply_seconds: int) -> int:
    """Run the demo, and return its exit code.

    The code is 0 if all checks passed, 1 if not, and 130 if a run with `once` was interrupted. `seconds` is the
    duration of the recipients' actions. An email without a reply joins a list after `reply_seconds`. Raises:
    ConfigurationError if the port is not available.
    """
    listener = bind_socket(HOST, port)
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    terminal = Terminal(TerminalState())
    with throw_away_folder() as folder, _redirect_logging(folder, terminal):
        async with start_environment(listener, folder) as environment:
            report = await _run_scenario(
                environment, folder, terminal, stop, ScenarioOptions(seed, seconds, once, reply_seconds)
            )
        folder.keep = report is not None and bool(report.failures)
        ending = f"Not deleted: {folder.path}" if folder.keep else f"Deleted: {folder.path}"
        terminal.print([*_report_lines(report), ending])
    if report is None:
        return INTERRUPTED_EXIT_CODE if once else 0
    return 1 if report.failures else 0


async def _run_scenario(
    environment: Environment, folder: RunFolder, terminal: Terminal, stop: asyncio.Event, options: ScenarioOptions
) -> CheckReport | None:
    """Run the scenario with its display, and return its report.

    The result is None if it was stopped before its end.
    """
    application, integration = await environment.seller()
    heading = [
        "Command Center demo. GraphiQL, signed in as Sam Seller:",
        # This token may record events, so that the user can also act as the recipients' mail servers.
        f"{environment.url}/graphiql#token={integration}",
        f"The mail that arrives: {folder.mail}",
        "The folder and the database in it are deleted at the end." + ("" if options.once else " Ctrl-C ends it."),
    ]
    with terminal.running(heading):
        async with (
            _client(environment.url, application) as seller,
            _client(environment.url, integration) as servers,
            _ending(Scenario(environment, terminal, seller, servers, options)) as scenario,
        ):
            running = asyncio.create_task(scenario.run(), name="run")
            stopped = asyncio.create_task(stop.wait(), name="stop")
            drawing = asyncio.create_task(_draw(terminal), name="draw")
            try:
                return await _wait_for_end(environment, terminal, options, running, stopped)
            finally:
                for task in (running, stopped, drawing):
                    task.cancel()
                await asyncio.wait({running, stopped, drawing})


async def _wait_for_end(
    environment: Environment,
    terminal: Terminal,
    options: ScenarioOptions,
    running: "asyncio.Task[CheckReport]",
    stopped: "asyncio.Task[bool]",
) -> CheckReport | None:
    """Wait for the end of the run and then, without `once`, for a signal.

    Returns None if the run was stopped.

    Raises: RuntimeError if the server ends by itself.
    """
    await asyncio.wait({running, stopped, environment.server_task}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        if environment.server_task.done():
            raise RuntimeError("the demo's server ended by itself")
        return None
    report = _result_of(running)
    if not options.once:
        for line in _report_lines(report):
            terminal.log(line)
        result = "something went WRONG" if report.failures else "all sent, all lists equal to fresh queries"
        terminal.state.status = f"Over: {result}. Serving until Ctrl-C."
        await asyncio.wait({stopped, environment.server_task}, return_when=asyncio.FIRST_COMPLETED)
    return report


def _result_of(running: "asyncio.Task[CheckReport]") -> CheckReport:
    """Return the report of a finished run.

    An exception becomes a failure in the report.
    """
    exc = running.exception()
    if exc is None:
        return running.result()
    _logger.error("the run ended early", exc_info=exc)
    return CheckReport(failures=[f"the run ended early: {exc!r}"])


def _report_lines(report: CheckReport | None) -> list[str]:
    """Return the lines to print for a report, or for a run that was stopped."""
    if report is None:
        return ["Stopped before the run was over."]
    return [*report.lines, *(f"WRONG: {failure}" for failure in report.failures)]


async def _draw(terminal: Terminal) -> None:
    """Refresh the display until cancelled."""
    while True:
        terminal.refresh()
        await asyncio.sleep(DRAW_INTERVAL_SECONDS)


@asynccontextmanager
async def _client(url: str, token: str) -> AsyncIterator[Client]:
    client = Client(url, token)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def _ending(scenario: Scenario) -> AsyncIterator[Scenario]:
    try:
        yield scenario
    finally:
        await scenario.end()


@contextmanager
def _redirect_logging(folder: RunFolder, terminal: Terminal) -> Iterator[None]:
    """Show logged warnings on the terminal, and write them with details to a file.

    Log lines that were printed on the terminal directly would destroy the layout.
    """

    class Feed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            terminal.log(f"{record.levelname.lower()}: {record.getMessage()}", "red")

    root = logging.getLogger()
    previous_handlers = root.handlers[:]
    handlers: list[logging.Handler] = [logging.FileHandler(folder.log, delay=True), Feed()]
    for handler in handlers:
        handler.setLevel(logging.WARNING)
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root.handlers = handlers
    try:
        yield
    finally:
        root.handlers = previous_handlers
        with suppress(OSError):
            handlers[0].close()
