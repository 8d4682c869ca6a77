"""Deeds that meet in the middle, on PostgreSQL, where two of them can be under way at once."""

import asyncio

import pytest

from command_center.database.connections import transaction
from tests.support.emails import SEND, create_draft, create_person
from tests.support.postgres_locks import has_new_lock_waiter, wait_until
from tests.support.server import serving

CAMPAIGN = 'mutation{campaignCreate(name:"Spring"){campaign{id}}}'
END = "mutation($id:ID!){campaignEnd(id:$id){userErrors{code}}}"
UNSUBSCRIBE = "mutation($id:ID!){personUnsubscribe(id:$id){userErrors{code}}}"


@pytest.mark.parametrize("way", ["unsubscribed", "ended"])
async def test_scheduling_respects_concurrent_unsubscribes_and_ends(postgres_url: str, way: str) -> None:
    async with serving(postgres_url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        to, campaign = await create_person(ann, "dora@example.org"), (await ann.one(CAMPAIGN))["campaign"]["id"]
        mail = await create_draft(ann, to, campaignId=campaign)
        document, subject = (UNSUBSCRIBE, to) if way == "unsubscribed" else (END, campaign)
        async with transaction() as connection:
            # The send has looked at them both, and cannot commit yet.
            await connection.fetch("SELECT id FROM folder_counts FOR UPDATE")
            sending = asyncio.create_task(ann.one(SEND, id=mail, at="2099-01-01T00:00:00Z"))
            await wait_until(has_new_lock_waiter)
            leaving = asyncio.create_task(ann.one(document, id=subject))
            await asyncio.wait({leaving}, timeout=0.5)
        assert (await sending)["email"]["folder"] == "SCHEDULED"
        await leaving
        assert (await ann.one("query($id:ID!){email(id:$id){folder}}", id=mail))["folder"] == "FAILED"
