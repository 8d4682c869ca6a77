"""The standing searches that are measured with: how many look at which campaign, and which of them an index can narrow.

Each seller has ten campaigns, and a search looks at its owner's own mail. The first ten searches of a campaign ask for
one to five views, in pairs, so that each of an email's first five views joins two lists at most.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from command_center.ids import encode

A_CAMPAIGN = 10
A_SELLER = 10
VIEWS = A_CAMPAIGN // 2
HOT = 100
"""One campaign in so many is a hot one where they are not alike."""

Definition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """`views`: with which of an email's views it joins, where nothing but views happens; None for never.

    `campaign` None: it belongs to the admin, and looks at everyone's mail.
    """

    campaign: int | None
    views: int | None
    definition: Definition


@dataclass(frozen=True, slots=True)
class Population:
    """`search`: the one of a number among so many. `skewed`: what happens, happens in the hot campaigns."""

    search: Callable[[random.Random, int, int], Search]
    skewed: bool = False


def campaigns(searches: int) -> int:
    return searches // A_CAMPAIGN


def sellers(searches: int) -> int:
    return campaigns(searches) // A_SELLER


def _condition(kind: str, **threshold: int) -> Definition:
    return {"kind": kind, **threshold, "verdict": ["HUMAN"]}


def _of_campaign(campaign: int, *conditions: Definition) -> Definition:
    return {"campaign": [encode("Campaign", campaign + 1)], "engagement": list(conditions)}


def _live(campaign: int, place: int) -> Search:
    views = place // 2 + 1
    conditions = [_condition("VIEW", atLeast=views)]
    if place % 2:
        conditions.append(_condition("REPLY", atMost=0))
    return Search(campaign, views, _of_campaign(campaign, *conditions))


def _uniform(_: random.Random, number: int, searches: int) -> Search:
    return _live(number // A_CAMPAIGN, number % A_CAMPAIGN)


def _skewed(rng: random.Random, number: int, searches: int) -> Search:
    """One campaign in a hundred holds nine searches of ten, and nearly all of these wait for clicks."""
    if number % 10 == 0:
        return _live(number // 10, 0)
    hot = max(1, campaigns(searches) // HOT)
    place, campaign = divmod(number - number // 10 - 1, hot)
    campaign *= HOT
    if place < A_CAMPAIGN:
        return _live(campaign, place)
    clicks = _condition("CLICK", atLeast=rng.randint(1, 10))
    return Search(campaign, None, _of_campaign(campaign, _condition("VIEW", atLeast=rng.randint(1, 30)), clicks))


def _unnarrowed(number: int) -> Definition:
    return {"subject": {"contains": f"word {number}"}}


def _owned(each: int) -> Callable[[random.Random, int, int], Search]:
    """One in so many asks its owner's mail for a part of a subject."""

    def search(rng: random.Random, number: int, searches: int) -> Search:
        if number % each == each // 2:
            return Search(number // A_CAMPAIGN, None, _unnarrowed(number))
        return _uniform(rng, number, searches)

    return search


def _in_one_range(rng: random.Random, number: int, searches: int) -> Search:
    """The worst there is: one in ten asks everyone's mail for a part of a subject."""
    if number % 10 == 5:
        return Search(None, None, {"everySender": True, **_unnarrowed(number)})
    return _uniform(rng, number, searches)


POPULATIONS: Mapping[str, Population] = {
    "uniform": Population(_uniform),
    "skewed": Population(_skewed, skewed=True),
    "1 % without a key": Population(_owned(100)),
    "10 % without a key": Population(_owned(10)),
    "10 % without a key, in one range": Population(_in_one_range),
}


def every(population: str, searches: int) -> Iterator[Search]:
    """All of them, the same ones each time."""
    rng = random.Random(1)
    make = POPULATIONS[population].search
    return (make(rng, number, searches) for number in range(searches))
