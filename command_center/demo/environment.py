"""Starts the environment of the demo in one process and temporary folder.

It consists of a database, a mail server and the product's server.
"""

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
from command_center.demo.mailbox import DemoMailServer
from command_center.server import serving
from command_center.server.app import create_app
from command_center.server.metrics import TrafficCounts
from command_center.server.runtime import Runtime
from command_center.server.settings import PREFIX, Settings, read_settings
from command_center.web.authentication import SCOPES, Tokens
from models.enums import Role

GRACE_SECONDS = 2
LIFETIME = timedelta(days=1)


@dataclass(slots=True)
class RunFolder:
    """The temporary folder with the files of a run.

    It is deleted at the end unless `keep` is set.
    """

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
def throw_away_folder() -> Iterator[RunFolder]:
    """Create a temporary folder for one run.

    It is deleted at the end unless `keep` is set.
    """
    folder = RunFolder(Path(tempfile.mkdtemp(prefix="command-center-demo-")))
    try:
        folder.mail.mkdir()
        yield folder
    finally:
        if not folder.keep:
            shutil.rmtree(folder.path, ignore_errors=True)


class Server(serving.GracefulServer):
    """A server that leaves the handling of signals to the demo.

    The demo has more to stop than the server.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Environment:
    """The running product.

    Only the creation of the seller and the audit use its `runtime` directly.
    """

    url: str
    runtime: Runtime
    arrivals: "asyncio.Queue[Path]"
    """The paths of the messages that have arrived at the mail server."""
    server_task: "asyncio.Task[None]"
    """The task of the server. It ends only if the server is stopped or fails."""
    count_changes: Callable[[], int]
    """Counts all mutations and requests for tracking pixels and links so far, by any client."""
    _tokens: Tokens

    async def seller(self) -> tuple[str, str]:
        """Create the team's only seller.

        Returns a token for the seller's application, and one with all scopes, which may also record events.
        """
        address = "sam.seller@harbour-tools.example"
        user = await users.add(self.runtime.ctx, "Harbour Tools", "Sam Seller", address, Role.MEMBER, "UTC")
        return self._tokens.issue(user, (), LIFETIME), self._tokens.issue(user, SCOPES, LIFETIME)


@asynccontextmanager
async def start_environment(listener: socket.socket, folder: RunFolder) -> AsyncIterator[Environment]:
    """Serve the product on the socket, with its own mail server.

    Stops both within a few seconds at the end.
    """
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"
    arrivals: asyncio.Queue[Path] = asyncio.Queue()
    mail = DemoMailServer(folder.mail, _thread_safe(arrivals.put_nowait))
    with mail.running():
        settings = _settings(folder, url, mail.url)
        app = create_app(settings)
        config = serving.create_server(app, settings).config
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
                url, app.state.runtime, arrivals, task, partial(_count_changes, app), Tokens(settings.signing_secret())
            )
        finally:
            server.should_exit = True
            await asyncio.wait({task})


def _count_changes(app: Starlette) -> int:
    """Return the number of mutations and of requests for tracking pixels and links."""
    traffic: TrafficCounts = app.state.traffic
    operations: Operations = app.state.operations
    tracked = sum(number for (route, _), number in traffic.responses.items() if route == "/t")
    return operations.accepted[OperationType.MUTATION] + tracked


def _settings(folder: RunFolder, url: str, smtp_url: str) -> Settings:
    """Return settings that ignore the environment variables.

    Those may belong to a real installation.
    """
    variables = {
        "DATABASE_URL": folder.database_url,
        "SECRET": secrets.token_hex(32),
        "BASE_URL": url,
        "SMTP_URL": smtp_url,
        "LOG_LEVEL": "warning",
    }
    return read_settings({PREFIX + name: value for name, value in variables.items()})


def _thread_safe(callback: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return a thread-safe form of a callback.

    Another thread may call it to run the callback on the event loop.
    """
    loop = asyncio.get_running_loop()

    def schedule(path: Path) -> None:
        loop.call_soon_threadsafe(callback, path)

    return schedule
