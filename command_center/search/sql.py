"""Compiles a filter to one boolean SQL expression.

It ranges over `e` (emails) and `p` (their people).

It must agree with `predicate`. No leaf is ever NULL, so that NOT negates it: columns that may be NULL are tested for
that first.
"""

from collections.abc import Iterator
from typing import assert_never

from command_center.search.dialects import (
    FALSE,
    POSTGRES,
    SQLITE,
    TRUE,
    Clause,
    Dialect,
    Parameter,
    all_of,
    any_of,
    negate,
)
from command_center.search.filter_ast import (
    All,
    AnyOf,
    DateField,
    Dates,
    EngagementCondition,
    EngagementConditions,
    EverySender,
    Filter,
    FolderGroups,
    Folders,
    Ids,
    IdsField,
    Leaf,
    Not,
    Part,
    SendKinds,
    Success,
    Text,
    TextField,
    TextTest,
)
from command_center.search.scope import Scope
from command_center.search.text import fold
from models.enums import EngagementKind, EngagementVerdict, FolderName
from models.folders import states_of

__all__ = ["POSTGRES", "SQLITE", "Dialect", "among", "filter_clause", "scope_clause", "text_clauses"]

_KEYS: dict[IdsField, str] = {
    "sender": "e.sender_id",
    "person": "e.person_id",
    "campaign": "e.campaign_id",
    "template": "e.template_id",
    "bulkSend": "e.bulk_send_id",
}
_NULLABLE = frozenset({"campaign", "template", "bulkSend", "company", "sentAt", "scheduledAt", "failedAt"})
_TEXTS: dict[TextField, str] = {
    "subject": "e.subject_folded",
    "address": "p.address_search",
    "company": "p.company_folded",
}
_DATES: dict[DateField, str] = {
    "createdAt": "e.created_at",
    "sentAt": "e.sent_at",
    "scheduledAt": "e.scheduled_at",
    "failedAt": "e.failed_at",
}
# Counts of HUMAN events, which every writer of events updates on the email.
_SUMMARIES = {EngagementKind.VIEW: "e.views", EngagementKind.CLICK: "e.clicks", EngagementKind.REPLY: "e.replies"}


def filter_clause(filter: Filter, dialect: Dialect, now: int) -> Clause:
    """Return the SQL condition for emails that match a filter at the moment `now`.

    Every parameter in its text is a bare `?`.
    """
    return all_of(_part(part, dialect, now) for part in filter.parts)


def scope_clause(scope: Scope, dialect: Dialect) -> Clause:
    """Return the SQL condition for emails in a scope."""
    team = dialect.equal("e.team_id", scope.team_id)
    senders = TRUE if scope.senders is None else dialect.one_of("e.sender_id", scope.senders)
    return all_of([team, senders])


def _part(part: Part, dialect: Dialect, now: int) -> Clause:
    match part:
        case All(filters):
            return all_of(filter_clause(branch, dialect, now) for branch in filters)
        case AnyOf(filters):
            return any_of(filter_clause(branch, dialect, now) for branch in filters)
        case Not(branch):
            return negate(filter_clause(branch, dialect, now))
        case EngagementConditions(conditions):
            return all_of(_engaged(condition, dialect, now) for condition in conditions)
        case _:
            return _leaf(part, dialect, now)


def _leaf(leaf: Leaf, dialect: Dialect, now: int) -> Clause:
    match leaf:
        case Folders() | FolderGroups():
            return any_of(_folder(folder) for folder in sorted(leaf.folders))
        case Ids():
            return _ids(leaf, dialect)
        case EverySender():
            return TRUE
        case SendKinds(values):
            return among("e.send_kind", values)
        case Success(value):
            return Clause("e.success" if value else "NOT e.success")
        case Text(field, test):
            return _not_null_and(field, _TEXTS[field], all_of(text_clauses(_TEXTS[field], test, dialect)))
        case Dates():
            return _dates(leaf, dialect, now)
        case EngagementCondition():
            return _engaged(leaf, dialect, now)
        case _:
            assert_never(leaf)


def _not_null_and(field: str, column: str, clause: Clause) -> Clause:
    """Return a clause that is never NULL, even if the column of a field may be NULL.

    If it may, a test for NULL precedes the given clause.
    """
    if clause in (TRUE, FALSE) or field not in _NULLABLE:
        return clause
    return all_of([Clause(f"{column} IS NOT NULL"), clause])


def among(column: str, values: tuple[int, ...]) -> Clause:
    """Return the clause that a column has one of these enum values."""
    # Inlining is safe: these are numbers of our own enums, never a client's text.
    numbers = ", ".join(str(int(value)) for value in sorted(set(values)))
    return Clause(f"{column} IN ({numbers})") if numbers else FALSE


