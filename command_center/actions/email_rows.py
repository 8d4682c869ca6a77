"""The rows of `emails` that are locked and changed, as typed dictionaries.

A row is the dictionary that the database returned. It has types without being copied, and changes update it.
"""

from typing import NotRequired, TypedDict


class EmailState(TypedDict):
    """The columns that determine the folder of an email and who sees its changes."""

    id: int
    team_id: int
    sender_id: int
    status: int
    archived: bool


class AddressedEmail(EmailState):
    """An email with its recipients.

    `cc` and `bcc` hold addresses: as JSON text, or as a list if the database driver decodes JSON.
    """

    person_id: int
    campaign_id: int | None
    cc: str | list[str]
    bcc: str | list[str]


class LockedEmail(AddressedEmail):
    """An email that an action has locked."""

    claimed_at: int | None
    message_id: str | None


class DueEmail(AddressedEmail):
    """An email that is due, with all that is needed to compose it.

    Times are in microseconds.

    `claimed_at` is set when the email is claimed, and `failure_code` when it fails instead.
    """

    subject: str
    body: str
    shared_body: bool
    field_values: str | None
    bulk_send_id: int | None
    message_id: str | None
    attempts: int
    first_attempt_at: int | None
    due_at: int
    claimed_at: NotRequired[int]
    failure_code: NotRequired[int]
    from_name: str
    from_address: str
    time_zone: str
    to_name: str
    first_name: str | None
    to_address: str
    title: str | None
    company: str | None
