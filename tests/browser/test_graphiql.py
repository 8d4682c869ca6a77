"""GraphiQL in a real browser against the real server, with no other host in reach."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.browser.chromium import Page, open_page
from tests.browser.conftest import Product

PERSON = """
mutation ($input: PersonInput!) { personCreate(input: $input) { person { id } userErrors { message } } }
"""
DRAFT = """
mutation ($input: EmailDraftInput!) { emailDraft(input: $input) { email { id } userErrors { message } } }
"""
SEARCH = """
mutation { savedSearchCreate(input: { name: "Warm", filter: { engagement: [{ kind: VIEW }, { kind: CLICK }] } }) {
  savedSearch { id } userErrors { message }
} }
"""
RECORD = """
mutation ($events: [EngagementInput!]!) { engagementRecord(events: $events) { recorded userErrors { message } } }
"""

WHO = "document.querySelector('#session .who span')?.textContent"
ANSWER = "document.querySelector('.graphiql-response .CodeMirror')?.CodeMirror.getValue()"
EDITOR = "document.querySelector('.graphiql-query-editor .CodeMirror')"


async def signed_in(page: Page) -> None:
    assert await page.until(WHO, "the name of who is signed in") == "Signed in as Ada Seller"
    await page.until(f"{EDITOR}?.getBoundingClientRect().height > 200", "the editor on screen")


def assert_kept_to_itself(page: Page, product: Product) -> None:
    """Nothing went wrong that a browser tells of, and nothing was asked of another origin."""
    assert page.seen.complaints == []
    own = (product.address + "/", product.address.replace("http:", "ws:", 1) + "/")
    assert [one for one in page.seen.requests if not one.startswith((*own, "data:"))] == []


async def record_view_and_click(product: Product, name: str) -> None:
    """Another client's work: a person, an email to them, and what they did with it."""
    person = await product.ask(PERSON, input={"name": name, "address": "grace@prospect.example"})
    person_id = person["personCreate"]["person"]["id"]
    draft = await product.ask(DRAFT, input={"personId": person_id, "subject": "Hello", "body": "Good morning."})
    email_id = draft["emailDraft"]["email"]["id"]
    at = datetime.now(UTC).isoformat()
    events = [
        {"emailId": email_id, "kind": kind, "occurredAt": at, "dedupeKey": kind, "url": url}
        for kind, url in (("VIEW", None), ("CLICK", "https://acme.example/price"))
    ]
    recorded = await product.ask(RECORD, events=events)
    assert recorded["engagementRecord"] == {"recorded": 2, "userErrors": []}


INSIDE = """
(() => {
  const box = document.querySelector(%r).getBoundingClientRect();
  return box.width > 150 && box.height > 100 && box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
})()
"""
FITS = f"""
(() => {{
  const info = {EDITOR}.CodeMirror.getScrollInfo();
  return document.documentElement.scrollWidth <= innerWidth && info.width <= info.clientWidth;
}})()
"""
DIALOG_FITS = """
(() => {
  const dialog = document.querySelector('[role=dialog]');
  const box = dialog?.getBoundingClientRect();
  return box && box.left >= 0 && box.right <= innerWidth && dialog.scrollWidth <= dialog.clientWidth;
})()
"""


@pytest.mark.parametrize("width, height", [(390, 844), (1440, 900)])
async def test_the_page_fits_a_phone_and_no_comment_is_cut_off(product: Product, width: int, height: int) -> None:
    async with open_page() as page:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        await page.call("Emulation.setDeviceMetricsOverride", **size)
        await page.open(product.link)
        await page.until(WHO, "the name of who is signed in")
        tabs = await page.until("document.querySelectorAll('.graphiql-tab').length", "the tabs")
        for number in range(tabs):
            await page.evaluate(f"document.querySelectorAll('.graphiql-tab-button')[{number}].click()")
            await page.until(f"{EDITOR}?.CodeMirror.getOption('lineWrapping') && {FITS}", f"tab {number} without a cut")
        await page.evaluate("document.querySelectorAll('.graphiql-tab-button')[0].click()")
        for pane in (".graphiql-query-editor", ".graphiql-response"):
            await page.until(INSIDE % pane, f"{pane} on screen")
        await page.click(".graphiql-execute-button")
        await page.until(f"{ANSWER}?.includes('Ada Seller')", "the answer")
        await page.click(".graphiql-sidebar button")
        await page.until(INSIDE % ".graphiql-plugin", "the panel on screen")
        await page.until("document.documentElement.scrollWidth <= innerWidth", "no scrolling sideways")
        await page.click(".graphiql-sidebar button")
        await page.until(INSIDE % ".graphiql-query-editor", "the editor again")
        for button in ("Open short keys dialog", "Open settings dialog"):
            await page.click(f"button[aria-label='{button}']")
            await page.until(DIALOG_FITS, f"{button}, and nothing of it is cut off")
            await page.press("Escape")
            await page.until("!document.querySelector('[role=dialog]')", "the dialog is gone")
        assert_kept_to_itself(page, product)


