"""A seller's mail by real deeds: people, drafts, and a sender loop whose channel answers as a recipient's name says."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from command_center.mail.outbox import Outbox
from command_center.mail.transport import Bounced, Deferred, Delivered, Envelope, Failed, Outcome, Unknown
from command_center.search.datetimes import format_moment
from models.enums import FailureCode
from tests.support.server import Client, ManualClock, Server

PERSON = "mutation($i:PersonInput!){personCreate(input:$i){person{id} userErrors{message path code}}}"
DRAFT = "mutation($i:EmailDraftInput!){emailDraft(input:$i){email{id} userErrors{message path code}}}"
SEND = """mutation($id:ID!,$at:DateTime,$request:String){emailSend(id:$id,at:$at,requestId:$request){
    email{id folder status scheduledAt sentAt failedAt failure{code message occurredAt}}
    userErrors{message path code}}}"""
ARCHIVE = "mutation($ids:[ID!]!){emailArchive(ids:$ids){emails{id folder} userErrors{message path code}}}"
REPORT = "mutation($e:[DeliveryInput!]!){deliveryRecord(events:$e){recorded duplicates userErrors{message path code}}}"
RECORD = """mutation($e:[EngagementInput!]!){engagementRecord(events:$e){
    recorded duplicates ignored userErrors{message path code}}}"""

FOLDERS = ("DELIVERED", "ARCHIVED", "SCHEDULED", "DRAFT", "IN_PROGRESS", "FAILED", "BOUNCED", "SPAM")
_ANSWERS: Mapping[str, Outcome] = {
    "bounced": Bounced("550 no such user"),
    "failed": Failed(FailureCode.CHANNEL_UNREACHABLE, "no connection"),
    "deferred": Deferred("451 come back later"),
    "unknown": Unknown("the line broke"),
}

DELIVERY_STATE = "query($id:ID!){email(id:$id){folder status actions sentAt failedAt failure{code message occurredAt}}}"


class RecipientTransport:
    """A channel that bounces what is to `bounced…@`, fails what is to `failed…@`, and so on, and delivers the rest."""

    def __init__(self, answers: Mapping[str, Outcome] = _ANSWERS) -> None:
        self.answers = answers
        self.taken: list[Envelope] = []

    async def send(self, envelope: Envelope) -> Outcome:
        self.taken.append(envelope)
        name = re.split(r"[^a-z]", envelope.recipient, maxsplit=1)[0]
        return self.answers.get(name, Delivered())

    async def close(self) -> None:
        pass


async def send_due_emails(server: Server, channel: RecipientTransport | None = None) -> RecipientTransport:
    """The sender loop sees everything through that is due."""
    post = channel or RecipientTransport()
    outbox = Outbox(server.engine.ctx, server.engine.links, post)
    while await outbox.step():
        pass
    return post


def moment(clock: ManualClock, seconds: float = 0) -> str:
    """A moment by the test's clock, so many seconds from now."""
    return format_moment(clock.moment + timedelta(seconds=seconds) // timedelta(microseconds=1))


async def create_person(client: Client, address: str, **more: Any) -> str:
    made = await client.one(PERSON, i={"name": address.split("@", 1)[0].title(), "address": address, **more})
    assert made["userErrors"] == []
    return str(made["person"]["id"])


async def create_draft(client: Client, person_id: str, subject: str = "Hello", **more: Any) -> str:
    made = await client.one(DRAFT, i={"personId": person_id, "subject": subject, **more})
    assert made["userErrors"] == []
    return str(made["email"]["id"])


async def send_email(client: Client, email_id: str, at: str | None = None) -> dict[str, Any]:
    """The email, sent or scheduled."""
    done = await client.one(SEND, id=email_id, at=at)
    assert done["userErrors"] == []
    email: dict[str, Any] = done["email"]
    return email


async def create_delivered_email(server: Server, client: Client, address: str = "dora@example.org", **more: Any) -> str:
    """An email in Delivered, to a new person."""
    made = await create_draft(client, await create_person(client, address), **more)
    await send_email(client, made)
    await send_due_emails(server)
    return made


async def emails_in_folders(
    server: Server, client: Client, clock: ManualClock, prefix: str, inputs: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, int], str]:
    """One email in each folder for each of the inputs (such as a campaign's), by folder and the input's place.

    They come there as mail does. The clock stands still; what is In Progress is due and was not yet taken.
    """
    wanted = [(folder, place) for folder in FOLDERS for place in range(len(inputs))]
    people = [{"name": folder, "address": f"{folder.lower()}.{prefix}{place}@example.org"} for folder, place in wanted]
    made = await run_many_mutations(
        client, "personCreate", "PersonInput", [{"input": each} for each in people], "person{id}"
    )
    drafts = [
        {"input": {"personId": each["person"]["id"], "subject": f"{folder} {place}", **inputs[place]}}
        for each, (folder, place) in zip(made, wanted, strict=True)
    ]
    ids = {
        key: each["email"]["id"]
        for key, each in zip(
            wanted, await run_many_mutations(client, "emailDraft", "EmailDraftInput", drafts, "email{id}"), strict=True
        )
    }
    gone = [ids[key] for key in wanted if key[0] not in ("DRAFT", "SCHEDULED", "IN_PROGRESS")]
    await _sends(client, gone, None)
    await send_due_emails(server)
    await client.one(ARCHIVE, ids=[ids[key] for key in wanted if key[0] == "ARCHIVED"])
    complaints = [
        {"emailId": ids[key], "kind": "SPAM_COMPLAINT", "occurredAt": moment(clock), "dedupeKey": f"{prefix}{key}"}
        for key in wanted
        if key[0] == "SPAM"
    ]
    assert (await client.one(REPORT, e=complaints))["recorded"] == len(complaints)
    await _sends(client, [ids[key] for key in wanted if key[0] == "SCHEDULED"], moment(clock, 3600))
    await _sends(client, [ids[key] for key in wanted if key[0] == "IN_PROGRESS"], None)
    return ids


async def _sends(client: Client, ids: Sequence[str], at: str | None) -> None:
    names = range(len(ids))
    document = (
        f"mutation($at:DateTime,{','.join(f'$v{n}:ID!' for n in names)}){{"
        + "".join(f"a{n}:emailSend(id:$v{n},at:$at){{userErrors{{message path}}}}" for n in names)
        + "}"
    )
    done = await client(document, at=at, **{f"v{n}": each for n, each in enumerate(ids)})
    assert [each["userErrors"] for each in done.values()] == [[] for _ in ids]


async def run_many_mutations(
    client: Client, name: str, kind: str, arguments: Sequence[Mapping[str, Any]], wanted: str
) -> list[dict[str, Any]]:
    """One request of many mutations of a kind."""
    names = range(len(arguments))
    document = (
        f"mutation({','.join(f'$v{n}:{kind}!' for n in names)}){{"
        + "".join(f"a{n}:{name}(input:$v{n}){{{wanted} userErrors{{message path}}}}" for n in names)
        + "}"
    )
    done = await client(document, **{f"v{n}": each["input"] for n, each in enumerate(arguments)})
    assert [each["userErrors"] for each in done.values()] == [[] for _ in arguments]
    return list(done.values())
