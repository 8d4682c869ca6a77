"""Subscriptions over HTTP: server-sent events and multipart responses."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.server import Client

LISTS = "subscription($after:ChangeCursor){allSavedSearchChanges(after:$after){__typename ... on Change{cursor}}}"
MULTIPART_TYPE = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json'


@asynccontextmanager
async def open_stream(
    client: Client, accept: str, query: str = LISTS, token: str = ""
) -> AsyncIterator[httpx.Response]:
    headers = {"authorization": f"Bearer {token or client.token}", "accept": accept}
    async with client.http.stream("POST", f"{client.url}/graphql", json={"query": query}, headers=headers) as response:
        yield response


async def read_events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream: kind and data."""
    kind = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data:") and kind:
            text = line.removeprefix("data:").strip()
            yield kind, json.loads(text) if text else None
            kind = ""
