"""Defines the context that every action gets besides the viewer.

It has the writer, the limits and shared processes.
"""

from dataclasses import dataclass, field

from command_center.actions.bodies import BodyInspector
from command_center.actions.text_process import TextProcess
from command_center.changes.unit_of_work import Writer
from command_center.search.parser import FilterLimits


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that an operator can configure.

    A day is a calendar day in the sender's time zone.
    """

    emails_per_day: int = 1000
    copies: int = 50
    select_and_send_people: int = 200
    group_send_people: int = 1000
    searches_per_user: int = 500
    events_per_request: int = 1000
    blocked_domains: frozenset[str] = frozenset()
    filter: FilterLimits = field(default_factory=FilterLimits)


@dataclass(frozen=True, slots=True)
class ActionContext:
    """The dependencies of the actions, shared by all requests of a process."""

    writer: Writer
    limits: Limits = field(default_factory=Limits)
    inspector: BodyInspector = field(default_factory=BodyInspector)
    composer: TextProcess = field(default_factory=TextProcess)
    """The process that composes emails with long bodies."""
