"""Publishes the enumerations of `models.enums` with a description for each value."""

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
    """Publish an enum in the schema, with a description for each of its values.

    `values` has a description for every member, by its name.
    """
    definition = strawberry.enum(enum, description=description).__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]


_describe(
    Role,
    "The role of a user, which decides what they may do.",
    MEMBER="Sees and changes their own mail.",
    ADMIN="May also read the mail of every sender in the team.",
)
_describe(
    FolderGroupName,
    "The three groups of folders.",
    SENT="Emails that were sent: Delivered and Archived.",
    PENDING="Emails not sent yet: Scheduled, Draft and In Progress.",
    UNDELIVERED="Emails that were not delivered: Failed, Bounced and Spam.",
)
_describe(
    FolderName,
    "The folders into which the server sorts emails.",
    DELIVERED="Sent and not archived.",
    ARCHIVED="Sent and archived; no longer tracked.",
    SCHEDULED="To be sent at a future time.",
    DRAFT="Not yet sent or scheduled.",
    IN_PROGRESS="The hand-over to the mail server is in progress.",
    FAILED="Never left the application.",
    BOUNCED="Returned by the recipient's mail server.",
    SPAM="Reported as spam by the recipient.",
)
_describe(
    EmailAction,
    "An action on an email, which depends on its folder.",
    EDIT="Change the email, or send it if it is a draft.",
    ARCHIVE="Archive the email, which stops its tracking.",
    UNARCHIVE="Take the email out of the archive, which resumes its tracking.",
    MARK_SUCCESS="Mark the email as a success, or remove that mark.",
    RETRY_SEND="Send the email again now.",
    DELETE="Delete the email permanently.",
)
_describe(
    EmailStatus,
    "How far the sending of an email has come, or how it failed.",
    DRAFT="Saved, and not yet sent or scheduled.",
    SCHEDULED="To be sent at a future time.",
    IN_PROGRESS="The hand-over to the mail server is in progress.",
    SENT="Accepted by the mail server.",
    FAILED="Never left the application.",
    BOUNCED="Returned by the recipient's mail server.",
    SPAM="Reported as spam by the recipient.",
)
_describe(
    SendKind,
    "How an email was sent.",
    INDIVIDUAL="Sent alone.",
    SELECT_AND_SEND="Sent by a Select and Send, one to each of several selected people.",
    GROUP="Sent by a Group Email, one to each person in a group.",
    CAMPAIGN="Sent as a step of a campaign.",
)
_describe(
    FailureCode,
    "Why an email was not delivered.",
    UNSUBSCRIBED="The person has unsubscribed.",
    BLOCKED_DOMAIN="The recipient's domain is blocked.",
    UNRESOLVED_FIELD="A dynamic field had no value for the person.",
    CHANNEL_REFUSED="The mail server refused the login or the sender.",
    CHANNEL_UNREACHABLE="The mail server could not be reached.",
    OUTCOME_UNKNOWN="It may or may not have been sent. The server does not retry it automatically.",
    CAMPAIGN_ENDED="Its campaign ended before it was due.",
    BOUNCED="The recipient's mail server returned it.",
    SPAM_COMPLAINT="The recipient reported it as spam.",
)
_describe(
    EngagementKind,
    "The kind of an engagement event.",
    VIEW="The tracking pixel was fetched.",
    CLICK="A tracked link was followed.",
    REPLY="An answer to the email arrived, from any address.",
)
_describe(
    EngagementVerdict,
    "Who acted. Only HUMAN events count unless a filter says otherwise.",
    HUMAN="A person.",
    MACHINE="A program: a prefetch, a link scanner or a privacy proxy.",
    SELF="The sender's own device.",
)
_describe(
    DeliveryKind,
    "The kind of a delivery report, which arrives after the hand-over.",
    BOUNCED="The recipient's mail server returned the email.",
    SPAM_COMPLAINT="The recipient reported the email as spam.",
)
_describe(
    TaskKind,
    "The kind of work that a task describes.",
    EMAIL="Write an email.",
    CALL="Make a call.",
    IN_MAIL="Send an InMail.",
    CUSTOM="Anything else.",
)
_describe(TaskStatus, "Whether a task has been done.", OPEN="Not done yet.", COMPLETE="Done.")
_describe(TaskPriority, "How urgent a task is.", NORMAL="The usual urgency.", HIGH="More urgent than the others.")
_describe(
    TaskBucket,
    "When an open task is due, relative to the current day in the viewer's time zone.",
    OVERDUE="Due before today.",
    TODAY="Due on the current day.",
    TOMORROW="Due on the day after today.",
    NEXT_7_DAYS="Due after tomorrow and at most seven days from today.",
    LATER="Due more than seven days from today.",
)
_describe(
    TaskOrderField,
    "The property by which to sort tasks.",
    DUE_ON="The day on which the task is due.",
    PRIORITY="How urgent the task is; in ascending order HIGH comes first.",
    CREATED_AT="When the task was created.",
)
_describe(
    SavedSearchState,
    "Whether a list has been evaluated completely.",
    BUILDING="The result of its first full evaluation is not in the change log yet.",
    LIVE="Complete; the server keeps it up to date.",
)
_describe(
    ChangeCauseKind,
    "Why an email joined or left a list.",
    ENGAGEMENT="A view, a click or a reply.",
    EMAIL_CHANGED="A change of the email itself.",
    PERSON_CHANGED="A change of the person or of their groups.",
    CLOCK="The passage of time alone.",
    SEARCH_CHANGED="The list was evaluated for the first time, or its filter was changed.",
    ACCESS_CHANGED="The list's owner gained or lost access.",
)
_describe(
    UserErrorCode,
    "The kind of an error in the input.",
    BLANK="A required value is missing.",
    TOO_LONG="The value exceeds the maximum length.",
    INVALID="The value has the wrong form or meaning.",
    TAKEN="Another object uses the value already.",
    NOT_FOUND="No such object exists, or the viewer may not see it.",
    FORBIDDEN="The viewer may see the object but not perform this action.",
    WRONG_STATE="The action is impossible in the object's present state.",
    LIMIT_REACHED="A limit was reached; the message states the number.",
)
_describe(
    OrderDirection, "The direction of a sort order.", ASC="Smallest or oldest first.", DESC="Largest or newest first."
)
_describe(
    EmailOrderField,
    "The property by which to sort emails. Emails without the date come last in both directions.",
    CREATED_AT="When the email was first saved.",
    UPDATED_AT="When the email last changed.",
    SCHEDULED_AT="The time for which the email is, or was, scheduled.",
    SENT_AT="When the email was last sent successfully.",
    FAILED_AT="When the email failed, bounced or was reported as spam.",
    LATEST_ACTIVITY="When a person last viewed, clicked or replied.",
    SUBJECT="The subject, ignoring case.",
)
