"""Asking with an Idempotency-Key, once or from many clients at once."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from command_center.database.connections import database
from tests.support.server import Client

REPEATS = int(os.environ.get("REPEATS", "200"))
CLIENTS = 50

PERSON = "mutation($i:PersonInput!){personCreate(input:$i){person{id name} userErrors{message path code}}}"
CAMPAIGN = "mutation($n:String!){campaignCreate(name:$n){campaign{id name} userErrors{code}}}"
GROUP = 'mutation{groupCreate(name:"Group"){group{id}}}'
ADD = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){userErrors{path code}}}"
BULK = "bulkSend{id sendKind emailCount createdAt} userErrors{message path code}"
GROUP_SEND = f"mutation($i:GroupSendInput!){{emailGroupSend(input:$i){{{BULK}}}}}"
SELECT_AND_SEND = f"mutation($i:SelectAndSendInput!){{emailSelectAndSend(input:$i){{{BULK}}}}}"
TASK = "mutation($i:TaskCreateInput!){taskCreate(input:$i){task{id name createdAt} userErrors{message path code}}}"
RECORD = """mutation($e:[EngagementInput!]!){engagementRecord(events:$e){
    recorded duplicates userErrors{message path code}}}"""


async def post_with_key(client: Client, key: str | None, document: str, **variables: Any) -> httpx.Response:
    """One request as it goes over the wire, and what comes back."""
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    headers |= {} if key is None else {"Idempotency-Key": key}
    return await client.http.post(
        f"{client.url}/graphql",
        content=json.dumps({"query": document, "variables": variables}),
        headers=httpx.Headers(headers, encoding="latin-1"),
    )


def codes(answer: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in answer.json()["errors"]]


def is_replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("idempotency-replayed") == "true")


async def post_concurrently(client: Client, one: Callable[[Client], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """REPEATS answers to one request, asked by CLIENTS applications of one user at once, each on its own connection."""
    applications = [Client(client.url, client.token) for _ in range(CLIENTS)]

    async def asks(application: Client) -> list[httpx.Response]:
        return [await one(application) for _ in range(REPEATS // CLIENTS)]

    try:
        return [answer for answers in await asyncio.gather(*map(asks, applications)) for answer in answers]
    finally:
        for application in applications:
            await application.http.aclose()


async def count_rows(table: str) -> int:
    """How many rows a table has. For servers that run in the test's own process."""
    row = await database().fetch_one(f"SELECT COUNT(*) AS number FROM {table}")
    return 0 if row is None else int(row["number"])


async def create_group(client: Client, size: int) -> str:
    """A group of so many people."""
    people = []
    for place in range(size):
        made = await client.one(PERSON, i={"name": f"P{place}", "address": f"p{place}@people.example"})
        people.append(made["person"]["id"])
    made = str((await client.one(GROUP))["group"]["id"])
    assert (await client.one(ADD, id=made, p=people))["userErrors"] == []
    return made
