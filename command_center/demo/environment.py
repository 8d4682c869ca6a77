"""Everything the demo stands on, in one process and one throw-away folder: database, mail server, product server."""

import asyncio
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from graphql import OperationType
from starlette.applications import Starlette

from command_center.actions import users
from command_center.api.operations import Operations
from command_center.demo.mailbox import MailServer
from command_center.server import serving
from command_center.server.app import create
from command_center.server.metrics import Traffic
from command_center.server.runtime import Runtime
from command_center.server.settings import PREFIX, Settings, read
from command_center.web.authentication import SCOPES, Tokens
from models.enums import Role

GRACE_SECONDS = 2
LIFETIME = timedelta(days=1)


@dataclass(slots=True)
class Folder:
    """Where a run keeps its files; it is deleted in the end unless somebody says `keep`."""

    path: Path
    keep: bool = False

    @property
    def mail(self) -> Path:
        return self.path / "mail"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.path / 'command-center.db'}"


@contextmanager
def throw_away_folder() -> Iterator[Folder]:
    folder = Folder(Path(tempfile.mkdtemp(prefix="command-center-demo-")))
    try:
        folder.mail.mkdir()
        yield folder
    finally:
        if not folder.keep:
            shutil.rmtree(folder.path, ignore_errors=True)


class Server(serving.GracefulServer):
    """Leaves the signals to the demo, which has more to end than a server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Environment:
    """The running product, as it is reached from outside; the engine is for making the seller and the audit."""

    url: str
    engine: Runtime
    arrivals: "asyncio.Queue[Path]"
    """The files of the mail that came in."""
    serving: "asyncio.Task[None]"
    """Done when the server has ended, which it does not by itself."""
    changes: Callable[[], int]
    """Counts the mutations and the requests for tracked pixels and links so far, whoever made them."""
    _tokens: Tokens

    async def seller(self) -> tuple[str, str]:
        """Makes the team's one seller: a token for their application, and one that may record events as well."""
        address = "sam.seller@harbour-tools.example"
        user = await users.add(self.engine.ctx, "Harbour Tools", "Sam Seller", address, Role.MEMBER, "UTC")
        return self._tokens.issue(user, (), LIFETIME), self._tokens.issue(user, SCOPES, LIFETIME)


@asynccontextmanager
async def start_environment(listener: socket.socket, folder: Folder) -> AsyncIterator[Environment]:
    """The product served on the socket, its mail handed to a server beside it. Ends within a few seconds."""
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"
    arrivals: asyncio.Queue[Path] = asyncio.Queue()
    mail = MailServer(folder.mail, _from_another_thread(arrivals.put_nowait))
    with mail.running():
        settings = _settings(folder, url, mail.url)
        app = create(settings)
        config = serving.server(app, settings).config
        config.timeout_graceful_shutdown = GRACE_SECONDS
        server = Server(config, app.state.shutdown)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="server")
        try:
            while not server.started:
                if task.done():
                    await task
                    raise RuntimeError(f"the demo's server did not start: see {folder.log}")
                await asyncio.sleep(0.01)
            yield Environment(
                url, app.state.engine, arrivals, task, partial(_changes, app), Tokens(settings.signing_secret())
            )
        finally:
            server.should_exit = True
            await asyncio.wait({task})


def _changes(app: Starlette) -> int:
    traffic: Traffic = app.state.traffic
    operations: Operations = app.state.operations
    tracked = sum(number for (route, _), number in traffic.answers.items() if route == "/t")
    return operations.taken[OperationType.MUTATION] + tracked


def _settings(folder: Folder, url: str, smtp_url: str) -> Settings:
    """Settings of its own: those of the surroundings may belong to a real installation."""
    given = {
        "DATABASE_URL": folder.database_url,
        "SECRET": secrets.token_hex(32),
        "BASE_URL": url,
        "SMTP_URL": smtp_url,
        "LOG_LEVEL": "warning",
    }
    return read({PREFIX + name: value for name, value in given.items()})


def _from_another_thread(call: Callable[[Path], None]) -> Callable[[Path], None]:
    loop = asyncio.get_running_loop()

    def pass_on(path: Path) -> None:
        loop.call_soon_threadsafe(call, path)

    return pass_on
