"""Scalars: moments, days, spans, filters and places in the change log, as texts and values."""

from datetime import UTC, date, datetime
from typing import Any, NewType

import orjson
import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from command_center.changes.cursors import Cursor, ReceivedCursor
from command_center.search import datetimes
from command_center.search.durations import Duration as DurationValue
from command_center.search.durations import parse_duration

Duration = NewType("Duration", DurationValue)
EmailFilterValue = NewType("EmailFilterValue", dict)  # type: ignore[type-arg]
ChangeCursor = NewType("ChangeCursor", str)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise GraphQLError(f"{what} is written as a text.")
    return value


def _moment(value: Any) -> datetime:
    text = _text(value, "A DateTime")
    try:
        return datetimes.read(text)
    except ValueError as exc:
        raise GraphQLError("A DateTime is ISO 8601 with an offset, such as 2026-01-31T09:30:00Z.") from exc


def _day(value: Any) -> date:
    text = _text(value, "A Date")
    try:
        return datetimes.parse_day(text)
    except ValueError as exc:
        raise GraphQLError("A Date is an ISO 8601 calendar date, such as 2026-01-31.") from exc


def _duration(value: Any) -> DurationValue:
    text = _text(value, "A Duration")
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise GraphQLError("A Duration is ISO 8601, such as P3D or PT12H.") from exc


def _cursor(value: Any) -> str:
    return _text(value, "A ChangeCursor")


def _shown(value: datetime) -> str:
    if value.tzinfo is UTC:
        # As all of our rows have it: the same text, in a third of the time.
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return datetimes.render(datetimes.from_datetime(value.astimezone(UTC)))


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment: ISO 8601 with any offset when given, in UTC when answered.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=_shown,
        parse_value=_moment,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A calendar day: ISO 8601, such as 2026-01-31.",
        specified_by_url="https://scalars.graphql.org/andimarek/local-date",
        serialize=date.isoformat,
        parse_value=_day,
    ),
    Duration: strawberry.scalar(
        name="Duration",
        description="A span of time: ISO 8601, a whole number of one unit, such as P3D, PT12H, PT45M or PT30S.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#appendix-A",
        serialize=str,
        parse_value=_duration,
    ),
    EmailFilterValue: strawberry.scalar(
        name="EmailFilterValue",
        description="A filter as JSON in the shape of EmailFilter, every default written out. It can be sent back.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=lambda value: value,
    ),
    ChangeCursor: strawberry.scalar(
        name="ChangeCursor",
        description="A place in the change log. Opaque: hand it back as it was received.",
        specified_by_url="https://relay.dev/graphql/connections.htm#sec-Cursor",
        serialize=lambda value: str(value) if isinstance(value, (Cursor, ReceivedCursor)) else value,
        parse_value=_cursor,
    ),
}