def _folder(folder: FolderName) -> Clause:
    status, archived = states_of(folder)
    clause = Clause(f"e.status = {int(status)}")
    if archived is None:
        return clause
    return all_of([clause, Clause("e.archived" if archived else "NOT e.archived")])


def _ids(leaf: Ids, dialect: Dialect) -> Clause:
    if leaf.field != "personGroup":
        column = _KEYS[leaf.field]
        return _not_null_and(leaf.field, column, dialect.one_of(column, leaf.keys))
    groups = dialect.one_of("gp.group_id", leaf.keys)
    if groups == FALSE:
        return FALSE
    text = f"EXISTS (SELECT 1 FROM group_people gp WHERE gp.person_id = e.person_id AND {groups.text})"
    return Clause(text, groups.parameters)


def text_clauses(column: str, test: TextTest, dialect: Dialect) -> Iterator[Clause]:
    """Yield the conditions of a text test on the column with its folded text."""
    if test.equals is not None:
        yield Clause(f"{column} = {dialect.text}", (fold(test.equals),))
    if test.contains is not None:
        yield dialect.contains(column, fold(test.contains))
    if test.starts_with is not None:
        yield dialect.starts(column, fold(test.starts_with))
    if test.ends_with is not None:
        yield dialect.ends(column, fold(test.ends_with))


def _dates(leaf: Dates, dialect: Dialect, now: int) -> Clause:
    column = _DATES[leaf.field]
    bounds = (Clause(f"{column} {operator} {dialect.number}", (moment,)) for operator, moment in _limits(leaf, now))
    return _not_null_and(leaf.field, column, all_of(bounds))


def _limits(leaf: Dates, now: int) -> Iterator[tuple[str, int]]:
    """Yield an SQL comparison operator and a moment for each bound of a date.

    The moments are in microseconds.
    """
    bounds = leaf.bounds
    if bounds.since is not None:
        yield ">=", bounds.since
    if bounds.until is not None:
        yield "<", bounds.until
    if bounds.older_than is not None:
        yield "<", now - bounds.older_than.microseconds
    if bounds.within is not None and leaf.field == "scheduledAt":
        yield ">=", now
        yield "<=", now + bounds.within.microseconds
    elif bounds.within is not None:
        yield ">=", now - bounds.within.microseconds


def _engaged(condition: EngagementCondition, dialect: Dialect, now: int) -> Clause:
    human = set(condition.verdicts) == {EngagementVerdict.HUMAN}
    if human and not (condition.within or condition.after_send or condition.url):
        return _count_in_bounds(_SUMMARIES[condition.kind], (), condition, dialect)
    events = _events(condition, dialect, now)
    clause = _exists_or_count(events, condition, dialect)
    return clause if condition.after_send is None else all_of([Clause("e.sent_at IS NOT NULL"), clause])


def _events(condition: EngagementCondition, dialect: Dialect, now: int) -> Clause:
    """Return the FROM and WHERE clauses that select the events of a condition."""
    tests = [
        Clause("g.email_id = e.id"),
        Clause(f"g.kind = {int(condition.kind)}"),
        among("g.verdict", condition.verdicts),
    ]
    if condition.within is not None:
        tests.append(Clause(f"g.occurred_at >= {dialect.number}", (now - condition.within.microseconds,)))
    if condition.after_send is not None:
        tests.append(Clause(f"g.occurred_at <= e.sent_at + {dialect.number}", (condition.after_send.microseconds,)))
    tests.extend(text_clauses("g.url_folded", condition.url or TextTest(), dialect))
    conditions = all_of(tests)
    return Clause(f"FROM engagements g WHERE {conditions.text}", conditions.parameters)


def _exists_or_count(events: Clause, condition: EngagementCondition, dialect: Dialect) -> Clause:
    # The two most frequent conditions need only the first event.
    if (condition.least, condition.at_most) == (1, None):
        return Clause(f"EXISTS (SELECT 1 {events.text})", events.parameters)
    if condition.at_most == 0:
        return Clause(f"NOT EXISTS (SELECT 1 {events.text})", events.parameters)
    return _count_in_bounds(f"(SELECT count(*) {events.text})", events.parameters, condition, dialect)


def _count_in_bounds(
    count: str, parameters: tuple[Parameter, ...], condition: EngagementCondition, dialect: Dialect
) -> Clause:
    """Return the clause that a count lies within the bounds of a condition."""
    least, most = condition.least, condition.at_most
    if most is None and least == 0:
        return TRUE
    if most is None:
        return Clause(f"{count} >= {dialect.number}", (*parameters, least))
    if least == 0:
        return Clause(f"{count} <= {dialect.number}", (*parameters, most))
    return Clause(f"{count} BETWEEN {dialect.number} AND {dialect.number}", (*parameters, least, most))
