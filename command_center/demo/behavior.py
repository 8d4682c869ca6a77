"""The recipients: each reads the mail that arrived and plays a part, with nothing but what stands in the message.

Their mail servers speak to the API by a token with the scope `engagement:write`, as an integration would.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from command_center.demo.campaign import SentEmail
from command_center.demo.client import Client, Unanswered
from command_center.demo.mailbox import Mail
from command_center.demo.recipients import Action, PlannedAction
from command_center.demo.watching import Watch

TWICE = 3
"""Every third reply is reported a second time: providers repeat themselves."""
AGAIN_SECONDS, AGAIN_PAUSE = 10.0, 0.25
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
REPLIED = """mutation($events:[EngagementInput!]!){engagementRecord(events:$events){
    recorded duplicates userErrors{message path code}}}"""
CAME_BACK = """mutation($events:[DeliveryInput!]!){deliveryRecord(events:$events){
    recorded duplicates userErrors{message path code}}}"""
_REPORTS = {
    Action.BOUNCE: ("BOUNCED", "550 5.1.1 There is no such mailbox here."),
    Action.COMPLAIN: ("SPAM_COMPLAINT", "The recipient chose: report as spam."),
}


@dataclass(slots=True)
class RecipientSimulator:
    """Everyone who gets mail. `integration` is their servers' way to the API."""

    letters: dict[str, SentEmail]
    """By the recipient's address."""
    integration: Client
    watch: Watch
    arrived: Counter[str] = field(default_factory=Counter)
    """Messages by address."""
    fetches: int = 0
    """Requests for pixels and links so far."""
    done: Counter[Action] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    http: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(timeout=30.0, trust_env=False, headers={"User-Agent": AGENT})
    )

    async def live(self, mail: Mail) -> None:
        """Does what the reader of a mail does."""
        letter = self.letters[mail.address]
        arrived = time.monotonic()
        for act in letter.actor.acts:
            await asyncio.sleep(max(0.0, arrived + act.at - time.monotonic()))
            try:
                await self._do(act, mail, letter)
                self.done[act.action] += 1
            except (httpx.HTTPError, Unanswered, Unexpected) as exc:
                self.troubles.append(f"{letter.actor.name}, {act.action.value}: {exc!r}")

    async def _do(self, act: PlannedAction, mail: Mail, letter: SentEmail) -> None:
        match act.action:
            case Action.VIEW:
                await self._view(mail, letter)
            case Action.FIRST_LINK:
                await self._click(mail, letter, 0)
            case Action.SECOND_LINK:
                await self._click(mail, letter, 1)
            case Action.REPLY:
                await self._reply(mail, letter)
            case Action.BOUNCE | Action.COMPLAIN:
                await self._come_back(act.action, mail, letter)

    async def _view(self, mail: Mail, letter: SentEmail) -> None:
        action = self.watch.begin(letter.email_id, "VIEW")
        answer = await self._fetch(mail.pixel)
        action.answered = time.time()
        if answer.status_code != 200 or answer.headers.get("content-type") != "image/gif":
            raise Unexpected(f"the pixel was answered with {answer.status_code}")

    async def _click(self, mail: Mail, letter: SentEmail, place: int) -> None:
        """Goes as far as the redirect: where it leads is checked, not visited."""
        action = self.watch.begin(letter.email_id, "CLICK")
        answer = await self._fetch(mail.links[place])
        action.answered = time.time()
        target = letter.actor.targets[place]
        if answer.status_code != 302 or answer.headers.get("location") != target:
            raise Unexpected(f"{answer.status_code} to {answer.headers.get('location')} instead of {target}")

    async def _fetch(self, url: str) -> httpx.Response:
        self.fetches += 1
        return await self.http.get(url)

    async def _reply(self, mail: Mail, letter: SentEmail) -> None:
        action = self.watch.begin(letter.email_id, "REPLY")
        event = {
            "emailId": letter.email_id,
            "kind": "REPLY",
            "occurredAt": datetime.now(UTC).isoformat(),
            "dedupeKey": f"reply to {mail.message_id}",
        }
        found = await self.integration.one(REPLIED, events=[event])
        action.answered = time.time()
        _expect(found, recorded=1)
        if self.done[Action.REPLY] % TWICE == 0:
            _expect(await self.integration.one(REPLIED, events=[event]), recorded=0)

    async def _come_back(self, action: Action, mail: Mail, letter: SentEmail) -> None:
        kind, message = _REPORTS[action]
        event = {
            "emailId": letter.email_id,
            "kind": kind,
            "message": message,
            "occurredAt": datetime.now(UTC).isoformat(),
            "dedupeKey": f"{kind} {mail.message_id}",
        }
        _expect(await self._reported(event), recorded=1)

    async def _reported(self, event: dict[str, str]) -> dict[str, int]:
        """Reports until it is taken: news of a bounce may be faster than the product writes down that it has sent."""
        deadline = time.monotonic() + AGAIN_SECONDS
        while True:
            try:
                found: dict[str, int] = await self.integration.one(CAME_BACK, events=[event])
            except Unanswered as exc:
                if "WRONG_STATE" not in str(exc) or time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(AGAIN_PAUSE)
            else:
                return found


class Unexpected(Exception):
    """The product answered, but not what it should."""


def _expect(found: dict[str, int], recorded: int) -> None:
    if (found["recorded"], found["duplicates"]) != (recorded, 1 - recorded):
        raise Unexpected(f"recorded {found['recorded']} and knew {found['duplicates']} of one event")
