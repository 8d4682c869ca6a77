"""Loaders are shared by all fields of an answer: what becomes of one field is no matter of the others."""

import asyncio

from resolvers.loaders import Loaders


async def test_a_field_that_is_given_up_does_not_end_what_others_wait_for() -> None:
    loaders, ready = Loaders(), asyncio.Event()

    async def make() -> str:
        await ready.wait()
        return "made"

    one, other = [asyncio.create_task(loaders.once("it", make)) for _ in range(2)]
    await asyncio.sleep(0.01)
    # As the executor does with what stands beside a field that went wrong.
    one.cancel()
    await asyncio.sleep(0.01)
    ready.set()
    assert await other == "made"
    assert one.cancelled()
