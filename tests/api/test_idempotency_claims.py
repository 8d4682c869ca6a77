"""The life of a claim on an Idempotency-Key: what ends it, who waits for it, and when it is forgotten."""

import asyncio
from datetime import timedelta

import pytest

from command_center.actions import campaigns
from command_center.actions.request_ids import TRIM_BATCH_ROWS
from command_center.api.idempotency import hash_request
from command_center.changes import idempotency
from command_center.changes.idempotency import ClaimLost, IdempotencyClaim, IdempotencyRequest
from command_center.database.connections import database
from command_center.ids import decode_key
from models.users import User
from models.viewers import Viewer
from resolvers.context import Context
from tests.support.idempotency import CAMPAIGN, GROUP_SEND, codes, count_rows, create_group, is_replayed, post_with_key
from tests.support.server import Client, ManualClock, Server, serving

pytestmark = pytest.mark.slow

LONG = 30_000_000
"""After how many microseconds a process of which nothing is heard counts as gone."""


async def test_a_cancelled_request_may_repeat_only_if_nothing_was_done(
    quiet_server: Server,
) -> None:
    ann = await quiet_server.client("Ann")
    engine = quiet_server.engine
    user = await User.get(name="Ann")
    context = Context(engine.services, Viewer(user.id, user.team_id, user.role))

    async def breaks(_: Context) -> bytes:
        raise ConnectionError

    async def does_and_breaks(claimed: Context) -> bytes:
        await campaigns.create(claimed.ctx, claimed.viewer, "Spring")
        raise ConnectionError

    for run in (breaks, breaks, does_and_breaks):
        with pytest.raises(ConnectionError):
            await engine.idempotent_requests.execute_once(
                context, "once", hash_request(CAMPAIGN, None, {"n": "Spring"}), run
            )
    answer = await post_with_key(ann, "once", CAMPAIGN, n="Spring")
    assert (answer.status_code, codes(answer)) == (410, ["ANSWER_LOST"])
    assert await count_rows("campaigns") == 1


async def test_a_stopping_server_completes_requests_under_way(database_url: str) -> None:
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        given = {"groupId": await create_group(ann, 200), "subject": "Hello", "body": "Hi"}
        asking = asyncio.create_task(post_with_key(ann, "once", GROUP_SEND, i=given))
        async with asyncio.timeout(10):
            while not await count_rows("idempotent_requests"):
                await asyncio.sleep(0.001)
        asking.cancel()
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        assert is_replayed(await post_with_key(ann, "once", GROUP_SEND, i=given))
        assert await count_rows("bulk_sends") == 1


async def test_a_request_of_a_lost_client_is_completed_and_replayed(
    quiet_server: Server,
) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_group(ann, 200)
    given = {"groupId": to, "subject": "Hello", "body": "Hi"}
    hasty = Client(ann.url, ann.token)
    asking = asyncio.create_task(post_with_key(hasty, "once", GROUP_SEND, i=given))
    async with asyncio.timeout(10):
        while not await count_rows("idempotent_requests"):
            await asyncio.sleep(0.001)
    asking.cancel()
    await hasty.http.aclose()
    answer = await post_with_key(ann, "once", GROUP_SEND, i=given)
    assert (is_replayed(answer), answer.json()["data"]["emailGroupSend"]["bulkSend"]["emailCount"]) == (True, 200)
    assert await count_rows("bulk_sends") == 1


async def test_responses_older_than_a_day_are_deleted(database_url: str, clock: ManualClock) -> None:
    async with serving(database_url, clock, works=False, looks=False) as server:
        ann = await server.client("Ann")
        await post_with_key(ann, "old", CAMPAIGN, n="Spring")
        to = await create_group(ann, 1)
        old = {"groupId": to, "subject": "Hello", "body": "Hi", "requestId": "old"}
        assert (await ann.one(GROUP_SEND, i=old))["userErrors"] == []
        clock.advance(timedelta(hours=23))
        await post_with_key(ann, "young", CAMPAIGN, n="Spring")
        assert (await ann.one(GROUP_SEND, i={**old, "requestId": "young"}))["userErrors"] == []
        # More than are dropped at once.
        row = (1, "x", "x", False, clock.moment - timedelta(hours=23) // timedelta(microseconds=1))
        await database().execute_many(
            "INSERT INTO idempotent_requests (user_id, key, fingerprint, process, done, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(row[0], f"old {place}", *row[1:]) for place in range(2 * TRIM_BATCH_ROWS)],
        )
        clock.advance(timedelta(hours=1))
    async with serving(database_url, clock):
        async with asyncio.timeout(10):
            while await count_rows("idempotent_requests") > 1 or await count_rows("send_requests") > 1:
                await asyncio.sleep(0.02)
        assert await database().fetch("SELECT key FROM idempotent_requests") == [{"key": "young"}]
        assert await database().fetch("SELECT request_id FROM send_requests") == [{"request_id": "young"}]


def elsewhere(client: Client, process: str = "another") -> IdempotencyRequest:
    """A campaign, as another process would be asked for it by the same user."""
    user = decode_key("User", client.user_id) or 0
    return IdempotencyRequest(user, "once", hash_request(CAMPAIGN, None, {"n": "Spring"}), process)


async def test_requests_of_another_process_are_waited_for(postgres_url: str, clock: ManualClock) -> None:
    async with serving(postgres_url, clock, works=False, looks=False) as server:
        ann = await server.client("Ann")
        claim = await idempotency.claim(clock, elsewhere(ann), LONG)
        assert isinstance(claim, IdempotencyClaim)
        asking = asyncio.create_task(post_with_key(ann, "once", CAMPAIGN, n="Spring"))
        await asyncio.sleep(0.3)
        assert not asking.done()
        assert codes(await post_with_key(ann, "once", CAMPAIGN, n="Other")) == ["TAKEN"]
        assert await idempotency.store_response(claim, '{"data":1}')
        answer = await asking
        assert (answer.json(), is_replayed(answer)) == ({"data": 1}, True)


async def test_an_unfinished_request_of_another_process_is_in_progress(postgres_url: str, clock: ManualClock) -> None:
    async with serving(postgres_url, clock, works=False, looks=False, REQUEST_TIME="PT1S") as server:
        ann = await server.client("Ann")
        assert isinstance(await idempotency.claim(clock, elsewhere(ann), LONG), IdempotencyClaim)
        answer = await post_with_key(ann, "once", CAMPAIGN, n="Spring")
        assert (answer.status_code, codes(answer)) == (409, ["IN_PROGRESS"])
        # After the longest time that a request may take, the process that claimed it no longer works on it.
        clock.advance(timedelta(seconds=21))
        answer = await post_with_key(ann, "once", CAMPAIGN, n="Spring")
        assert (answer.status_code, is_replayed(answer)) == (200, False)
        assert await count_rows("campaigns") == 1


async def test_a_transaction_under_a_lost_claim_is_rolled_back(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    writer = quiet_server.engine.ctx.writer
    claim = await idempotency.claim(clock, elsewhere(ann), LONG)
    assert isinstance(claim, IdempotencyClaim)
    clock.advance(timedelta(seconds=31))
    assert isinstance(await idempotency.claim(clock, elsewhere(ann, "third"), LONG), IdempotencyClaim)
    with pytest.raises(ClaimLost):
        async with writer.with_claim(claim).unit_of_work() as uow:
            await uow.connection.execute("DELETE FROM users")
    assert await count_rows("users") == 1
