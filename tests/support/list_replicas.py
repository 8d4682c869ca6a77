"""Replicas of lists, as applications keep them: they fetch a list, subscribe to its changes and fold each message.

A replica may lose its connection, read slowly or get an expired cursor. In each case its folded lists must equal a
fresh fetch.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import websockets
from websockets.exceptions import ConnectionClosed

from command_center.changes.cursors import parse
from command_center.changes.entries import LogEntry
from command_center.ids import decode_key
from models.enums import ChangeKind
from tests.support.server import Client, Completed, Failed, Stream

_FIELDS = """__typename ... on Change{cursor}
    ... on MemberJoined{savedSearchId memberId emailId member{id cause{kind} email{id subject body}}}
    ... on MemberLeft{savedSearchId memberId emailId cause{kind}}
    ... on SavedSearchUpserted{savedSearchId savedSearch{name state memberCount}}
    ... on SavedSearchReset{savedSearchId savedSearch{memberCount}}
    ... on SavedSearchDeleted{savedSearchId}"""
ONE = f"subscription($id:ID!,$after:ChangeCursor){{savedSearchChanges(savedSearchId:$id,after:$after){{{_FIELDS}}}}}"
ALL = f"subscription($after:ChangeCursor){{allSavedSearchChanges(after:$after){{{_FIELDS}}}}}"
MEMBERS = """query($id:ID!,$n:Int,$after:String){savedSearch(id:$id){members(first:$n,after:$after){
    asOf nodes{id email{id}} pageInfo{hasNextPage endCursor}}}}"""
LISTS = "query($after:String){savedSearches(first:200,after:$after){asOf nodes{id}}}"

KINDS = {
    "MemberJoined": ChangeKind.MEMBER_JOINED,
    "MemberLeft": ChangeKind.MEMBER_LEFT,
    "SavedSearchUpserted": ChangeKind.SEARCH_UPSERTED,
    "SavedSearchReset": ChangeKind.SEARCH_RESET,
    "SavedSearchDeleted": ChangeKind.SEARCH_DELETED,
}
PATIENCE = 60.0
FEW_BYTES = 4096

Row = tuple[int, ChangeKind | None, int | None, int | None, int | None]
"""What a frame and a row of the log have in common: position, kind, and the keys of list, stay and email."""


def row_of(entry: LogEntry) -> Row:
    return (entry.position, entry.kind, entry.search_id, entry.member_id, entry.email_id)


async def members_of(client: Client, search_id: str, page: int = 50) -> tuple[dict[str, str], str | None]:
    """The stays of a list, email by stay, and the place read before them; nothing where the list is gone."""
    found: dict[str, str] = {}
    as_of: str | None = None
    after: str | None = None
    while True:
        search = await client.one(MEMBERS, id=search_id, n=page, after=after)
        if search is None:
            return {}, as_of
        members = search["members"]
        as_of = as_of or members["asOf"]
        for node in members["nodes"]:
            found[node["id"]] = node["email"]["id"]
        if not members["pageInfo"]["hasNextPage"]:
            return found, as_of
        after = members["pageInfo"]["endCursor"]


@dataclass
class ListReplica:
    """One subscription over its whole life. `search_id` None follows all of the user's lists."""

    client: Client
    search_id: str | None
    slow: bool = False
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    cursor: str = ""
    began: int = 0
    rows: list[Row] = field(default_factory=list)
    inbox: list[dict[str, Any]] = field(default_factory=list)
    over: bool = False
    expired: bool = False
    resets: int = 0
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reading = asyncio.Event()
        self._reading.set()
        self._news = asyncio.Event()
        self._stream: Stream | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def position(self) -> int:
        return parse(self.cursor).position

    @property
    def connected(self) -> bool:
        return self._task is not None and not self._task.done()

    async def begin(self) -> None:
        """Fetches what there is; from here on it is a matter of frames."""
        self.rows, self.inbox, self.lists = [], [], {}
        self.expired = False
        if self.search_id is not None:
            self.lists[self.search_id], as_of = await members_of(self.client, self.search_id)
            self.over = as_of is None
        else:
            found = await self.client.one(LISTS)
            as_of = found["asOf"]
            for node in found["nodes"]:
                self.lists[node["id"]] = (await members_of(self.client, node["id"]))[0]
        if as_of is None:
            # Its list is gone, which the fetch has told it: no frame is owed any more.
            self.began = 2**62
        else:
            self.cursor = as_of
            self.began = self.position

    async def connect(self) -> None:
        """Goes on from the last cursor."""
        url = urlsplit(self.client.url)
        plug = socket.socket()
        if self.slow:
            # So that a reader that does not read really holds up its server.
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FEW_BYTES)
        plug.connect((url.hostname, url.port))
        line = await websockets.connect(
            f"ws://{url.netloc}/graphql",
            sock=plug,
            subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
            compression=None,
            max_queue=2 if self.slow else 16,
            ping_interval=None,
        )
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {self.client.token}"}}
        await line.send(json.dumps(init))
        assert json.loads(await line.recv())["type"] == "connection_ack"
        variables = {"after": self.cursor} | ({} if self.search_id is None else {"id": self.search_id})
        document = ALL if self.search_id is None else ONE
        payload = {"query": document, "variables": variables}
        await line.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        self._stream = Stream(line, document, variables)
        self._task = asyncio.create_task(self._read(self._stream))

    async def disconnect(self, abruptly: bool = False) -> None:
        """Loses the connection. What was received is kept, what was not comes again after `connect`."""
        if self._task is None or self._stream is None:
            return
        line = self._stream.socket
        if abruptly:
            line.transport.abort()
        self._reading.set()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if not abruptly:
            await line.close()
        await line.wait_closed()
        self._task = self._stream = None

    def pause(self) -> None:
        """Stops reading, connection open."""
        self._reading.clear()

    def resume(self) -> None:
        self._reading.set()

    async def _read(self, stream: Stream) -> None:
        while True:
            await self._reading.wait()
            try:
                frame = await stream.frame(3600)
            except (Completed, ConnectionClosed):
                return
            except Failed as exc:
                self.errors.append(str(exc))
                return
            finally:
                self._news.set()
            self._take(frame)

    def _take(self, frame: dict[str, Any]) -> None:
        before, self.cursor = self.position, frame["cursor"]
        kind = frame["__typename"]
        if kind == "CursorExpired":
            self.expired = True
            return
        # A CaughtUp stands where its stream began; everything else stands further on than what came before.
        if self.position < before or (self.position == before and kind != "CaughtUp"):
            self.errors.append(f"{kind} at {self.position} came after {before}")
        if kind != "CaughtUp":
            self.rows.append(_row(frame))
            self.inbox.append(frame)

    async def reach(self, position: int) -> None:
        """Waits until the frame at a position has come, as long as any frames come; 0 is no frame at all."""
        self.resume()
        if not position:
            return
        with suppress(TimeoutError):
            while not (self.expired or self.errors or (self.rows and self.rows[-1][0] >= position)):
                self._news.clear()
                async with asyncio.timeout(PATIENCE):
                    await self._news.wait()

    async def fold(self) -> None:
        """Applies what has come since the last time."""
        frames, self.inbox = self.inbox, []
        for frame in frames:
            search_id = frame["savedSearchId"]
            stays = self.lists.setdefault(search_id, {})
            match frame["__typename"]:
                case "MemberJoined":
                    stays[frame["memberId"]] = frame["emailId"]
                case "MemberLeft":
                    stays.pop(frame["memberId"], None)
                case "SavedSearchReset":
                    self.lists[search_id] = (await members_of(self.client, search_id))[0]
                    self.resets += 1
                case "SavedSearchDeleted":
                    self.lists[search_id] = {}
                    self.over = self.over or self.search_id is not None

    def concerned(self, entries: list[LogEntry], owner_id: int) -> Iterator[LogEntry]:
        """The rows of the log that it must have been told, in order."""
        wanted = None if self.search_id is None else decode_key("SavedSearch", self.search_id)
        for entry in entries:
            of_theirs = entry.owner_id == owner_id and entry.kind in KINDS.values()
            if of_theirs and entry.position > self.began and wanted in (None, entry.search_id):
                yield entry


def _row(frame: dict[str, Any]) -> Row:
    member, email = frame.get("memberId"), frame.get("emailId")
    return (
        parse(frame["cursor"]).position,
        KINDS[frame["__typename"]],
        decode_key("SavedSearch", frame["savedSearchId"]),
        None if member is None else decode_key("SavedSearchMember", member),
        None if email is None else decode_key("Email", email),
    )
