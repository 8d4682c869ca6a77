"""The way to the database: the configuration Tortoise is opened with, and SQL in one spelling for both databases.

Statements are written with `?`; on PostgreSQL they become `$1`, `$2`, … Rows come back as dictionaries. Inside
`transaction()` everything, Tortoise's own queries included, runs in it; nothing started there may outlive it.
"""

import functools
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.context import TortoiseContext, require_context
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.transactions import in_transaction

from command_center.database.errors import OutcomeUnknown, Unavailable
from command_center.database.postgres import url as postgres_url

Row = dict[str, Any]
Statement: TypeAlias = tuple[str, Sequence[Any]]
"""Its text and its values."""
Columns: TypeAlias = Mapping[str, str]
"""Columns of rows that are handed over together: the type that PostgreSQL knows each by."""
T = TypeVar("T")
MAX_CACHED_CHARACTERS = 8_000
"""The longest statement that is kept in PostgreSQL's spelling."""
MAX_KEYS_PER_STATEMENT = 10_000
"""Keys in one statement of Tortoise's, which makes a parameter of each: PostgreSQL takes 32,767."""
MAX_ROWS_BY_VALUE = 4
"""Rows that SQLite is handed value by value: more of them come as JSON, which takes it longer to begin with."""
CACHE_BYTES = 32_000_000
"""What the page caches of SQLite's connections may take together, unless a setting says otherwise."""
MODELS = "models.tables"
MIGRATIONS = "models.migrations"


class UnknownDatabase(ValueError):
    """The address names no database we can use."""


def configuration(url: str, cache_bytes: int = CACHE_BYTES) -> dict[str, Any]:
    """Tortoise's configuration for `sqlite:///file` or `postgresql://…`. `cache_bytes` is for SQLite."""
    scheme = urlsplit(url).scheme
    connection: Any
    # Tortoise remembers statements under the connection's name, so each database needs a name of its own.
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
    url: str, timeout_seconds: float | None = None, cache_bytes: int = CACHE_BYTES
) -> AsyncIterator[TortoiseContext]:
    """The database, open for everything that runs inside, tasks started there included.

    `timeout_seconds` bounds each answer of the database; None is no bound. `cache_bytes` is what SQLite's
    page caches may take together.
    """
    async with TortoiseContext() as context:
        # Requests run in contexts of their own, so the process needs a fallback that all of them see.
        await context.init(config=configuration(url, cache_bytes), _enable_global_fallback=True)
        client: Any = context.db()
        client.timeout = timeout_seconds
        await client.create_connection(with_db=True)
        yield context


class NewerDatabase(Exception):
    """A newer version of the program has migrated the database; this one would damage it."""

    def __init__(self, migrations: Sequence[str]) -> None:
        super().__init__(
            f"a newer version of command-center has migrated it ({', '.join(migrations)}); install that version"
        )


_LATEST = [MigrationTarget(app_label="models", name="__latest__")]


async def pending_migrations(url: str) -> list[str]:
    """Returns the names of the migrations that the database lacks. The database must be open.

    Raises NewerDatabase if it has migrations that this version does not know.
    """
    executor = MigrationExecutor(require_context().db(), configuration(url)["apps"])
    plan = await executor.plan(_LATEST)
    applied = await executor.recorder.applied_migrations()
    if unknown := sorted(key.name for key in applied if key not in executor.loader.graph.nodes):
        raise NewerDatabase(unknown)
    return [step.migration.name for step in plan]


async def migrate(url: str) -> list[str]:
    """Brings the tables up to date; the names of the steps that were missing. The database must be open."""
    steps = await pending_migrations(url)
    if steps:
        await MigrationExecutor(require_context().db(), configuration(url)["apps"]).migrate(_LATEST)
    return steps


def key_chunks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    """Keys in portions that one statement can hold as parameters."""
    for start in range(0, len(keys), MAX_KEYS_PER_STATEMENT):
        yield keys[start : start + MAX_KEYS_PER_STATEMENT]


def sqlite_path(url: str) -> str:
    """The file of a `sqlite:///` address: three slashes for a relative path, four for an absolute one."""
    return url.removeprefix("sqlite://").removeprefix("/")


def numbered_parameters(sql: str) -> str:
    """A statement with its parameters as PostgreSQL spells them."""
    # A filter makes a statement of its own, of up to 100 kB: those are not worth their memory.
    return _cached_numbered(sql) if len(sql) <= MAX_CACHED_CHARACTERS else _number_parameters(sql)