async def test_the_scrollbars_are_dark_if_the_page_is(product: Product) -> None:
    async with open_page() as page:
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        await page.open(product.link)
        await signed_in(page)
        assert await page.evaluate(f"getComputedStyle({EDITOR}).colorScheme") == "dark"
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        assert await page.evaluate(f"getComputedStyle({EDITOR}).colorScheme") == "normal"


async def test_the_link_signs_in_a_query_runs_and_a_push_arrives(product: Product) -> None:
    async with open_page() as page:
        await page.open(product.link)
        await signed_in(page)
        assert await page.evaluate("location.href") == f"{product.address}/graphiql"
        assert await page.evaluate("document.querySelectorAll('.graphiql-tab').length") == 5

        await page.click(".graphiql-execute-button")
        await page.until(f'{ANSWER}.includes(\'"name": "Ada Seller"\')', "the viewer in the answer")

        await page.click(".graphiql-tab:nth-of-type(4) button")
        await page.until(f"{EDITOR}.CodeMirror.getValue().includes('subscription')", "the tab that follows every list")
        await page.click(".graphiql-execute-button")
        await page.until(f"{ANSWER}.includes('CaughtUp')", "the stream has caught up")
        await product.ask(SEARCH)
        await record_view_and_click(product, "Grace Prospect")
        await page.until(f"{ANSWER}.includes('MemberJoined')", "the frame that was pushed")
        await page.until(f'{ANSWER}.includes(\'"name": "Grace Prospect"\')', "the person in the frame")

        if os.environ.get("SCREENSHOT"):
            await page.screenshot(Path("docs/graphiql.png"))
        init = next(frame for frame in page.seen.sent_frames if frame["type"] == "connection_init")
        assert init["payload"] == {"authorization": f"Bearer {product.token}"}
        assert_kept_to_itself(page, product)


@pytest.mark.parametrize("button", ["Open short keys dialog", "Open settings dialog"])
async def test_the_dialogs_open_under_the_policy(product: Product, button: str) -> None:
    async with open_page() as page:
        await page.open(product.link)
        await signed_in(page)
        await page.click(f"button[aria-label='{button}']")
        await page.until("!!document.querySelector('[role=dialog]')", "the dialog")
        await page.press("Escape")
        await page.until("!document.querySelector('[role=dialog]')", "the dialog is gone")
        assert_kept_to_itself(page, product)


async def test_the_explorer_and_the_documentation_show_the_schema(product: Product) -> None:
    async with open_page() as page:
        await page.open(product.link)
        await signed_in(page)
        await page.click("button[aria-label='Show GraphiQL Explorer']")
        await page.until(
            "document.querySelector('.graphiql-explorer-root')?.innerText.includes('savedSearches')", "fields"
        )
        await page.click("button[aria-label='Show Documentation Explorer']")
        await page.until(
            "document.querySelector('.graphiql-doc-explorer')?.innerText.includes('Subscription')", "the roots"
        )
        assert_kept_to_itself(page, product)


async def test_a_token_can_be_pasted_and_signing_out_forgets_it(product: Product) -> None:
    async with open_page() as page:
        await page.open(f"{product.address}/graphiql")
        await page.click("#session input")
        await page.type(f"Bearer {product.token}")
        await page.click("#session button")
        await signed_in(page)

        await page.click("#session button")
        await page.until("!!document.querySelector('#session input')", "the field for a token")
        assert await page.evaluate("sessionStorage.length") == 0
        assert_kept_to_itself(page, product)


async def test_a_refused_token_is_reported_and_can_be_replaced(product: Product) -> None:
    async with open_page() as page:
        await page.open(f"{product.address}/graphiql#token=no.such.token")
        said = await page.until("document.querySelector('#session .problem')?.textContent", "the refusal")
        assert said.startswith("This token was refused: ")
        assert await page.evaluate("location.hash") == ""

        # Another link in the same tab changes the fragment only, and must sign in all the same.
        await page.open(product.link)
        await signed_in(page)


async def test_the_token_is_in_no_address_that_is_asked_for(product: Product) -> None:
    async with open_page() as page:
        await page.open(product.link)
        await signed_in(page)
        await asyncio.sleep(0.2)
        assert [address for address in page.seen.requests if product.token in address] == []
