"""Who acted: a person, a machine or the sender themselves, judged by what is known of one request. Pure.

The first of these that applies decides:
1. what the source of the event says;
2. a message in answer is a person's;
3. the sender's own signed cookie came with the request: SELF;
4. only the link's head was asked for, or the client says that it fetches ahead: MACHINE;
5. a known program by its user agent (`command_center/actions/bot_signatures.py`), which says what it is;
6. an address in a network of mail filters: MACHINE;
7. how soon and how fast links were followed (`command_center/actions/click_timing.py`): MACHINE;
8. otherwise HUMAN.
The seventh needs the email's other clicks and its delivery, so it is judged apart, and again with every new click.
"""

from typing import NamedTuple

from command_center.actions.bot_signatures import address_block, find_agent, find_network
from models.enums import EngagementKind, EngagementVerdict

WHOSE = {
    EngagementVerdict.HUMAN: "a person's",
    EngagementVerdict.MACHINE: "a machine's",
    EngagementVerdict.SELF: "the sender's own",
}


class Evidence(NamedTuple):
    """What is known of the request behind an event.

    `prefetch`: the client said it only fetches ahead; `head`: it asked for nothing but the head; `own_device`: it
    showed the cookie of the email's sender.
    """

    kind: EngagementKind
    user_agent: str | None = None
    ip_address: str | None = None
    prefetch: bool = False
    head: bool = False
    own_device: bool = False

    @property
    def there(self) -> bool:
        """Whether there is any. A text that is no address is none."""
        known = bool(self.user_agent and self.user_agent.strip()) or address_block(self.ip_address or "") is not None
        return known or self.prefetch or self.head or self.own_device


class Judgement(NamedTuple):
    """The verdict, and the reason as a short sentence. `judged`: by evidence, so that more of it may revise it."""

    verdict: EngagementVerdict
    reason: str
    judged: bool = False


def judge(said: EngagementVerdict | None, evidence: Evidence) -> Judgement:
    """The verdict on one event by itself: all but the seventh rule."""
    if said is not None:
        return Judgement(said, f"reported as {WHOSE[said]}")
    if evidence.kind is EngagementKind.REPLY:
        return Judgement(EngagementVerdict.HUMAN, "a message in answer", evidence.there)
    found = _by_request(evidence) or _by_agent(evidence) or _by_network(evidence)
    return found or Judgement(EngagementVerdict.HUMAN, "nothing speaks for a machine", evidence.there)


def _by_request(evidence: Evidence) -> Judgement | None:
    if evidence.own_device:
        return Judgement(EngagementVerdict.SELF, "the sender's own device", judged=True)
    if evidence.head:
        return Judgement(EngagementVerdict.MACHINE, "only the head was asked for, as scanners do", judged=True)
    if evidence.prefetch:
        return Judgement(EngagementVerdict.MACHINE, "fetched ahead by the mail program", judged=True)
    return None


def _by_agent(evidence: Evidence) -> Judgement | None:
    agent = find_agent(evidence.kind, evidence.user_agent or "")
    if agent is None:
        return None
    reason = agent.what if agent.verdict is EngagementVerdict.HUMAN else f"by its user agent {agent.name}: {agent.what}"
    return Judgement(agent.verdict, reason, judged=True)


def _by_network(evidence: Evidence) -> Judgement | None:
    network = find_network(evidence.ip_address or "")
    if network is None:
        return None
    return Judgement(EngagementVerdict.MACHINE, f"by its address {network.name}: {network.what}", judged=True)
