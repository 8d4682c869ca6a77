"""Folder counts as they are followed: exact, of one moment, coalesced, and only for those who may see them."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from command_center.changes.folder_counts import MIN_READ_INTERVAL_SECONDS
from models.enums import Role
from tests.support.emails import ARCHIVE, FOLDERS, create_draft, create_person, send_due_emails, send_email
from tests.support.server import Completed, Failed, ManualClock, Server, Stream

FIELDS = "{folders{id name group emailCount actions} groups{id name emailCount folders{name emailCount}}}"
COUNTS = f"subscription($as:ID){{folderCounts(viewAs:$as){FIELDS}}}"
ASKED = "query($as:ID){folders(viewAs:$as){id name emailCount folders{id name group emailCount actions}}}"
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds}}"
GROUPS = ["SENT", "PENDING", "UNDELIVERED"]


def told(frame: dict[str, Any]) -> Counter[str]:
    """The folders' counts, once those of the groups were found to be of the same moment."""
    assert [folder["name"] for folder in frame["folders"]] == list(FOLDERS)
    assert [group["name"] for group in frame["groups"]] == GROUPS
    counts = {folder["name"]: folder["emailCount"] for folder in frame["folders"]}
    inside = {folder["name"]: folder["emailCount"] for group in frame["groups"] for folder in group["folders"]}
    assert inside == counts
    for group in frame["groups"]:
        assert group["emailCount"] == sum(folder["emailCount"] for folder in group["folders"])
    return +Counter(counts)


async def until(stream: Stream, **wanted: int) -> list[Counter[str]]:
    """The counts of frame after frame, up to those that are wanted. None equals the one before."""
    seen = [told(await stream.frame())]
    while seen[-1] != Counter(wanted):
        seen.append(told(await stream.frame()))
        assert seen[-1] != seen[-2]
    return seen


async def test_counts_are_sent_first_and_then_at_every_change(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    async with ann.follow(COUNTS) as stream:
        first = await stream.frame()
        assert told(first) == Counter()
        asked = await ann.one(ASKED)
        assert [group["id"] for group in first["groups"]] == [group["id"] for group in asked]
        assert first["folders"] == [folder for group in asked for folder in group["folders"]]
        mail = await create_draft(ann, await create_person(ann, "dora@example.org"))
        await until(stream, DRAFT=1)
        await send_email(ann, mail)
        await until(stream, IN_PROGRESS=1)
        await send_due_emails(quiet_server)
        await until(stream, DELIVERED=1)
        await ann.one(ARCHIVE, ids=[mail])
        await until(stream, ARCHIVED=1)
        await ann.one(DELETE, ids=[mail])
        await until(stream)
        # What moves nothing says nothing, and nor does the mail of others.
        bob = await quiet_server.client("Bob")
        await create_draft(bob, await create_person(bob, "bobs@example.org"))
        await ann.one(ARCHIVE, ids=[mail])
        assert await stream.quiet(1.5)


async def test_many_mutations_make_few_messages_and_the_last_is_exact(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "dora@example.org")
    async with ann.follow(COUNTS) as stream:
        await until(stream)
        burst = " ".join(f'a{n}:emailDraft(input:{{personId:$p,subject:"{n}"}}){{email{{id}}}}' for n in range(20))
        began = time.monotonic()
        made = await asyncio.gather(*(ann(f"mutation($p:ID!){{{burst}}}", p=to) for _ in range(5)))
        frames = await until(stream, DRAFT=100)
        # However slow the machine and long the burst: no more frames than pauses fit in.
        assert len(frames) <= (time.monotonic() - began) / MIN_READ_INTERVAL_SECONDS + 2
        assert [each["DRAFT"] for each in frames] == sorted(each["DRAFT"] for each in frames)
        await ann.one(DELETE, ids=[each["email"]["id"] for part in made for each in part.values()])
        assert await until(stream) == [Counter()]


async def test_several_subscribers_get_the_same_counts(quiet_server: Server) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    async with (
        ann.follow(COUNTS) as own,
        ada.follow(COUNTS, **{"as": ann.user_id}) as theirs,
        ada.follow(COUNTS) as hers,
    ):
        for stream in (own, theirs, hers):
            await until(stream)
        assert quiet_server.engine.folder_counts.subscription_count == 3
        await create_draft(ann, await create_person(ann, "dora@example.org"))
        frames = []
        for stream in (own, theirs):
            frames.append(await stream.frame())
            assert told(frames[-1]) == Counter(DRAFT=1)
        # The same objects with the same ids; only what may be done there is each viewer's own.
        for mine, seen in zip(*(frame["folders"] for frame in frames), strict=True):
            assert seen == {**mine, "actions": []}
        assert await hers.quiet()


async def test_counts_of_others_are_for_admins(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    ada, max_ = (
        await quiet_server.client("Ada", role=Role.ADMIN),
        await quiet_server.client("Max", "Bananas", Role.ADMIN),
    )
    for client, view_as, code in (
        (bob, ann.user_id, "FORBIDDEN"),
        (bob, max_.user_id, "NOT_FOUND"),
        (ada, max_.user_id, "NOT_FOUND"),
        (ada, "nonsense", "NOT_FOUND"),
    ):
        with pytest.raises(Failed) as failed:
            async with client.follow(COUNTS, **{"as": view_as}) as stream:
                await stream.frame()
        assert failed.value.codes == [code]
        assert failed.value.errors[0]["extensions"]["problems"][0]["path"] == ["viewAs"]
    async with bob.follow(COUNTS, **{"as": bob.user_id}) as stream:
        await until(stream)
    async with asyncio.timeout(5):
        while quiet_server.engine.folder_counts.subscription_count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("moves", [False, True])
async def test_a_demoted_admin_gets_no_further_counts(quiet_server: Server, moves: bool) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    async with ada.follow(COUNTS, **{"as": ann.user_id}) as theirs, ada.follow(COUNTS) as own:
        await until(theirs)
        await until(own)
        await quiet_server.user("Ada", role=Role.MEMBER)
        if moves:
            await create_draft(ann, await create_person(ann, "dora@example.org"))
        with pytest.raises(Completed):
            await theirs.frame()
        # Her own mail is hers as before.
        await create_draft(ada, await create_person(ada, "adas@example.org"))
        await until(own, DRAFT=1)
