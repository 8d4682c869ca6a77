"""Errors on their way out: each has a code, a client's mistakes are told, ours are masked under a logged reference,
and a database that fails is told from both."""

import logging
from collections.abc import Iterable

from graphql import GraphQLError, GraphQLSyntaxError

from command_center.database.errors import FailureLog, OutcomeUnknown, Unavailable
from command_center.errors import UserError, UserErrors
from command_center.web.internal_errors import internal_error_message, log_internal_error
from models.enums import UserErrorCode

RETRY_SECONDS = 5
"""When to come again, as an answer says that could not be given."""
_logger = logging.getLogger("command_center.errors")
_outage = FailureLog(_logger, "the database failed a request")
_ALONE = {
    frozenset({UserErrorCode.FORBIDDEN}): "FORBIDDEN",
    frozenset({UserErrorCode.NOT_FOUND}): "NOT_FOUND",
}


def named(message: str, code: str, **more: object) -> GraphQLError:
    """An error of a request as a whole."""
    return GraphQLError(message, extensions={"code": code, **more})


def coded(error: GraphQLError) -> GraphQLError:
    """The error as a client may see it."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if error.extensions and "code" in error.extensions:
        return error
    if isinstance(original, UserErrors):
        return _shown(error, _sentence(original.problems), _code(original.problems), problems=_plain(original.problems))
    if isinstance(error, GraphQLSyntaxError):
        return _shown(error, error.message, "GRAPHQL_PARSE_FAILED")
    if original is None or isinstance(original, GraphQLError):
        return _shown(error, error.message, "BAD_USER_INPUT" if error.path else "GRAPHQL_VALIDATION_FAILED")
    if isinstance(original, Unavailable):
        return _away(error, original)
    reference = log_internal_error(original)
    return _shown(error, internal_error_message(reference), "INTERNAL", reference=reference)


def away(errors: Iterable[GraphQLError]) -> bool:
    """Whether an answer with these errors is for the database to blame: HTTP has 503 and Retry-After for it."""
    return any((error.extensions or {}).get("code") in ("UNAVAILABLE", "OUTCOME_UNKNOWN") for error in errors)


def _away(error: GraphQLError, cause: Unavailable) -> GraphQLError:
    """Nothing is promised but what is certain: of a mutation that fails after its commit, it was done."""
    reference = _outage.warn(cause)
    if isinstance(cause, OutcomeUnknown):
        sentence = "The database was lost while this was written down: it was done as a whole, or not at all."
        return _shown(error, sentence, "OUTCOME_UNKNOWN", reference=reference)
    if cause.rolled_back:
        sentence = "The database cannot do this at the moment; nothing was done. Try again later."
        return _shown(error, sentence, "UNAVAILABLE", reference=reference, nothingDone=True)
    return _shown(
        error, "The database does not answer at the moment. Try again later.", "UNAVAILABLE", reference=reference
    )


def _shown(error: GraphQLError, message: str, code: str, **more: object) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": code, **more},
    )


def _code(problems: Iterable[UserError]) -> str:
    return _ALONE.get(frozenset(problem.code for problem in problems), "BAD_USER_INPUT")


def _sentence(problems: tuple[UserError, ...]) -> str:
    return problems[0].message if len(problems) == 1 else f"{len(problems)} mistakes in the input."


def _plain(problems: Iterable[UserError]) -> list[dict[str, object]]:
    return [
        {"message": problem.message, "path": list(problem.path), "code": problem.code.value} for problem in problems
    ]
