"""Generated filters, and small worlds for them to be true or false of.

Everything is plain data. Few ids, few words, few spans: so that filters and worlds meet often. Dates sit on the edges
of windows, and one microsecond to either side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from command_center.ids import encode
from command_center.search.datetimes import format_moment
from command_center.search.durations import as_span
from command_center.search.facts import Event, Facts
from command_center.search.text import fold
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, FolderGroupName, FolderName, SendKind

NOW = 1_767_323_045_000_001  # 2026-01-02T03:04:05.000001Z
TEAM = 1
USERS = (1, 2, 3)
PEOPLE = (1, 2, 3, 4)
GROUPS = (1, 2, 3)
CAMPAIGNS = (1, 2)
TEMPLATES = (1, 2)
BULK_SENDS = (1, 2)

SPANS = ("PT1M", "PT24H", "P1D")
SPAN_LENGTHS = tuple(sorted({as_span(span).microseconds for span in SPANS}))

# Pairs that are equal only after folding, and look-alikes that are not; signs LIKE would take for its own.
WORDS = (
    "Straße",
    "STRASSE",
    "strass",
    "İ",
    "i\u0307",
    "ı",
    "é",
    "e\u0301",
    "E",
    "\u0301",
    "ΣΑΣ",
    "σας",
    "50%",
    "5_%",
    "\\",
    "a b",
    "ﬁ",
    "FI",
    "😀",
)
URLS = ("https://x.test/Price", "https://x.test/price?é", "HTTPS://X.TEST/PRICE", "https://y.test/")


@dataclass(frozen=True)
class PersonRow:
    id: int
    address: str
    company: str | None
    groups: frozenset[int]


@dataclass(frozen=True)
class EventRow:
    kind: EngagementKind
    verdict: EngagementVerdict
    occurred_at: int
    url: str | None


@dataclass(frozen=True)
class EmailRow:
    id: int
    sender_id: int
    person_id: int
    campaign_id: int | None
    template_id: int | None
    bulk_send_id: int | None
    send_kind: SendKind
    status: EmailStatus
    archived: bool
    success: bool
    subject: str
    created_at: int
    sent_at: int | None
    scheduled_at: int | None
    failed_at: int | None
    events: tuple[EventRow, ...]

    def humans(self, kind: EngagementKind) -> int:
        """What the email's summary column for that kind must hold."""
        return sum(event.kind is kind and event.verdict is EngagementVerdict.HUMAN for event in self.events)


@dataclass(frozen=True)
class World:
    """One team's rows. Every id that rows or filters use is among the constants of this module."""

    people: Mapping[int, PersonRow]
    emails: tuple[EmailRow, ...]

    def facts(self, email: EmailRow) -> Facts:
        person = self.people[email.person_id]
        return facts_of(email, person)


def facts_of(email: EmailRow, person: PersonRow) -> Facts:
    """What the matcher would know of an email."""
    return Facts(
        id=email.id,
        team_id=TEAM,
        sender_id=email.sender_id,
        person_id=email.person_id,
        campaign_id=email.campaign_id,
        template_id=email.template_id,
        bulk_send_id=email.bulk_send_id,
        send_kind=email.send_kind,
        status=email.status,
        archived=email.archived,
        success=email.success,
        subject=fold(email.subject),
        address=fold(person.address),
        company=None if person.company is None else fold(person.company),
        created_at=email.created_at,
        sent_at=email.sent_at,
        scheduled_at=email.scheduled_at,
        failed_at=email.failed_at,
        groups=person.groups,
        events=tuple(
            Event(event.kind, event.verdict, event.occurred_at, None if event.url is None else fold(event.url))
            for event in email.events
        ),
    )


# ---- moments and words -------------------------------------------------------------------------


def moments() -> st.SearchStrategy[int]:
    """Nows to judge by: the world's own, where its dates come of age, and one microsecond to either side."""
    edges = [NOW + length + step for length in SPAN_LENGTHS for step in (-1, 0, 1)]
    return st.just(NOW) | st.sampled_from((NOW, NOW - 1, NOW + 1, *edges))


def dates() -> st.SearchStrategy[int]:
    """Dates on the edges of windows that end or begin at `NOW`."""
    lengths = (0, *SPAN_LENGTHS, *(-length for length in SPAN_LENGTHS))
    return st.sampled_from([NOW - length + step for length in lengths for step in (0, 1, -1)])


def event_dates(sent_at: int | None) -> st.SearchStrategy[int]:
    """Dates on the edges of windows back from `NOW` and on from the send."""
    if sent_at is None:
        return dates()
    return dates() | st.sampled_from([sent_at + length + step for length in SPAN_LENGTHS for step in (0, 1, -1)])


def texts() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map("".join)


