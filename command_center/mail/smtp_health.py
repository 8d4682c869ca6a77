"""Tracks whether the mail server can be used.

One probe finds out, and all other hand-overs wait for it.

The start and the end of an outage are logged, and one line a minute in between.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from command_center.mail.smtp_session import ServerTrouble

FIRST_PROBES = 3
"""Until this many attempts have failed, every hand-over waits for a new probe."""
LOGIN_PROBES = 2
"""This replaces FIRST_PROBES if signing in fails."""
SHORTEST_SECONDS = 1.0
"""The interval between two probes is at least this long."""
LONGEST_SECONDS = 30.0
"""The interval between two probes is at most this long."""
LOGIN_SECONDS = 15.0
"""This replaces SHORTEST_SECONDS if signing in fails, because servers lock accounts after many attempts."""
WATCH_SECONDS = 15.0
"""During an outage, a probe runs at least this often even if no email is due, unless the interval is longer."""
LOG_SECONDS = 60.0
"""An outage is logged once per this time."""
_logger = logging.getLogger("command_center.mail")
Probe = Callable[[], Awaitable[None]]


class ServerHealth:
    """Remembers whether the mail server can be used.

    `probe` opens a session and keeps it for the next message, or raises ServerTrouble.
    """

    def __init__(self, name: str, probe: Probe) -> None:
        self._name = name
        self._open = probe
        self._trouble: ServerTrouble | None = None
        self._since = self._last_probe = self._last_log = 0.0
        self._failures = 0
        self._deferred_count = 0
        self._probe: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    def failed(self, trouble: ServerTrouble) -> None:
        """Record that a session could not be opened, which starts an outage."""
        if self._trouble is None:
            self._since = self._last_probe = self._last_log = time.monotonic()
            self._failures, self._deferred_count = 1, 0
            self._trouble = trouble
            _logger.warning("the mail server %s cannot be used, so emails wait: %s", self._name, _one_line(trouble))
            self._watch = asyncio.create_task(self._watch_outage(), name="mail server watch")

    async def check(self) -> None:
        """Raise ServerTrouble if the mail server cannot be used at present.

        During an outage this may wait for a probe, and the error is that of the last probe. Its age is at most the
        interval between two probes, which is 1 to 30 seconds.
        """
        if self._trouble is None:
            return
        if self._probe is not None or not self._is_result_fresh():
            await self._await_probe()
        trouble = self._trouble
        if trouble is not None:
            self._deferred_count += 1
            raise ServerTrouble(trouble.code, trouble.message, trouble.login)

    async def close(self) -> None:
        """Cancel the running probe, and the task that probes during an outage."""
        tasks = [task for task in (self._probe, self._watch) if task is not None]
        self._probe = self._watch = self._trouble = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _interval(self) -> float:
        """Return the seconds between two probes.

        They grow with the duration of the outage.
        """
        minimum = LOGIN_SECONDS if self._trouble is not None and self._trouble.login else SHORTEST_SECONDS
        return min(max((time.monotonic() - self._since) / 20, minimum), LONGEST_SECONDS)

    def _is_result_fresh(self) -> bool:
        """Return whether the last result makes a new probe unnecessary.

        It must be recent, and a minimum number of probes must have failed.
        """
        required = LOGIN_PROBES if self._trouble is not None and self._trouble.login else FIRST_PROBES
        return self._failures >= required and time.monotonic() - self._last_probe < self._interval()

    async def _await_probe(self) -> None:
        """Wait for the running probe, or start one.

        Cancelling the caller does not cancel the probe.
        """
        if self._probe is None:
            self._probe = asyncio.create_task(self._run_probe(), name="mail server probe")
        await asyncio.wait({self._probe})

    async def _run_probe(self) -> None:
        try:
            await asyncio.sleep(self._last_probe + SHORTEST_SECONDS - time.monotonic())
            await self._open()
        except ServerTrouble as exc:
            self._trouble = exc
            self._failures += 1
            self._last_probe = time.monotonic()
        else:
            self._end_outage()
        finally:
            self._probe = None

    def _end_outage(self) -> None:
        self._trouble = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        duration = time.monotonic() - self._since
        _logger.warning("the mail server %s can be used again, after %.0f seconds", self._name, duration)

    async def _watch_outage(self) -> None:
        """Probe and log periodically during an outage, even if no email is due.

        The task is cancelled when the server can be used again.
        """
        while True:
            until_log = self._last_log + LOG_SECONDS - time.monotonic()
            await asyncio.sleep(min(max(self._interval(), WATCH_SECONDS), until_log))
            if not self._is_result_fresh():
                await self._await_probe()
            now = time.monotonic()
            if self._trouble is not None and now - self._last_log >= LOG_SECONDS:
                self._last_log = now
                _logger.warning(
                    "the mail server %s has been out of use for %.0f seconds; hand-overs were deferred %d times: %s",
                    self._name,
                    now - self._since,
                    self._deferred_count,
                    _one_line(self._trouble),
                )


def _one_line(trouble: ServerTrouble) -> str:
    return " ".join(trouble.message.split())[:200]
