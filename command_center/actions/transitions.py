"""The only place that changes the state of emails.

It changes their rows, the folder counts and the invalidations together.
"""

from collections.abc import Iterable
from typing import cast

from command_center.actions.email_rows import DueEmail, EmailState
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import ColumnValue, ColumnValues, Row
from command_center.search.text import fold
from models.enums import ChangeCauseKind, EmailStatus, FailureCode, FolderName, InvalidationKind
from models.folders import folder_of

NO_FAILURE: ColumnValues = {"failed_at": None, "failure_code": None, "failure_message": None}
NOT_DUE: ColumnValues = {"due_at": None, "claimed_at": None}


def folder_of_row(row: EmailState) -> FolderName:
    """Return the folder of a row of `emails`."""
    return folder_of(EmailStatus(row["status"]), bool(row["archived"]))


async def update_emails(
    uow: UnitOfWork, rows: Iterable[EmailState], values: ColumnValues, edited: bool = True, invalidate: bool = True
) -> None:
    """Set the same columns of all these locked emails.

    `values` may contain `status` and `archived`.

    An email that is no longer SENT is no longer archived either. Updates `rows` too. `edited` sets `updated_at`, and
    `invalidate` queues an invalidation of each email.
    """
    all_rows = list(rows)
    if not all_rows:
        return
    assignments = dict(values)
    if assignments.get("status", EmailStatus.SENT) != EmailStatus.SENT:
        assignments["archived"] = False
    if edited:
        assignments["updated_at"] = uow.now
    tx = uow.connection
    await tx.execute(
        f"UPDATE emails SET {', '.join(f'{column} = ?' for column in assignments)} WHERE {tx.in_any('id')}",
        *[int(value) if isinstance(value, EmailStatus | FailureCode) else value for value in assignments.values()],
        tx.array_param(row["id"] for row in all_rows),
    )
    for row in all_rows:
        before = folder_of_row(row)
        cast(Row, row).update(assignments)
        after = folder_of_row(row)
        if before is not after:
            uow.move_count(row["sender_id"], before, after)
        if invalidate:
            uow.invalidate(InvalidationKind.EMAIL, row["team_id"], row["id"], ChangeCauseKind.EMAIL_CHANGED)


async def update_texts(uow: UnitOfWork, texts: Iterable[tuple[DueEmail, str, str | None, str | None]]) -> None:
    """Set the text of each of these locked emails.

    Each tuple holds the email, its subject, its body, and the field values in a body that it shares with a bulk send. A
    body or field values of None stay unchanged. Updates the rows too.
    """
    all_rows = list(texts)
    await uow.connection.execute_many(
        "UPDATE emails SET subject = ?, subject_folded = ?, body = coalesce(?, body),"
        " field_values = coalesce(?, field_values), updated_at = ? WHERE id = ?",
        [(subject, fold(subject), body, values, uow.now, row["id"]) for row, subject, body, values in all_rows],
    )
    for row, subject, body, values in all_rows:
        row["subject"] = subject
        row["body"] = row["body"] if body is None else body
        row["field_values"] = row["field_values"] if values is None else values
        uow.invalidate(InvalidationKind.EMAIL, row["team_id"], row["id"], ChangeCauseKind.EMAIL_CHANGED)


def failure_columns(
    code: FailureCode, message: str, at: int, status: EmailStatus = EmailStatus.FAILED
) -> dict[str, ColumnValue]:
    """Return the columns of an email that failed, bounced or was reported as spam.

    `at` is in microseconds.
    """
    return {
        "status": status,
        "failed_at": at,
        "failure_code": code,
        "failure_message": message[:1000],
        **NOT_DUE,
    }
