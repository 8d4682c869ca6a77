"""The folder matrix: every action × every folder × in a campaign or not, through the front door."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.support.emails import (
    FOLDERS,
    RecipientTransport,
    create_draft,
    create_person,
    emails_in_folders,
    moment,
    send_due_emails,
    send_email,
)
from tests.support.server import Client, ManualClock, Server

pytestmark = pytest.mark.slow

CAMPAIGN = 'mutation{campaignCreate(name:"Spring"){campaign{id}}}'
EVERYTHING = """query($contents:Boolean!){
    emails(first:200){nodes{id folder status archived success subject campaign{id} scheduledAt sentAt failedAt updatedAt
        failure{code} actions}}
    folders{name emailCount folders{id name group emailCount actions
        emails(first:200)@include(if:$contents){nodes{id}}}}}"""
ERRORS = "userErrors{message path code}"
DO = {
    "EDIT": 'mutation($id:ID!){emailRevise(id:$id,input:{subject:"Changed"}){email{id folder subject} %s}}',
    "SEND": "mutation($id:ID!){emailSend(id:$id){email{id folder subject} %s}}",
    "ARCHIVE": "mutation($ids:[ID!]!){emailArchive(ids:$ids){emails{id folder} %s}}",
    "UNARCHIVE": "mutation($ids:[ID!]!){emailUnarchive(ids:$ids){emails{id folder} %s}}",
    "MARK_SUCCESS": "mutation($ids:[ID!]!){emailMarkSuccess(ids:$ids){emails{id folder success} %s}}",
    "RETRY_SEND": "mutation($ids:[ID!]!){emailRetrySend(ids:$ids){emails{id folder} %s}}",
    "DELETE": "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds %s}}",
}
SINGLE = ("EDIT", "SEND")
GROUPS = {
    "SENT": ["DELIVERED", "ARCHIVED"],
    "PENDING": ["SCHEDULED", "DRAFT", "IN_PROGRESS"],
    "UNDELIVERED": ["FAILED", "BOUNCED", "SPAM"],
}
# The domain's table, written down a second time: what may be done in a folder, and where the email lands.
ALLOWED: dict[str, dict[str, str | None]] = {
    "DELIVERED": {"ARCHIVE": "ARCHIVED", "MARK_SUCCESS": "DELIVERED"},
    "ARCHIVED": {"UNARCHIVE": "DELIVERED", "DELETE": None},
    "SCHEDULED": {"EDIT": "SCHEDULED", "DELETE": None},
    "DRAFT": {"EDIT": "DRAFT", "DELETE": None, "SEND": "IN_PROGRESS"},
    "IN_PROGRESS": {},
    "FAILED": {"RETRY_SEND": "IN_PROGRESS", "DELETE": None},
    "BOUNCED": {"RETRY_SEND": "IN_PROGRESS", "DELETE": None},
    "SPAM": {"RETRY_SEND": "IN_PROGRESS", "DELETE": None},
}


def allowed(action: str, folder: str, in_campaign: bool) -> bool:
    return action in ALLOWED[folder] and not (action == "DELETE" and in_campaign)


async def look(client: Client, contents: bool = True) -> dict[str, dict[str, Any]]:
    """All emails by id, once the folders' counts, contents and actions were found to be what the emails say."""
    found = await client(EVERYTHING, contents=contents)
    emails = {node["id"]: node for node in found["emails"]["nodes"]}
    scanned = Counter(email["folder"] for email in emails.values())
    assert [group["name"] for group in found["folders"]] == list(GROUPS)
    for group in found["folders"]:
        assert [folder["name"] for folder in group["folders"]] == GROUPS[group["name"]]
        assert group["emailCount"] == sum(scanned[name] for name in GROUPS[group["name"]])
        for folder in group["folders"]:
            name = folder["name"]
            inside = {email["id"] for email in emails.values() if email["folder"] == name}
            assert folder["group"] == group["name"]
            assert folder["emailCount"] == scanned[name]
            assert not contents or {node["id"] for node in folder["emails"]["nodes"]} == inside
            assert set(folder["actions"]) == set(ALLOWED[name]) - {"SEND"}
    for email in emails.values():
        forbidden = {"SEND", "DELETE"} if email["campaign"] else {"SEND"}
        assert set(email["actions"]) == set(ALLOWED[email["folder"]]) - forbidden
        assert (email["failure"] is not None) == (email["status"] in ("FAILED", "BOUNCED", "SPAM"))
        assert not email["archived"] or email["status"] == "SENT"
    return emails


async def do(client: Client, action: str, *ids: str) -> dict[str, Any]:
    document = DO[action] % ERRORS
    answer = await (client.one(document, id=ids[0]) if action in SINGLE else client.one(document, ids=list(ids)))
    assert isinstance(answer, dict)
    return answer


