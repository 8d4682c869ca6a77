"""One email's facts against standing searches: the index against looking at every search."""

import random

import identifiers
from benchmarks.measure import Ratio, ratio
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind
from search.check import check
from search.facts import Event, Facts
from search.index import Index
from search.scope import Owner, scope

SEARCHES = 10_000
CAMPAIGNS = 1_000
NOW = 1_800_000_000_000_000


def standing(searches: int) -> Index:
    """Searches of one sender, ten a campaign, with thresholds."""
    rng = random.Random(1)
    index = Index()
    owner = Owner(1, 1, False)
    for number in range(searches):
        filter = check(
            {
                "campaign": [identifiers.encode("Campaign", number % CAMPAIGNS + 1)],
                "engagement": [
                    {"kind": "VIEW", "atLeast": rng.randint(1, 3)},
                    {"kind": "CLICK", "atLeast": rng.randint(1, 3)},
                ],
            }
        )
        index.add(number + 1, scope(filter, owner), filter)
    return index


def facts(campaign: int) -> Facts:
    seen = Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, NOW - 1)
    return Facts(
        *(1, 1, 1, 1, campaign, None, None, SendKind.INDIVIDUAL, EmailStatus.SENT, False, False, "", "", None),
        *(NOW, NOW, None, None, frozenset(), (seen, seen)),
    )


async def run() -> Ratio:
    index = standing(SEARCHES)
    emails = [facts(campaign) for campaign in range(1, CAMPAIGNS + 1)]

    async def ours() -> None:
        for email in emails:
            index.matching(email, NOW)

    async def every() -> None:
        for email in emails[:5]:
            for search in index:
                index.matches(search, email, NOW)

    await ours()
    await every()
    return await ratio(f"a match among {SEARCHES:,} searches: index / every search", ours, every, (len(emails), 5))
