"""The seller's side of the demo, through the API: the campaign, its people and drafts, the three lists, the sending."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from command_center.demo.client import Client
from command_center.demo.recipients import Recipient

AT_ONCE = 8
CAMPAIGN = "mutation($name:String!){campaignCreate(name:$name){campaign{id} userErrors{message path code}}}"
PERSON = "mutation($input:PersonInput!){personCreate(input:$input){person{id} userErrors{message path code}}}"
DRAFT = "mutation($input:EmailDraftInput!){emailDraft(input:$input){email{id} userErrors{message path code}}}"
SEND = """mutation($id:ID!,$requestId:String){emailSend(id:$id,requestId:$requestId){
    email{id} userErrors{message path code}}}"""
SAVE = """mutation($input:SavedSearchCreateInput!){savedSearchCreate(input:$input){
    savedSearch{id} userErrors{message path code}}}"""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SentEmail:
    """One drafted email: its id, and who it is for."""

    email_id: str
    actor: Recipient


@dataclass(frozen=True, slots=True)
class DemoList:
    """One of the saved searches. `patience` is set for the list that waits for a reply: seconds after the send."""

    id: str
    name: str
    patience: float | None = None


async def prepare(client: Client, actors: Iterable[Recipient]) -> tuple[str, list[SentEmail]]:
    """A campaign with a draft for each person; its id and the drafts."""
    campaign = str((await client.one(CAMPAIGN, name="A hundred questions"))["campaign"]["id"])

    async def draft(actor: Recipient) -> SentEmail:
        person = {each: getattr(actor, each) for each in ("name", "address", "title", "company")}
        made = await client.one(PERSON, input=person)
        letter = {
            "personId": made["person"]["id"],
            "subject": actor.subject,
            "body": actor.body,
            "campaignId": campaign,
        }
        return SentEmail(str((await client.one(DRAFT, input=letter))["email"]["id"]), actor)

    return campaign, await _all(draft, actors)


async def save_lists(client: Client, campaign: str, patience: int) -> list[DemoList]:
    """The three standing searches."""
    span = f"PT{patience}S"
    engaged = [{"kind": "VIEW"}, {"kind": "CLICK"}, {"kind": "REPLY", "atMost": 0}]
    waiting: dict[str, Any] = {
        "folder": ["DELIVERED"],
        "sentAt": {"olderThan": span},
        "engagement": [{"kind": "REPLY", "atMost": 0, "afterSend": span}],
    }
    return [
        await _save(client, "Viewed and clicked, no reply", campaign, {"engagement": engaged}),
        await _save(
            client,
            "Three views in a minute",
            campaign,
            {"engagement": [{"kind": "VIEW", "atLeast": 3, "within": "PT1M"}]},
        ),
        await _save(client, f"No reply within {patience} s", campaign, waiting, float(patience)),
    ]


async def _save(
    client: Client, name: str, campaign: str, filter: dict[str, Any], patience: float | None = None
) -> DemoList:
    made = await client.one(SAVE, input={"name": name, "filter": {"campaign": [campaign], **filter}})
    return DemoList(str(made["savedSearch"]["id"]), name, patience)


async def send(client: Client, letters: Iterable[SentEmail]) -> None:
    """Asks for each email to be sent now; the product's sender loop does it."""

    async def ask(letter: SentEmail) -> None:
        await client.one(SEND, id=letter.email_id, requestId=f"demo {letter.email_id}")

    await _all(ask, letters)


async def _all(action: Callable[[Item], Awaitable[Result]], items: Iterable[Item]) -> list[Result]:
    """Does it for each, a few at a time; the results in the items' order."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Result:
        async with places:
            return await action(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]


def moment(text: str) -> float:
    """A DateTime of the API as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
