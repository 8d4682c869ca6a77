"""A bounce may be reported before we have written down that the email left: it is not lost."""

from command_center.mail.outbox import Outbox
from command_center.mail.transport import Delivered, Envelope, Outcome
from tests.support.searches import create_email
from tests.support.server import Client, Server

SEND = "mutation($id:ID!){emailSend(id:$id){email{status} userErrors{message}}}"
REPORT = """mutation($e:[DeliveryInput!]!){deliveryRecord(events:$e){
    recorded duplicates userErrors{path code}}}"""
EMAIL = "query($id:ID!){email(id:$id){status folder failure{code message} sentAt}}"


class Hasty:
    """A mail server whose report overtakes its own answer."""

    def __init__(self, client: Client, email_id: str) -> None:
        self._client = client
        self._email_id = email_id
        self.answers: list[dict[str, object]] = []

    async def send(self, envelope: Envelope) -> Outcome:
        report = {
            "emailId": self._email_id,
            "kind": "BOUNCED",
            "message": "550 nobody here",
            "occurredAt": "2023-11-14T22:13:20Z",
            "dedupeKey": "b1",
        }
        self.answers.append(await self._client.one(REPORT, e=[report]))
        return Delivered()

    async def close(self) -> None:
        pass


async def test_an_early_delivery_report_is_applied_after_the_hand_over(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_email(ann)
    await ann.one(SEND, id=mail)
    channel = Hasty(ann, mail)
    await Outbox(quiet_server.engine.ctx, quiet_server.engine.links, channel).step()
    assert channel.answers == [{"recorded": 1, "duplicates": 0, "userErrors": []}]
    found = await ann.one(EMAIL, id=mail)
    assert (found["status"], found["folder"]) == ("BOUNCED", "BOUNCED")
    assert found["failure"] == {"code": "BOUNCED", "message": "550 nobody here"}
    assert found["sentAt"] is not None
