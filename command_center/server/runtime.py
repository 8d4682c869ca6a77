"""The components behind the API, which start and stop together.

They are the clock, the hub, the recorder, the matcher and the outbox.
"""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from command_center.actions import request_ids
from command_center.actions.context import ActionContext
from command_center.actions.engagements import Recorder
from command_center.api.idempotency import IdempotentRequests
from command_center.changes import log
from command_center.changes.folder_counts import FolderCountBroadcaster
from command_center.changes.hub import Hub
from command_center.changes.restores import RestoreGuard
from command_center.changes.unit_of_work import Writer
from command_center.database.clock import Clock, DatabaseClock
from command_center.database.connections import database, migrate, open_database, pending_migrations, sqlite_path
from command_center.database.errors import REQUEST_TIMEOUT_SECONDS, FailureLog, Unavailable, long_timeout
from command_center.lists.fencing import LeaseTaken
from command_center.lists.matcher import Matcher
from command_center.mail.links import Links
from command_center.mail.outbox import Outbox
from command_center.mail.smtp import SmtpTransport
from command_center.server.leases import LeaseLost, hold_lease
from command_center.server.settings import ConfigurationError, Settings
from resolvers.context import Services

TRIM_INTERVAL_SECONDS = 3600.0
"""The interval of deleting old rows."""
RETRY_SECONDS = 60.0
"""The interval after a failure, or while the clock is paused."""
_logger = logging.getLogger("command_center.runtime")


@dataclass(frozen=True, slots=True)
class Runtime:
    """The components of one process.

    The matcher and the outbox exist even if another process runs them.
    """

    settings: Settings
    ctx: ActionContext
    hub: Hub
    folder_counts: FolderCountBroadcaster
    recorder: Recorder
    matcher: Matcher
    outbox: Outbox
    links: Links
    idempotent_requests: IdempotentRequests
    services: Services
    transport: SmtpTransport


@asynccontextmanager
async def open_current_database(settings: Settings, timeout_seconds: float | None = None) -> AsyncIterator[None]:
    """Open the database, and ensure that its tables are up to date.

    SQLite databases are migrated; PostgreSQL databases must have been. For the parameters see `open_database`.

    Raises: ConfigurationError.
    """
    url = settings.database_url
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(open_database(url, timeout_seconds, settings.sqlite_cache_bytes))
            if url.startswith("sqlite"):
                await migrate(url)
            elif steps := await pending_migrations(url):
                raise ConfigurationError(
                    f"the database lacks {len(steps)} migration(s): run `command-center migrate` first"
                )
        except ConfigurationError:
            raise
        except Exception as exc:
            raise ConfigurationError(f"the database of COMMAND_CENTER_DATABASE_URL cannot be opened: {exc}") from exc
        yield


@asynccontextmanager
async def run_runtime(
    settings: Settings, clock: Clock | None = None, run_worker: bool = True, run_matcher: bool = True
) -> AsyncIterator[Runtime]:
    """Run all components until the block ends.

    With `run_worker` this process matches and sends while it holds the lease. Without `run_matcher` the caller drives
    the matcher.

    Raises: ConfigurationError.
    """
    async with open_current_database(settings, REQUEST_TIMEOUT_SECONDS):
        runtime = await build_runtime(settings, clock)
        await _recognise_restore(runtime)
        tasks = [_start_task(runtime.ctx.writer.clock.watch(), "clock")]
        await runtime.hub.start()
        await runtime.folder_counts.start()
        await runtime.recorder.start()
        if run_worker:
            tasks.append(_start_task(_run_worker(runtime, run_matcher), "worker"))
            tasks.append(_start_task(_report_mail_server(runtime.transport), "mail server check"))
        try:
            yield runtime
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await runtime.idempotent_requests.stop()
            await runtime.recorder.stop()
            await runtime.folder_counts.stop()
            await runtime.hub.stop()
            await runtime.ctx.inspector.close()
            await runtime.ctx.composer.close()
            runtime.ctx.writer.restores.stop()


async def build_runtime(settings: Settings, clock: Clock | None = None) -> Runtime:
    """Create the components without starting them."""
    clock = clock or DatabaseClock()
    await clock.start()
    hub, board = Hub(), FolderCountBroadcaster()
    ctx = ActionContext(Writer(clock, hub, board, RestoreGuard(_stamp_path(settings))), settings.limits())
    links = Links(settings.signing_secret(), settings.base_url)
    recorder = Recorder(ctx)
    channel = SmtpTransport(settings.smtp_url)
    return Runtime(
        settings,
        ctx,
        hub,
        board,
        recorder,
        Matcher(ctx.writer),
        Outbox(ctx, links, channel),
        links,
        IdempotentRequests(settings.request_time),
        Services(ctx, hub, board, recorder),
        channel,
    )


