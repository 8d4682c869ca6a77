"""The hundred people of the campaign, what each gets to read and what they do with it. Pure: all comes from a seed."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import product
from random import Random
from urllib.parse import urlencode

PEOPLE = 100
EAGER_GAP = 12.0
"""Seconds between two views of an eager reader, at most: four of these are less than a minute, however long the run."""
UNREAD = 4.0
"""Seconds after its arrival in which nobody follows a link of a mail: who does is taken for a program."""
SITE = "https://www.harbour-tools.example"
_FIRST = (
    *("Ada", "Amir", "Anna", "Bao", "Carla", "Chidi", "Daniel", "Elena", "Elif", "Femi", "Freya", "George", "Hana"),
    *("Igor", "Ines", "Jonas", "Kavya", "Lars", "Leila", "Marco", "Maya", "Nadia", "Noah", "Olga", "Pedro", "Priya"),
)
_LAST = (
    *("Abara", "Bauer", "Costa", "Dahl", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya", "Larsen"),
    *("Martin", "Novak", "Okafor", "Patel", "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Vogel", "Yilmaz", "Zhang"),
)
_COMPANIES = (
    ("Bluewater Freight", "bluewater-freight.example"),
    ("Cobalt Insurance", "cobalt.example"),
    ("Fernhill Dairy", "fernhill.example"),
    ("Granite Legal", "granite-legal.example"),
    ("Juniper Clinics", "juniper-clinics.example"),
    ("Kestrel Aviation", "kestrel.example"),
    ("Lumen Optics", "lumen-optics.example"),
    ("Meridian Hotels", "meridian.example"),
    ("Northgate Energy", "northgate.example"),
    ("Oakline Furniture", "oakline.example"),
    ("Pinecrest Schools", "pinecrest.example"),
    ("Quarry Games", "quarry-games.example"),
)
_TITLES = ("Head of Sales", "Account Director", "Founder", "Operations Lead", "Sales Manager", "Chief of Staff")


class Action(Enum):
    """What a recipient may do, or have done to them."""

    VIEW = "view"
    FIRST_LINK = "first link"
    SECOND_LINK = "second link"
    REPLY = "reply"
    BOUNCE = "bounce"
    COMPLAIN = "complaint"


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One deed, so many seconds after the mail arrived."""

    at: float
    action: Action


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person of the campaign, and their part."""

    name: str
    address: str
    title: str
    company: str
    acts: tuple[PlannedAction, ...]

    @property
    def subject(self) -> str:
        return f"{self.name.split()[0]}, a question about {self.company}"

    @property
    def targets(self) -> tuple[str, str]:
        """Where the two links of the letter lead."""
        asked = urlencode({"company": self.company, "for": self.name})
        return f"{SITE}/guide?{asked}#prices", f"{SITE}/meet?{asked}"

    @property
    def body(self) -> str:
        guide, meet = (html.escape(target) for target in self.targets)
        return (
            f"<p>Hello {html.escape(self.name.split()[0])},</p>"
            f"<p>how does {html.escape(self.company)} find out which prospects are still waiting for an answer?"
            f' We wrote <a href="{guide}">a short guide</a> on it.</p>'
            f'<p>If it is of use to you, <a href="{meet}">choose a time</a>, or simply reply.</p><p>Sam Seller</p>'
        )


# How many of the hundred play each part.
_PARTS = {
    "silent": 26,
    "reader": 20,
    "eager": 14,
    "clicker": 16,
    "clicks before the pictures load": 8,
    "engaged, then replies": 8,
    "replies at once": 3,
    "bounces": 3,
    "complains": 2,
}


def plan_recipients(seed: int, seconds: float) -> list[Recipient]:
    """The people of one run, who are done within so many seconds after their mail arrived."""
    random = Random(seed)
    names = random.sample(list(product(_FIRST, _LAST)), PEOPLE)
    parts = [part for part, number in _PARTS.items() for _ in range(number)]
    random.shuffle(parts)
    return [_actor(random, first, last, part, seconds) for (first, last), part in zip(names, parts, strict=True)]


def _actor(random: Random, first: str, last: str, part: str, seconds: float) -> Recipient:
    company, domain = random.choice(_COMPANIES)
    return Recipient(
        name=f"{first} {last}",
        address=f"{first}.{last}@{domain}".lower(),
        title=random.choice(_TITLES),
        company=company,
        acts=tuple(_act(share * seconds, action) for share, action in _acts(random, part, seconds)),
    )


def _act(at: float, action: Action) -> PlannedAction:
    return PlannedAction(max(at, UNREAD) if action in (Action.FIRST_LINK, Action.SECOND_LINK) else at, action)


def _acts(random: Random, part: str, seconds: float) -> Iterator[tuple[float, Action]]:
    """The deeds of a part in order, each at a share of the run."""
    start, gap = random.uniform(0.02, 0.55), random.uniform(0.01, 0.05)
    link = random.choice((Action.FIRST_LINK, Action.SECOND_LINK))
    match part:
        case "reader":
            yield start, Action.VIEW
            if random.random() < 0.4:
                yield start + random.uniform(0.1, 0.4), Action.VIEW
        case "eager":
            # Early in the run, so that one sees them leave by the clock a minute later.
            at = random.uniform(0.02, 0.3)
            for _ in range(random.randint(3, 5)):
                yield at, Action.VIEW
                at += min(random.uniform(0.005, 0.03), EAGER_GAP / seconds)
        case "clicker":
            yield start, Action.VIEW
            yield start + gap, link
        case "clicks before the pictures load":
            yield start, link
            yield start + gap, Action.VIEW
        case "engaged, then replies":
            yield start, Action.VIEW
            yield start + gap, link
            yield start + gap + random.uniform(0.1, 0.35), Action.REPLY
        case "replies at once":
            yield random.uniform(0.02, 0.1), Action.REPLY
        case "bounces":
            yield random.uniform(0.02, 0.6), Action.BOUNCE
        case "complains":
            yield start, Action.VIEW
            yield start + random.uniform(0.1, 0.4), Action.COMPLAIN
