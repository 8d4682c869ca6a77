"""The sender's own device: a cookie that the API hands to a browser, and what a pixel or a link fetched with it is."""

from datetime import timedelta
from http.cookies import SimpleCookie

import httpx

from command_center.ids import decode_key
from command_center.mail.devices import COOKIE_NAME
from command_center.mail.links import Links
from models.enums import Role
from tests.support.emails import create_delivered_email
from tests.support.server import BROWSER, SECRET, Client, ManualClock, Server, serving

VIEWER = "{viewer{id}}"
FEED = "{engagements{nodes{id kind}}}"
MAIL = "query($id:ID!){email(id:$id){engagementSummary{views clicks} engagements{nodes{kind verdict verdictReason}}}}"
OWN = ("SELF", "the sender's own device")


async def asked(browser: httpx.AsyncClient, client: Client) -> httpx.Response:
    """An answer as a browser sees it that a user has signed in from, headers and all."""
    headers = {"Authorization": f"Bearer {client.token}"}
    answer = await browser.post(f"{client.url}/graphql", json={"query": VIEWER}, headers=headers)
    assert answer.json()["data"]["viewer"]["id"] == client.user_id
    return answer


def given(answer: httpx.Response) -> list[dict[str, str]]:
    """The cookies an answer sets, each with its attributes; flags that are set are there."""
    found = []
    for line in answer.headers.get_list("set-cookie"):
        ((name, morsel),) = SimpleCookie(line).items()
        attributes = {key: str(value) for key, value in morsel.items() if value}
        found.append({"name": name, "value": morsel.value, **attributes})
    return found


async def fetched(server: Server, http: httpx.AsyncClient, email_id: str, **cookies: str) -> None:
    """The email's pixel and one of its links, as a browser with these cookies fetches them."""
    links, key = server.engine.links, decode_key("Email", email_id) or 0
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
    assert (await http.get(links.pixel(key), headers=headers)).status_code == 200
    assert (await http.get(links.click(key, "https://a.example/"), headers=headers)).status_code == 302


async def verdicts(client: Client, email_id: str) -> list[tuple[str, str]]:
    nodes = (await client.one(MAIL, id=email_id))["engagements"]["nodes"]
    return [(node["verdict"], node["verdictReason"]) for node in reversed(nodes)]


async def test_fetches_in_the_senders_own_browser_are_self(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    # Ann's browser has asked the API, so it holds the cookie by now; it goes before all else, haste too.
    await fetched(quiet_server, ann.http, mail)
    assert await verdicts(ann, mail) == [OWN, OWN]
    assert (await ann.one(MAIL, id=mail))["engagementSummary"] == {"views": 0, "clicks": 0}
    assert (await ann.one(FEED))["nodes"] == []
    clock.advance(timedelta(hours=1))
    async with httpx.AsyncClient(headers=BROWSER) as recipient:
        await fetched(quiet_server, recipient, mail)
    assert [verdict for verdict, _ in await verdicts(ann, mail)] == ["SELF", "SELF", "HUMAN", "HUMAN"]
    assert len((await ann.one(FEED))["nodes"]) == 2


async def test_a_forged_cookie_or_somebody_elses_is_nothing(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob", role=Role.ADMIN)
    mail = await create_delivered_email(quiet_server, ann)
    clock.advance(timedelta(hours=1))
    links = quiet_server.engine.links
    key = decode_key("User", ann.user_id) or 0
    good = links.device(key)
    bad = (
        links.device(decode_key("User", bob.user_id) or 0),
        Links(SECRET + "!", quiet_server.url).device(key),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good + "A",
        links.pixel(key).rpartition("/")[2].removesuffix(".gif"),
        str(key),
        "",
    )
    async with httpx.AsyncClient(headers=BROWSER) as browser:
        for each in bad:
            clock.advance(timedelta(minutes=1))
            await fetched(quiet_server, browser, mail, **{COOKIE_NAME: each})
        await fetched(quiet_server, browser, mail, another="1", **{COOKIE_NAME: good})
    await fetched(quiet_server, bob.http, mail)
    told = [verdict for verdict, _ in await verdicts(ann, mail)]
    assert told == ["HUMAN"] * 2 * len(bad) + ["SELF"] * 2 + ["HUMAN"] * 2


async def test_the_cookie_is_set_once_per_user_with_a_token_only(
    quiet_server: Server,
) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    async with httpx.AsyncClient(headers=BROWSER) as browser:
        first = given(await asked(browser, ann))
        assert given(await asked(browser, ann)) == []
        # Bob signs in with the same browser.
        assert {cookie["path"] for cookie in given(await asked(browser, bob))} == {"/t", "/graphql"}
        assert given(await asked(browser, bob)) == []
        assert given(await asked(browser, ann)) == first
    value = quiet_server.engine.links.device(decode_key("User", ann.user_id) or 0)
    common = {"name": COOKIE_NAME, "value": value, "max-age": "31536000", "httponly": "True", "samesite": "Lax"}
    assert first == [{**common, "path": path} for path in ("/t", "/graphql")]
    async with httpx.AsyncClient(base_url=quiet_server.url) as nobody:
        refused = await nobody.post("/graphql", json={"query": VIEWER})
        assert (refused.status_code, given(refused)) == (401, [])
        for path in ("/t/o/garbage", "/t/c/garbage", "/healthz"):
            assert given(await nobody.get(path)) == []
        page = await nobody.get("/graphql", headers={"accept": "text/html"})
        assert given(page) == []


async def test_over_tls_the_cookie_allows_cross_site_images(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False, BASE_URL="https://mail.example.com") as server:
        ann = await server.client("Ann")
        async with httpx.AsyncClient(headers=BROWSER) as browser:
            cookies = given(await asked(browser, ann))
        assert [(cookie["samesite"], cookie["secure"], cookie["path"]) for cookie in cookies] == [
            ("None", "True", "/t"),
            ("None", "True", "/graphql"),
        ]