def _number_parameters(sql: str) -> str:
    count = 0

    def number(_: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${count}"

    return re.sub(r"\?", number, sql)


_cached_numbered = functools.lru_cache(maxsize=2048)(_number_parameters)


@functools.lru_cache(maxsize=256)
def _rows_of_parameters(names: tuple[str, ...], count: int) -> str:
    """`Connection.given` for SQLite, with a parameter for each value of so many rows."""
    first = ", ".join(f"? AS {name}" for name in names)
    others = f" UNION ALL SELECT {', '.join('?' * len(names))}" * (count - 1)
    return f"(SELECT {first}{others}) AS given"


@functools.lru_cache(maxsize=256)
def _rows_of_json(names: tuple[str, ...]) -> str:
    """The same with one parameter for all, their JSON."""
    fields = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
    return f"(SELECT {fields} FROM json_each(?)) AS given"


def as_ctes(statements: Sequence[Statement]) -> tuple[str, list[Any]]:
    """Statements as parts of a WITH on PostgreSQL, and their values."""
    parts = (f"beside{place} AS ({sql})" for place, (sql, _) in enumerate(statements))
    return ", ".join(parts), [value for _, values in statements for value in values]


class Connection:
    """The database, or the transaction one is in."""

    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client
        self.postgres = client.capabilities.dialect == "postgres"

    def _spell(self, sql: str) -> str:
        return numbered_parameters(sql) if self.postgres else sql

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a SELECT, or of a statement with RETURNING."""
        return await self._client.execute_query_dict(self._spell(sql), list(values))

    async def fetch_one(self, sql: str, *values: Any) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(sql, *values)
        return rows[0] if rows else None

    async def fetch_inline(self, sql: str, *values: Any) -> list[Row]:
        """The rows of a SELECT that finds few, by a key. On SQLite it is answered on the spot: a change of threads
        takes many times as long as looking. On PostgreSQL it is planned once (see `at_once`)."""
        client: Any = self._client
        if isinstance(client, TransactionalDBClient):
            return await self.fetch(sql, *values)
        return await client.fetch_inline(sql, values)  # type: ignore[no-any-return]

    async def execute(self, sql: str, *values: Any) -> int:
        """Runs a statement; how many rows it touched."""
        return (await self._client.execute_query(self._spell(sql), list(values)))[0]

    async def execute_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Runs a statement once for each set of values."""
        listed = [list(each) for each in values]
        if listed:
            await self._client.execute_many(self._spell(sql), listed)

    def values_table(self, columns: Columns, rows: Sequence[Sequence[Any]]) -> Statement:
        """A table named `given`, to select from, that holds rows of these columns; with the values of its parameters.

        However many there are, that is one statement and one step of it.
        """
        names = tuple(columns)
        if self.postgres:
            arrays = ", ".join(f"?::{kind}[]" for kind in columns.values())
            values: list[Any] = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
            return f"unnest({arrays}) AS given ({', '.join(names)})", values
        if 0 < len(rows) <= MAX_ROWS_BY_VALUE:
            return _rows_of_parameters(names, len(rows)), [value for row in rows for value in row]
        return _rows_of_json(names), [orjson.dumps(rows).decode()]

    def insert_statement(
        self, table: str, columns: Columns, rows: Sequence[Sequence[Any]], conflict: str = ""
    ) -> Statement:
        """The statement that inserts rows."""
        names = ", ".join(columns)
        given, values = self.values_table(columns, rows)
        return f"INSERT INTO {table} ({names}) SELECT {names} FROM {given} WHERE true {conflict}", values

    async def execute_batch(self, statements: Sequence[Statement]) -> None:
        """Carries out statements that change different rows and read nothing that another changes: on PostgreSQL in
        one way there and back, in no order."""
        if self.postgres and statements:
            first, values = as_ctes(statements[:-1])
            last = statements[-1]
            await self.execute((f"WITH {first} " if first else "") + last[0], *values, *last[1])
            return
        for sql, each in statements:
            await self.execute(sql, *each)

    async def insert(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[Any]],
        conflict: str = "",
        returning: Sequence[str] = (),
    ) -> list[Sequence[Any]]:
        """Inserts rows in one statement. What came of them that was not there before, as values of `returning`."""
        if not rows:
            return []
        insert, values = self.insert_statement(table, columns, rows, conflict)
        if not returning:
            await self.execute(insert, *values)
            return []
        if self.postgres or len(rows) <= MAX_ROWS_BY_VALUE:
            returned = await self.fetch(f"{insert} RETURNING {', '.join(returning)}", *values)
            return [tuple(row.values()) for row in returned]
        # Nobody else writes meanwhile, and each row that RETURNING returns would be a step (see `tuples`).
        last = await self.fetch_one(f"SELECT max(id) AS id FROM {table}")
        await self.execute(insert, *values)
        new = f"SELECT {', '.join(returning)} FROM {table} WHERE id > ?"
        return await self.fetch_tuples(returning, new, (last["id"] if last else None) or 0)

    async def fetch_tuples(self, columns: Sequence[str], sql: str, *values: Any) -> list[Sequence[Any]]:
        """All rows of a SELECT of these columns, as values in that order, without regard to an ORDER BY.

        In SQLite each row is a step, and after each step its thread competes with the event loop for the interpreter:
        on a busy server that is what reading a thousand rows costs. So they come as one row.
        """
        if self.postgres:
            return [tuple(row.values()) for row in await self.fetch(sql, *values)]
        packed = f"SELECT json_group_array(json_array({', '.join(columns)})) AS packed FROM ({sql})"
        row = await self.fetch_one(packed, *values)
        return orjson.loads(row["packed"]) if row else []

    def in_any(self, column: str, number: str = "bigint") -> str:
        """A condition that takes any number of whole numbers in one parameter (see `listed`)."""
        return f"{column} = ANY(?::{number}[])" if self.postgres else f"{column} IN (SELECT value FROM json_each(?))"

    def array_param(self, numbers: Iterable[int]) -> Any:
        """The parameter for `within`."""
        plain = [int(n) for n in numbers]
        return plain if self.postgres else orjson.dumps(plain).decode()

    def in_texts(self, column: str) -> str:
        """A condition that takes any number of texts in one parameter (see `text_array`)."""
        return f"{column} = ANY(?::text[])" if self.postgres else f"{column} IN (SELECT value FROM json_each(?))"

    def text_array(self, texts: Iterable[str]) -> Any:
        """The parameter for `in_texts`."""
        return list(texts) if self.postgres else orjson.dumps(list(texts)).decode()

    def cast_param(self, kind: str) -> str:
        """A parameter in a place where PostgreSQL would have to guess its type."""
        return f"?::{kind}" if self.postgres else "?"

    def for_update(self, mode: str = "UPDATE") -> str:
        """The locking clause of a SELECT: SQLite's one writer needs none."""
        return f" FOR {mode}" if self.postgres else ""


