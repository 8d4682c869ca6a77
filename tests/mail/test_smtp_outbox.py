"""Whatever the mail server replies, and whatever happens here meanwhile, no email stays in progress."""

import asyncio
from typing import Any

import pytest

from command_center.database.connections import database
from command_center.mail import outbox as outboxes
from command_center.mail.smtp import SmtpTransport
from command_center.mail.transport import Bounced, Delivered, Envelope, NotHandedOver, Outcome
from models.emails import Email
from models.enums import EmailStatus, FailureCode
from tests.mail.smtp_scripts import After, Fault, scripted_server
from tests.support.emails import DELIVERY_STATE, create_draft, create_person, send_email
from tests.support.outbox import FixedOutcomeTransport, open_sender_team, run_outbox, send_all_due, wait_until
from tests.support.server import PATIENCE, serving

LONG = b"550 5.7.1 " + b"very " * 20_000 + b"long\r\n"
# By the name of the recipient: what the server sends, and the status and a part of the failure that are right.
REPLIES: dict[str, tuple[Fault | None, str, str | None]] = {
    "good": (None, "SENT", None),
    "forwarded": (Fault("TO", (b"251 2.1.5 will forward\r\n",)), "SENT", None),
    "nul": (Fault("TO", (b"550 a\x00b\x01\r\n",)), "BOUNCED", "550 a\\x00b\\x01"),
    "latin": (Fault("TO", (b"550 5.1.1 Empf\xe4nger unbekannt\r\n",)), "BOUNCED", "Empfänger unbekannt"),
    "chinese": (Fault("END", (b"554 \xc7\xeb\xca\xb9\r\n",)), "BOUNCED", "554 "),
    "surrogate": (Fault("END", (b"554 \xed\xa0\x80\r\n",)), "BOUNCED", "554 "),
    "long": (Fault("DATA", (LONG,)), "BOUNCED", "550 5.7.1 very very"),
    "lines": (Fault("TO", (b"550-one\r\n550-\r\n550 two\r\n",)), "BOUNCED", "550 one\ntwo"),
    "greylisted": (Fault("TO", (b"450 4.7.1 sp\xe4ter\r\n",)), "SCHEDULED", None),
    "gone": (Fault("END", (b"421 4.3.2 down\r\n",), After.CLOSES), "SCHEDULED", None),
    "junk": (Fault("TO", (b"\xff\xfe\x00\r\n",)), "SCHEDULED", None),
    "positive": (Fault("DATA", (b"250 ok\r\n",)), "SCHEDULED", None),
    "double": (Fault("TO", (b"250 ok\r\n550 no\r\n",)), "SCHEDULED", None),
    "late": (Fault("END", (b"250 queued\r\n", b"550 no\r\n"), pause=0.02), "SENT", None),
    "lost": (Fault("END", (), After.CLOSES), "FAILED", "It is unknown whether"),
    "intermediate": (Fault("END", (b"354 go on\r\n",)), "FAILED", "out of turn"),
}


@pytest.mark.slow
async def test_every_email_gets_its_own_status_whatever_the_replies(database_url: str) -> None:
    async with scripted_server() as mail, serving(database_url, SMTP_URL=mail.url) as server:
        ann = await server.client("Ann")
        ids: dict[str, str] = {}
        for name, (fault, _, _) in REPLIES.items():
            if fault is not None:
                mail.faults[f"{name}@people.example"] = fault
            copies = [f"cc.{name}@people.example"] if fault is None else []
            ids[name] = await create_draft(ann, await create_person(ann, f"{name}@people.example"), cc=copies)
        for each in ids.values():
            await send_email(ann, each)
        async with asyncio.timeout(PATIENCE):
            while "IN_PROGRESS" in {(await ann.one(DELIVERY_STATE, id=each))["status"] for each in ids.values()}:
                await asyncio.sleep(0.05)
        found: dict[str, Any] = {name: await ann.one(DELIVERY_STATE, id=each) for name, each in ids.items()}
        assert {name: each["status"] for name, each in found.items()} == {
            name: status for name, (_, status, _) in REPLIES.items()
        }
        for name, (_, status, text) in REPLIES.items():
            failure = found[name]["failure"]
            assert (failure is None) == (text is None)
            if text is not None:
                assert text in failure["message"]
                assert failure["code"] == ("BOUNCED" if status == "BOUNCED" else "OUTCOME_UNKNOWN")


@pytest.mark.slow
async def test_an_outcome_that_the_database_refuses_affects_no_others(sqlite_url: str) -> None:
    async with open_sender_team(sqlite_url) as at:
        wrong, *good = [await at.email() for _ in range(6)]
        await database().execute(
            "CREATE TRIGGER poison BEFORE UPDATE ON emails WHEN NEW.id = "
            f"{wrong.id} AND NEW.status = {int(EmailStatus.SENT)} BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
        await send_all_due(at.outbox(FixedOutcomeTransport()))
        assert {(await Email.get(id=each.id)).status for each in good} == {EmailStatus.SENT}
        lost = await Email.get(id=wrong.id)
        assert (lost.status, lost.failure_code) == (EmailStatus.FAILED, FailureCode.OUTCOME_UNKNOWN)


async def test_texts_that_no_database_stores_are_stored_readably(database_url: str) -> None:
    async with open_sender_team(database_url) as at:
        made = await at.email()
        await send_all_due(at.outbox(FixedOutcomeTransport(lambda _: Bounced("550 \x00 \udce4 \x1b" + "x" * 5000))))
        email = await Email.get(id=made.id)
        assert email.status is EmailStatus.BOUNCED
        assert str(email.failure_message).startswith("550 \\x00 \\udce4 \\x1bxxx")


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), RuntimeError("unforeseen"), NotHandedOver(), MemoryError()]
)
async def test_any_end_of_a_hand_over_affects_its_email_alone(sqlite_url: str, error: BaseException) -> None:
    def broken(envelope: Envelope) -> Outcome:
        if envelope.recipient.startswith("p1@"):
            raise error
        return Delivered()

    async with open_sender_team(sqlite_url) as at:
        wrong, *good = [await at.email() for _ in range(4)]
        await send_all_due(at.outbox(FixedOutcomeTransport(broken)))
        assert {(await Email.get(id=each.id)).status for each in good} == {EmailStatus.SENT}
        email = await Email.get(id=wrong.id)
        if isinstance(error, NotHandedOver):
            assert email.status is EmailStatus.SCHEDULED
        else:
            assert (email.status, email.failure_code) == (EmailStatus.FAILED, FailureCode.OUTCOME_UNKNOWN)


@pytest.mark.parametrize("step", ["BANNER", "MAIL", "TO", "DATA", "END"])
async def test_a_stop_releases_unsent_emails(database_url: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "GRACE_SECONDS", 0.1)
    async with open_sender_team(database_url) as at, scripted_server() as server:
        silent = Fault(step, (), After.SILENT)
        server.greetings, server.faults = [silent], {at.sender.address: silent}
        made, heard = await at.email(), server.connections
        async with run_outbox(at.outbox(SmtpTransport(server.url))):
            await wait_until(lambda: server.connections > heard and (step != "END" or bool(server.taken)))
            await asyncio.sleep(0.2)
        email = await Email.get(id=made.id)
        if step == "END":
            assert (email.status, email.failure_code) == (EmailStatus.FAILED, FailureCode.OUTCOME_UNKNOWN)
        else:
            assert (email.status, email.claimed_at, email.attempts) == (EmailStatus.IN_PROGRESS, None, 0)
            assert email.due_at is not None
