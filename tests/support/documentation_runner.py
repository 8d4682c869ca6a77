"""Someone who reads our pages and tries every example, one after the other, against a running product."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from command_center.database.connections import database
from models.enums import EmailStatus, Role
from tests.support import server as serving
from tests.support.documentation import DocumentationError, Example, Page, fill_placeholders, find_differences
from tests.support.server import Client, Completed, Failed, Server
from tests.support.smtp_servers import Mailbox
from tests.support.smtp_servers import run_mail_server as mail_serving

UNDER_WAY = "SELECT 1 AS one FROM invalidations UNION ALL SELECT 1 FROM emails WHERE status = ? LIMIT 1"


class ExampleRunner:
    """Knows what the answers so far have named. Raises Wrong for the first example that is not as documented."""

    def __init__(self, server: Server, patience: float = serving.PATIENCE, team: str = "Team") -> None:
        self.names: dict[str, str] = {}
        self.tried = 0
        self._server, self._patience, self._team = server, patience, team
        self._clients: dict[str, Client] = {}

    async def read(self, page: Page) -> None:
        for example in page.examples():
            try:
                await self._try(example)
            except (DocumentationError, Failed, Completed, TimeoutError) as exc:
                raise DocumentationError(f"{example.place}: {str(exc) or type(exc).__name__}") from exc
            self.tried += 1

    async def _try(self, example: Example) -> None:
        client = await self._client(example.actor)
        await self._settled()
        variables = fill_placeholders(example.variables, self.names)
        match example.kind:
            case "subscription":
                await self._follow(client, example, variables)
            case "mutation":
                self._compare(example, await client.raw(example.document, **variables))
            case _:
                await self._ask(client, example, variables)

    async def _ask(self, client: Client, example: Example, variables: Mapping[str, Any]) -> None:
        """What follows by itself, such as a list's members, may need a moment: ask until it is so, or patience ends."""
        until = time.monotonic() + self._patience
        while True:
            try:
                self._compare(example, await client.raw(example.document, **variables))
            except DocumentationError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.05)
            else:
                return

    async def _follow(self, client: Client, example: Example, variables: Mapping[str, Any]) -> None:
        async with client.follow(example.document, **variables) as stream:
            if not example.answers:
                await stream.until("CaughtUp")
            for answer in example.answers:
                if "errors" in answer:
                    raise DocumentationError("a frame has data")
                (documented,) = answer["data"].values()
                self._same(documented, await stream.frame())

    def _compare(self, example: Example, found: Mapping[str, Any]) -> None:
        if not example.answers:
            if "errors" in found or _mistakes(found):
                raise DocumentationError(f"it is refused: {json.dumps(found, ensure_ascii=False)}")
            return
        (documented,) = example.answers
        real = {key: value for key, value in found.items() if key != "extensions" or key in documented}
        for error in real.get("errors", ()):
            error.pop("locations", None)
        if documented.keys() == {"errors"} and real.get("data") is None:
            real.pop("data", None)
        self._same(documented, real)

    def _same(self, documented: Any, real: Any) -> None:
        names = dict(self.names)
        found = list(find_differences(documented, real, names))
        if found:
            raise DocumentationError("\n  ".join(["the answer is another one", *found]))
        self.names = names

    async def _client(self, actor: str) -> Client:
        if actor not in self._clients:
            name, _, role = actor.partition(", an ")
            role_of = Role.ADMIN if role == "admin" else Role.MEMBER
            self._clients[actor] = await self._server.client(name, self._team, role_of)
        return self._clients[actor]

    async def _settled(self) -> None:
        """Nothing that was asked for is still under way."""
        async with asyncio.timeout(serving.PATIENCE):
            while await database().fetch_one(UNDER_WAY, int(EmailStatus.IN_PROGRESS)):
                await asyncio.sleep(0.01)


def _mistakes(found: Any) -> bool:
    """Whether there are userErrors anywhere."""
    if isinstance(found, dict):
        return bool(found.get("userErrors")) or any(_mistakes(each) for each in found.values())
    return isinstance(found, list) and any(_mistakes(each) for each in found)


@asynccontextmanager
async def serve_with_mail(database_url: str) -> AsyncIterator[Server]:
    """The whole product, with a mail server that takes what it is given."""
    async with mail_serving(Mailbox()) as mailbox, serving.serving(database_url, SMTP_URL=mailbox.url) as server:
        yield server
