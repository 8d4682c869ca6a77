"""Addresses: one module decides which are valid, where mail is delivered, and which are the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center import ids as global_ids
from command_center.actions import users
from command_center.database.connections import Connection, database, open_database, transaction
from command_center.email_addresses import (
    InvalidAddress,
    comparison_key,
    delivery_form,
    link_host,
    normalize_address,
    strip_invisible,
)
from command_center.mail.links import trackable_url
from command_center.search.text import fold
from command_center.server.cli import main
from models.enums import Role
from tests.support.databases import Databases
from tests.support.emails import PERSON, create_draft, create_person, send_due_emails, send_email
from tests.support.server import Client, ManualClock, Server, serving

DELIVERY = {
    "Pat.O'Brien+x@Example.ORG": "Pat.O'Brien+x@example.org",
    "info@straße.example": "info@xn--strae-oqa.example",
    "info@faß.example": "info@xn--fa-hia.example",
    "info@κλαρα-σωλις.example": "info@xn----ylba7abgd9bnh0e.example",
    "Jo@BÜCHER.example": "Jo@xn--bcher-kva.example",
    "jo@bu\u0308cher.example": "jo@xn--bcher-kva.example",
    "jo@XN--Bcher-KVA.example": "jo@xn--bcher-kva.example",
    "u@\uff52.example": "u@r.example",
    "u@r\u3002example": "u@r.example",
    "u@ශ්\u200dරී.example": "u@xn--10cl1a0b660p.example",
    "u@foo_bar.example": "u@foo_bar.example",
    "u@r3---sn.example": "u@r3---sn.example",
    "u@xn--i-7iq.ws": "u@xn--i-7iq.ws",
    "STRAßE@x.example": "STRAßE@x.example",
    "re\u0301my@x.example": "r\u00e9my@x.example",
    "u@localhost": "u@localhost",
}
INVALID = [
    "=?utf-8?q?x=0D=0AReply-To=3Ay?=@ex.example",
    *("", "x", "@", "x@", "@x.example", "a@b@c.example", "a b@x.example", "x@a b.example", "pat\uff20example.com"),
    *("x@a..b", "x@.a", "x@a.", "x@-a.example", "x@a-.example", "x@\u2100.example", "x@a\u0000.example"),
    *("x@i\u2764.ws", "x@\U0001f4a9.la", "x@אa.example", "x@ex\u200dample.org", "x@exa\u200cmple.org"),
    *("x@xn--.example", "x@xn--a.example", "x@xn--strasse-.example", "x@xn--zzzzzzzz99999.example"),
    # The encoded form of a name with a capital letter, which no registry has.
    *("x@xn--BCHER-kva9999.example", f"x@{'a' * 64}.example", f"{'a' * 65}@x.example", f"{'é' * 33}@x.example"),
    *(f"x@{'.'.join(['a' * 60] * 5)}", f"x@{'ü' * 60}.example"),
]
INVISIBLE = "\u200b\u00ad\ufeff\u202e\u2066\ufffd\u200d\u200e\u2060\u034f\u115f\u3164\ufe0f\u0007\U000e0041"
MIGRATION = import_module("models.migrations.0007_address_keys")
ROW = "INSERT INTO people (id, team_id, owner_id, name, name_folded, address, address_folded, shared, created_at)"


@pytest.mark.parametrize("text, delivered", DELIVERY.items())
def test_a_delivery_address_has_an_ascii_domain_only(text: str, delivered: str) -> None:
    assert delivery_form(text) == delivered
    local, _, domain = delivered.rpartition("@")
    assert comparison_key(text) == f"{fold(local)}@{domain}"
    assert delivery_form(normalize_address(text)) == delivered


@pytest.mark.parametrize("text", INVALID)
def test_invalid_addresses_are_refused(text: str) -> None:
    for read in (normalize_address, delivery_form, comparison_key):
        with pytest.raises(InvalidAddress, match=r"\.$"):
            read(text)


@pytest.mark.parametrize("form", ["{}pat@ex.example", "pat{}@ex.example", "p{}at@ex.example", "pat@e{}x.example"])
def test_an_invisible_character_is_refused_wherever_it_is(form: str) -> None:
    for char in INVISIBLE:
        with pytest.raises(InvalidAddress, match=rf"U\+{ord(char):04X}"):
            comparison_key(form.format(char))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), st.text(max_size=6))
def test_forms_are_stable_and_keys_agree_with_deliveries(domain: str, local: str) -> None:
    try:
        delivered = delivery_form(f"{local}@{domain}.example")
    except InvalidAddress:
        return
    assert delivered.rpartition("@")[2].isascii()
    assert delivery_form(delivered) == delivered
    assert comparison_key(delivered) == comparison_key(f"{local}@{domain}.example")
    assert comparison_key(comparison_key(delivered)) == comparison_key(delivered)


def test_links_lead_to_the_host_that_browsers_go_to() -> None:
    hosts = {"straße.example": "xn--strae-oqa.example", "i\u2764.ws": "xn--i-7iq.ws", "Σ.example": "xn--4xa.example"}
    hosts["ශ්\u200dරී.com"] = "xn--10cl1a0b660p.com"
    for host, right in hosts.items():
        assert link_host(host) == right
        assert trackable_url(f"https://{host}:8443/ß?q=ß") == f"https://{right}:8443/%C3%9F?q=%C3%9F"
    assert trackable_url(f"https://{'ü' * 63}.example/") is None


def test_padding_is_white_space_and_what_cannot_be_seen() -> None:
    assert strip_invisible("\ufeff\u200b a\u200bb\u00a0\u200e\u00ad\t") == "a\u200bb"
    assert strip_invisible("\u200b \ufeff") == ""


async def created(client: Client, address: str) -> list[tuple[str, list[str]]]:
    answer = await client.one(PERSON, i={"name": "X", "address": address})
    return [(error["code"], error["path"]) for error in answer["userErrors"]]


async def test_people_are_the_same_by_their_comparison_key(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    taken = [("TAKEN", ["input", "address"])]
    for same in (
        ("info@bücher.example", "Info@xn--bcher-kva.example", "info@BÜCHER.example"),
        ("u@r.example", "u@\uff52.example", "U@r\u3002example"),
    ):
        assert [await created(ann, each) for each in same] == [[], taken, taken]
    for different in ("info@straße.example", "info@strasse.example", "info@bucher.example"):
        assert await created(ann, different) == []
    assert await created(ann, "pat\u200b@ex.example") == [("INVALID", ["input", "address"])]
    copied = await ann.one(
        "mutation($i:EmailDraftInput!){emailDraft(input:$i){userErrors{path code message}}}",
        i={"personId": await create_person(ann, "p@x.example"), "subject": "x", "cc": ["a@x.example", "b@i\u2764.ws"]},
    )
    assert copied["userErrors"] == [
        {
            "path": ["input", "cc", "1"],
            "code": "INVALID",
            "message": "The domain i\u2764.ws is not a valid internet domain: Codepoint U+2764 at position 2"
            " of 'i\u2764' not allowed.",
        }
    ]
    # The text that was entered is what searches look at.
    names = "query($s:String){people(first:10,search:$s){nodes{address}}}"
    assert (await ann.one(names, s="BÜCHER"))["nodes"] == [{"address": "info@bücher.example"}]


async def test_users_are_the_same_by_their_comparison_key(quiet_server: Server) -> None:
    ctx = quiet_server.engine.ctx
    first = await users.add(ctx, "T", "A", "sam@bücher.example", Role.MEMBER, "UTC")
    assert (await users.add(ctx, "T", "B", "Sam@XN--bcher-kva.example", Role.MEMBER, "UTC")).id == first.id
    assert (await users.add(ctx, "T", "C", "sam@straße.example", Role.MEMBER, "UTC")).id != (
        await users.add(ctx, "T", "D", "sam@strasse.example", Role.MEMBER, "UTC")
    ).id
    found = await users.find_by_address("sam@bu\u0308cher.example")
    assert found is not None
    assert found.id == first.id
    assert await users.find_by_address("no address") is None


# ---- rows from before the rule ---------------------------------------------------------------------------------------
OLD = {
    # id: team, address, unsubscribed
    1: (1, "u@\uff52.example", None),
    2: (1, "u@r.example", None),
    3: (1, "U@r\u3002example", 77),
    4: (2, "u@\uff52.example", None),
    5: (1, "info@straße.example", None),
    6: (1, "info@\uff53trasse.example", None),
    7: (1, "broken\u200b@ex.example", None),
    8: (1, "Plain@Example.org", None),
    9: (1, "a@bücher.example", None),
    10: (1, "a@xn--bcher-kva.example", None),
}


@asynccontextmanager
async def old_rows(url: str) -> AsyncIterator[Connection]:
    """People and users that differ by spelling alone, as earlier versions stored them, after the migration's work."""
    async with open_database(url):
        async with transaction() as old:
            for team in (1, 2):
                await old.execute("INSERT INTO teams (id, name, created_at) VALUES (?, ?, 1)", team, f"T{team}")
            for user, (team, address) in enumerate([(1, "a@bücher.example"), (2, "A@xn--bcher-kva.example")], 1):
                await old.execute(
                    "INSERT INTO users (id, team_id, name, address, address_folded, role, time_zone, created_at)"
                    " VALUES (?, ?, 'U', ?, ?, 1, 'UTC', 1)",
                    *(user, team, address, fold(address)),
                )
            for key, (team, address, unsubscribed) in OLD.items():
                await old.execute(
                    f"{ROW[:-1]}, unsubscribed_at) VALUES (?, ?, ?, 'P', 'p', ?, ?, ?, 1, ?)",
                    *(key, team, team, address, fold(address), True, unsubscribed),
                )
            await MIGRATION.compute_keys(None, SimpleNamespace(client=old.client))
        yield database()


