"""The way out: what a mail offers as it arrives at a real server, and what the route does for whoever follows it."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.database.connections import database
from command_center.demo import mailbox
from command_center.mail.links import Links
from command_center.mail.outbox import Outbox
from command_center.mail.smtp import SmtpTransport
from command_center.mail.unsubscribe import mask_address
from tests.support.emails import ARCHIVE, create_draft, create_person, moment, send_due_emails, send_email
from tests.support.people import FAILURES, SHOW
from tests.support.server import Client, ManualClock, Server, serving
from tests.support.smtp_servers import Mailbox
from tests.support.smtp_servers import run_mail_server as receiving

LINKS = Links("a secret of some length", "https://mail.example.com")
KEYS = st.integers(min_value=1, max_value=2**63 - 1)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds userErrors{code}}}"
NEVER = 2**40


def token(url: str) -> str:
    return url.rpartition("/")[2]


@dataclass
class Arrived:
    """A mail as it came in: its raw bytes, and what a program reads in them."""

    raw: bytes
    to: list[str]

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message

    @property
    def way_out(self) -> str:
        return str(self.message["List-Unsubscribe"]).strip("<>")

    def part(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")


class Form(HTMLParser):
    """What a browser makes of the page: its words, its fields, and whether there is anything but words and a form."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fields: dict[str, str] = {}
        self.form: dict[str, str | None] | None = None
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "form":
            self.form = given
        elif tag == "input":
            self.fields[given["name"] or ""] = given["value"] or ""

    def handle_data(self, data: str) -> None:
        self.words += data


@dataclass
class Post:
    """A product whose mail really leaves, and the server it arrives at."""

    server: Server
    box: Mailbox
    clock: ManualClock
    http: httpx.AsyncClient

    async def mail(self, client: Client, person_id: str, body: str = "Hello", **more: Any) -> tuple[str, Arrived]:
        """An email to a person: its id, and how it arrived."""
        email = await create_draft(client, person_id, body=body, **more)
        await send_email(client, email)
        before = len(self.box.taken)
        channel = SmtpTransport(self.box.url)
        outbox = Outbox(self.server.engine.ctx, self.server.engine.links, channel)
        while await outbox.step():
            pass
        await channel.close()
        taken, *_ = self.box.taken[before:]
        assert isinstance(taken.content, bytes)
        return email, Arrived(taken.content, taken.rcpt_tos)


@asynccontextmanager
async def posting(url: str, **more: str) -> AsyncIterator[Post]:
    clock = ManualClock()
    async with (
        serving(url, clock, works=False, looks=False, **more) as server,
        receiving(Mailbox()) as box,
        httpx.AsyncClient() as http,
    ):
        yield Post(server, box, clock, http)


@pytest.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    async with posting(database_url) as made:
        yield made


async def unsubscribed(client: Client, person_id: str) -> bool:
    return bool((await client.one(SHOW, id=person_id))["unsubscribed"])


@settings(deadline=None)
@given(KEYS, KEYS)
def test_an_unsubscribe_token_is_valid_for_one_email_and_person(email: int, who: int) -> None:
    url = LINKS.unsubscribe(email, who)
    assert url.startswith("https://mail.example.com/t/u/")
    assert LINKS.open_unsubscribe(token(url)) == (email, who)
    assert LINKS.open_pixel(token(url)) is None
    assert LINKS.open_click(token(url)) is None
    assert LINKS.open_unsubscribe(token(LINKS.pixel(email)).removesuffix(".gif")) is None
    assert LINKS.open_unsubscribe(token(LINKS.click(email, "https://a.example/"))) is None
    assert Links("another secret", "https://mail.example.com").open_unsubscribe(token(url)) is None


def test_changing_any_character_makes_a_way_out_worthless() -> None:
    good = token(LINKS.unsubscribe(7, 9))
    for place, char in enumerate(good):
        for other in "ABab01-_" if char not in "ABab01-_" else "CDcd23":
            assert LINKS.open_unsubscribe(good[:place] + other + good[place + 1 :]) is None
        assert LINKS.open_unsubscribe(good[:place]) is None
    assert LINKS.open_unsubscribe(good + "A") is None


