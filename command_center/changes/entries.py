"""Rows of the change log as values, and which streams each belongs to."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from models.enums import ChangeCauseKind, ChangeKind


class StreamKind(Enum):
    """The kinds of change that one stream carries."""

    # There is one of each. Their names, by which enums are told apart, would be asked for each row that is handed out.
    __hash__ = object.__hash__

    SEARCHES = (
        ChangeKind.MEMBER_JOINED,
        ChangeKind.MEMBER_LEFT,
        ChangeKind.SEARCH_UPSERTED,
        ChangeKind.SEARCH_RESET,
        ChangeKind.SEARCH_DELETED,
    )
    TASKS = (ChangeKind.TASK_UPSERTED, ChangeKind.TASK_DELETED)
    ENGAGEMENTS = (ChangeKind.ENGAGEMENT_RECORDED,)


_KINDS = {int(kind): kind for kind in ChangeKind}
_FAMILY_OF = {kind: family for family in StreamKind for kind in family.value}


class Topic(NamedTuple):
    """What a follower follows: one family of one user's changes, or of a single list of theirs."""

    owner_id: int
    stream: StreamKind
    search_id: int | None = None


class LogEntry(NamedTuple):
    """One row of a team's log. `position` is 0 until it is written; `at` is in microseconds.

    `check_value` is random and the same for all entries of a transaction. It tells the entry from another one that a
    restored log may have at the same position.

    `kind` is None if a later version wrote an entry of a kind that this one does not know. Such an entry has its
    position and belongs to no stream.

    A tuple, in the order of COLUMNS: each event makes several, and a frozen object takes three times as long to make.
    """

    team_id: int
    kind: ChangeKind | None
    owner_id: int
    search_id: int | None = None
    member_id: int | None = None
    email_id: int | None = None
    task_id: int | None = None
    engagement_id: int | None = None
    cause_kind: ChangeCauseKind | None = None
    position: int = 0
    at: int = 0
    check_value: int = 0

    def topics(self) -> tuple[Topic, ...]:
        if self.kind is None:
            return ()
        family = _FAMILY_OF[self.kind]
        whole = Topic(self.owner_id, family)
        return (whole,) if self.search_id is None else (whole, Topic(self.owner_id, family, self.search_id))


TYPES = {
    "team_id": "bigint",
    "kind": "smallint",
    "owner_id": "bigint",
    "search_id": "bigint",
    "member_id": "bigint",
    "email_id": "bigint",
    "task_id": "bigint",
    "engagement_id": "bigint",
    "cause_kind": "smallint",
    "position": "bigint",
    "at": "bigint",
    "check_value": "bigint",
}
COLUMNS = ", ".join(TYPES)


def from_row(row: Mapping[str, Any]) -> LogEntry:
    """The entry of a row of COLUMNS."""
    return from_values([row[name] for name in TYPES])


def from_values(values: Sequence[Any]) -> LogEntry:
    """The entry that has these values, in the order of TYPES."""
    team_id, kind, *others, cause, position, at, check_value = values
    named = None if cause is None else ChangeCauseKind(cause)
    return LogEntry._make((team_id, _KINDS.get(kind), *others, named, position, at, check_value))
