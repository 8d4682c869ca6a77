"""One server for all fuzzers of a run: what one of them did to it must not trouble the next."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from tests.fuzz.fuzz_server import FuzzServer, create_objects, run_fuzz_server
from tests.support.databases import Databases

# Its executable stands in an environment of its own, which `make test-fuzz` sets up.
collect_ignore = [] if os.environ.get("SCHEMATHESIS") else ["test_schemathesis.py"]


@pytest.fixture(scope="session")
def ground(all_databases: Databases) -> Iterator[FuzzServer]:
    url = all_databases.make("sqlite")
    with run_fuzz_server(url, asyncio.run(create_objects(url))) as found:
        yield found
