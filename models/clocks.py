"""The one clock that decides membership: the database's. It never goes back while the process lives, and not behind
the last look that is stored."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from models.database import Connection, database
from models.fields import from_micros


class Clock(Protocol):
    """Tells the moment, in microseconds since 1970."""

    async def now(self, connection: Connection) -> int: ...

    async def beside(
        self, connection: Connection, columns: Sequence[str], sql: str, *values: Any
    ) -> tuple[int, list[Sequence[Any]]]:
        """The moment, and what `Connection.tuples` says: whoever asks for both asks for them together."""
        return await self.now(connection), await connection.tuples(columns, sql, *values)


_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"


class DatabaseClock(Clock):
    """PostgreSQL's clock; with SQLite, this machine's, since the database is a file on it."""

    def __init__(self) -> None:
        self._latest = 0
        # Transactions that run in SQLite's thread ask from there.
        self._lock = threading.Lock()

    async def now(self, connection: Connection) -> int:
        if connection.postgres:
            row = await connection.row(_NOW)
            return self._at_least(int(row["now"]) if row else 0)
        return self._at_least(time.time_ns() // 1000)

    async def beside(
        self, connection: Connection, columns: Sequence[str], sql: str, *values: Any
    ) -> tuple[int, list[Sequence[Any]]]:
        if not connection.postgres:
            return await super().beside(connection, columns, sql, *values)
        # In one way there and back. Of rows that there are the first column is one, so without it there was none.
        both = f"WITH found AS MATERIALIZED ({sql}) SELECT found.*, clock.now FROM ({_NOW}) AS clock"
        rows = await connection.tuples((*columns, "now"), f"{both} LEFT JOIN found ON true", *values)
        return self._at_least(rows[0][-1]), [row[:-1] for row in rows if row[0] is not None]

    def _at_least(self, moment: int) -> int:
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
