"""Simulates the recipients, each of whom acts on the email that arrived.

They use only the content of the message.

Their mail servers call the API with a token that has the scope `engagement:write`, as an integration would.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from command_center.demo.campaign import SentEmail
from command_center.demo.client import Client, RequestFailed
from command_center.demo.mailbox import Mail
from command_center.demo.recipients import Action
from command_center.demo.watching import ListWatcher

DUPLICATE_EVERY = 3
"""Every third reply is reported twice, because providers repeat events."""
RETRY_SECONDS, RETRY_PAUSE_SECONDS = 10.0, 0.25
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
RECORD_ENGAGEMENT = """mutation($events:[EngagementInput!]!){engagementRecord(events:$events){
    recorded duplicates userErrors{message path code}}}"""
RECORD_DELIVERY = """mutation($events:[DeliveryInput!]!){deliveryRecord(events:$events){
    recorded duplicates userErrors{message path code}}}"""
_DELIVERY_REPORTS = {
    Action.BOUNCE: ("BOUNCED", "550 5.1.1 There is no such mailbox here."),
    Action.COMPLAIN: ("SPAM_COMPLAINT", "The recipient chose: report as spam."),
}


@dataclass(slots=True)
class RecipientSimulator:
    """Simulates all recipients. Their mail servers use `integration` to call the API."""

    emails: dict[str, SentEmail]
    """The sent emails by the recipient's address."""
    integration: Client
    watch: ListWatcher
    arrived: Counter[str] = field(default_factory=Counter)
    """The number of arrived messages by address."""
    fetches: int = 0
    """The number of requests for pixels and links so far."""
    done: Counter[Action] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    http: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(timeout=30.0, trust_env=False, headers={"User-Agent": USER_AGENT})
    )

    async def act_on(self, mail: Mail) -> None:
        """Perform the planned actions of the recipient of an email.

        Collects failures instead of raising them.
        """
        email = self.emails[mail.address]
        arrived = time.monotonic()
        for planned in email.recipient.actions:
            await asyncio.sleep(max(0.0, arrived + planned.at - time.monotonic()))
            try:
                await self._perform(planned.kind, mail, email)
                self.done[planned.kind] += 1
            except (httpx.HTTPError, RequestFailed, Unexpected) as exc:
                self.failures.append(f"{email.recipient.name}, {planned.kind.value}: {exc!r}")

    async def _perform(self, action: Action, mail: Mail, email: SentEmail) -> None:
        match action:
            case Action.VIEW:
                await self._view(mail, email)
            case Action.FIRST_LINK:
                await self._click(mail, email, 0)
            case Action.SECOND_LINK:
                await self._click(mail, email, 1)
            case Action.REPLY:
                await self._reply(mail, email)
            case Action.BOUNCE | Action.COMPLAIN:
                await self._report_failure(action, mail, email)

    async def _view(self, mail: Mail, email: SentEmail) -> None:
        """Fetch the pixel of an email."""
        action = self.watch.begin(email.email_id, "VIEW")
        response = await self._fetch(mail.pixel)
        action.answered_at = time.time()
        if response.status_code != 200 or response.headers.get("content-type") != "image/gif":
            raise Unexpected(f"the pixel was answered with {response.status_code}")

    async def _click(self, mail: Mail, email: SentEmail, index: int) -> None:
        """Request a tracking link, and check the target of its redirect.

        The redirect is not followed.
        """
        action = self.watch.begin(email.email_id, "CLICK")
        response = await self._fetch(mail.links[index])
        action.answered_at = time.time()
        target = email.recipient.targets[index]
        if response.status_code != 302 or response.headers.get("location") != target:
            raise Unexpected(f"{response.status_code} to {response.headers.get('location')} instead of {target}")

    async def _fetch(self, url: str) -> httpx.Response:
        self.fetches += 1
        return await self.http.get(url)

    async def _reply(self, mail: Mail, email: SentEmail) -> None:
        """Report a reply, and sometimes report it twice."""
        action = self.watch.begin(email.email_id, "REPLY")
        event = {
            "emailId": email.email_id,
            "kind": "REPLY",
            "occurredAt": datetime.now(UTC).isoformat(),
            "dedupeKey": f"reply to {mail.message_id}",
        }
        result = await self.integration.execute_field(RECORD_ENGAGEMENT, events=[event])
        action.answered_at = time.time()
        _expect(result, recorded=1)
        if self.done[Action.REPLY] % DUPLICATE_EVERY == 0:
            _expect(await self.integration.execute_field(RECORD_ENGAGEMENT, events=[event]), recorded=0)

    async def _report_failure(self, action: Action, mail: Mail, email: SentEmail) -> None:
        """Report a bounce or a complaint, as the recipient's mail server does."""
        kind, message = _DELIVERY_REPORTS[action]
        event = {
            "emailId": email.email_id,
            "kind": kind,
            "message": message,
            "occurredAt": datetime.now(UTC).isoformat(),
            "dedupeKey": f"{kind} {mail.message_id}",
        }
        _expect(await self._report_until_accepted(event), recorded=1)

    async def _report_until_accepted(self, event: dict[str, str]) -> dict[str, int]:
        """Repeat a report until it is accepted.

        It may arrive before the hand-over of the email is recorded.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                result: dict[str, int] = await self.integration.execute_field(RECORD_DELIVERY, events=[event])
            except RequestFailed as exc:
                if "WRONG_STATE" not in str(exc) or time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
            else:
                return result


class Unexpected(Exception):
    """Raised if the product responds in an unexpected way."""


def _expect(result: dict[str, int], recorded: int) -> None:
    """Check the counts of a recorded event. Raises: Unexpected if they differ."""
    if (result["recorded"], result["duplicates"]) != (recorded, 1 - recorded):
        raise Unexpected(f"recorded {result['recorded']} and knew {result['duplicates']} of one event")
