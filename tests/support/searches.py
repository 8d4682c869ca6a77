"""Saved searches over the API: the documents, and functions that create searches, emails and events."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.support.server import Client

PERSON = "mutation($i:PersonInput!){personCreate(input:$i){person{id} userErrors{message path code}}}"
DRAFT = "mutation($i:EmailDraftInput!){emailDraft(input:$i){email{id} userErrors{message path code}}}"
SAVE = """mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){
    savedSearch{id name state memberCount filter summary} userErrors{message path code}}}"""
RECORD = """mutation($e:[EngagementInput!]!){engagementRecord(events:$e){
    recorded duplicates ignored userErrors{message path code}}}"""
MEMBERS = """query($id:ID!){savedSearch(id:$id){state memberCount members{asOf nodes{id email{id} cause{kind
    engagement{kind}}}}}}"""
FOLLOW = """subscription($id:ID!,$after:ChangeCursor){savedSearchChanges(savedSearchId:$id,after:$after){
    __typename ... on Change{cursor}
    ... on MemberJoined{memberId emailId member{id email{subject} cause{kind engagement{kind}}}}
    ... on MemberLeft{memberId emailId cause{kind engagement{kind}}}
    ... on SavedSearchUpserted{savedSearch{name state}} ... on SavedSearchReset{savedSearch{memberCount}}}}"""


async def create_email(client: Client, number: int = 1) -> str:
    person = await client.one(PERSON, i={"name": f"P{number}", "address": f"p{number}@example.org"})
    assert person["userErrors"] == []
    draft = await client.one(DRAFT, i={"personId": person["person"]["id"], "subject": f"Hello {number}"})
    assert draft["userErrors"] == []
    return str(draft["email"]["id"])


async def save_search(client: Client, filter: dict[str, Any], name: str = "List") -> str:
    saved = await client.one(SAVE, i={"name": name, "filter": filter})
    assert saved["userErrors"] == []
    return str(saved["savedSearch"]["id"])


async def wait_until_live(client: Client, search_id: str) -> None:
    """Wait until a list is complete. Until then its Reset announces its members, instead of one message for each."""
    while (await client.one(MEMBERS, id=search_id))["state"] != "LIVE":
        await asyncio.sleep(0.01)


def make_event(email_id: str, kind: str, key: str, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    moment = (at or datetime.now(UTC)).isoformat()
    link = {"url": "https://example.com/"} if kind == "CLICK" else {}
    return {"emailId": email_id, "kind": kind, "occurredAt": moment, "dedupeKey": key, **link, **more}