def database() -> Connection:
    """The database as the current context sees it."""
    return Connection(require_context().db())


@asynccontextmanager
async def transaction() -> AsyncIterator[Connection]:
    """One transaction: all of it or nothing. On SQLite it waits its turn for the one writer.

    Raises Unavailable where the database fails, or OutcomeUnknown where it did while committing.
    """
    try:
        async with in_transaction() as client:
            yield Connection(client)
    except Unavailable as exc:
        _mark_rolled_back(exc)
        raise


def _mark_rolled_back(exc: Unavailable) -> None:
    """Notes that nothing remains of the transaction, unless that is what nobody knows."""
    exc.rolled_back = not isinstance(exc, OutcomeUnknown)


TransactionBody: TypeAlias = Callable[[Connection], Coroutine[Any, Any, T]]
"""What is done with a connection. It awaits nothing else."""


async def run_in_transaction(body: TransactionBody[T], single_statement: bool = False) -> T:
    """One transaction, like `transaction`, in one go: on SQLite all of it runs in the writer's thread, on PostgreSQL it
    has a connection to itself.

    So it costs one change of threads and not one a statement, or nothing of Tortoise's. Its statements find their rows
    by keys: PostgreSQL plans each of them once. `alone`: there it is a single one, which needs nothing around it to be
    all or nothing.
    """
    client: Any = require_context().db()
    try:
        return await (client.run_statement if single_statement else client.run_in_transaction)(body)  # type: ignore[no-any-return]
    except Unavailable as exc:
        _mark_rolled_back(exc)
        raise


async def run_snapshot(work: TransactionBody[T]) -> T:
    """Several SELECTs of one moment in one go."""
    client: Any = require_context().db()
    return await client.run_snapshot(work)  # type: ignore[no-any-return]


async def run_indexed_reads(work: TransactionBody[T]) -> T:
    """Several SELECTs in one go that find their rows by keys (see `at_once`). On PostgreSQL each sees what is committed
    when it is asked."""
    client: Any = require_context().db()
    return await client.run_indexed_reads(work)  # type: ignore[no-any-return]
