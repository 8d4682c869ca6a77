"""Ids and cursors of anybody's own making, at every place that takes one: refused by name, or as if absent."""

import json
import os
from random import Random
from typing import Any

import pytest

from command_center import ids
from tests.fuzz.forged_cursors import forge_cursor
from tests.fuzz.fuzz_server import FuzzServer, count
from tests.fuzz.http_cases import Case, cases, request
from tests.fuzz.positions import IdPosition, expected, id_positions
from tests.support.schema_coverage import published_schema

CURSORS = count("FUZZ_CURSORS", 400)
ALL = list(id_positions(published_schema()))


def test_no_place_of_an_id_or_a_cursor_is_forgotten() -> None:
    assert {place.coordinate for place in ALL} == expected(published_schema())
    assert len(expected(published_schema())) > 90


@pytest.mark.timeout(120 + CURSORS)
async def test_whatever_the_id_or_cursor_it_is_answered(ground: FuzzServer) -> None:
    async def one(case: Case) -> None:
        place = ALL[case.number % len(ALL)]
        body = _asked(place, case.random, list(ground.known))
        accept = "text/event-stream" if place.document.startswith("subscription") else "application/json"
        content = json.dumps(body).encode()
        sent = content.decode() + json.dumps(body, ensure_ascii=False)
        await case.ask(ground, request(content, case.random.choice(ground.tokens), accept), sent)

    await cases(ground, "cursors", CURSORS, one, "FUZZ_CURSORS" in os.environ)


def _asked(place: IdPosition, random: Random, known: list[str]) -> dict[str, Any]:
    value = forge_cursor(random, known)
    if place.many and random.random() < 0.9:
        # As many as may be asked for at once, now and then, and one more.
        several = random.choice((0, 1, 2, 200, 201)) if random.random() < 0.1 else random.randrange(1, 4)
        value = [value, *(forge_cursor(random, known) for _ in range(several))][: max(several, 1)]
    variables = place.variables(value)
    if place.under:
        nodes = [each for each in known if (ids.decode(each) or ("",))[0] == place.under]
        variables["node"] = random.choice(nodes) if nodes and random.random() < 0.95 else forge_cursor(random, known)
    return {"query": place.document, "variables": variables}
