"""Accesses the database: configuration, transactions, and SQL for both databases.

Statements are written with `?`, which becomes `$1`, `$2`, … on PostgreSQL. Rows are returned as dictionaries. Inside
`transaction()` all statements belong to the transaction, those of Tortoise included; no task started there may outlive
it.
"""

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.context import TortoiseContext, require_context
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.transactions import in_transaction

from command_center.database.errors import OutcomeUnknown, Unavailable
from command_center.database.postgres import url as postgres_url

# The types of a row's values depend on the statement.
Row: TypeAlias = dict[str, Any]
"""The values of a row by the names of its columns."""
RowValues: TypeAlias = Sequence[Any]
"""The values of a row in the order of its columns."""
ColumnValue: TypeAlias = int | str | date | None
"""A value that is written to a column. Booleans and enumerations are integers."""
ColumnValues: TypeAlias = Mapping[str, ColumnValue]
"""New values by the names of their columns."""
Statement: TypeAlias = tuple[str, Sequence[object]]
"""The text of a statement and its values."""
Columns: TypeAlias = Mapping[str, str]
"""The names of columns and their PostgreSQL types, for rows that are passed to one statement."""
T = TypeVar("T")
MAX_CACHED_CHARACTERS = 8_000
"""The length of the longest statement whose PostgreSQL form is cached."""
MAX_KEYS_PER_STATEMENT = 10_000
"""How many keys one of Tortoise's statements may have. Each is a parameter, and PostgreSQL accepts 32,767."""
MAX_ROWS_BY_VALUE = 4
"""Up to this number of rows, SQLite gets a parameter for each value. More rows are passed as JSON."""
DEFAULT_CACHE_BYTES = 32_000_000
"""The default for the total size of the page caches of SQLite's connections."""
MODELS = "models.tables"
MIGRATIONS = "models.migrations"


class UnknownDatabase(ValueError):
    """The address is not that of a supported database."""


def configuration(url: str, cache_bytes: int = DEFAULT_CACHE_BYTES) -> dict[str, Any]:
    """Return Tortoise's configuration for `sqlite:///file` or `postgresql://…`.

    `cache_bytes` is the total size of SQLite's page caches.

    Raises: UnknownDatabase.
    """
    scheme = urlsplit(url).scheme
    connection: dict[str, object]
    # Tortoise caches statements by the connection's name, so each kind of database needs its own name.
    if scheme == "sqlite":
        name = "sqlite"
        connection = {
            "engine": "command_center.database.sqlite.client",
            "credentials": {"file_path": sqlite_path(url), "cache_bytes": cache_bytes},
        }
    elif scheme in postgres_url.SCHEMES:
        name = "postgresql"
        connection = {
            "engine": "command_center.database.postgres.client",
            "credentials": {"address": postgres_url.parse(url)},
        }
    else:
        raise UnknownDatabase("must begin with sqlite:/// or postgresql://")
    app = {"models": [MODELS], "default_connection": name, "migrations": MIGRATIONS}
    return {"connections": {name: connection}, "apps": {"models": app}, "use_tz": True, "timezone": "UTC"}


@asynccontextmanager
async def open_database(
    url: str, timeout_seconds: float | None = None, cache_bytes: int = DEFAULT_CACHE_BYTES
) -> AsyncIterator[TortoiseContext]:
    """Open the database for the code inside the block and the tasks started there.

    `timeout_seconds` limits the wait for each result of the database; None is no limit. `cache_bytes` is the total size
    of SQLite's page caches.
    """
    async with TortoiseContext() as context:
        # Each request runs in a context of its own, so the process needs a fallback that all of them see.
        await context.init(config=configuration(url, cache_bytes), _enable_global_fallback=True)
        client = cast(DatabaseClient, context.db())
        client.timeout = timeout_seconds
        await client.create_connection(with_db=True)
        yield context


class NewerDatabase(Exception):
    """A newer version of the program has migrated the database.

    This version would damage it.
    """

    def __init__(self, migrations: Sequence[str]) -> None:
        super().__init__(
            f"a newer version of command-center has migrated it ({', '.join(migrations)}); install that version"
        )


_LATEST = [MigrationTarget(app_label="models", name="__latest__")]


async def pending_migrations(url: str) -> list[str]:
    """Return the names of the migrations that the database lacks.

    The database must be open.

    Raises: NewerDatabase if it has migrations that this version does not know.
    """
    executor = MigrationExecutor(require_context().db(), configuration(url)["apps"])
    plan = await executor.plan(_LATEST)
    applied = await executor.recorder.applied_migrations()
    if unknown := sorted(key.name for key in applied if key not in executor.loader.graph.nodes):
        raise NewerDatabase(unknown)
    return [step.migration.name for step in plan]


