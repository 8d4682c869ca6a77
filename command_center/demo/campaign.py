"""The seller's actions in the demo, all through the API.

They create the campaign, its people, drafts and lists, and request the sending.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from command_center.demo.client import Client, JsonObject
from command_center.demo.recipients import SimulatedRecipient

MAX_CONCURRENT = 8
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
    """An email of the campaign, with its id and its recipient."""

    email_id: str
    recipient: SimulatedRecipient


@dataclass(frozen=True, slots=True)
class DemoList:
    """One of the saved searches of the demo.

    `reply_seconds` is set for the list of emails without a reply: an email joins it that number of seconds after it was
    sent.
    """

    id: str
    name: str
    reply_seconds: float | None = None


async def prepare(client: Client, recipients: Iterable[SimulatedRecipient]) -> tuple[str, list[SentEmail]]:
    """Create a campaign with a draft for each recipient; return its id and the drafts."""
    campaign = str((await client.execute_field(CAMPAIGN, name="A hundred questions"))["campaign"]["id"])

    async def draft(recipient: SimulatedRecipient) -> SentEmail:
        person = {attribute: getattr(recipient, attribute) for attribute in ("name", "address", "title", "company")}
        created = await client.execute_field(PERSON, input=person)
        email = {
            "personId": created["person"]["id"],
            "subject": recipient.subject,
            "body": recipient.body,
            "campaignId": campaign,
        }
        return SentEmail(str((await client.execute_field(DRAFT, input=email))["email"]["id"]), recipient)

    return campaign, await _run_limited(draft, recipients)


async def save_lists(client: Client, campaign: str, reply_seconds: int) -> list[DemoList]:
    """Create the three saved searches of the demo over the emails of a campaign.

    An email joins the last list if it has no reply `reply_seconds` after it was sent.
    """
    duration = f"PT{reply_seconds}S"
    engaged = [{"kind": "VIEW"}, {"kind": "CLICK"}, {"kind": "REPLY", "atMost": 0}]
    waiting: JsonObject = {
        "folder": ["DELIVERED"],
        "sentAt": {"olderThan": duration},
        "engagement": [{"kind": "REPLY", "atMost": 0, "afterSend": duration}],
    }
    return [
        await _save_list(client, "Viewed and clicked, no reply", campaign, {"engagement": engaged}),
        await _save_list(
            client,
            "Three views in a minute",
            campaign,
            {"engagement": [{"kind": "VIEW", "atLeast": 3, "within": "PT1M"}]},
        ),
        await _save_list(client, f"No reply within {reply_seconds} s", campaign, waiting, float(reply_seconds)),
    ]


async def _save_list(
    client: Client, name: str, campaign: str, filter: JsonObject, reply_seconds: float | None = None
) -> DemoList:
    created = await client.execute_field(SAVE, input={"name": name, "filter": {"campaign": [campaign], **filter}})
    return DemoList(str(created["savedSearch"]["id"]), name, reply_seconds)


async def send(client: Client, emails: Iterable[SentEmail]) -> None:
    """Request the sending of each email. The product's sender loop sends them."""

    async def request_send(email: SentEmail) -> None:
        await client.execute_field(SEND, id=email.email_id, requestId=f"demo {email.email_id}")

    await _run_limited(request_send, emails)


async def _run_limited(action: Callable[[Item], Awaitable[Result]], items: Iterable[Item]) -> list[Result]:
    """Run an action for each item, a few at a time.

    The results have the order of the items.
    """
    slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def run(item: Item) -> Result:
        async with slots:
            return await action(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(item)) for item in items]
    return [task.result() for task in tasks]


def timestamp(text: str) -> float:
    """Return a DateTime of the API as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
