"""Defines every enumeration of the domain.

Members have the names of the API and are stored as numbers.

The module imports nothing, so that any package may use it. The numbers are stored in databases: never change them.
"""

from enum import Enum, IntEnum


class Role(IntEnum):
    """What a user may do in their team."""

    MEMBER = 1
    ADMIN = 2


class FolderGroupName(IntEnum):
    """The groups of folders."""

    SENT = 1
    PENDING = 2
    UNDELIVERED = 3


class FolderName(IntEnum):
    """The folders, which are derived from an email's status and archived flag."""

    DELIVERED = 1
    ARCHIVED = 2
    SCHEDULED = 3
    DRAFT = 4
    IN_PROGRESS = 5
    FAILED = 6
    BOUNCED = 7
    SPAM = 8


class EmailAction(IntEnum):
    """The actions on emails that depend on the folder."""

    EDIT = 1
    ARCHIVE = 2
    UNARCHIVE = 3
    MARK_SUCCESS = 4
    RETRY_SEND = 5
    DELETE = 6


class EmailStatus(IntEnum):
    """How far the sending of an email has come, or how it failed."""

    DRAFT = 1
    SCHEDULED = 2
    IN_PROGRESS = 3
    SENT = 4
    FAILED = 5
    BOUNCED = 6
    SPAM = 7


class SendKind(IntEnum):
    """How an email was sent: alone or as part of a larger send."""

    INDIVIDUAL = 1
    SELECT_AND_SEND = 2
    GROUP = 3
    CAMPAIGN = 4


class FailureCode(IntEnum):
    """Why an email was not delivered."""

    UNSUBSCRIBED = 1
    BLOCKED_DOMAIN = 2
    UNRESOLVED_FIELD = 3
    CHANNEL_REFUSED = 4
    CHANNEL_UNREACHABLE = 5
    OUTCOME_UNKNOWN = 6
    CAMPAIGN_ENDED = 7
    BOUNCED = 8
    SPAM_COMPLAINT = 9


class EngagementKind(IntEnum):
    """The kind of an engagement event."""

    VIEW = 1
    CLICK = 2
    REPLY = 3


class EngagementVerdict(IntEnum):
    """Who acted in an engagement event."""

    HUMAN = 1
    MACHINE = 2
    SELF = 3


class DeliveryKind(IntEnum):
    """The kind of a delivery report."""

    BOUNCED = 1
    SPAM_COMPLAINT = 2


class TaskKind(IntEnum):
    """The kind of work that a task describes."""

    EMAIL = 1
    CALL = 2
    IN_MAIL = 3
    CUSTOM = 4


class TaskStatus(IntEnum):
    """Whether a task is done."""

    OPEN = 1
    COMPLETE = 2


class TaskPriority(IntEnum):
    """How urgent a task is. A greater number is more urgent."""

    NORMAL = 1
    HIGH = 2


class TaskBucket(IntEnum):
    """When an open task is due, relative to today.

    It is never stored, because it changes as days pass.
    """

    OVERDUE = 1
    TODAY = 2
    TOMORROW = 3
    NEXT_7_DAYS = 4
    LATER = 5


class SavedSearchState(IntEnum):
    """Whether the backfill of a list is complete."""

    BUILDING = 1
    LIVE = 2


class ChangeCauseKind(IntEnum):
    """Why a membership began or ended."""

    ENGAGEMENT = 1
    EMAIL_CHANGED = 2
    PERSON_CHANGED = 3
    CLOCK = 4
    SEARCH_CHANGED = 5
    ACCESS_CHANGED = 6

    @classmethod
    def _missing_(cls, value: object) -> "ChangeCauseKind | None":
        """Return EMAIL_CHANGED, the least specific cause, for an unknown number.

        A later version of the program may have stored it.
        """
        return cls.EMAIL_CHANGED if isinstance(value, int) else None


class InvalidationKind(IntEnum):
    """The kind of object that an invalidation names."""

    EMAIL = 1
    PERSON = 2
    GROUP = 3
    SEARCH = 4
    USER = 5


class ChangeKind(IntEnum):
    """The kind of an entry in the change log."""

    MEMBER_JOINED = 1
    MEMBER_LEFT = 2
    SEARCH_UPSERTED = 3
    SEARCH_RESET = 4
    SEARCH_DELETED = 5
    TASK_UPSERTED = 6
    TASK_DELETED = 7
    ENGAGEMENT_RECORDED = 8


class UserErrorCode(Enum):
    """The kind of an error in the input."""

    BLANK = "BLANK"
    TOO_LONG = "TOO_LONG"
    INVALID = "INVALID"
    TAKEN = "TAKEN"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    WRONG_STATE = "WRONG_STATE"
    LIMIT_REACHED = "LIMIT_REACHED"


class OrderDirection(Enum):
    """The direction of a sort order."""

    ASC = "ASC"
    DESC = "DESC"


class EmailOrderField(Enum):
    """The properties by which emails can be sorted. Values are names of columns."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    SCHEDULED_AT = "scheduled_at"
    SENT_AT = "sent_at"
    FAILED_AT = "failed_at"
    LATEST_ACTIVITY = "latest_activity_at"
    SUBJECT = "subject_folded"


class TaskOrderField(Enum):
    """The properties by which tasks can be sorted. Values are names of columns."""

    DUE_ON = "due_on"
    PRIORITY = "priority"
    CREATED_AT = "created_at"