async def two_of_each(server: Server, client: Client, clock: ManualClock, prefix: str) -> dict[tuple[str, bool], str]:
    """One email outside any campaign and one inside, in every folder."""
    campaign = (await client.one(CAMPAIGN))["campaign"]["id"]
    made = await emails_in_folders(server, client, clock, prefix, [{}, {"campaignId": campaign}])
    return {(folder, bool(place)): email_id for (folder, place), email_id in made.items()}


@pytest.mark.parametrize("action", DO)
async def test_action_is_allowed_in_its_folders_and_refused_in_others(
    quiet_server: Server, clock: ManualClock, action: str
) -> None:
    ann = await quiet_server.client("Ann")
    cases = await two_of_each(quiet_server, ann, clock, "x")
    before = await look(ann)
    assert {key: before[email_id]["folder"] for key, email_id in cases.items()} == {key: key[0] for key in cases}
    for (folder, in_campaign), email_id in cases.items():
        clock.advance(timedelta(milliseconds=1))
        answer = await do(ann, action, email_id)
        after = await look(ann, contents=False)
        others = {key: value for key, value in before.items() if key != email_id}
        assert {key: value for key, value in after.items() if key != email_id} == others
        if allowed(action, folder, in_campaign):
            assert answer["userErrors"] == []
            target = ALLOWED[folder][action]
            assert (after[email_id]["folder"] if email_id in after else None) == target
            if action == "DELETE":
                assert answer["deletedIds"] == [email_id]
            else:
                done = answer["email"] if action in SINGLE else answer["emails"][0]
                assert (done["id"], done["folder"]) == (email_id, target)
        else:
            path = ["id"] if action in SINGLE else ["ids", "0"]
            assert [(error["code"], error["path"]) for error in answer["userErrors"]] == [("WRONG_STATE", path)]
            assert answer[next(iter(answer))] in (None, [])
            assert after[email_id] == before[email_id]
        before = after
    assert await look(ann) == before


async def test_bulk_action_reports_refused_ids_and_changes_the_others(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    for action in [name for name in DO if name not in SINGLE]:
        cases = await two_of_each(quiet_server, ann, clock, action.lower())
        nowhere = "RW1haWw6OTk5OTk5"
        answer = await do(ann, action, *cases.values(), nowhere, next(iter(cases.values())))
        refused = [place for place, key in enumerate(cases) if not allowed(action, *key)]
        found = {(error["path"][1], error["code"]) for error in answer["userErrors"]}
        assert found == {(str(place), "WRONG_STATE") for place in refused} | {(str(len(cases)), "NOT_FOUND")}
        done = answer["deletedIds"] if action == "DELETE" else [email["id"] for email in answer["emails"]]
        assert done == [email_id for key, email_id in cases.items() if allowed(action, *key)]
        after = await look(ann)
        for (folder, in_campaign), email_id in cases.items():
            target = ALLOWED[folder][action] if allowed(action, folder, in_campaign) else folder
            assert (after[email_id]["folder"] if email_id in after else None) == target


async def test_outbox_moves_each_email_to_the_folder_of_its_outcome(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    names = ["delivered", "bounced", "failed", "deferred", "unknown"]
    mail = {name: await create_draft(ann, await create_person(ann, f"{name}@example.org")) for name in names}
    for each in mail.values():
        assert (await send_email(ann, each))["folder"] == "IN_PROGRESS"
    await send_due_emails(quiet_server)
    found = await look(ann)
    emails = {name: found[each] for name, each in mail.items()}
    assert {name: (each["folder"], (each["failure"] or {}).get("code")) for name, each in emails.items()} == {
        "delivered": ("DELIVERED", None),
        "bounced": ("BOUNCED", "BOUNCED"),
        "failed": ("FAILED", "CHANNEL_UNREACHABLE"),
        "deferred": ("SCHEDULED", None),
        "unknown": ("FAILED", "OUTCOME_UNKNOWN"),
    }
    assert found[mail["deferred"]]["scheduledAt"] > moment(clock)
    assert found[mail["delivered"]]["sentAt"] == moment(clock)

    retried = [mail[name] for name in ("bounced", "failed", "unknown")]
    answer = await do(ann, "RETRY_SEND", *retried)
    assert [email["folder"] for email in answer["emails"]] == ["IN_PROGRESS"] * 3
    await send_due_emails(quiet_server, RecipientTransport({}))
    found = await look(ann)
    for each in retried:
        assert (found[each]["folder"], found[each]["failedAt"], found[each]["failure"]) == ("DELIVERED", None, None)
    assert set(Counter(email["folder"] for email in found.values())) <= set(FOLDERS)