# ---- filters -----------------------------------------------------------------------------------


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _one_or_more(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    # Mostly one: several at once are seldom true of anything.
    alone = st.one_of([st.fixed_dictionaries({name: values}) for name, values in fields.items()])
    return alone | alone | _object(**fields)


def _ids(noun: str, keys: tuple[int, ...]) -> st.SearchStrategy[list[str]]:
    ids = (*(encode(noun, key) for key in keys), encode(noun, 99), encode("Email", 1), "no id")
    return st.lists(st.sampled_from(ids), max_size=3)


def _names(choices: Any, least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([choice.name for choice in choices]), min_size=least, max_size=3)


def text_filters(words: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return _one_or_more(equals=words, contains=words, startsWith=words, endsWith=words)


def time_filters() -> st.SearchStrategy[dict[str, str]]:
    edges, spans = dates().map(format_moment), st.sampled_from(SPANS)
    return _one_or_more(**{"from": edges}, until=edges, within=spans, olderThan=spans)


@st.composite
def engagement_filters(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(EngagementKind))
    counts = st.integers(0, 2)
    spans = st.sampled_from(SPANS)
    bounds = _object(atLeast=counts, atMost=counts)
    windows: st.SearchStrategy[dict[str, Any]] = st.just({})
    windows |= _object(within=spans, afterSend=spans) | _object(verdict=_names(EngagementVerdict, 1))
    raw = draw(bounds) | draw(windows)
    if raw.get("atLeast", 0) > raw.get("atMost", 2):
        raw["atLeast"], raw["atMost"] = raw["atMost"], raw["atLeast"]
    if kind is EngagementKind.CLICK and draw(st.booleans()):
        raw["url"] = draw(text_filters(st.sampled_from((*URLS, "price", "x", "É"))))
    return {"kind": kind.name, **raw}


_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "folder": _names(FolderName),
    "folderGroup": _names(FolderGroupName),
    "sender": _ids("User", USERS),
    "everySender": st.booleans(),
    "person": _ids("Person", PEOPLE),
    "personGroup": _ids("Group", GROUPS),
    "campaign": _ids("Campaign", CAMPAIGNS),
    "template": _ids("Template", TEMPLATES),
    "sendKind": _names(SendKind),
    "bulkSend": _ids("BulkSend", BULK_SENDS),
    "success": st.booleans(),
    "subject": text_filters(texts()),
    "address": text_filters(texts()),
    "company": text_filters(texts()),
    "createdAt": time_filters(),
    "sentAt": time_filters(),
    "scheduledAt": time_filters(),
    "failedAt": time_filters(),
    "engagement": st.lists(engagement_filters(), max_size=2),
}


def one_of_each() -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    """A filter of a single field for every field there is, and some more of those with most to go wrong."""
    names = (*_FIELDS, "sentAt", "scheduledAt", "company", "engagement", "engagement", "engagement")
    return st.tuples(*(st.fixed_dictionaries({name: _FIELDS[name]}) for name in names))


@st.composite
def flat_filters(draw: st.DrawFn) -> dict[str, Any]:
    """A few fields at most: a filter that asks for everything is true of nothing."""
    names = draw(st.lists(st.sampled_from(sorted(_FIELDS)), max_size=2, unique=True))
    return {name: draw(_FIELDS[name]) for name in names}


@st.composite
def filters(draw: st.DrawFn, depth: int = 3) -> dict[str, Any]:
    """A raw filter that `check` accepts, in the shape of the API's input."""
    raw = draw(flat_filters())
    if depth > 1:
        inner = filters(depth - 1)
        nesting = _object(all=st.lists(inner, max_size=2), any=st.lists(inner, max_size=2), **{"not": inner})
        raw |= draw(st.one_of(st.just({}), nesting))
    return raw


# ---- worlds ------------------------------------------------------------------------------------


@st.composite
def person_rows(draw: st.DrawFn, id: int) -> PersonRow:
    # An address is unique regardless of case: the number sees to it.
    address = f"{draw(texts())}{id}@x.test"
    company = draw(st.none() | texts())
    return PersonRow(id, address, company, draw(st.frozensets(st.sampled_from(GROUPS))))


@st.composite
def event_rows(draw: st.DrawFn, sent_at: int | None = None) -> EventRow:
    kind = draw(st.sampled_from(EngagementKind))
    url = draw(st.sampled_from(URLS)) if kind is EngagementKind.CLICK else None
    return EventRow(kind, draw(st.sampled_from(EngagementVerdict)), draw(event_dates(sent_at)), url)


@st.composite
def email_rows(draw: st.DrawFn, id: int) -> EmailRow:
    status = draw(st.sampled_from(EmailStatus))
    sent_at = draw(st.none() | dates())
    return EmailRow(
        id=id,
        sender_id=draw(st.sampled_from(USERS)),
        person_id=draw(st.sampled_from(PEOPLE)),
        campaign_id=draw(st.sampled_from((None, *CAMPAIGNS))),
        template_id=draw(st.sampled_from((None, *TEMPLATES))),
        bulk_send_id=draw(st.sampled_from((None, *BULK_SENDS))),
        send_kind=draw(st.sampled_from(SendKind)),
        status=status,
        archived=status is EmailStatus.SENT and draw(st.booleans()),
        success=draw(st.booleans()),
        subject=draw(texts()),
        created_at=draw(dates()),
        sent_at=sent_at,
        scheduled_at=draw(st.none() | dates()),
        failed_at=draw(st.none() | dates()),
        events=tuple(draw(st.lists(event_rows(sent_at), max_size=4))),
    )


@st.composite
def worlds(draw: st.DrawFn, emails: int = 4) -> World:
    """Everyone of `PEOPLE`, and up to so many emails, numbered from 1."""
    people = {id: draw(person_rows(id)) for id in PEOPLE}
    count = draw(st.integers(1, emails))
    return World(people, tuple(draw(email_rows(id)) for id in range(1, count + 1)))


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """One email's facts, alone."""
    email = draw(email_rows(1))
    return facts_of(email, draw(person_rows(email.person_id)))


EMPTY = EmailRow(
    id=1,
    sender_id=1,
    person_id=1,
    campaign_id=None,
    template_id=None,
    bulk_send_id=None,
    send_kind=SendKind.INDIVIDUAL,
    status=EmailStatus.DRAFT,
    archived=False,
    success=False,
    subject="",
    created_at=NOW,
    sent_at=None,
    scheduled_at=None,
    failed_at=None,
    events=(),
)
PERSON = PersonRow(1, "a@x.test", None, frozenset())
FACTS = replace(World({1: PERSON}, (EMPTY,)).facts(EMPTY), campaign_id=1)
