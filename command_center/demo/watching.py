"""The seller's screen without the screen: follows the frames, folds them into sets, and times them against the deeds
that caused them."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from command_center.demo.campaign import DemoList, moment
from command_center.demo.client import Client

FOLLOW = """subscription{allSavedSearchChanges{__typename
    ... on MemberJoined{savedSearchId emailId member{joinedAt email{sentAt} cause{kind engagement{kind occurredAt}}}}
    ... on MemberLeft{savedSearchId emailId cause{kind engagement{kind occurredAt}}}
    ... on SavedSearchReset{savedSearchId savedSearch{name memberCount}}
    ... on SavedSearchUpserted{savedSearchId} ... on SavedSearchDeleted{savedSearchId}}}"""
MEMBERS = """query($id:ID!,$first:Int,$after:String){savedSearch(id:$id){members(first:$first,after:$after){
    nodes{email{id}} pageInfo{hasNextPage endCursor}}}}"""


@dataclass(slots=True)
class Timed:
    """One action of a recipient: when it was begun and, once it was, answered. Seconds since 1970."""

    begun: float
    answered: float | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """An email that joined or left a list, by a frame that came at `at`."""

    at: float
    joined: bool
    search_id: str
    email_id: str
    cause: str
    action: Timed | None = None
    """The action behind it, where one of ours is."""

    @property
    def latency(self) -> float | None:
        """Seconds from the action's answer to the frame; below zero where the frame was faster."""
        return None if self.action is None or self.action.answered is None else self.at - self.action.answered


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after its moment an email joined for want of a reply: by `joinedAt`, and by the frame's arrival."""

    search_id: str
    stored: float
    seen: float


@dataclass(slots=True)
class Watch:
    """What has been seen so far. `told` hears of each move as it comes."""

    client: Client
    told: Callable[[Move], None]
    lists: dict[str, DemoList] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    lateness: list[Lateness] = field(default_factory=list)
    frames: Counter[str] = field(default_factory=Counter)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _filled: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _deeds: dict[tuple[str, str], list[Timed]] = field(default_factory=lambda: defaultdict(list))

    def add(self, lists: Iterable[DemoList]) -> None:
        """Names the lists that are shown and measured; frames of others are folded all the same."""
        self.lists.update((each.id, each) for each in lists)

    def begin(self, email_id: str, kind: str) -> Timed:
        """A action is about to happen; whoever does it sets `answered`."""
        action = Timed(time.time())
        self._deeds[email_id, kind].append(action)
        return action

    async def filled(self) -> None:
        """Waits until each list that was added has been filled for the first time."""
        for search_id in self.lists:
            await self._filled[search_id].wait()

    async def follow(self) -> None:
        """Folds frames until cancelled."""
        async for frame in self.client.follow(FOLLOW):
            at = time.time()
            self.frames[frame["__typename"]] += 1
            match frame["__typename"]:
                case "CaughtUp":
                    self.caught_up.set()
                case "SavedSearchReset":
                    await self._fill(frame["savedSearchId"])
                case "MemberJoined":
                    self._join(frame, at)
                case "MemberLeft":
                    self._leave(frame, at)
                case "SavedSearchDeleted":
                    self.members.pop(frame["savedSearchId"], None)

    async def stored(self, search_id: str) -> set[str]:
        """The members as the API lists them now."""
        return {
            str(node["email"]["id"])
            async for node in self.client.pages(MEMBERS, "savedSearch", "members", id=search_id)
        }

    async def _fill(self, search_id: str) -> None:
        # What is read may be newer than the frame; the frames up to there repeat it and end at the same set.
        self.members[search_id] = await self.stored(search_id)
        self._filled[search_id].set()

    def _join(self, frame: dict[str, Any], at: float) -> None:
        self.members.setdefault(frame["savedSearchId"], set()).add(frame["emailId"])
        member = frame["member"] or {}
        move = self._move(frame, at, True, member.get("cause"))
        demo_list = self.lists.get(move.search_id)
        # An email that was gone again before its frame was read has no member, and nothing to measure.
        if demo_list is not None and demo_list.patience is not None and member and move.cause == "CLOCK":
            due = moment(member["email"]["sentAt"]) + demo_list.patience
            self.lateness.append(Lateness(move.search_id, moment(member["joinedAt"]) - due, at - due))

    def _leave(self, frame: dict[str, Any], at: float) -> None:
        self.members.setdefault(frame["savedSearchId"], set()).discard(frame["emailId"])
        self._move(frame, at, False, frame["cause"])

    def _move(self, frame: dict[str, Any], at: float, joined: bool, cause: dict[str, Any] | None) -> Move:
        event = (cause or {}).get("engagement")
        said = event["kind"] if event else cause["kind"] if cause else "?"
        action = self._deed(frame["emailId"], event) if event else None
        move = Move(at, joined, frame["savedSearchId"], frame["emailId"], said, action)
        self.moves.append(move)
        self.told(move)
        return move

    def _deed(self, email_id: str, event: dict[str, Any]) -> Timed | None:
        """The action that an event is the record of: the last of its kind that had begun when it occurred."""
        occurred = moment(event["occurredAt"])
        units = reversed(self._deeds[email_id, event["kind"]])
        return next((action for action in units if action.begun <= occurred), None)
