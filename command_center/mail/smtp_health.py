"""Whether the mail server can be used at all: one probe finds out, everybody else waits for it.

While it cannot be used the log has a line when that starts, one a minute, and one when it ends.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from command_center.mail.smtp_session import ServerTrouble

FIRST_PROBES = 3
"""An outage is believed without a new probe only after this number of failures."""
LOGIN_PROBES = 2
SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
LOGIN_SECONDS = 15.0
"""A refused login is repeated less often: servers lock out who tries it too often."""
WATCH_SECONDS = 15.0
LOG_SECONDS = 60.0
_logger = logging.getLogger("command_center.mail")
Probe = Callable[[], Awaitable[None]]


class ServerHealth:
    """What is known of the mail server. `probe` tries to open a session, keeps it, or raises ServerTrouble."""

    def __init__(self, name: str, probe: Probe) -> None:
        self._name = name
        self._open = probe
        self._trouble: ServerTrouble | None = None
        self._since = self._last = self._logged = 0.0
        self._failures = 0
        self._put_off = 0
        self._probe: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    def failed(self, trouble: ServerTrouble) -> None:
        """Takes note that a session could not be opened."""
        if self._trouble is None:
            self._since = self._last = self._logged = time.monotonic()
            self._failures, self._put_off = 1, 0
            self._trouble = trouble
            _logger.warning("the mail server %s cannot be used, so emails wait: %s", self._name, _line(trouble))
            self._watch = asyncio.create_task(self._keep_watch(), name="mail server watch")

    async def check(self) -> None:
        """Returns when a session may be opened. Raises ServerTrouble if the server cannot be used.

        In an outage that is what a probe found which is a second old, or at most half a minute if the outage is long.
        """
        if self._trouble is None:
            return
        if self._probe is not None or not self._believed():
            await self._join_probe()
        trouble = self._trouble
        if trouble is not None:
            self._put_off += 1
            raise ServerTrouble(trouble.code, trouble.message, trouble.login)

    async def close(self) -> None:
        """Stops watching."""
        tasks = [task for task in (self._probe, self._watch) if task is not None]
        self._probe = self._watch = self._trouble = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _interval(self) -> float:
        """Seconds between two probes: more the longer the outage lasts."""
        shortest = LOGIN_SECONDS if self._trouble is not None and self._trouble.login else SHORTEST_SECONDS
        return min(max((time.monotonic() - self._since) / 20, shortest), LONGEST_SECONDS)

    def _believed(self) -> bool:
        few = LOGIN_PROBES if self._trouble is not None and self._trouble.login else FIRST_PROBES
        return self._failures >= few and time.monotonic() - self._last < self._interval()

    async def _join_probe(self) -> None:
        """Waits for the probe that runs, or for a new one. A caller that is cancelled leaves it to the others."""
        if self._probe is None:
            self._probe = asyncio.create_task(self._find_out(), name="mail server probe")
        await asyncio.wait({self._probe})

    async def _find_out(self) -> None:
        try:
            await asyncio.sleep(self._last + SHORTEST_SECONDS - time.monotonic())
            await self._open()
        except ServerTrouble as exc:
            self._trouble = exc
            self._failures += 1
            self._last = time.monotonic()
        else:
            self._end()
        finally:
            self._probe = None

    def _end(self) -> None:
        self._trouble = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        lasted = time.monotonic() - self._since
        _logger.warning("the mail server %s can be used again, after %.0f seconds", self._name, lasted)

    async def _keep_watch(self) -> None:
        """Probes from time to time, whether or not emails are due. Cancelled when the server can be used again."""
        while True:
            log_in = self._logged + LOG_SECONDS - time.monotonic()
            await asyncio.sleep(min(max(self._interval(), WATCH_SECONDS), log_in))
            if not self._believed():
                await self._join_probe()
            now = time.monotonic()
            if self._trouble is not None and now - self._logged >= LOG_SECONDS:
                self._logged = now
                _logger.warning(
                    "the mail server %s has been out of use for %.0f seconds, and hand-overs were put off %d times: %s",
                    self._name,
                    now - self._since,
                    self._put_off,
                    _line(self._trouble),
                )


def _line(trouble: ServerTrouble) -> str:
    return " ".join(trouble.message.split())[:200]