async def test_the_migration_numbers_duplicates_and_unsubscribes_all(database_url: str) -> None:
    async with old_rows(database_url) as connection:
        rows = await connection.fetch("SELECT id, address, address_folded, address_search, unsubscribed_at FROM people")
        people = {row["id"]: row for row in rows}
        assert {key: row["address"] for key, row in people.items()} == {key: row[1] for key, row in OLD.items()}
        assert {key: row["address_folded"] for key, row in people.items()} == {
            1: "u@r.example 2",
            2: "u@r.example",
            3: "u@r.example 3",
            4: "u@r.example",
            5: "info@xn--strae-oqa.example",
            6: "info@strasse.example",
            7: "broken\u200b@ex.example",
            8: "plain@example.org",
            9: "a@xn--bcher-kva.example 2",
            10: "a@xn--bcher-kva.example",
        }
        assert all(row["address_search"] == fold(row["address"]) for row in rows)
        assert {key for key, row in people.items() if row["unsubscribed_at"] == 77} == {1, 2, 3}
        users = await connection.fetch("SELECT address_folded FROM users ORDER BY id")
        assert [row["address_folded"] for row in users] == ["a@xn--bcher-kva.example 2", "a@xn--bcher-kva.example"]


async def test_duplicates_are_listed(
    all_databases: Databases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = all_databases.make("sqlite")
    async with old_rows(url):
        pass
    monkeypatch.setenv("COMMAND_CENTER_DATABASE_URL", url)
    assert await _output(["people", "duplicates"], capsys) == [
        *(f"T1: {global_ids.encode('Person', 10)} person P <a@xn--bcher-kva.example>",),
        *(f"T1: {global_ids.encode('Person', 9)} person P <a@bücher.example>", ""),
        *(f"T1: {global_ids.encode('Person', 2)} person P <u@r.example>",),
        *(f"T1: {global_ids.encode('Person', 1)} person P <u@\uff52.example>",),
        *(f"T1: {global_ids.encode('Person', 3)} person P <U@r\u3002example>", ""),
        *(f"T2: {global_ids.encode('User', 2)} user U <A@xn--bcher-kva.example>",),
        *(f"T1: {global_ids.encode('User', 1)} user U <a@bücher.example>", ""),
        "3 addresses with more than one person or user",
    ]
    monkeypatch.setenv("COMMAND_CENTER_DATABASE_URL", all_databases.make("sqlite"))
    assert await _output(["people", "duplicates"], capsys) == ["no duplicates"]


async def _output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a command prints. It has an event loop of its own, in a thread of its own."""
    with pytest.raises(SystemExit) as exited:
        await asyncio.to_thread(main, arguments)
    assert exited.value.code == 0
    return capsys.readouterr().out.splitlines()


async def duplicates(client: Client) -> list[str]:
    """Two people with one address, and somebody else, by their ids."""
    made = [await create_person(client, address) for address in ("u@r.example", "other@r.example", "third@r.example")]
    key = global_ids.decode_key("Person", made[1])
    await database().execute(
        "UPDATE people SET address = ?, address_folded = ? WHERE id = ?", "u@\uff52.example", "u@r.example 2", key
    )
    return made


async def test_a_bulk_send_goes_to_an_address_once(database_url: str, clock: ManualClock) -> None:
    async with serving(database_url, clock, works=False, looks=False) as server:
        ann = await server.client("Ann")
        people = await duplicates(ann)
        group = await ann.one('mutation{groupCreate(name:"G"){group{id}}}')
        put = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){userErrors{code}}}"
        await ann.one(put, id=group["group"]["id"], p=people)
        document = "mutation($i:{}Input!){{email{}(input:$i){{bulkSend{{emailCount}} userErrors{{code path}}}}}}"
        text = {"subject": "s", "body": "b"}
        for kind, to in (("GroupSend", {"groupId": group["group"]["id"]}), ("SelectAndSend", {"personIds": people})):
            answer = await ann.one(document.format(kind, kind), i={**text, **to})
            assert answer == {"bulkSend": {"emailCount": 2}, "userErrors": []}
            taken = (await send_due_emails(server)).taken
            assert sorted(envelope.recipient for envelope in taken) == ["third@r.example", "u@r.example"]


async def test_an_older_bulk_send_goes_to_an_address_once(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    people = [await create_person(ann, address) for address in ("u@r.example", "other@r.example")]
    document = "mutation($i:SelectAndSendInput!){emailSelectAndSend(input:$i){bulkSend{id} userErrors{code path}}}"
    await ann.one(document, i={"personIds": people, "subject": "s", "body": "b"})
    await database().execute(
        "UPDATE people SET address = ?, address_folded = ? WHERE id = ?",
        *("u@\uff52.example", "u@r.example 2", global_ids.decode_key("Person", people[1])),
    )
    assert [envelope.recipient for envelope in (await send_due_emails(quiet_server)).taken] == ["u@r.example"]
    emails = await ann.one("{emails(first:5){nodes{id folder failure{code message}}}}")
    (failed,) = [each for each in emails["nodes"] if each["folder"] == "FAILED"]
    assert failed["failure"] == {
        "code": "CHANNEL_REFUSED",
        "message": "This bulk send goes to another person with the address u@\uff52.example.",
    }
    await ann.one("mutation($ids:[ID!]!){emailRetrySend(ids:$ids){userErrors{code}}}", ids=[failed["id"]])
    assert (await send_due_emails(quiet_server)).taken == []


async def test_unsubscribing_one_unsubscribes_its_duplicates(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    people = await duplicates(ann)
    await ann.one("mutation($id:ID!){personUnsubscribe(id:$id){userErrors{code}}}", id=people[0])
    for each, code in zip(people, ("UNSUBSCRIBED", "UNSUBSCRIBED", None), strict=True):
        email: dict[str, Any] = await send_email(ann, await create_draft(ann, each))
        assert (email["failure"] or {}).get("code") == code
