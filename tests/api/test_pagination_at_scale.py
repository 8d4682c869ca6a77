"""Every connection walked from end to end both ways while rows come and go: none is seen twice, and none is missed that
stood throughout. PAGES_ROWS says through how many rows.
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence

import pytest

from command_center import ids
from models.users import User
from tests.support.bulk_rows import CONNECTIONS, Paged, Scale
from tests.support.server import Client, ManualClock, Server

pytestmark = pytest.mark.slow

ROWS = int(os.environ.get("PAGES_ROWS", "1000"))
SIZE = 200


class Walk:
    """One walk through one connection, and what comes and goes meanwhile."""

    def __init__(self, client: Client, scale: Scale, paged: Paged, backwards: bool, standing: Sequence[int]) -> None:
        self._client = client
        self._scale = scale
        self._paged = paged
        self._backwards = backwards
        self._standing = standing
        self._index = {key: index for index, key in enumerate(standing)}
        self._rng = random.Random(f"{paged.name} {backwards}")
        self.seen: list[int] = []
        self.gone: set[int] = set()

    async def run(self) -> None:
        document = self._paged.document(self._scale.nodes())
        count, end, place, further = (
            ("last", "before", "startCursor", "hasPreviousPage")
            if self._backwards
            else ("first", "after", "endCursor", "hasNextPage")
        )
        cursor = None
        while True:
            asked = self._client.one(document, **{count: SIZE, end: cursor})
            answer, _ = await asyncio.gather(asked, self._come_and_go())
            assert answer, self._paged.name
            page = answer if "nodes" in answer else next(iter(answer.values()))
            keys = [ids.decode_key(self._paged.noun, node["id"]) or 0 for node in page["nodes"]]
            self.seen += reversed(keys) if self._backwards else keys
            if not page["pageInfo"][further]:
                return
            cursor = page["pageInfo"][place]

    async def _come_and_go(self) -> None:
        """At both ends, around the cursor and in the middle."""
        count = len(self._standing)
        here = self.seen[-1] if self.seen else self._standing[-1]
        near = self._index.get(here, count // 2) + self._rng.randint(-3, 3)
        far = self._rng.randrange(count // 20 + 1)
        chosen = (near, self._rng.randrange(count), far, -1 - far)
        doomed = {here, *(self._standing[place % count] for place in chosen)} & self._index.keys()
        self.gone |= doomed - self._scale.standing(self._paged)
        place = self._scale.places[self._paged.table].get(here, ROWS // 2)
        come = (0, place, self._rng.randrange(ROWS), ROWS + len(self.seen))
        await self._scale.stir(self._paged, come, doomed - self._scale.standing(self._paged))


async def test_every_connection_is_complete_while_rows_change(quiet_server: Server, clock: ManualClock) -> None:
    ann, other = await quiet_server.client("Ann"), await quiet_server.user("Bob")
    user = await User.get(id=ids.decode_key("User", ann.user_id))
    began = time.monotonic()
    scale = await Scale.made(user.team_id, user.id, other.id, ROWS)
    for paged in CONNECTIONS:
        # Signed in anew: a long walk takes longer than a token lives.
        ann = await quiet_server.client("Ann")
        for backwards in (False, True):
            standing = await scale.held(paged)
            assert len(standing) > ROWS // 3, paged.name
            walk = Walk(ann, scale, paged, backwards, standing)
            await walk.run()
            assert len(walk.seen) == len(set(walk.seen)), paged.name
            assert set(standing) - walk.gone <= set(walk.seen), paged.name
            assert set(walk.seen) <= set(standing) | set(await scale.held(paged)), paged.name
            assert walk.gone
        print(f"{time.monotonic() - began:8.1f} s  {paged.name}", flush=True)
    print(f"{len(CONNECTIONS)} connections, both ways, {ROWS} rows in {time.monotonic() - began:.0f} s")
