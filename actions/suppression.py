"""Whether an email may leave at all: an unsubscribed person, a blocked domain or an ended campaign says no.

A blocked domain stands for its subdomains too, and for its spellings: `bücher.example` is `xn--bcher-kva.example`.
"""

from dataclasses import dataclass

from actions.desk import Limits
from models.database import Connection
from models.enums import FailureCode


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Why an email does not leave."""

    code: FailureCode
    message: str


async def reason(connection: Connection, limits: Limits, person_id: int, campaign_id: int | None) -> Suppressed | None:
    """Why nothing may be sent to this person, or as part of this campaign; None where it may."""
    person = await connection.row("SELECT address, unsubscribed_at FROM people WHERE id = ?", person_id)
    if person is None or person["unsubscribed_at"] is not None:
        return Suppressed(FailureCode.UNSUBSCRIBED, "The person has unsubscribed.")
    domain = comparable(person["address"].rpartition("@")[2])
    if _blocked(domain, limits.blocked_domains):
        return Suppressed(FailureCode.BLOCKED_DOMAIN, f"Nothing is sent to {domain}.")
    if campaign_id is not None:
        campaign = await connection.row("SELECT ended_at FROM campaigns WHERE id = ?", campaign_id)
        if campaign is not None and campaign["ended_at"] is not None:
            return Suppressed(FailureCode.CAMPAIGN_ENDED, "The campaign has ended.")
    return None


def comparable(domain: str) -> str:
    """A domain in the one form it is compared in: ASCII as mail servers spell it, small letters, no dot at the end."""
    text = domain.strip().rstrip(".").casefold()
    try:
        return text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        return text


def _blocked(domain: str, blocked: frozenset[str]) -> bool:
    """Whether a domain is on the list, or lies below one that is."""
    while domain and domain not in blocked:
        domain = domain.partition(".")[2]
    return bool(domain)
