"""The one clock that decides membership: the database's. It never goes back while the process lives, and not behind
the last look that is stored."""

import threading
import time
from datetime import datetime
from typing import Protocol

from models.database import Connection, database
from models.fields import from_micros


class Clock(Protocol):
    """Tells the moment, in microseconds since 1970."""

    async def now(self, connection: Connection) -> int: ...


class DatabaseClock:
    """PostgreSQL's clock; with SQLite, this machine's, since the database is a file on it."""

    def __init__(self) -> None:
        self._latest = 0
        # Transactions that run in SQLite's thread ask from there.
        self._lock = threading.Lock()

    async def now(self, connection: Connection) -> int:
        if connection.postgres:
            row = await connection.row("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now")
            moment = int(row["now"]) if row else 0
        else:
            moment = time.time_ns() // 1000
        with self._lock:
            self._latest = max(self._latest, moment)
            return self._latest

    async def start(self) -> None:
        """Never behind the last look, even where the machine's clock was set back since."""
        row = await database().row("SELECT ticked_at FROM ticks WHERE id = 1")
        self._latest = max(self._latest, int(row["ticked_at"]) if row else 0)


async def moment(clock: Clock) -> datetime:
    """Now, as an aware datetime."""
    return from_micros(await clock.now(database()))
