"""Converts errors to what clients receive.

Each error gets a code. Client errors keep their messages. Internal errors are logged, and clients receive a reference
to the log entry. A database failure gets its own codes, which say whether anything was written.
"""

import logging
from collections.abc import Iterable

from graphql import GraphQLError, GraphQLSyntaxError

from command_center.database.errors import FailureLog, OutcomeUnknown, Unavailable
from command_center.errors import UserError, UserErrors
from command_center.web.internal_errors import internal_error_message, log_internal_error
from models.enums import UserErrorCode

RETRY_SECONDS = 5
"""The value of Retry-After if the database is unavailable."""
_logger = logging.getLogger("command_center.errors")
_database_failures = FailureLog(_logger, "the database failed a request")
_CODE_IF_ALL = {
    frozenset({UserErrorCode.FORBIDDEN}): "FORBIDDEN",
    frozenset({UserErrorCode.NOT_FOUND}): "NOT_FOUND",
}


def create_request_error(message: str, code: str, **more: object) -> GraphQLError:
    """Return an error with a code that concerns a request as a whole.

    `more` are further entries of its `extensions`.
    """
    return GraphQLError(message, extensions={"code": code, **more})


def convert_error(error: GraphQLError) -> GraphQLError:
    """Return the error as a client may see it."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if error.extensions and "code" in error.extensions:
        return error
    if isinstance(original, UserErrors):
        return _replace_message(
            error,
            _choose_message(original.errors),
            _choose_code(original.errors),
            problems=_describe_errors(original.errors),
        )
    if isinstance(error, GraphQLSyntaxError):
        return _replace_message(error, error.message, "GRAPHQL_PARSE_FAILED")
    if original is None or isinstance(original, GraphQLError):
        return _replace_message(error, error.message, "BAD_USER_INPUT" if error.path else "GRAPHQL_VALIDATION_FAILED")
    if isinstance(original, Unavailable):
        return _convert_unavailable(error, original)
    reference = log_internal_error(original)
    return _replace_message(error, internal_error_message(reference), "INTERNAL", reference=reference)


def is_database_failure(errors: Iterable[GraphQLError]) -> bool:
    """Return whether the database caused one of these errors.

    HTTP then answers 503 with Retry-After.
    """
    return any((error.extensions or {}).get("code") in ("UNAVAILABLE", "OUTCOME_UNKNOWN") for error in errors)


def _convert_unavailable(error: GraphQLError, cause: Unavailable) -> GraphQLError:
    """Return the error that a client receives if the database was unavailable.

    A mutation may fail after its commit. The code therefore says that nothing was written only if that is certain.
    """
    reference = _database_failures.warn(cause)
    if isinstance(cause, OutcomeUnknown):
        sentence = "The database was lost while this was written down: it was done as a whole, or not at all."
        return _replace_message(error, sentence, "OUTCOME_UNKNOWN", reference=reference)
    if cause.rolled_back:
        sentence = "The database cannot do this at the moment; nothing was done. Try again later."
        return _replace_message(error, sentence, "UNAVAILABLE", reference=reference, nothingDone=True)
    return _replace_message(
        error, "The database does not answer at the moment. Try again later.", "UNAVAILABLE", reference=reference
    )


def _replace_message(error: GraphQLError, message: str, code: str, **more: object) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": code, **more},
    )


def _choose_code(problems: Iterable[UserError]) -> str:
    return _CODE_IF_ALL.get(frozenset(problem.code for problem in problems), "BAD_USER_INPUT")


def _choose_message(problems: tuple[UserError, ...]) -> str:
    return problems[0].message if len(problems) == 1 else f"{len(problems)} mistakes in the input."


def _describe_errors(problems: Iterable[UserError]) -> list[dict[str, object]]:
    return [
        {"message": problem.message, "path": list(problem.path), "code": problem.code.value} for problem in problems
    ]
