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
from schema.field_helpers import UNSET, said
from schema.scalars import Duration


def _absent(description: str, name: str | None = None) -> Any:
    return strawberry.field(default=UNSET, description=description, name=name)


@strawberry.input(description="A test of a text, regardless of case. Everything given must hold.")
class TextFilter:
    equals: str | None = _absent("The whole text.")
    contains: str | None = _absent("Anywhere in it.")
    starts_with: str | None = _absent("At its beginning.")
    ends_with: str | None = _absent("The last of it.")


@strawberry.input(description="A test of a date. Everything given must hold; relative bounds move with the clock.")
class TimeFilter:
    from_: datetime | None = _absent("At this moment or after it.", "from")
    until: datetime | None = _absent("Before this moment.")
    within: Duration | None = _absent("In the last such span; for scheduledAt in the next.")
    older_than: Duration | None = _absent("Longer ago than such a span.")


@strawberry.input(description="How many such events an email has. With neither bound, at least one.")
class EngagementFilter:
    kind: EngagementKind = strawberry.field(description="What was done.")
    at_least: int | None = _absent("This many or more.")
    at_most: int | None = _absent("This many or fewer; alone, none will do. 0 is absence.")
    within: Duration | None = _absent("Counting only events of the last such span.")
    after_send: Duration | None = _absent(
        "Counting only events up to such a span after the email was sent; an unsent email fails."
    )
    url: TextFilter | None = _absent("For clicks only: the link followed.")
    verdict: list[EngagementVerdict] = strawberry.field(
        default_factory=lambda: [EngagementVerdict.HUMAN], description="Who acted: any of these."
    )


@strawberry.input(
    description="Everything given must hold; null is the same as absent. Without `sender` or `everySender` it ranges"
    " over the viewer's own mail."
)
class EmailFilter:
    all: list["EmailFilter"] | None = _absent("Every one of these must hold.")
    any: list["EmailFilter"] | None = _absent("At least one of these must hold.")
    not_: "EmailFilter | None" = _absent("This must not hold.", "not")
    folder: list[FolderName] | None = _absent("In any of these folders.")
    folder_group: list[FolderGroupName] | None = _absent("In any of these groups of folders.")
    sender: list[strawberry.ID] | None = _absent(
        "From any of these users. At the top level, anyone but oneself is for admins; deeper it only filters."
    )
    every_sender: bool | None = _absent("True: from every sender of the team, for admins.")
    person: list[strawberry.ID] | None = _absent("To any of these people.")
    person_group: list[strawberry.ID] | None = _absent("To people who are in any of these groups now.")
    campaign: list[strawberry.ID] | None = _absent("In any of these campaigns.")
    template: list[strawberry.ID] | None = _absent("Made from any of these templates.")
    send_kind: list[SendKind] | None = _absent("Sent in any of these ways.")
    bulk_send: list[strawberry.ID] | None = _absent("Part of any of these bulk sends.")
    success: bool | None = _absent("Marked as a success, or not.")
    subject: TextFilter | None = _absent("The one line above the body.")
    address: TextFilter | None = _absent("The person's address.")
    company: TextFilter | None = _absent("The person's company; an absent one matches no text.")
    created_at: TimeFilter | None = _absent("When it was written.")
    sent_at: TimeFilter | None = _absent("When it was last sent.")
    scheduled_at: TimeFilter | None = _absent("When it is or was to be sent.")
    failed_at: TimeFilter | None = _absent("When it failed, bounced or was complained about.")
    engagement: list[EngagementFilter] | None = _absent("Each of these conditions must hold.")


Narrowed = Annotated[EmailFilter | None, said("What must hold of them; absent, all.")]


def raw(filter: object | None) -> Mapping[str, Any]:
    """A filter, of emails or of tasks, in the shape of its canonical form, unchecked."""
    found: Mapping[str, Any] = {} if filter is None else _plain(filter)
    return found


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
        field.graphql_name or to_camel_case(field.python_name): _plain(given)
        for field in definition.fields
        if (given := getattr(value, field.python_name)) is not None and given is not UNSET
    }
