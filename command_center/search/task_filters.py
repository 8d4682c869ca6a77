"""The filter of tasks: its parser, which returns all errors together, and its SQL over `e` (tasks).

A task matches if every field of the filter holds. A list holds if any of its elements does. An id that is not visible
matches nothing, because no task that the user can see refers to it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from command_center.errors import UserErrors
from command_center.ids import decode_key
from command_center.search.datetimes import parse_day
from command_center.search.dialects import FALSE, Clause, Dialect, all_of, any_of
from command_center.search.filter_ast import Path, TextTest
from command_center.search.leaf_parsers import (
    Choice,
    FilterErrors,
    enum_parser,
    object_fields,
    parse_id_texts,
    parse_list,
    parse_text_test,
)
from command_center.search.sql import among, text_clauses
from command_center.search.task_buckets import days_of
from models.enums import TaskBucket, TaskKind, TaskPriority, TaskStatus


@dataclass(frozen=True, slots=True)
class TaskConditions:
    """The conditions on a task, or None for fields without a condition. Ids are keys; days are inclusive."""

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
    parse_name = enum_parser(choices)
    return lambda raw, path, errors: tuple(parse_list(raw, path, errors, parse_name))


def _keys(noun: str) -> Callable[[Any, Path, FilterErrors], tuple[int, ...]]:
    def parse(raw: Any, path: Path, errors: FilterErrors) -> tuple[int, ...]:
        keys = (decode_key(noun, text) for text in parse_id_texts(raw, path, errors) or ())
        return tuple(key for key in keys if key is not None)

    return parse


def _day(raw: Any, path: Path, errors: FilterErrors) -> date | None:
    try:
        return parse_day(raw if isinstance(raw, str) else "")
    except ValueError:
        errors.add(path, "This must be a calendar day, such as 2026-01-31.")
        return None


_PARSERS: Mapping[str, Callable[[Any, Path, FilterErrors], Any]] = {
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
    "name": parse_text_test,
}
_ATTRIBUTES = {"dueFrom": "due_from", "dueUntil": "due_until"}


def parse_task_filter(raw: Mapping[str, Any], *, most_ids: int, path: Path = ()) -> TaskConditions:
    """Parse a filter.

    Raises: UserErrors with every error, each with a path that begins with `path`.
    """
    errors = FilterErrors(path, most_ids)
    fields = object_fields(raw, tuple(_PARSERS), (), errors)
    values = {_ATTRIBUTES.get(key, key): _PARSERS[key](value, (key,), errors) for key, value in fields.items()}
    if errors.user_errors:
        raise UserErrors(errors.user_errors)
    return TaskConditions(**values)


def range_clause(team_id: int, user_id: int, dialect: Dialect) -> Clause:
    """Return the clause for the tasks that a user can see: those assigned to them and those they created."""
    mine = any_of([dialect.equal("e.assignee_id", user_id), dialect.equal("e.creator_id", user_id)])
    return all_of([dialect.equal("e.team_id", team_id), mine])


def filter_clause(filter: TaskConditions, dialect: Dialect, today: date) -> Clause:
    """Return the filter on the viewer's current day, as a clause for a larger statement."""
    return all_of(_clauses(filter, dialect, today))


def _clauses(filter: TaskConditions, dialect: Dialect, today: date) -> Iterator[Clause]:
    for column, values in (("status", filter.status), ("kind", filter.kind), ("priority", filter.priority)):
        if values is not None:
            yield among(f"e.{column}", tuple(values))
    if filter.bucket is not None:
        yield any_of(_bucket(bucket, today) for bucket in sorted(set(filter.bucket)))
    for column, keys in (("assignee", filter.assignee), ("person", filter.person), ("email", filter.email)):
        if keys is not None:
            yield dialect.one_of(f"e.{column}_id", set(keys))
    if filter.campaign is not None:
        yield _campaign(dialect.one_of("m.campaign_id", set(filter.campaign)))
    yield from _due(filter.due_from, filter.due_until)
    if filter.name is not None:
        yield from text_clauses("e.name_folded", filter.name, dialect)


def _bucket(bucket: TaskBucket, today: date) -> Clause:
    return all_of([Clause(f"e.status = {int(TaskStatus.OPEN)}"), *_due(*days_of(bucket, today))])


def _due(first: date | None, last: date | None) -> Iterator[Clause]:
    if first is not None:
        yield Clause("e.due_on >= ?", (first,))
    if last is not None:
        yield Clause("e.due_on <= ?", (last,))


def _campaign(in_campaigns: Clause) -> Clause:
    """Return the clause for the tasks created from emails in these campaigns."""
    if in_campaigns == FALSE:
        return FALSE
    return Clause(
        f"EXISTS (SELECT 1 FROM emails m WHERE m.id = e.email_id AND {in_campaigns.text})", in_campaigns.parameters
    )
