"""Subscribes to the changes of the seller's lists, as an application would.

It measures the latency of the changes.

Folds the change messages into sets of members, and relates each change to the action that caused it.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from command_center.demo.campaign import DemoList, timestamp
from command_center.demo.client import Client, JsonObject

SUBSCRIPTION = """subscription{allSavedSearchChanges{__typename
    ... on MemberJoined{savedSearchId emailId member{joinedAt email{sentAt} cause{kind engagement{kind occurredAt}}}}
    ... on MemberLeft{savedSearchId emailId cause{kind engagement{kind occurredAt}}}
    ... on SavedSearchReset{savedSearchId savedSearch{name memberCount}}
    ... on SavedSearchUpserted{savedSearchId} ... on SavedSearchDeleted{savedSearchId}}}"""
MEMBERS = """query($id:ID!,$first:Int,$after:String){savedSearch(id:$id){members(first:$first,after:$after){
    nodes{email{id}} pageInfo{hasNextPage endCursor}}}}"""


@dataclass(slots=True)
class TimedAction:
    """The times at which a recipient's action started and was answered.

    They are in seconds since 1970.
    """

    started_at: float
    answered_at: float | None = None


@dataclass(frozen=True, slots=True)
class ListChange:
    """A join or a leave of an email.

    Its change message arrived at `at`, in seconds since 1970.
    """

    at: float
    joined: bool
    search_id: str
    email_id: str
    cause: str
    action: TimedAction | None = None
    """The recipient's action that caused the change, if there is one."""

    @property
    def latency(self) -> float | None:
        """Return the seconds from the action's response to the change message.

        The result is negative if the message was first.
        """
        return None if self.action is None or self.action.answered_at is None else self.at - self.action.answered_at


@dataclass(frozen=True, slots=True)
class Lateness:
    """The seconds between a time boundary and the join that it causes.

    `stored` is measured by the email's `joinedAt`, and `seen` by the arrival of the change message.
    """

    search_id: str
    stored: float
    seen: float


@dataclass(slots=True)
class ListWatcher:
    """Collects the changes of all lists.

    It calls `on_change` with each join and leave.
    """

    client: Client
    on_change: Callable[[ListChange], None]
    lists: dict[str, DemoList] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    changes: list[ListChange] = field(default_factory=list)
    lateness: list[Lateness] = field(default_factory=list)
    message_counts: Counter[str] = field(default_factory=Counter)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _filled: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _actions: dict[tuple[str, str], list[TimedAction]] = field(default_factory=lambda: defaultdict(list))

    def add(self, lists: Iterable[DemoList]) -> None:
        """Add lists to be displayed and measured.

        The members of all other lists are tracked too.
        """
        self.lists.update((each.id, each) for each in lists)

    def begin(self, email_id: str, kind: str) -> TimedAction:
        """Register an action that starts now.

        The caller sets `answered_at` when the response arrives.
        """
        action = TimedAction(time.time())
        self._actions[email_id, kind].append(action)
        return action

    async def wait_until_filled(self) -> None:
        """Wait until the first backfill of each added list has been received."""
        for search_id in self.lists:
            await self._filled[search_id].wait()

    async def run(self) -> None:
        """Receive change messages, and update the members of each list until cancelled."""
        async for message in self.client.subscribe(SUBSCRIPTION):
            at = time.time()
            self.message_counts[message["__typename"]] += 1
            match message["__typename"]:
                case "CaughtUp":
                    self.caught_up.set()
                case "SavedSearchReset":
                    await self._fill(message["savedSearchId"])
                case "MemberJoined":
                    self._join(message, at)
                case "MemberLeft":
                    self._leave(message, at)
                case "SavedSearchDeleted":
                    self.members.pop(message["savedSearchId"], None)

    async def stored(self, search_id: str) -> set[str]:
        """Return the ids of a list's member emails from a query."""
        return {
            str(node["email"]["id"])
            async for node in self.client.nodes(MEMBERS, "savedSearch", "members", id=search_id)
        }

    async def _fill(self, search_id: str) -> None:
        """Query the members of a list after a Reset, and replace the previous ones."""
        # The query may return newer members than the message. The messages up to then repeat these changes harmlessly.
        self.members[search_id] = await self.stored(search_id)
        self._filled[search_id].set()

    def _join(self, message: JsonObject, at: float) -> None:
        """Add an email that has joined a list.

        Measures the lateness if the list waits for a time boundary. `at` is the arrival of the message, in seconds
        since 1970.
        """
        self.members.setdefault(message["savedSearchId"], set()).add(message["emailId"])
        member = message["member"] or {}
        change = self._add_change(message, at, True, member.get("cause"))
        demo_list = self.lists.get(change.search_id)
        # An email that left again before its message was rendered has no member, so there is nothing to measure.
        if demo_list is not None and demo_list.reply_seconds is not None and member and change.cause == "CLOCK":
            due = timestamp(member["email"]["sentAt"]) + demo_list.reply_seconds
            self.lateness.append(Lateness(change.search_id, timestamp(member["joinedAt"]) - due, at - due))

    def _leave(self, message: JsonObject, at: float) -> None:
        self.members.setdefault(message["savedSearchId"], set()).discard(message["emailId"])
        self._add_change(message, at, False, message["cause"])

    def _add_change(self, message: JsonObject, at: float, joined: bool, cause: JsonObject | None) -> ListChange:
        """Add a change, and notify the callback."""
        event = (cause or {}).get("engagement")
        cause_kind = event["kind"] if event else cause["kind"] if cause else "?"
        action = self._find_action(message["emailId"], event) if event else None
        change = ListChange(at, joined, message["savedSearchId"], message["emailId"], cause_kind, action)
        self.changes.append(change)
        self.on_change(change)
        return change

    def _find_action(self, email_id: str, event: JsonObject) -> TimedAction | None:
        """Return the action that an event records.

        It is the last one of its kind that started before the event occurred.
        """
        occurred = timestamp(event["occurredAt"])
        candidates = reversed(self._actions[email_id, event["kind"]])
        return next((action for action in candidates if action.started_at <= occurred), None)
