"""No team waits for another one's lists or events, and what was set aside is still matched."""

import asyncio
from functools import partial

import pytest

from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import run_indexed_reads
from command_center.lists import batches
from models.enums import ChangeCauseKind, InvalidationKind
from tests.support.searches import MEMBERS, RECORD, create_email, make_event, save_search
from tests.support.server import Client, Server, serving


async def members(client: Client, search: str) -> set[str]:
    listed = await client.one(MEMBERS, id=search)
    return {node["email"]["id"] for node in listed["members"]["nodes"]}


async def two_teams(server: Server) -> tuple[Client, Client]:
    return await server.client("Ann"), await server.client("Bob", "Others")


async def test_an_email_that_takes_long_is_set_aside_and_matched(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, looks=False) as server:
        ann, bob = await two_teams(server)
        slow, quick = await create_email(ann), await create_email(bob)
        # As many as take more than one step.
        filters = [{"engagement": [{"kind": "CLICK", "url": {"contains": f"no-{number}"}}]} for number in range(20)]
        never = [await save_search(ann, each, f"List {number}") for number, each in enumerate(filters)]
        clicked = await save_search(ann, {"engagement": [{"kind": "CLICK", "atLeast": 2}]})
        viewed = await save_search(bob, {"engagement": [{"kind": "VIEW"}]})
        await server.settle()
        matcher = server.engine.matcher
        monkeypatch.setattr("command_center.lists.matcher.STRETCH_SECONDS", 0.0)
        clicks = [make_event(slow, "CLICK", str(number)) for number in range(3)]
        assert (await ann.one(RECORD, e=clicks))["recorded"] == 3
        assert (await bob.one(RECORD, e=[make_event(quick, "VIEW", "1")]))["recorded"] == 1
        await matcher.process_batch()
        assert await members(bob, viewed) == {quick}
        await server.settle()
        assert matcher.set_aside_count == 1
        assert await members(ann, clicked) == {slow}
        assert [await members(ann, search) for search in never] == [set()] * len(never)
        assert await members(bob, viewed) == {quick}


async def test_a_batch_leaves_room_for_every_team(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(database_url, looks=False) as server:
        teams = [(await server.user(*name)).team_id for name in (("Ann",), ("Bob", "Others"))]
        await server.settle()

        async def mark(uow: UnitOfWork) -> None:
            for subject in range(20):
                uow.invalidate(InvalidationKind.EMAIL, teams[0], 1_000 + subject, ChangeCauseKind.EMAIL_CHANGED)
            uow.invalidate(InvalidationKind.EMAIL, teams[1], 2_000, ChangeCauseKind.EMAIL_CHANGED)

        await server.engine.ctx.writer.run_in_transaction(mark)
        see = partial(batches.load_batch, server.engine.matcher.index, server.engine.ctx.writer.clock)
        batch = await run_indexed_reads(partial(see, limit=4))
        assert sorted(batch.causes) == [1_000, 1_001, 2_000]
        assert batch.more
        assert list((await run_indexed_reads(partial(see, limit=22, few=True))).causes) == [*range(1_000, 1_020), 2_000]
        monkeypatch.setattr(batches, "SMALL_TEAM_EMAILS", 1)
        assert list((await run_indexed_reads(partial(see, limit=4, few=True))).causes) == [2_000]
        others = await run_indexed_reads(partial(see, limit=4, aside=[teams[0]]))
        assert list(others.causes) == [2_000]
        both = await run_indexed_reads(partial(see, limit=4, aside=teams))
        assert not both.causes
        part = batch.split(teams[0])
        assert (sorted(part.causes), sorted(batch.causes)) == ([1_000, 1_001], [2_000])
        assert (len(part.completed_ids), len(batch.completed_ids)) == (2, 1)
        part.leave({1_001})
        assert (list(part.causes), len(part.completed_ids)) == ([1_000], 1)


@pytest.mark.parametrize("seconds, last", [(0.0, 2), (60.0, 20)])
async def test_a_shared_batch_takes_as_many_emails_as_time_allows(
    database_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, last: int
) -> None:
    monkeypatch.setattr("command_center.lists.matcher.SHARED_BATCH_SECONDS", seconds)
    monkeypatch.setattr("command_center.lists.matcher.MIN_SHARED_BATCH_EMAILS", 2)
    monkeypatch.setattr("command_center.lists.matcher.SHARED_SECONDS", 60.0)
    monkeypatch.setattr(batches, "MAX_SHARED_BATCH_EMAILS", 20)
    async with serving(database_url, looks=False) as server:
        teams = [(await server.user(*name)).team_id for name in (("Ann",), ("Bob", "Others"))]
        matcher = server.engine.matcher
        await server.settle()

        async def invalidate(number: int, uow: UnitOfWork) -> None:
            for subject in range(number):
                uow.invalidate(
                    InvalidationKind.EMAIL, teams[subject % 2], 1_000 + subject, ChangeCauseKind.EMAIL_CHANGED
                )

        await server.engine.ctx.writer.run_in_transaction(partial(invalidate, 2))
        await server.settle()
        await server.engine.ctx.writer.run_in_transaction(partial(invalidate, 400))
        matched: list[int] = []
        while len(matched) < 15:
            before = matcher.evaluation_count
            await matcher.process_batch(tick=False)
            matched.append(matcher.evaluation_count - before)
        assert matched[-1] == last
        await server.settle()
        assert matcher.evaluation_count >= 400


async def test_large_requests_of_several_teams_are_recorded_in_parts(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("command_center.actions.fair_queue.SHARED_BATCH", 7)
    async with serving(database_url) as server:
        ann, bob = await two_teams(server)
        mails = [await create_email(ann), await create_email(bob)]
        none = mails[1]
        large = [make_event(none if number == 15 else mails[0], "VIEW", str(number)) for number in range(20)]
        small = [make_event(mails[1], "VIEW", "1"), make_event(mails[1], "VIEW", "1")]
        for _ in range(2):
            first, *others = await asyncio.gather(
                ann.one(RECORD, e=large), *(bob.one(RECORD, e=small) for _ in range(3)), ann.one(RECORD, e=large)
            )
            assert first["userErrors"][0]["path"] == ["events", "15", "emailId"]
            assert first["recorded"] + first["duplicates"] == 19
            assert [each["recorded"] + each["duplicates"] for each in others] == [2, 2, 2, 19]
        counts = "query($id:ID!){email(id:$id){engagementSummary{views}}}"
        views = [
            (await client.one(counts, id=mail))["engagementSummary"]
            for client, mail in zip((ann, bob), mails, strict=True)
        ]
        assert views == [{"views": 19}, {"views": 1}]
