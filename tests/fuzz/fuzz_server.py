"""What the fuzzers stand on: their counts, a server in a process of its own with things of every kind, and its log.

FUZZ_SEED repeats a run. Where a count is given the run is a full one, and how long answers take is looked at too.
"""

import math
import os
import re
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

import httpx

from command_center.server.settings import PREFIX
from command_center.web.authentication import SCOPES, Tokens
from models.enums import Role
from tests.support.commands import COMMAND
from tests.support.emails import RECORD, create_person, emails_in_folders, moment
from tests.support.paths import ROOT
from tests.support.searches import SAVE
from tests.support.server import SECRET, Client, ManualClock, Server, serving
from tests.support.tasks import CREATE

SEED = os.environ.get("FUZZ_SEED", "1")
WHO = "{viewer{name}}"
_REAL = re.compile(rb'"(?:\w*[iI]ds?|\w*[cC]ursor|asOf)":"([\w-]{6,300})"')
# Fields beside one that went wrong are dropped by the executor before they begin. Python warns of each, or fails to
# where the collector came upon it within a named tuple.
_ABANDONED = re.compile(r"Exception ignored in: <coroutine .*\nTraceback .*\n.*\nKeyError: '__import__'\n")
# Nobody waits for a body that never comes longer than this.
_SETTINGS = {
    "LOG_LEVEL": "warning",
    "SMTP_URL": "smtp://127.0.0.1:1",
    "SECRET": SECRET,
    "USER_REQUESTS": "100000000",
    "ADDRESS_REQUESTS": "100000000",
    "BODY_TIME": "PT2S",
    "HEADER_TIME": "PT2S",
    "SOCKET_INIT_TIME": "PT2S",
}


def count(name: str, few: int) -> int:
    """How many cases are tried: FUZZ_… of the environment, or few."""
    return int(os.environ.get(name, few))


def make_random(what: str, number: int) -> Random:
    """The randomness of one case."""
    return Random(f"{SEED}/{what}/{number}")


@dataclass
class FuzzServer:
    """A running server. `known` are real ids and cursors, of several users; answers add to them."""

    url: str
    tokens: list[str]
    log: Path
    process: subprocess.Popen[bytes]
    known: deque[str] = field(default_factory=lambda: deque(maxlen=2000))

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def learn(self, body: bytes, most: int = 20) -> None:
        """Remembers the ids and cursors of an answer."""
        self.known.extend(found.decode() for found in _REAL.findall(body)[:most])

    def ask(self, document: str, user: int = 0) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens[user]}"}
        return httpx.post(f"{self.url}/graphql", json={"query": document}, headers=headers, timeout=20)

    def processor_seconds(self) -> float:
        """Return the processor time that the server has used, or infinity if the system does not tell."""
        try:
            # The name of the program, in parentheses, may contain spaces.
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return math.inf
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def complaints(self) -> list[str]:
        """What is wrong after all that: a query that is not answered, an error in the log, a process that is gone."""
        if self.process.poll() is not None:
            return [f"the process ended with {self.process.returncode}: {self.log.read_text()[-3000:]}"]
        answer = self.ask(WHO)
        found = [] if answer.json().get("data") == {"viewer": {"name": "Ann"}} else [f"no answer: {answer.text}"]
        said = _ABANDONED.sub("", self.log.read_text(errors="replace"))
        if re.search(r"(?m) ERROR |^ERROR:|Traceback", said):
            found.append(f"the log: {said[-6000:]}")
        return found


