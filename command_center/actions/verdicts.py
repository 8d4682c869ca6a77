"""Decides who caused an event: a person, a machine or the sender. Pure.

The evidence is the data of one request.

The first of these rules that applies decides:
1. The source of the event reports a verdict.
2. The event is a reply: HUMAN.
3. The request carried the sender's own signed cookie: SELF.
4. The request was a HEAD request, or the client declared a prefetch: MACHINE.
5. The user agent is a known program's, with its verdict (`command_center/actions/bot_signatures.py`).
6. The IP address belongs to a network of mail filters: MACHINE.
7. The timing of the clicks shows a machine (`command_center/actions/click_timing.py`): MACHINE.
8. Otherwise HUMAN.
Rule 7 needs the email's other clicks and its delivery. It is applied separately, and again after every new click.
"""

from typing import NamedTuple

from command_center.actions.bot_signatures import address_block, find_agent, find_network
from models.enums import EngagementKind, EngagementVerdict

VERDICT_TEXTS = {
    EngagementVerdict.HUMAN: "a person's",
    EngagementVerdict.MACHINE: "a machine's",
    EngagementVerdict.SELF: "the sender's own",
}


class Evidence(NamedTuple):
    """The known properties of the request that caused an event.

    `prefetch` means that the client declared a prefetch, and `head` that it sent a HEAD request. `own_device` means
    that it sent the signed cookie of the email's sender.
    """

    kind: EngagementKind
    user_agent: str | None = None
    ip_address: str | None = None
    prefetch: bool = False
    head: bool = False
    own_device: bool = False

    @property
    def exists(self) -> bool:
        """Return whether the request contains any evidence.

        An invalid IP address is no evidence.
        """
        has_request_data = (
            bool(self.user_agent and self.user_agent.strip()) or address_block(self.ip_address or "") is not None
        )
        return has_request_data or self.prefetch or self.head or self.own_device


class Judgement(NamedTuple):
    """A verdict with its reason as a short phrase.

    `judged` means that it was derived from evidence, so that more evidence may revise it.
    """

    verdict: EngagementVerdict
    reason: str
    judged: bool = False


def judge(reported: EngagementVerdict | None, evidence: Evidence) -> Judgement:
    """Decide the verdict on a single event, regardless of the timing of other clicks.

    `reported` is the verdict that the source of the event reports; it takes precedence over the evidence.
    """
    if reported is not None:
        return Judgement(reported, f"reported as {VERDICT_TEXTS[reported]}")
    if evidence.kind is EngagementKind.REPLY:
        return Judgement(EngagementVerdict.HUMAN, "a message in answer", evidence.exists)
    judgement = _by_request(evidence) or _by_agent(evidence) or _by_network(evidence)
    return judgement or Judgement(EngagementVerdict.HUMAN, "nothing speaks for a machine", evidence.exists)


def _by_request(evidence: Evidence) -> Judgement | None:
    """Return the verdict that a cookie, a HEAD request or a prefetch shows, or None.

    These are rules 3 and 4 in the description of this module.
    """
    if evidence.own_device:
        return Judgement(EngagementVerdict.SELF, "the sender's own device", judged=True)
    if evidence.head:
        return Judgement(EngagementVerdict.MACHINE, "only the head was requested, as scanners do", judged=True)
    if evidence.prefetch:
        return Judgement(EngagementVerdict.MACHINE, "fetched ahead by the mail program", judged=True)
    return None


def _by_agent(evidence: Evidence) -> Judgement | None:
    """Return the verdict on a known program's user agent, or None.

    This is rule 5 in the description of this module.
    """
    agent = find_agent(evidence.kind, evidence.user_agent or "")
    if agent is None:
        return None
    reason = agent.what if agent.verdict is EngagementVerdict.HUMAN else f"by its user agent {agent.name}: {agent.what}"
    return Judgement(agent.verdict, reason, judged=True)


def _by_network(evidence: Evidence) -> Judgement | None:
    """Return the verdict on an IP address of a mail filter, or None.

    This is rule 6 in the description of this module.
    """
    network = find_network(evidence.ip_address or "")
    if network is None:
        return None
    return Judgement(EngagementVerdict.MACHINE, f"by its address {network.name}: {network.what}", judged=True)