async def migrate(url: str) -> list[str]:
    """Apply the migrations that the database lacks, and return their names.

    The database must be open.

    Raises: NewerDatabase if it has migrations that this version does not know.
    """
    steps = await pending_migrations(url)
    if steps:
        await MigrationExecutor(require_context().db(), configuration(url)["apps"]).migrate(_LATEST)
    return steps


def split_keys(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    """Split keys into chunks that one statement can have as parameters."""
    for start in range(0, len(keys), MAX_KEYS_PER_STATEMENT):
        yield keys[start : start + MAX_KEYS_PER_STATEMENT]


def sqlite_path(url: str) -> str:
    """Return the path of the file that a `sqlite:///` address names.

    Three slashes precede a relative path, four an absolute one.
    """
    return url.removeprefix("sqlite://").removeprefix("/")


def number_parameters(sql: str) -> str:
    """Return a statement with PostgreSQL's numbered parameters instead of `?`."""
    # Statements of filters are up to 100 kB long and rarely repeated, so they are not worth caching.
    return _number_cached(sql) if len(sql) <= MAX_CACHED_CHARACTERS else _number_uncached(sql)


def _number_uncached(sql: str) -> str:
    count = 0

    def number(_: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${count}"

    return re.sub(r"\?", number, sql)


_number_cached = functools.lru_cache(maxsize=2048)(_number_uncached)


@functools.lru_cache(maxsize=256)
def _build_parameter_rows(names: tuple[str, ...], count: int) -> str:
    """Return the SQL of `Connection.values_table` for SQLite and a few rows.

    `names` are the columns and `count` is the number of rows. Each value of each row is a parameter.
    """
    first = ", ".join(f"? AS {name}" for name in names)
    others = f" UNION ALL SELECT {', '.join('?' * len(names))}" * (count - 1)
    return f"(SELECT {first}{others}) AS new_values"


@functools.lru_cache(maxsize=256)
def _build_json_rows(names: tuple[str, ...]) -> str:
    """Return the SQL of `Connection.values_table` for SQLite and many rows.

    `names` are the columns. One parameter contains all rows as JSON.
    """
    fields = ", ".join(f"json_extract(value, '$[{index}]') AS {name}" for index, name in enumerate(names))
    return f"(SELECT {fields} FROM json_each(?)) AS new_values"


def as_ctes(statements: Sequence[Statement]) -> tuple[str, list[object]]:
    """Join statements to the CTEs of one PostgreSQL statement.

    Return their SQL, separated by commas, and the values of all their parameters.
    """
    parts = (f"statement{index} AS ({sql})" for index, (sql, _) in enumerate(statements))
    return ", ".join(parts), [value for _, values in statements for value in values]


class Connection(ABC):
    """Executes SQL in the current transaction, or outside of any."""

    postgres: bool

    @abstractmethod
    async def fetch(self, sql: str, *values: object) -> list[Row]:
        """Return all rows of a SELECT, or of a statement with RETURNING."""

    async def fetch_one(self, sql: str, *values: object) -> Row | None:
        """Return the first row, or None."""
        rows = await self.fetch(sql, *values)
        return rows[0] if rows else None

    async def fetch_ids(self, sql: str, *values: object) -> list[int]:
        """Return the ids that a SELECT of one column of ids finds."""
        return [key for row in await self.fetch(sql, *values) for key in row.values()]

    @abstractmethod
    async def fetch_inline(self, sql: str, *values: object) -> list[Row]:
        """Return the rows of a SELECT that finds few rows by a key.

        SQLite executes it in the event loop's thread, because switching threads takes many times as long as the lookup.
        PostgreSQL plans it once (see `run_in_transaction`).
        """

    @abstractmethod
    async def execute(self, sql: str, *values: object) -> int:
        """Execute a statement and return the number of affected rows."""

    @abstractmethod
    async def execute_many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        """Execute a statement once for each set of values."""

    def values_table(self, columns: Columns, rows: Sequence[Sequence[object]]) -> Statement:
        """Return the SQL of a table with these rows, and its parameters' values.

        The table is named `new_values`.

        It can be used after FROM. The rows need one statement, whatever their number.
        """
        names = tuple(columns)
        if self.postgres:
            arrays = ", ".join(f"?::{kind}[]" for kind in columns.values())
            values: list[object] = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
            return f"unnest({arrays}) AS new_values ({', '.join(names)})", values
        if 0 < len(rows) <= MAX_ROWS_BY_VALUE:
            return _build_parameter_rows(names, len(rows)), [value for row in rows for value in row]
        return _build_json_rows(names), [orjson.dumps(rows).decode()]

    def insert_statement(
        self, table: str, columns: Columns, rows: Sequence[Sequence[object]], conflict: str = ""
    ) -> Statement:
        """Return a statement that inserts rows. `conflict` is its ON CONFLICT clause."""
        names = ", ".join(columns)
        source, values = self.values_table(columns, rows)
        return f"INSERT INTO {table} ({names}) SELECT {names} FROM {source} WHERE true {conflict}", values

    async def execute_batch(self, statements: Sequence[Statement]) -> None:
        """Execute statements, each of which neither reads nor changes what others change.

        PostgreSQL executes them in one round trip, in no defined order.
        """
        if self.postgres and statements:
            ctes, values = as_ctes(statements[:-1])
            last_statement = statements[-1]
            await self.execute((f"WITH {ctes} " if ctes else "") + last_statement[0], *values, *last_statement[1])
            return
        for sql, statement_values in statements:
            await self.execute(sql, *statement_values)

    async def insert(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[object]],
        conflict: str = "",
        returning: Sequence[str] = (),
    ) -> list[RowValues]:
        """Insert rows with one statement, and return some columns of the new rows.

        `conflict` is the ON CONFLICT clause. The result contains the columns `returning` of the rows that did not exist
        before.

        On SQLite, `returning` more than MAX_ROWS_BY_VALUE rows requires an ascending primary key named `id`.
        """
        if not rows:
            return []
        insert, values = self.insert_statement(table, columns, rows, conflict)
        if not returning:
            await self.execute(insert, *values)
            return []
        if self.postgres or len(rows) <= MAX_ROWS_BY_VALUE:
            returned_rows = await self.fetch(f"{insert} RETURNING {', '.join(returning)}", *values)
            return [tuple(row.values()) for row in returned_rows]
        # SQLite has one writer, so all rows with higher ids are new. RETURNING would need a step for each
        # row (see `fetch_tuples`).
        last_row = await self.fetch_one(f"SELECT max(id) AS id FROM {table}")
        await self.execute(insert, *values)
        select_new = f"SELECT {', '.join(returning)} FROM {table} WHERE id > ?"
        return await self.fetch_tuples(returning, select_new, (last_row["id"] if last_row else None) or 0)

    async def fetch_tuples(self, columns: Sequence[str], sql: str, *values: object) -> list[RowValues]:
        """Return all rows of a SELECT of these columns, as sequences of values.

        An ORDER BY has no effect.

        SQLite returns them as one JSON value. It would otherwise make a step for each row, and after each step its
        thread competes with the event loop for the interpreter. On a busy server that dominates the cost of reading a
        thousand rows.
        """
        if self.postgres:
            return [tuple(row.values()) for row in await self.fetch(sql, *values)]
        packed_select = f"SELECT json_group_array(json_array({', '.join(columns)})) AS packed FROM ({sql})"
        row = await self.fetch_one(packed_select, *values)
        return orjson.loads(row["packed"]) if row else []

    def in_any(self, column: str, number: str = "bigint") -> str:
        """Return the condition that a column equals one of any number of integers.

        `number` is the SQL type of the column. The integers are one parameter (see `array_param`).
        """
        return f"{column} = ANY(?::{number}[])" if self.postgres else f"{column} IN (SELECT value FROM json_each(?))"

    def array_param(self, numbers: Iterable[int]) -> list[int] | str:
        """Return integers as the one parameter of the condition from `in_any`."""
        integers = [int(n) for n in numbers]
        return integers if self.postgres else orjson.dumps(integers).decode()

    def in_texts(self, column: str) -> str:
        """Return the condition that a column equals one of any number of texts.

        The texts are one parameter (see `text_array_param`).
        """
        return f"{column} = ANY(?::text[])" if self.postgres else f"{column} IN (SELECT value FROM json_each(?))"

    def text_array_param(self, texts: Iterable[str]) -> list[str] | str:
        """Return texts as the one parameter of the condition from `in_texts`."""
        return list(texts) if self.postgres else orjson.dumps(list(texts)).decode()

    def cast_param(self, kind: str) -> str:
        """Return a placeholder, with a cast to an SQL type if the database needs it.

        It is for places where PostgreSQL cannot infer the type of a parameter.
        """
        return f"?::{kind}" if self.postgres else "?"

    def for_update(self, mode: str = "UPDATE") -> str:
        """Return the clause with which a SELECT locks its rows, such as FOR UPDATE.

        It is empty for SQLite, which has one writer.
        """
        return f" FOR {mode}" if self.postgres else ""


class ClientConnection(Connection):
    """A connection whose statements are executed by one of Tortoise's clients."""

    def __init__(self, client: BaseDBAsyncClient) -> None:
        self.client = client
        self.postgres = client.capabilities.dialect == "postgres"

    def _adapt_sql(self, sql: str) -> str:
        return number_parameters(sql) if self.postgres else sql

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        return await self.client.execute_query_dict(self._adapt_sql(sql), list(values))

    async def fetch_inline(self, sql: str, *values: object) -> list[Row]:
        if isinstance(self.client, TransactionalDBClient):
            return await self.fetch(sql, *values)
        return await cast(DatabaseClient, self.client).fetch_inline(sql, values)

    async def execute(self, sql: str, *values: object) -> int:
        return (await self.client.execute_query(self._adapt_sql(sql), list(values)))[0]

    async def execute_many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        value_lists = [list(each) for each in values]
        if value_lists:
            await self.client.execute_many(self._adapt_sql(sql), value_lists)


TransactionBody: TypeAlias = Callable[[Connection], Coroutine[object, None, T]]
"""A coroutine function that uses a connection and awaits nothing else."""


class DatabaseClient(Protocol):
    """What the clients of both databases offer beyond Tortoise's own methods."""

    timeout: float | None
    """The limit of a statement in seconds; None is no limit."""

    async def create_connection(self, with_db: bool) -> None:
        """Connect to the database. `with_db` is always true here."""

    async def fetch_inline(self, query: str, values: Sequence[object]) -> list[Row]:
        """Return the rows of a SELECT that finds few rows by a key.

        See `Connection.fetch_inline`.
        """

    async def run_in_transaction(self, body: TransactionBody[T]) -> T:
        """Run the body in one transaction (see `run_in_transaction` of this module)."""

    async def run_statement(self, body: TransactionBody[T]) -> T:
        """Run a body that executes one statement at most, in one transaction."""

    async def run_snapshot(self, body: TransactionBody[T]) -> T:
        """Run several SELECTs that all read the same snapshot."""

    async def run_indexed_reads(self, body: TransactionBody[T]) -> T:
        """Run a body of several SELECTs that find their rows by keys.

        See `run_indexed_reads` of this module.
        """


def _get_client() -> DatabaseClient:
    """Return the client of the current context, which must be outside a transaction."""
    return cast(DatabaseClient, require_context().db())


def database() -> Connection:
    """Return the connection of the current context.

    Inside a transaction, its statements belong to that transaction.
    """
    return ClientConnection(require_context().db())


@asynccontextmanager
async def transaction() -> AsyncIterator[ClientConnection]:
    """Run the block in one transaction. On SQLite it first waits for the write lock.

    Raises: Unavailable if the database fails, OutcomeUnknown if it fails during the commit.
    """
    try:
        async with in_transaction() as client:
            yield ClientConnection(client)
    except Unavailable as exc:
        _mark_rolled_back(exc)
        raise


def _mark_rolled_back(exc: Unavailable) -> None:
    """Record in the exception that the transaction was rolled back.

    If its outcome is unknown, do nothing.
    """
    exc.rolled_back = not isinstance(exc, OutcomeUnknown)


async def run_in_transaction(body: TransactionBody[T], single_statement: bool = False) -> T:
    """Run the body in one transaction, faster than `transaction`.

    On SQLite the whole body runs in the writer's thread, so it costs one switch of threads instead of one for each
    statement. On PostgreSQL it uses a connection directly, without Tortoise.

    The statements must find their rows by keys, because PostgreSQL plans each of them once. With `single_statement` the
    body executes one statement at most; PostgreSQL then needs no BEGIN and COMMIT.

    Raises: Unavailable if the database fails, OutcomeUnknown if it fails during the commit.
    """
    client = _get_client()
    try:
        return await (client.run_statement if single_statement else client.run_in_transaction)(body)
    except Unavailable as exc:
        _mark_rolled_back(exc)
        raise


async def run_snapshot(body: TransactionBody[T]) -> T:
    """Run several SELECTs that all read the same snapshot."""
    return await _get_client().run_snapshot(body)


async def run_indexed_reads(body: TransactionBody[T]) -> T:
    """Run several SELECTs that find their rows by keys (see `run_in_transaction`).

    On SQLite all read the same snapshot. On PostgreSQL each reads what is committed when it starts.
    """
    return await _get_client().run_indexed_reads(body)
