"""Defines the input types of email filters, and converts them to plain values.

The plain values are not validated here; `command_center.search.parser` does that.
"""

from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry.types.base import get_object_definition, has_object_definition
from strawberry.types.unset import UnsetType
from strawberry.utils.str_converters import to_camel_case

from command_center.search import datetimes
from command_center.search.durations import Duration as DurationValue
from schema.enums import EngagementKind, EngagementVerdict, FolderGroupName, FolderName, SendKind
from schema.field_helpers import UNSET, described, optional_field
from schema.scalars import Duration


@strawberry.input(description="A test of a text, ignoring case. All given conditions must hold.")
class TextFilter:
    equals: str | UnsetType | None = optional_field("The text is equal to this value.")
    contains: str | UnsetType | None = optional_field("The text contains this value anywhere.")
    starts_with: str | UnsetType | None = optional_field("The first characters of the text.")
    ends_with: str | UnsetType | None = optional_field("The last characters of the text.")


@strawberry.input(description="A test of a time. All given conditions must hold; relative bounds move with the clock.")
class TimeFilter:
    from_: datetime | UnsetType | None = optional_field("At this time or later.", "from")
    until: datetime | UnsetType | None = optional_field("Before this time.")
    within: Duration | UnsetType | None = optional_field(
        "In the last period of this length; for `scheduledAt`, in the next one."
    )
    older_than: Duration | UnsetType | None = optional_field("Longer ago than this duration.")


@strawberry.input(
    description="A condition on the number of matching events of an email. Without bounds, at least one must exist."
)
class EngagementFilter:
    kind: EngagementKind = strawberry.field(description="Which kind of event to count.")
    at_least: int | UnsetType | None = optional_field("The minimum number of events.")
    at_most: int | UnsetType | None = optional_field(
        "The maximum number of events. Given alone, it also matches emails without such events."
    )
    within: Duration | UnsetType | None = optional_field("Count only events of the last period of this length.")
    after_send: Duration | UnsetType | None = optional_field(
        "Count only events up to this long after the email was sent. An unsent email does not match."
    )
    url: TextFilter | UnsetType | None = optional_field("For clicks only: a test of the link that was followed.")
    verdict: list[EngagementVerdict] = strawberry.field(
        default_factory=lambda: [EngagementVerdict.HUMAN], description="Count only events with one of these verdicts."
    )


@strawberry.input(
    description="A filter of emails. All given conditions must hold; null is the same as absent. Without `sender`"
    " or `everySender` it covers the viewer's own mail only."
)
class EmailFilter:
    all: list["EmailFilter"] | UnsetType | None = optional_field("All of these must hold.")
    any: list["EmailFilter"] | UnsetType | None = optional_field("At least one of these must hold.")
    not_: "EmailFilter | UnsetType | None" = optional_field("This must not hold.", "not")
    folder: list[FolderName] | UnsetType | None = optional_field("In one of these folders.")
    folder_group: list[FolderGroupName] | UnsetType | None = optional_field("In a folder of one of these groups.")
    sender: list[strawberry.ID] | UnsetType | None = optional_field(
        "From one of these users. At the top level only an admin may name other users; in a nested filter"
        " it only narrows the result."
    )
    every_sender: bool | UnsetType | None = optional_field("If true, from any sender of the team; for admins only.")
    person: list[strawberry.ID] | UnsetType | None = optional_field("Addressed to one of these people.")
    person_group: list[strawberry.ID] | UnsetType | None = optional_field(
        "Addressed to a person who is now in one of these groups."
    )
    campaign: list[strawberry.ID] | UnsetType | None = optional_field("Part of one of these campaigns.")
    template: list[strawberry.ID] | UnsetType | None = optional_field("Created from one of these templates.")
    send_kind: list[SendKind] | UnsetType | None = optional_field("Sent in any of these ways.")
    bulk_send: list[strawberry.ID] | UnsetType | None = optional_field("Created by one of these bulk sends.")
    success: bool | UnsetType | None = optional_field("Whether its sender marked it as a success.")
    subject: TextFilter | UnsetType | None = optional_field("A test of the subject.")
    address: TextFilter | UnsetType | None = optional_field("A test of the person's address.")
    company: TextFilter | UnsetType | None = optional_field(
        "A test of the person's company. A person without a company matches no test."
    )
    created_at: TimeFilter | UnsetType | None = optional_field("When it was first saved.")
    sent_at: TimeFilter | UnsetType | None = optional_field("When it was last sent.")
    scheduled_at: TimeFilter | UnsetType | None = optional_field("The time for which it is, or was, scheduled.")
    failed_at: TimeFilter | UnsetType | None = optional_field("When it failed, bounced or was reported as spam.")
    engagement: list[EngagementFilter] | UnsetType | None = optional_field(
        "Conditions on its events; each of them must hold."
    )


EmailFilterArgument = Annotated[EmailFilter | UnsetType | None, described("Which emails to return; if absent, all.")]


def to_raw_filter(filter: object | None) -> Mapping[str, object]:
    """Return an email or task filter in its canonical shape, not validated."""
    return {} if filter is None else _plain_object(filter)


def _plain_object(value: object) -> dict[str, object]:
    return {
        field.graphql_name or to_camel_case(field.python_name): _plain(part)
        for field in get_object_definition(value, strict=True).fields
        if (part := getattr(value, field.python_name)) is not None and part is not UNSET
    }


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.name
        case datetime():
            return datetimes.format_moment(datetimes.from_datetime(value))
        case date():
            return value.isoformat()
        case DurationValue():
            return str(value)
        case list():
            return [_plain(each) for each in value]
    return _plain_object(value) if has_object_definition(value) else value
