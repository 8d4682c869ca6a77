"""The filter of tasks: checked as the filter of emails is, fine or every problem at once, and as SQL over `e` (tasks).

Every field given must hold, any element of a field's list will do. An id that is not to be seen matches nothing by
itself: it stands on no task that the range leaves.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from command_center.errors import UserErrors
from command_center.ids import decode_key
from command_center.search.datetimes import parse_day
from command_center.search.dialects import FALSE, Clause, Dialect, every, some
from command_center.search.filter_ast import Path, TextTest
from command_center.search.leaf_parsers import Choice, FilterErrors, choice, each, given, id_texts, text_test
from command_center.search.sql import among, text_clauses
from command_center.search.task_buckets import days_of
from models.enums import TaskBucket, TaskKind, TaskPriority, TaskStatus


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What must hold of a task; None where nothing was said. Ids are keys, days inclusive."""

    status: tuple[TaskStatus, ...] | None = None
    kind: tuple[TaskKind, ...] | None = None
    priority: tuple[TaskPriority, ...] | None = None
    bucket: tuple[TaskBucket, ...] | None = None
    assignee: tuple[int, ...] | None = None
    person: tuple[int, ...] | None = None
    email: tuple[int, ...] | None = None
    campaign: tuple[int, ...] | None = None
    due_from: date | None = None
    due_until: date | None = None
    name: TextTest | None = None


def _choices(choices: type[Choice]) -> Callable[[Any, Path, FilterErrors], tuple[Choice, ...]]:
    one = choice(choices)
    return lambda raw, path, findings: tuple(each(raw, path, findings, one))


def _keys(noun: str) -> Callable[[Any, Path, FilterErrors], tuple[int, ...]]:
    def read(raw: Any, path: Path, findings: FilterErrors) -> tuple[int, ...]:
        keys = (decode_key(noun, text) for text in id_texts(raw, path, findings) or ())
        return tuple(key for key in keys if key is not None)

    return read


def _day(raw: Any, path: Path, findings: FilterErrors) -> date | None:
    try:
        return parse_day(raw if isinstance(raw, str) else "")
    except ValueError:
        findings.refuse(path, "This must be a calendar day, such as 2026-01-31.")
        return None


_READERS: Mapping[str, Callable[[Any, Path, FilterErrors], Any]] = {
    "status": _choices(TaskStatus),
    "kind": _choices(TaskKind),
    "priority": _choices(TaskPriority),
    "bucket": _choices(TaskBucket),
    "assignee": _keys("User"),
    "person": _keys("Person"),
    "email": _keys("Email"),
    "campaign": _keys("Campaign"),
    "dueFrom": _day,
    "dueUntil": _day,
    "name": text_test,
}
_ATTRIBUTES = {"dueFrom": "due_from", "dueUntil": "due_until"}


def check(raw: Mapping[str, Any], *, most_ids: int, path: Path = ()) -> TaskFilter:
    """The filter, once it makes sense. Raises `Refused` with every problem, each placed under `path`."""
    findings = FilterErrors(path, most_ids)
    said = given(raw, tuple(_READERS), (), findings)
    read = {_ATTRIBUTES.get(key, key): _READERS[key](value, (key,), findings) for key, value in said.items()}
    if findings.problems:
        raise UserErrors(findings.problems)
    return TaskFilter(**read)


def range_clause(team_id: int, user_id: int, dialect: Dialect) -> Clause:
    """The tasks a user can see: those they were given and those they made."""
    mine = some([dialect.equal("e.assignee_id", user_id), dialect.equal("e.creator_id", user_id)])
    return every([dialect.equal("e.team_id", team_id), mine])


def filter_clause(filter: TaskFilter, dialect: Dialect, today: date) -> Clause:
    """The filter on one day of the viewer's, to be made part of a larger statement."""
    return every(_clauses(filter, dialect, today))


def _clauses(filter: TaskFilter, dialect: Dialect, today: date) -> Iterator[Clause]:
    for column, values in (("status", filter.status), ("kind", filter.kind), ("priority", filter.priority)):
        if values is not None:
            yield among(f"e.{column}", tuple(values))
    if filter.bucket is not None:
        yield some(_bucket(bucket, today) for bucket in sorted(set(filter.bucket)))
    for column, keys in (("assignee", filter.assignee), ("person", filter.person), ("email", filter.email)):
        if keys is not None:
            yield dialect.one_of(f"e.{column}_id", set(keys))
    if filter.campaign is not None:
        yield _campaign(dialect.one_of("m.campaign_id", set(filter.campaign)))
    yield from _due(filter.due_from, filter.due_until)
    if filter.name is not None:
        yield from text_clauses("e.name_folded", filter.name, dialect)


def _bucket(bucket: TaskBucket, today: date) -> Clause:
    return every([Clause(f"e.status = {int(TaskStatus.OPEN)}"), *_due(*days_of(bucket, today))])


def _due(first: date | None, last: date | None) -> Iterator[Clause]:
    if first is not None:
        yield Clause("e.due_on >= ?", (first,))
    if last is not None:
        yield Clause("e.due_on <= ?", (last,))


def _campaign(named: Clause) -> Clause:
    """A task's campaign is that of the email it was made from."""
    if named == FALSE:
        return FALSE
    return Clause(f"EXISTS (SELECT 1 FROM emails m WHERE m.id = e.email_id AND {named.text})", named.parameters)