async def test_an_email_has_unsubscribe_headers_and_a_link_at_its_end(post: Post) -> None:
    ann = await post.server.client("Ann")
    who = await create_person(ann, "zoe@example.org")
    for body in ("<p>Hi <a href='https://a.example/x'>there</a></p>", "Hi https://a.example/x", "", "é" * 3000):
        _, mail = await post.mail(ann, who, body)
        assert mail.raw.isascii()
        header = re.search(
            rb"^List-Unsubscribe: <(http://127\.0\.0\.1:\d+/t/u/[\w-]{28,80})>\r\n", mail.raw, re.MULTILINE
        )
        assert header is not None
        assert mail.raw.count(b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") == 1
        way_out = header[1].decode()
        assert mail.way_out == way_out
        page, text = mail.part("html"), mail.part("plain")
        assert page.count(way_out) == text.count(way_out) == 1
        assert re.search(rf'<a href="{way_out}"[^>]*>Unsubscribe</a></div>\s*<img [^>]*>\s*</body>', page)
        assert text.endswith(f"\nUnsubscribe: {way_out}\n")
        assert page.count("/t/c/") == body.count("https://a.example/x")


async def test_a_long_address_of_ours_stays_whole_in_the_headers(sqlite_url: str) -> None:
    base = "https://" + ".".join(["a-rather-long-label-of-a-domain"] * 6) + "/and/a/path/of/its/own" * 5
    async with posting(sqlite_url, BASE_URL=base) as post:
        ann = await post.server.client("Ann")
        _, mail = await post.mail(ann, await create_person(ann, "zoë@example.org"), cc=["carl@example.org"])
        assert re.search(rb"^List-Unsubscribe: <" + base.encode() + rb"/t/u/[\w-]+>\r\n", mail.raw, re.MULTILINE)
        assert max(len(line) for line in mail.raw.split(b"\r\n")) <= 998
        assert mail.to == ["zoë@example.org"]


async def test_an_address_of_ours_outside_ascii_is_spelt_in_ascii(sqlite_url: str) -> None:
    async with posting(sqlite_url, BASE_URL="https://bücher.example/") as post:
        ann = await post.server.client("Ann")
        _, mail = await post.mail(ann, await create_person(ann, "zoe@example.org"))
        assert mail.raw.isascii()
        assert mail.way_out.startswith("https://xn--bcher-kva.example/t/u/")


async def test_opening_the_unsubscribe_page_changes_nothing(post: Post) -> None:
    ann = await post.server.client("Ann")
    who = await create_person(ann, "dora@example.org")
    email, mail = await post.mail(ann, who)
    page = await post.http.get(mail.way_out)
    head = await post.http.head(mail.way_out)
    assert (page.status_code, head.status_code, head.content) == (200, 200, b"")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert "set-cookie" not in page.headers
    shown = Form(page.text)
    assert "Ann and everyone else of Team will stop sending email to d•••@e•••.org." in shown.words
    assert shown.form == {"method": "post"}
    assert "dora" not in page.text
    assert "example.org" not in page.text
    assert not await unsubscribed(ann, who)
    row = await database().fetch_one("SELECT count(*) AS number FROM engagements")
    assert row == {"number": 0}
    assert (await ann.one("query($id:ID!){email(id:$id){folder}}", id=email))["folder"] == "DELIVERED"


async def test_the_page_needs_no_scripts_and_forbids_all_sources(sqlite_url: str) -> None:
    async with posting(sqlite_url) as post:
        ann = await post.server.client("Ann")
        _, mail = await post.mail(ann, await create_person(ann, "dora@example.org"))
        answer = await post.http.get(mail.way_out)
    shown = Form(answer.text)
    assert set(shown.tags) == {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "p", "b", "form", "input", "button")
    }
    assert 'lang="en"' in answer.text
    rules = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
    assert (rules["default-src"], rules["frame-ancestors"], rules["base-uri"]) == ("'none'",) * 3
    assert rules["form-action"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "style=" not in answer.text
    assert rules["style-src"] == f"'sha256-{style_hash(answer.text)}'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def style_hash(page: str) -> str:
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    return base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()


async def test_names_on_the_page_are_words_and_nothing_else(sqlite_url: str) -> None:
    async with posting(sqlite_url) as post:
        ann = await post.server.client("Ann")
        await database().execute("UPDATE users SET name = ?", "<img src=x> & Söhne")
        await database().execute("UPDATE teams SET name = ?", "A<script>&")
        _, mail = await post.mail(ann, await create_person(ann, "dora@example.org"))
        shown = Form((await post.http.get(mail.way_out)).text)
        assert "<img src=x> & Söhne and everyone else of A<script>& will" in shown.words
        assert not {"img", "script"} & set(shown.tags)


async def test_a_post_unsubscribes_from_all_senders(post: Post) -> None:
    ann, bob = await post.server.client("Ann"), await post.server.client("Bob")
    dora, emil = await create_person(ann, "dora@example.org"), await create_person(ann, "emil@example.org")
    for client in (ann, bob):
        await send_email(client, await create_draft(client, dora, "to Dora"), moment(post.clock, 3600))
        await send_email(client, await create_draft(client, emil, "to Emil"), moment(post.clock, 3600))
    _, mail = await post.mail(ann, dora)
    for _ in range(2):
        answer = await post.http.post(mail.way_out, data=ONE_CLICK)
        assert answer.status_code == 200
        assert "You are unsubscribed" in answer.text
        assert Form(answer.text).form is None
    assert await unsubscribed(ann, dora)
    assert not await unsubscribed(ann, emil)
    for client in (ann, bob):
        found = (await client.one(FAILURES))["nodes"]
        failures = {node["subject"]: (node["folder"], node["failure"]) for node in found}
        assert failures["to Dora"] == ("FAILED", {"code": "UNSUBSCRIBED"})
        assert failures["to Emil"] == ("SCHEDULED", None)
        folders = await client.one("{folders{emailCount}}")
        assert sum(folder["emailCount"] for folder in folders) == len(found)
    later = await send_email(ann, await create_draft(ann, dora))
    assert (later["folder"], later["failure"]["code"]) == ("FAILED", "UNSUBSCRIBED")
    assert "You are unsubscribed" in (await post.http.get(mail.way_out)).text


async def test_the_pages_form_and_whatever_a_program_posts_will_do(sqlite_url: str) -> None:
    async with posting(sqlite_url) as post:
        ann = await post.server.client("Ann")
        people = [await create_person(ann, f"p{place}@example.org") for place in range(4)]
        ways = [(await post.mail(ann, who))[1].way_out for who in people]
        shown = Form((await post.http.get(ways[0])).text)
        assert shown.fields == ONE_CLICK
        answers = [
            await post.http.post(ways[0], data=shown.fields),
            await post.http.post(ways[1], files={"List-Unsubscribe": (None, "One-Click")}),
            await post.http.post(ways[2]),
            await post.http.post(ways[3], content=b"\xff\x00", headers={"Content-Type": "application/json"}),
        ]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert [await unsubscribed(ann, who) for who in people] == [True] * 4


async def test_concurrent_unsubscribe_requests_are_all_answered(post: Post) -> None:
    ann = await post.server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    for place in range(5):
        await send_email(ann, await create_draft(ann, dora, f"S{place}"), moment(post.clock, 3600))
    _, mail = await post.mail(ann, dora)
    answers = await asyncio.gather(*(post.http.post(mail.way_out, data=ONE_CLICK) for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    counts = await database().fetch("SELECT folder, email_count FROM folder_counts WHERE email_count != 0")
    assert sorted(row["email_count"] for row in counts) == [1, 5]


async def test_the_way_out_outlives_the_email(post: Post) -> None:
    ann = await post.server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    email, mail = await post.mail(ann, dora)
    await ann.one(ARCHIVE, ids=[email])
    assert (await ann.one(DELETE, ids=[email]))["deletedIds"] == [email]
    assert "Team will stop sending email to d•••@e•••.org." in Form((await post.http.get(mail.way_out)).text).words
    assert (await post.http.post(mail.way_out, data=ONE_CLICK)).status_code == 200
    assert await unsubscribed(ann, dora)


async def test_what_we_did_not_sign_is_not_found_and_leaves_no_trace(post: Post) -> None:
    ann = await post.server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    _, mail = await post.mail(ann, dora)
    base, good = mail.way_out.rpartition("/")[0], token(mail.way_out)
    links = post.server.engine.links
    forged = Links("another secret", post.server.url).unsubscribe(1, 1)
    for bad in (f"{base}/{good[:-1]}", f"{base}/{good}A", f"{base}/x", forged, links.unsubscribe(1, NEVER)):
        for answer in (await post.http.get(bad), await post.http.post(bad, data=ONE_CLICK)):
            assert (answer.status_code, answer.text) == (404, "Not found.\n")
            assert answer.headers["content-type"].startswith("text/plain")
    assert (await post.http.put(mail.way_out)).status_code == 405
    assert not await unsubscribed(ann, dora)


async def test_a_large_post_is_refused_before_it_is_read(post: Post) -> None:
    ann = await post.server.client("Ann")
    dora = await create_person(ann, "dora@example.org")
    _, mail = await post.mail(ann, dora)

    where = urlsplit(mail.way_out)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 10000000\r\n\r\n"
    writer.write(head.encode() + b"x" * 5000)
    async with asyncio.timeout(10):
        # The rest is never sent, and nobody waits for it.
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        await reader.read()
    writer.close()
    await writer.wait_closed()
    assert not await unsubscribed(ann, dora)
    assert (await post.http.post(mail.way_out, content=b"x" * 5000)).status_code == 200


async def test_a_failed_unsubscribe_is_never_reported_as_done(sqlite_url: str) -> None:
    async with posting(sqlite_url) as post:
        ann = await post.server.client("Ann")
        dora = await create_person(ann, "dora@example.org")
        _, mail = await post.mail(ann, dora)
        await database().execute(
            "CREATE TRIGGER no BEFORE UPDATE ON people BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        answer = await post.http.post(mail.way_out, data=ONE_CLICK)
        assert answer.status_code == 503
        assert "disk full" not in answer.text
        assert "Please try again" in answer.text
        await database().execute("DROP TRIGGER no")
        assert (await post.http.post(mail.way_out, data=ONE_CLICK)).status_code == 200
        assert await unsubscribed(ann, dora)


async def test_the_demos_readers_do_not_take_the_way_out_for_a_link(sqlite_url: str, tmp_path: Path) -> None:
    async with posting(sqlite_url) as post:
        ann = await post.server.client("Ann")
        body = "<p><a href='https://a.example/1'>1</a> <a href='https://a.example/2'>2</a></p>"
        _, mail = await post.mail(ann, await create_person(ann, "dora@example.org"), body)
        (tmp_path / "mail.eml").write_bytes(mail.raw)
        read = mailbox.read_mail(tmp_path / "mail.eml")
        assert [urlsplit(link).path[:5] for link in read.links] == ["/t/c/", "/t/c/"]
        assert urlsplit(read.pixel).path.startswith("/t/o/")


@pytest.mark.parametrize(
    "address, hint",
    [
        ("dora@example.org", "d•••@e•••.org"),
        ("a@b.c", "a•••@b•••.c"),
        ("zoë.long.name@mail.bücher.example", "z•••@m•••.example"),
        ("x@localhost", "x•••@l•••"),
    ],
)
def test_an_address_is_hinted_at(address: str, hint: str) -> None:
    assert mask_address(address) == hint


async def test_a_blocked_domain_includes_its_subdomains_and_spellings(database_url: str) -> None:
    blocked = "Blocked.example, bücher.example ,sub.other.example"
    async with posting(database_url, BLOCKED_DOMAINS=blocked) as post:
        ann = await post.server.client("Ann")

        async def code(address: str) -> str | None:
            email = await send_email(ann, await create_draft(ann, await create_person(ann, address)))
            return email["failure"] and str(email["failure"]["code"])

        for address in (
            "a@blocked.example",
            "b@BLOCKED.EXAMPLE",
            "a@deep.sub.blocked.example",
            "a@BÜCHER.example",
            "c@xn--bcher-kva.example",
            "a@mail.xn--bcher-kva.example",
            "a@sub.other.example",
        ):
            assert await code(address) == "BLOCKED_DOMAIN", address
        for address in ("a@notblocked.example", "a@blocked.example.org", "a@other.example", "a@example"):
            assert await code(address) is None, address
        # What was free to go when it was scheduled is held against the list again when it is due.
        late = await create_draft(ann, await create_person(ann, "b@free.example"))
        await send_email(ann, late, moment(post.clock, 60))
        await database().execute("UPDATE people SET address = 'b@x.blocked.example' WHERE address = 'b@free.example'")
        post.clock.moment += 61_000_000
        await send_due_emails(post.server)
        found = await ann.one("query($id:ID!){email(id:$id){folder failure{code}}}", id=late)
        assert found == {"folder": "FAILED", "failure": {"code": "BLOCKED_DOMAIN"}}