async def _furnish(server: Server, clock: ManualClock) -> None:
    """Emails in every folder, lists, tasks, a group: of two users who see each other's, and of one who sees none."""
    for name, team, role in (("Ann", "Team", Role.ADMIN), ("Bob", "Team", Role.MEMBER), ("Eve", "Other", Role.MEMBER)):
        client = await server.client(name, team, role)
        if name == "Ann":
            mail = (await emails_in_folders(server, client, clock, "x", [{}]))["DELIVERED", 0]
            given = {"emailId": mail, "occurredAt": moment(clock), "verdict": "HUMAN"}
            events = [given | {"kind": kind, "dedupeKey": kind} for kind in ("VIEW", "REPLY")]
            await client.one(RECORD, e=events)
        people = [await create_person(client, f"p{number}@{name.lower()}.example") for number in range(5)]
        group = (await client.one('mutation{groupCreate(name:"G" shared:true){group{id}}}'))["group"]["id"]
        await client.one("mutation($g:ID!,$p:[ID!]!){groupAddPeople(id:$g,personIds:$p){group{id}}}", g=group, p=people)
        await _write(client, people)
    await server.settle()


async def _write(client: Client, people: list[str]) -> None:
    await client.one('mutation{campaignCreate(name:"C"){campaign{id}}}')
    await client.one('mutation{templateCreate(input:{name:"T" subject:"S" body:"B"}){template{id}}}')
    for number, each in enumerate(people):
        await client.one(
            "mutation($i:EmailDraftInput!){emailDraft(input:$i){email{id}}}", i={"personId": each, "subject": "S"}
        )
        task = {"name": f"T{number}", "kind": "CALL", "personId": each, "dueOn": f"2030-01-0{number + 1}"}
        await client.one(CREATE, i=task)
    for filter in ({}, {"folder": ["DRAFT"]}, {"engagement": [{"kind": "VIEW"}]}):
        await client.one(SAVE, i={"name": "L", "filter": filter, "shared": True})


_LOOK = """{viewer{id} people{edges{cursor node{id}}} groups{edges{cursor node{id}}} campaigns{edges{cursor node{id}}}
templates{edges{cursor node{id}}} savedSearches{edges{cursor node{id}}} tasks{asOf edges{cursor node{id}}}
sharedSearches{nodes{id}} users{nodes{id}} folders{id folders{id}} emails{edges{cursor node{id}}}
s:emails(orderBy:{field:SUBJECT}){edges{cursor}} l:emails(orderBy:{field:LATEST_ACTIVITY}){edges{cursor}}
engagements{asOf edges{cursor node{id}}} m:savedSearches(first:5){nodes{members(first:20){edges{cursor node{id}}}}}}"""


async def create_objects(database_url: str) -> list[str]:
    """Tokens of Ann, who may do all, of Bob and of Eve."""
    # An hour ago: the server that is attacked would not believe a clock that is years ahead of what is stored.
    clock = ManualClock(time.time_ns() // 1000 - 3_600_000_000)
    async with serving(database_url, clock, works=False, looks=False) as server:
        await _furnish(server, clock)
        users = [await server.user("Ann", role=Role.ADMIN), await server.user("Bob"), await server.user("Eve", "Other")]
        return [Tokens(SECRET).issue(user, SCOPES, timedelta(days=1)) for user in users]


@contextmanager
def run_fuzz_server(database_url: str, tokens: list[str], **settings: str) -> Iterator[FuzzServer]:
    """A server of its own process on a database that was furnished."""
    with closing(socket.socket()) as free, tempfile.NamedTemporaryFile(suffix=".log") as log:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        given = {**_SETTINGS, "DATABASE_URL": database_url, "BASE_URL": f"http://127.0.0.1:{port}", **settings}
        plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port)],
            cwd=ROOT,
            env=plain | {PREFIX + name: value for name, value in given.items()},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        ground = FuzzServer(given["BASE_URL"], tokens, Path(log.name), process)
        try:
            _wait(ground)
            for user in range(len(tokens)):
                answer = ground.ask(_LOOK, user)
                assert "errors" not in answer.json(), answer.text
                ground.learn(answer.content, 2000)
            yield ground
        finally:
            process.kill()
            process.wait()


def _wait(ground: FuzzServer) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{ground.url}/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            assert ground.process.poll() is None, ground.log.read_text()
            assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.05)
