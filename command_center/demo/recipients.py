"""Plans the hundred recipients of the campaign, their emails and their actions.

Pure: the seed decides everything.
"""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import product
from random import Random
from urllib.parse import urlencode

PEOPLE = 100
MAX_EAGER_GAP_SECONDS = 12.0
"""The longest time between two views of an eager reader. Five views take less than a minute in a run of any length."""
MIN_CLICK_DELAY_SECONDS = 4.0
"""The shortest time from the arrival of an email to a click. The product takes earlier clicks for a machine's."""
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
    """An action of a recipient or of the recipient's mail server."""

    VIEW = "view"
    FIRST_LINK = "first link"
    SECOND_LINK = "second link"
    REPLY = "reply"
    BOUNCE = "bounce"
    COMPLAIN = "complaint"


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One action, `at` seconds after the arrival of the email."""

    at: float
    kind: Action


@dataclass(frozen=True, slots=True)
class SimulatedRecipient:
    """A recipient of the campaign, with their planned actions."""

    name: str
    address: str
    title: str
    company: str
    actions: tuple[PlannedAction, ...]

    @property
    def subject(self) -> str:
        return f"{self.name.split()[0]}, a question about {self.company}"

    @property
    def targets(self) -> tuple[str, str]:
        """Return the targets of the two links in the email."""
        query = urlencode({"company": self.company, "for": self.name})
        return f"{SITE}/guide?{query}#prices", f"{SITE}/meet?{query}"

    @property
    def body(self) -> str:
        guide, meet = (html.escape(target) for target in self.targets)
        return (
            f"<p>Hello {html.escape(self.name.split()[0])},</p>"
            f"<p>how does {html.escape(self.company)} find out which prospects are still waiting for an answer?"
            f' We wrote <a href="{guide}">a short guide</a> on it.</p>'
            f'<p>If it is of use to you, <a href="{meet}">choose a time</a>, or simply reply.</p><p>Sam Seller</p>'
        )


# The number of recipients with each behavior; the sum is PEOPLE.
_BEHAVIOR_COUNTS = {
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


def plan_recipients(seed: int, seconds: float) -> list[SimulatedRecipient]:
    """Plan the recipients of one run.

    Their actions end about `seconds` after the arrival of their emails.
    """
    random = Random(seed)
    names = random.sample(list(product(_FIRST, _LAST)), PEOPLE)
    behaviors = [behavior for behavior, number in _BEHAVIOR_COUNTS.items() for _ in range(number)]
    random.shuffle(behaviors)
    return [
        _plan_recipient(random, first, last, behavior, seconds)
        for (first, last), behavior in zip(names, behaviors, strict=True)
    ]


def _plan_recipient(random: Random, first: str, last: str, behavior: str, seconds: float) -> SimulatedRecipient:
    company, domain = random.choice(_COMPANIES)
    return SimulatedRecipient(
        name=f"{first} {last}",
        address=f"{first}.{last}@{domain}".lower(),
        title=random.choice(_TITLES),
        company=company,
        actions=tuple(_plan_action(share * seconds, kind) for share, kind in _plan_behavior(random, behavior, seconds)),
    )


def _plan_action(at: float, kind: Action) -> PlannedAction:
    """Plan an action, but no click earlier than a person could make it."""
    return PlannedAction(
        max(at, MIN_CLICK_DELAY_SECONDS) if kind in (Action.FIRST_LINK, Action.SECOND_LINK) else at, kind
    )


def _plan_behavior(random: Random, behavior: str, seconds: float) -> Iterator[tuple[float, Action]]:
    """Yield the actions of a behavior in order, each after its time.

    The time is a fraction of the run, which lasts `seconds`.
    """
    start, gap = random.uniform(0.02, 0.55), random.uniform(0.01, 0.05)
    link = random.choice((Action.FIRST_LINK, Action.SECOND_LINK))
    match behavior:
        case "reader":
            yield start, Action.VIEW
            if random.random() < 0.4:
                yield start + random.uniform(0.1, 0.4), Action.VIEW
        case "eager":
            # Early in the run, so that the viewer sees them leave the list a minute later by a time transition.
            at = random.uniform(0.02, 0.3)
            for _ in range(random.randint(3, 5)):
                yield at, Action.VIEW
                at += min(random.uniform(0.005, 0.03), MAX_EAGER_GAP_SECONDS / seconds)
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
