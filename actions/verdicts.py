"""Who acted: a person, a machine or the sender themselves, judged by what is known of the request. Pure."""

from dataclasses import dataclass

from models.enums import EngagementKind, EngagementVerdict

_SAID = {
    EngagementVerdict.HUMAN: "reported as a person's",
    EngagementVerdict.MACHINE: "reported as a machine's",
    EngagementVerdict.SELF: "reported as the sender's own",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the request behind an event. `prefetch`: the client said it only fetches ahead."""

    kind: EngagementKind
    user_agent: str | None = None
    ip_address: str | None = None
    prefetch: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and the evidence for it as a short sentence."""

    verdict: EngagementVerdict
    reason: str


def judge(said: EngagementVerdict | None, evidence: Evidence) -> Judgement:
    """What the source says holds; else a declared prefetch is a machine's, and where nothing speaks, a person's."""
    if said is not None:
        return Judgement(said, _SAID[said])
    if evidence.prefetch:
        return Judgement(EngagementVerdict.MACHINE, "fetched ahead by the mail program")
    return Judgement(EngagementVerdict.HUMAN, "nothing speaks for a machine")
