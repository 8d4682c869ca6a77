"""Emails change state here and nowhere else: the row, the folder counts and the mark in one go."""

from collections.abc import Iterable, Mapping
from typing import Any

from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row
from command_center.search.text import fold
from models.enums import ChangeCauseKind, EmailStatus, FailureCode, FolderName, InvalidationKind
from models.folders import folder_of

NO_FAILURE: Mapping[str, Any] = {"failed_at": None, "failure_code": None, "failure_message": None}
IDLE: Mapping[str, Any] = {"due_at": None, "claimed_at": None}


def folder_of_row(row: Row) -> FolderName:
    """Where a row of `emails` lies."""
    return folder_of(EmailStatus(row["status"]), bool(row["archived"]))


async def change(
    uow: UnitOfWork, rows: Iterable[Row], values: Mapping[str, Any], edited: bool = True, marked: bool = True
) -> None:
    """Sets the same columns on all the rows, which must be locked. `values` may hold `status` and `archived`.

    An email that is no longer SENT is not archived either. The rows are brought up to date as well.
    """
    listed = list(rows)
    if not listed:
        return
    sets = dict(values)
    if sets.get("status", EmailStatus.SENT) != EmailStatus.SENT:
        sets["archived"] = False
    if edited:
        sets["updated_at"] = uow.now
    tx = uow.connection
    await tx.execute(
        f"UPDATE emails SET {', '.join(f'{column} = ?' for column in sets)} WHERE {tx.in_any('id')}",
        *[int(value) if isinstance(value, EmailStatus | FailureCode) else value for value in sets.values()],
        tx.array_param(row["id"] for row in listed),
    )
    for row in listed:
        before = folder_of_row(row)
        row.update(sets)
        after = folder_of_row(row)
        if before is not after:
            uow.move_count(row["sender_id"], before, after)
        if marked:
            uow.invalidate(InvalidationKind.EMAIL, row["team_id"], row["id"], ChangeCauseKind.EMAIL_CHANGED)


async def reword(uow: UnitOfWork, texts: Iterable[tuple[Row, str, str | None, str | None]]) -> None:
    """Gives each of the emails, which must be locked, a subject, and a body or values in a shared body.

    What is None stays. Rows are brought up to date.
    """
    listed = list(texts)
    await uow.connection.execute_many(
        "UPDATE emails SET subject = ?, subject_folded = ?, body = coalesce(?, body),"
        " field_values = coalesce(?, field_values), updated_at = ? WHERE id = ?",
        [(subject, fold(subject), body, values, uow.now, row["id"]) for row, subject, body, values in listed],
    )
    for row, subject, body, values in listed:
        row["subject"] = subject
        row["body"] = row["body"] if body is None else body
        row["field_values"] = row["field_values"] if values is None else values
        uow.invalidate(InvalidationKind.EMAIL, row["team_id"], row["id"], ChangeCauseKind.EMAIL_CHANGED)


def failure(code: FailureCode, message: str, at: int, status: EmailStatus = EmailStatus.FAILED) -> dict[str, Any]:
    """The columns of an email that failed, bounced or was complained about."""
    return {
        "status": status,
        "failed_at": at,
        "failure_code": code,
        "failure_message": message[:1000],
        **IDLE,
    }
