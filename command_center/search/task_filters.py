"""The filter of tasks: its parser and its SQL.

The parser returns all errors together. The SQL ranges over `e` (tasks).

A task matches if every field of the filter holds. A list holds if any of its elements does. An id that is not visible
matches nothing, because no task that the user can see refers to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from command_center.errors import ErrorCollector, InputPath
from command_center.ids import decode_key
from command_center.search.datetimes import parse_day
from command_center.search.dialects import FALSE, Clause, Dialect, all_of, any_of
from command_center.search.filter_ast import TextTest
from command_center.search.leaf_parsers import (
    Choice,
    Parser,
    ParseState,
    Value,
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
    """The conditions on a task, or None for fields without a condition.

    Ids are keys; days are inclusive.
    """

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


def _choices(choices: type[Choice]) -> Parser[tuple[Choice, ...]]:
    parse_name = enum_parser(choices)
    return lambda raw, path, state: tuple(parse_list(raw, path, state, parse_name))


def _keys(noun: str) -> Parser[tuple[int, ...]]:
    def parse(raw: object, path: InputPath, state: ParseState) -> tuple[int, ...]:
        keys = (decode_key(noun, text) for text in parse_id_texts(raw, path, state) or ())
        return tuple(key for key in keys if key is not None)

    return parse


def _day(raw: object, path: InputPath, state: ParseState) -> date | None:
    try:
        return parse_day(raw if isinstance(raw, str) else "")
    except ValueError:
        state.add_error(path, "This must be a calendar day, such as 2026-01-31.")
        return None


_statuses = _choices(TaskStatus)
_kinds = _choices(TaskKind)
_priorities = _choices(TaskPriority)
_buckets = _choices(TaskBucket)
_users = _keys("User")
_people = _keys("Person")
_emails = _keys("Email")
_campaigns = _keys("Campaign")
_FIELDS = (
    *("status", "kind", "priority", "bucket", "assignee", "person", "email", "campaign"),
    *("dueFrom", "dueUntil", "name"),
)


def parse_task_filter(raw: Mapping[str, object], *, most_ids: int, path: InputPath = ()) -> TaskConditions:
    """Parse a filter.

    Raises: UserErrors with every error, each with a path that begins with `path`.
    """
    state = ParseState(ErrorCollector(path), most_ids)
    fields = object_fields(raw, _FIELDS, (), state)

    def parse(key: str, parser: Parser[Value]) -> Value | None:
        return parser(fields[key], (key,), state) if key in fields else None

    conditions = TaskConditions(
        status=parse("status", _statuses),
        kind=parse("kind", _kinds),
        priority=parse("priority", _priorities),
        bucket=parse("bucket", _buckets),
        assignee=parse("assignee", _users),
        person=parse("person", _people),
        email=parse("email", _emails),
        campaign=parse("campaign", _campaigns),
        due_from=parse("dueFrom", _day),
        due_until=parse("dueUntil", _day),
        name=parse("name", parse_text_test),
    )
    state.errors.raise_any()
    return conditions


def range_clause(team_id: int, user_id: int, dialect: Dialect) -> Clause:
    """Return the SQL condition for the tasks that a user can see.

    These are the tasks that are assigned to them, and those that they created.
    """
    mine = any_of([dialect.equal("e.assignee_id", user_id), dialect.equal("e.creator_id", user_id)])
    return all_of([dialect.equal("e.team_id", team_id), mine])


def filter_clause(filter: TaskConditions, dialect: Dialect, today: date) -> Clause:
    """Return the SQL condition for the tasks that match a filter.

    `today` is the viewer's current day.
    """
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
    """Return the SQL condition for tasks created from emails in some campaigns.

    `in_campaigns` is the condition for these emails, whose table is named `m`.
    """
    if in_campaigns == FALSE:
        return FALSE
    return Clause(
        f"EXISTS (SELECT 1 FROM emails m WHERE m.id = e.email_id AND {in_campaigns.text})", in_campaigns.parameters
    )
