"""Executes statements directly on a connection of asyncpg, without Tortoise.

For a statement that finds a row by its key, Tortoise needs more processor time than the round trip takes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import asyncpg

from command_center.database.connections import Connection, Row, RowValues, TransactionBody, number_parameters
from command_center.database.errors import Unavailable
from command_center.database.postgres.errors import unavailable

T = TypeVar("T")


class PostgresDirectConnection(Connection):
    """Executes statements on a connection of asyncpg, without Tortoise.

    Each result may take `seconds`; None is no limit.
    """

    postgres = True

    def __init__(self, raw: asyncpg.Connection, seconds: float | None) -> None:
        self._raw = raw
        self._seconds = seconds
        self._statements_left: int | None = None

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        return [dict(record) for record in await self._fetch(sql, values)]

    async def fetch_inline(self, sql: str, *values: object) -> list[Row]:
        return await self.fetch(sql, *values)

    async def fetch_tuples(self, columns: Sequence[str], sql: str, *values: object) -> list[RowValues]:
        return [tuple(record) for record in await self._fetch(sql, values)]

    async def execute(self, sql: str, *values: object) -> int:
        self._count()
        status: str = await self._raw.execute(number_parameters(sql), *values, timeout=self._seconds)
        return int(status.rpartition(" ")[2])

    async def execute_many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        if value_lists := list(values):
            self._count()
            await self._raw.executemany(number_parameters(sql), value_lists, timeout=self._seconds)

    async def run_in_transaction(self, body: TransactionBody[T]) -> T:
        """Run the body in one transaction. If it fails, the transaction is left open.

        Raises: errors of asyncpg, Unavailable if PostgreSQL rolled it back, OutcomeUnknown if the commit was
        interrupted.
        """
        await self._raw.execute("BEGIN", timeout=self._seconds)
        result = await body(self)
        with _translate_failures():
            status = await self._raw.execute("COMMIT", timeout=self._seconds)
        if status != "COMMIT":
            # A statement failed and the body ignored its error, so PostgreSQL rolled everything back.
            raise Unavailable("PostgreSQL rolled the transaction back")
        return result

    async def run_statement(self, body: TransactionBody[T]) -> T:
        """Run a body that executes one statement at most, without BEGIN and COMMIT.

        The statement is a transaction by itself. Raises: as `run_in_transaction`.
        """
        self._statements_left = 1
        with _translate_failures():
            return await body(self)

    async def run_snapshot(self, body: TransactionBody[T]) -> T:
        """Run a body of SELECTs that read the same snapshot.

        If one fails, the transaction is left open.
        """
        await self._raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", timeout=self._seconds)
        result = await body(self)
        await self._raw.execute("COMMIT", timeout=self._seconds)
        return result

    async def _fetch(self, sql: str, values: Sequence[object]) -> list[asyncpg.Record]:
        self._count()
        return await self._raw.fetch(number_parameters(sql), *values, timeout=self._seconds)  # type: ignore[no-any-return]

    def _count(self) -> None:
        """Count a statement of a body that may execute only one.

        Raises: RuntimeError if `run_statement` runs the body and this is its second statement.
        """
        if self._statements_left is not None:
            if not self._statements_left:
                raise RuntimeError("the body must execute one statement at most")
            self._statements_left -= 1


@contextmanager
def _translate_failures() -> Iterator[None]:
    """Raise OutcomeUnknown if the database fails while the block ends a transaction.

    If the transaction is certainly not committed, raise Unavailable.
    """
    try:
        yield
    except Exception as exc:
        if (instead := unavailable(exc, committing=True)) is not None:
            raise instead from exc
        raise
