"""HTTP at its edges: whatever is sent gets an answer below 500 or, where nobody can say where it ends, a hang-up."""

import os

import pytest

from tests.fuzz.fuzz_server import FuzzServer, count
from tests.fuzz.http_cases import Case, Closed, cases
from tests.fuzz.invalid_bodies import make_invalid_request

BODIES = count("FUZZ_BODIES", 400)


@pytest.mark.timeout(120 + BODIES)
async def test_every_http_request_gets_a_response_or_a_disconnect(ground: FuzzServer) -> None:
    async def one(case: Case) -> None:
        request = make_invalid_request(case.random, case.random.choice(ground.tokens))
        # Some who do not say all they announced go, the others wait for what comes of it.
        ends = not request.framed and case.random.random() < 0.9
        shown = repr(request.data[:2000]) + request.data.decode(errors="replace")
        try:
            await case.ask(ground, request.data, shown, ends, request.bodiless)
        except Closed:
            if request.framed:
                case.found.append("it was hung up on")
        if not request.framed:
            case.seconds = 0.0
            case.wire.close()

    await cases(ground, "bodies", BODIES, one, "FUZZ_BODIES" in os.environ, workers=32)
