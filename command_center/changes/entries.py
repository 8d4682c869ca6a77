"""Defines log entries as values, and the topics that each belongs to.

It does not access the database.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from models.enums import ChangeCauseKind, ChangeKind


class StreamKind(Enum):
    """The kinds of subscriptions, each with the kinds of log entries that it delivers."""

    # Members are singletons. The inherited hash is that of the name, which would be computed for each delivered entry.
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
_STREAM_KIND_OF = {kind: stream_kind for stream_kind in StreamKind for kind in stream_kind.value}


class Topic(NamedTuple):
    """Selects the log entries that a subscriber receives.

    They are the entries of one user that one kind of subscription delivers. If `search_id` is set, they are only those
    of that list.
    """

    owner_id: int
    stream: StreamKind
    search_id: int | None = None


class LogEntry(NamedTuple):
    """One row of a team's change log.

    `position` is 0 until the row is inserted, and `at` is in microseconds.

    `check_value` is random and the same for all entries of a transaction. It distinguishes the entry from another one
    that a restored log may have at the same position.

    `kind` is None if a later version wrote an entry of a kind that this version does not know. Such an entry has a
    position but belongs to no topic.

    The class is a tuple in the order of COLUMN_TYPES: each event creates several, and creating a frozen dataclass takes
    three times as long.
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
        """Return the topics whose subscribers receive this entry."""
        if self.kind is None:
            return ()
        kind = _STREAM_KIND_OF[self.kind]
        all_lists = Topic(self.owner_id, kind)
        return (all_lists,) if self.search_id is None else (all_lists, Topic(self.owner_id, kind, self.search_id))


COLUMN_TYPES = {
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
COLUMNS = ", ".join(COLUMN_TYPES)


def from_row(row: Mapping[str, Any]) -> LogEntry:
    """Return the entry of a row of the table `changes`."""
    return from_values([row[name] for name in COLUMN_TYPES])


def from_values(values: Sequence[Any]) -> LogEntry:
    """Return the entry with these values, which are in the order of COLUMN_TYPES."""
    team_id, kind, *others, cause, position, at, check_value = values
    known_cause = None if cause is None else ChangeCauseKind(cause)
    return LogEntry._make((team_id, _KINDS.get(kind), *others, known_cause, position, at, check_value))