def _stamp_path(settings: Settings) -> Path | None:
    url = settings.database_url
    # Beside the real file, whatever links lead to it.
    return Path(os.path.realpath(sqlite_path(url)) + ".stamp") if url.startswith("sqlite") else None


async def _recognise_restore(runtime: Runtime) -> None:
    """Check whether the database was restored, before anything is written.

    If the database fails, this is repeated before the first email is sent.
    """
    try:
        await runtime.ctx.writer.restores.start()
    except Unavailable as exc:
        _logger.warning("the check for a restored database is repeated later: %s", exc)


def _start_task(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    return task


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _logger.critical("%s ended", task.get_name(), exc_info=task.exception())


async def _report_mail_server(transport: SmtpTransport) -> None:
    """Log once whether the mail server can be used. Nothing waits for this."""
    problem = await transport.check()
    if problem is None:
        _logger.info("the mail server %s can be used", transport.name)
    else:
        _logger.warning(
            "the mail server %s cannot be used, so emails will wait: %s", transport.name, " ".join(problem.split())
        )


async def _run_worker(runtime: Runtime, run_matcher: bool) -> None:
    """Match and send whenever this process holds the lease.

    So only one process of a database does it.
    """
    while True:
        try:
            await _work_under_lease(runtime, run_matcher)
        except* LeaseLost:
            _logger.warning("the lease was lost; the next holder repeats unfinished work")
        except* Exception:
            _logger.exception("the worker failed and restarts")
            await asyncio.sleep(1)


async def _work_under_lease(runtime: Runtime, run_matcher: bool) -> None:
    async with hold_lease(runtime.settings.database_url) as watch_lease, asyncio.TaskGroup() as group:
        if run_matcher:
            group.create_task(_run_matcher(runtime), name="matcher")
            group.create_task(_trim_periodically(runtime.ctx, runtime.settings.log_retention), name="trimmer")
        group.create_task(_run_outbox(runtime), name="outbox")
        group.create_task(watch_lease(), name="lease")


async def _run_matcher(runtime: Runtime) -> None:
    with long_timeout():
        await _retry_start(runtime.matcher.start)
        # The index is permanent and large, so the garbage collector must not examine it repeatedly.
        gc.freeze()
        try:
            await runtime.matcher.run()
        except LeaseTaken as exc:
            raise LeaseLost from exc


async def _run_outbox(runtime: Runtime) -> None:
    await _retry_start(runtime.outbox.recover)
    await runtime.outbox.run()


async def _retry_start(start: Callable[[], Awaitable[object]]) -> None:
    """Call `start` until it succeeds, with a pause of one second."""
    failures = FailureLog(_logger, "startup waits for the database")
    while True:
        try:
            await start()
            return
        except Unavailable as exc:
            failures.warn(exc)
            await asyncio.sleep(1)
        except Exception:
            _logger.exception("startup failed and will be repeated")
            await asyncio.sleep(1)


async def _trim_periodically(ctx: ActionContext, retention: timedelta) -> None:
    while True:
        pause = TRIM_INTERVAL_SECONDS
        if ctx.writer.clock.pause_reason() is not None:
            await asyncio.sleep(RETRY_SECONDS)
            continue
        for trim in (partial(_trim_log, ctx, retention), partial(_trim_requests, ctx)):
            try:
                await trim()
            except Unavailable as exc:
                _logger.warning("expired rows were not deleted: %s", exc)
                pause = RETRY_SECONDS
            except Exception:
                _logger.exception("expired rows were not deleted")
        await asyncio.sleep(pause)


async def _trim_log(ctx: ActionContext, retention: timedelta) -> None:
    before = await ctx.writer.clock.now(database()) - retention // timedelta(microseconds=1)
    for team_id in await log.find_stale_teams(before):
        while True:
            async with ctx.writer.unit_of_work() as uow:
                dropped = await log.trim(uow.connection, team_id, before)
            if dropped < log.TRIM_BATCH_ENTRIES:
                break


async def _trim_requests(ctx: ActionContext) -> None:
    now = await ctx.writer.clock.now(database())
    for table in ("send_requests", "idempotent_requests"):
        while await request_ids.delete_expired(database(), table, now) == request_ids.TRIM_BATCH_ROWS:
            pass
