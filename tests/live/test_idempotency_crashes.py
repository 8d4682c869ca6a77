"""kill -9 while requests with an Idempotency-Key are under way: whoever asks again gets the answer, or is told that it
is lost, and nothing is ever done twice. CRASHES says how often at random; the seed is printed.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.idempotency import CAMPAIGN, codes, create_group, is_replayed, post_with_key
from tests.support.server import Client
from tests.support.server_process import CONNECTION_ERRORS, ServerProcess, open_server_process

CRASHES = int(os.environ.get("CRASHES", "2"))
SEED = int(os.environ.get("LAW_SEED", "1"))
WRITERS = 8
MANY = 300
ATTEMPTS = 20
SEND = 'emailGroupSend(input:{groupId:$id,subject:$s,body:"B"}){bulkSend{id emailCount} userErrors{message}}'
SLOW_DEED = f"mutation($id:ID!,$s:String!){{{SEND}}}"
"""It takes a while until it is done."""
SLOW_ANSWER = f"mutation($id:ID!,$s:String!){{campaignCreate(name:$s){{campaign{{id}}}} {SEND}}}"
"""A part is done long before the whole is answered."""


@pytest.fixture
async def killable(tmp_path: Path) -> AsyncIterator[tuple[ServerProcess, Client]]:
    async with open_server_process(tmp_path / "killed.db") as server:
        code, said = await server.command("user", "add", "--team", "T", "--name", "Ann", "--address", "ann@x.example")
        assert code == 0, said
        code, token = await server.command("token", "ann@x.example")
        assert code == 0, token
        await server.start()
        client = Client(server.url, token)
        yield server, client
        await client.http.aclose()


async def killed_when(server: ServerProcess, client: Client, document: str, done: bool, to: str) -> str:
    """Asks, kills the server once the claim is there and marked as `done` or not, and starts it again; the key.

    The server may be faster than the one who watches: then it is tried again, with another key.
    """
    for attempt in range(ATTEMPTS):
        key = f"{done} {attempt}".replace(" ", "-")
        asking = asyncio.create_task(post_with_key(client, key, document, id=to, s=key))
        claim = "SELECT done, response IS NOT NULL FROM idempotent_requests WHERE key = ?"
        async with asyncio.timeout(20):
            while [row[0] for row in server.rows(claim, key)] != [done] and not asking.done():
                await asyncio.sleep(0)
        await server.kill()
        with suppress(*CONNECTION_ERRORS):
            await asking
        await server.start()
        if server.rows(claim, key) == [(done, 0)]:
            return key
    raise AssertionError("it was never killed in time")


async def test_a_request_killed_before_its_transaction_is_repeated(
    killable: tuple[ServerProcess, Client],
) -> None:
    server, client = killable
    to = await create_group(client, MANY)
    key = await killed_when(server, client, SLOW_DEED, False, to)
    sends = "SELECT COUNT(DISTINCT bulk_send_id), COUNT(*) FROM emails WHERE subject = ?"
    assert server.rows(sends, key) == [(0, 0)]
    answer = await post_with_key(client, key, SLOW_DEED, id=to, s=key)
    assert (answer.status_code, is_replayed(answer)) == (200, False)
    assert answer.json()["data"]["emailGroupSend"]["userErrors"] == []
    assert server.rows(sends, key) == [(1, MANY)]
    again = await post_with_key(client, key, SLOW_DEED, id=to, s=key)
    assert (again.content, is_replayed(again)) == (answer.content, True)
    assert server.rows(sends, key) == [(1, MANY)]


async def test_a_request_killed_after_its_transaction_is_not_repeated(
    killable: tuple[ServerProcess, Client],
) -> None:
    server, client = killable
    to = await create_group(client, MANY)
    key = await killed_when(server, client, SLOW_ANSWER, True, to)
    made = server.rows("SELECT COUNT(*) FROM campaigns WHERE name = ?", key)
    sent = server.rows("SELECT COUNT(*) FROM emails WHERE subject = ?", key)
    assert (made, sent[0][0] in (0, MANY)) == ([(1,)], True)
    for _ in range(2):
        answer = await post_with_key(client, key, SLOW_ANSWER, id=to, s=key)
        assert (answer.status_code, codes(answer)) == (410, ["ANSWER_LOST"])
    assert server.rows("SELECT COUNT(*) FROM campaigns WHERE name = ?", key) == made
    assert server.rows("SELECT COUNT(*) FROM emails WHERE subject = ?", key) == sent
    assert codes(await post_with_key(client, key, CAMPAIGN, n="Other")) == ["TAKEN"]


class Writer:
    """Makes campaigns, each under its own name as the key, and asks until somebody answers."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.answers: dict[str, httpx.Response] = {}
        self.repeated = 0
        self.enough = False

    async def write(self) -> None:
        while not self.enough:
            key = f"{self.name}-{len(self.answers)}"
            while key not in self.answers:
                try:
                    self.answers[key] = await post_with_key(self.client, key, CAMPAIGN, n=key)
                except CONNECTION_ERRORS:
                    self.repeated += 1
                    await asyncio.sleep(0.02)


@pytest.mark.timeout(120 + 20 * CRASHES)
async def test_whenever_it_is_killed_each_request_is_carried_out_once(killable: tuple[ServerProcess, Client]) -> None:
    server, client = killable
    rng = random.Random(SEED)
    writers = [Writer(Client(client.url, client.token), f"w{place}") for place in range(WRITERS)]
    writing = [asyncio.create_task(writer.write()) for writer in writers]
    for _ in range(CRASHES):
        await asyncio.sleep(rng.uniform(0.3, 1.0))
        await server.kill()
        await server.start()
    await asyncio.sleep(0.3)
    for writer in writers:
        writer.enough = True
    await asyncio.gather(*writing)
    answers: dict[str, Any] = {key: answer for writer in writers for key, answer in writer.answers.items()}
    lost = [key for key, answer in answers.items() if "errors" in answer.json()]
    assert all(codes(answers[key]) == ["ANSWER_LOST"] for key in lost)
    assert Counter(name for (name,) in server.rows("SELECT name FROM campaigns")) == Counter(answers.keys())
    for key in answers.keys() - set(lost):
        again = await post_with_key(client, key, CAMPAIGN, n=key)
        assert (again.content, is_replayed(again)) == (answers[key].content, True)
    repeated = sum(writer.repeated for writer in writers)
    print(f"{CRASHES} crashes (LAW_SEED={SEED}): {len(answers)} requests, {repeated} repeats, {len(lost)} answers lost")
    for writer in writers:
        await writer.client.http.aclose()
