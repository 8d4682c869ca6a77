"""Notifies open streams that the server is stopping. It stops nothing itself."""

import asyncio


class Shutdown:
    """Holds whether a server is running, or stopping because `start` was called."""

    def __init__(self) -> None:
        self.started = False
        self._waiting: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        """Begin the shutdown: resolve every future that `watch` returned."""
        self.started = True
        for future in list(self._waiting):
            if not future.done():
                future.set_result(None)

    def watch(self) -> asyncio.Future[None]:
        """Return a future that is done when the server stops.

        The caller cancels it when it is no longer needed.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.started:
            future.set_result(None)
        else:
            self._waiting.add(future)
            future.add_done_callback(self._waiting.discard)
        return future
