"""Loaders are shared by all fields of an answer: what becomes of one field is no matter of the others."""

import asyncio

from resolvers.loaders import Loaders
from tests.support.emails import create_person
from tests.support.server import serving
from tests.support.tasks import create_task


async def test_a_cancelled_field_does_not_cancel_the_load_of_others() -> None:
    loaders, ready = Loaders(), asyncio.Event()

    async def make() -> str:
        await ready.wait()
        return "made"

    one, other = [asyncio.create_task(loaders.compute_once("it", make)) for _ in range(2)]
    await asyncio.sleep(0.01)
    # As the executor does with what stands beside a field that went wrong.
    one.cancel()
    await asyncio.sleep(0.01)
    ready.set()
    assert await other == "made"
    assert one.cancelled()


async def test_rows_are_read_as_their_own_database_gives_them(postgres_url: str, sqlite_url: str) -> None:
    # One after the other in one process: PostgreSQL gives a day as such, SQLite its text.
    for url in (postgres_url, sqlite_url):
        async with serving(url, works=False) as running:
            ann = await running.client("Ann")
            dora = await create_person(ann, "dora@example.org")
            assert (await create_task(ann, dora, dueOn="2026-05-05"))["dueOn"] == "2026-05-05"
