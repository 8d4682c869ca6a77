"""The API's enumerations: the domain's own, with what each value means."""

from enum import Enum

import strawberry

from models.enums import (
    ChangeCauseKind,
    DeliveryKind,
    EmailAction,
    EmailOrderField,
    EmailStatus,
    EngagementKind,
    EngagementVerdict,
    FailureCode,
    FolderGroupName,
    FolderName,
    OrderDirection,
    Role,
    SavedSearchState,
    SendKind,
    TaskBucket,
    TaskKind,
    TaskOrderField,
    TaskPriority,
    TaskStatus,
    UserErrorCode,
)

__all__ = [
    "ChangeCauseKind",
    "DeliveryKind",
    "EmailAction",
    "EmailOrderField",
    "EmailStatus",
    "EngagementKind",
    "EngagementVerdict",
    "FailureCode",
    "FolderGroupName",
    "FolderName",
    "OrderDirection",
    "Role",
    "SavedSearchState",
    "SendKind",
    "TaskBucket",
    "TaskKind",
    "TaskOrderField",
    "TaskPriority",
    "TaskStatus",
    "UserErrorCode",
]


def _describe(enum: type[Enum], description: str, **values: str) -> None:
    definition = strawberry.enum(enum, description=description).__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]


_describe(
    Role,
    "What a user may do.",
    MEMBER="Sees and does what is their own.",
    ADMIN="May also view the mail of any sender of the team.",
)
_describe(
    FolderGroupName,
    "The three groups of folders.",
    SENT="What left: Delivered and Archived.",
    PENDING="What is on its way: Scheduled, Draft and In Progress.",
    UNDELIVERED="What did not arrive: Failed, Bounced and Spam.",
)
_describe(
    FolderName,
    "The folders emails sort themselves into.",
    DELIVERED="Sent and not archived.",
    ARCHIVED="Sent and archived: no longer tracked.",
    SCHEDULED="To be sent at a moment to come.",
    DRAFT="Not yet sent or scheduled.",
    IN_PROGRESS="Being handed over to the mail server.",
    FAILED="Never left the application.",
    BOUNCED="Returned by the recipient's mail server.",
    SPAM="Reported as spam by the recipient.",
)
_describe(
    EmailAction,
    "What may be done to an email in its folder.",
    EDIT="Change it, or send a draft.",
    ARCHIVE="Switch its tracking off.",
    UNARCHIVE="Switch its tracking on again.",
    MARK_SUCCESS="Mark it as a success, or take the mark back.",
    RETRY_SEND="Send it again, at once.",
    DELETE="Delete it for good.",
)
_describe(
    EmailStatus,
    "Where an email stands on its way.",
    DRAFT="Written, and not yet sent or scheduled.",
    SCHEDULED="To be sent at a moment to come.",
    IN_PROGRESS="Being handed over to the mail server.",
    SENT="Taken by the mail server.",
    FAILED="Never left the application.",
    BOUNCED="Returned by the recipient's mail server.",
    SPAM="Reported as spam by the recipient.",
)
_describe(
    SendKind,
    "The kind of sending an email was part of.",
    INDIVIDUAL="Sent by itself.",
    SELECT_AND_SEND="One of several to selected people.",
    GROUP="One of many to a group.",
    CAMPAIGN="A step of a campaign.",
)
_describe(
    FailureCode,
    "Why an email did not arrive.",
    UNSUBSCRIBED="The person has unsubscribed.",
    BLOCKED_DOMAIN="Nothing is sent to that domain.",
    UNRESOLVED_FIELD="A dynamic field had no value for the person.",
    CHANNEL_REFUSED="The mail server refused the login or the sender.",
    CHANNEL_UNREACHABLE="The mail server could not be reached.",
    OUTCOME_UNKNOWN="It may have left or not: it is not sent again by itself.",
    CAMPAIGN_ENDED="Its campaign ended before it was due.",
    BOUNCED="The recipient's mail server returned it.",
    SPAM_COMPLAINT="The recipient reported it as spam.",
)
_describe(
    EngagementKind,
    "What a recipient did.",
    VIEW="The tracking pixel was fetched.",
    CLICK="A tracked link was followed.",
    REPLY="An answer arrived, from whatever address.",
)
_describe(
    EngagementVerdict,
    "Who acted. Only HUMAN events count unless a filter says otherwise.",
    HUMAN="A person.",
    MACHINE="A prefetch, a link scanner or a privacy proxy.",
    SELF="The sender's own device.",
)
_describe(
    DeliveryKind,
    "What a mail server reports after the hand-over.",
    BOUNCED="The message was returned.",
    SPAM_COMPLAINT="The recipient complained.",
)
_describe(
    TaskKind,
    "What kind of thing is to be done.",
    EMAIL="Write an email.",
    CALL="Make a call.",
    IN_MAIL="Send an InMail.",
    CUSTOM="Anything else.",
)
_describe(TaskStatus, "Whether a task has been done.", OPEN="Still to be done.", COMPLETE="Done.")
_describe(TaskPriority, "How urgent a task is.", NORMAL="As most are.", HIGH="Before the others.")
_describe(
    TaskBucket,
    "Where the day of an open task lies, seen from the viewer's today.",
    OVERDUE="Before today.",
    TODAY="Due on the viewer's own day.",
    TOMORROW="Due on the day after.",
    NEXT_7_DAYS="After tomorrow, and at most seven days from today.",
    LATER="More than seven days from today.",
)
_describe(
    TaskOrderField,
    "What tasks may be ordered by.",
    DUE_ON="The day it is to be done by.",
    PRIORITY="How urgent it is; ascending, HIGH comes first.",
    CREATED_AT="When it was made.",
)
_describe(
    SavedSearchState,
    "Whether a list is complete.",
    BUILDING="Its first full evaluation is not in the change log yet.",
    LIVE="Complete, and kept so.",
)
_describe(
    ChangeCauseKind,
    "Why an email joined or left a list.",
    ENGAGEMENT="A view, a click or a reply.",
    EMAIL_CHANGED="The email itself changed.",
    PERSON_CHANGED="The person or one of their groups changed.",
    CLOCK="Time alone.",
    SEARCH_CHANGED="The list was filled or refined.",
    ACCESS_CHANGED="The owner may see more, or less, than before.",
)
_describe(
    UserErrorCode,
    "What kind of mistake an input holds.",
    BLANK="Something that must be there is not.",
    TOO_LONG="Longer than allowed.",
    INVALID="Not of the form or meaning required.",
    TAKEN="In use already.",
    NOT_FOUND="No such thing, or not the viewer's to see.",
    FORBIDDEN="Seen, but not the viewer's to act on.",
    WRONG_STATE="Not possible in the present state.",
    LIMIT_REACHED="A limit is reached; the message gives the number.",
)
_describe(OrderDirection, "Which way an order runs.", ASC="Smallest or oldest first.", DESC="Largest or newest first.")
_describe(
    EmailOrderField,
    "What emails may be ordered by. Absent dates are last either way.",
    CREATED_AT="When it was written.",
    UPDATED_AT="When it last changed.",
    SCHEDULED_AT="When it is or was to be sent.",
    SENT_AT="When it was last sent.",
    FAILED_AT="When it failed, bounced or was complained about.",
    LATEST_ACTIVITY="When a person last viewed, clicked or replied.",
    SUBJECT="Its subject, regardless of case.",
)
