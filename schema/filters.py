"""The filter as input, and that input as the plain value that the search room checks."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry.types.base import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from command_center.search import datetimes
from command_center.search.durations import Duration as DurationValue
from schema.enums import EngagementKind, EngagementVerdict, FolderGroupName, FolderName, SendKind
from schema.field_helpers import UNSET, described
from schema.scalars import Duration


def _optional(description: str, name: str | None = None) -> Any:
    return strawberry.field(default=UNSET, description=description, name=name)


@strawberry.input(description="A test of a text, regardless of case. Everything given must hold.")
class TextFilter:
    equals: str | None = _optional("The whole text.")
    contains: str | None = _optional("Anywhere in it.")
    starts_with: str | None = _optional("At its beginning.")
    ends_with: str | None = _optional("The last of it.")


@strawberry.input(description="A test of a date. Everything given must hold; relative bounds move with the clock.")
class TimeFilter:
    from_: datetime | None = _optional("At this moment or after it.", "from")
    until: datetime | None = _optional("Before this moment.")
    within: Duration | None = _optional("In the last such span; for scheduledAt in the next.")
    older_than: Duration | None = _optional("Longer ago than such a span.")


@strawberry.input(description="How many such events an email has. With neither bound, at least one.")
class EngagementFilter:
    kind: EngagementKind = strawberry.field(description="What was done.")
    at_least: int | None = _optional("This many or more.")
    at_most: int | None = _optional("This many or fewer; alone, none will do. 0 is absence.")
    within: Duration | None = _optional("Counting only events of the last such span.")
    after_send: Duration | None = _optional(
        "Counting only events up to such a span after the email was sent; an unsent email fails."
    )
    url: TextFilter | None = _optional("For clicks only: the link followed.")
    verdict: list[EngagementVerdict] = strawberry.field(
        default_factory=lambda: [EngagementVerdict.HUMAN], description="Who acted: any of these."
    )


@strawberry.input(
    description="Everything given must hold; null is the same as absent. Without `sender` or `everySender` it ranges"
    " over the viewer's own mail."
)
class EmailFilter:
    all: list["EmailFilter"] | None = _optional("Every one of these must hold.")
    any: list["EmailFilter"] | None = _optional("At least one of these must hold.")
    not_: "EmailFilter | None" = _optional("This must not hold.", "not")
    folder: list[FolderName] | None = _optional("In any of these folders.")
    folder_group: list[FolderGroupName] | None = _optional("In any of these groups of folders.")
    sender: list[strawberry.ID] | None = _optional(
        "From any of these users. At the top level, anyone but oneself is for admins; deeper it only filters."
    )
    every_sender: bool | None = _optional("True: from every sender of the team, for admins.")
    person: list[strawberry.ID] | None = _optional("To any of these people.")
    person_group: list[strawberry.ID] | None = _optional("To people who are in any of these groups now.")
    campaign: list[strawberry.ID] | None = _optional("In any of these campaigns.")
    template: list[strawberry.ID] | None = _optional("Made from any of these templates.")
    send_kind: list[SendKind] | None = _optional("Sent in any of these ways.")
    bulk_send: list[strawberry.ID] | None = _optional("Part of any of these bulk sends.")
    success: bool | None = _optional("Marked as a success, or not.")
    subject: TextFilter | None = _optional("The one line above the body.")
    address: TextFilter | None = _optional("The person's address.")
    company: TextFilter | None = _optional("The person's company; an absent one matches no text.")
    created_at: TimeFilter | None = _optional("When it was written.")
    sent_at: TimeFilter | None = _optional("When it was last sent.")
    scheduled_at: TimeFilter | None = _optional("When it is or was to be sent.")
    failed_at: TimeFilter | None = _optional("When it failed, bounced or was complained about.")
    engagement: list[EngagementFilter] | None = _optional("Each of these conditions must hold.")


EmailFilterArgument = Annotated[EmailFilter | None, described("What must hold of them; absent, all.")]


def raw_filter(filter: object | None) -> Mapping[str, Any]:
    """A filter, of emails or of tasks, in the shape of its canonical form, unchecked."""
    value: Mapping[str, Any] = {} if filter is None else _plain(filter)
    return value


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.name
        case datetime():
            return datetimes.render(datetimes.from_datetime(value))
        case date():
            return value.isoformat()
        case DurationValue():
            return str(value)
        case list():
            return [_plain(each) for each in value]
    definition = get_object_definition(value)
    if definition is None:
        return value
    return {
        field.graphql_name or to_camel_case(field.python_name): _plain(part)
        for field in definition.fields
        if (part := getattr(value, field.python_name)) is not None and part is not UNSET
    }
