"""Errors on their way out: each has a code, a client's mistakes are told, ours are masked under a logged reference."""

import logging
import secrets
from collections.abc import Iterable

from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.extensions import MaskErrors

from models.enums import UserErrorCode
from refusals import Problem, Refused

_logger = logging.getLogger("command_center.errors")
_ALONE = {
    frozenset({UserErrorCode.FORBIDDEN}): "FORBIDDEN",
    frozenset({UserErrorCode.NOT_FOUND}): "NOT_FOUND",
}


class CodedErrors(MaskErrors):
    """Labels every error of an answer, and of every frame."""

    def _process_errors(self, errors: list[GraphQLError]) -> list[GraphQLError]:
        return [coded(error) for error in errors]


def coded(error: GraphQLError) -> GraphQLError:
    """The error as a client may see it."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if error.extensions and "code" in error.extensions:
        return error
    if isinstance(original, Refused):
        return _shown(error, _sentence(original.problems), _code(original.problems), problems=_plain(original.problems))
    if isinstance(error, GraphQLSyntaxError):
        return _shown(error, error.message, "GRAPHQL_PARSE_FAILED")
    if original is None or isinstance(original, GraphQLError):
        return _shown(error, error.message, "BAD_USER_INPUT" if error.path else "GRAPHQL_VALIDATION_FAILED")
    reference = logged(original)
    return _shown(error, masked(reference), "INTERNAL", reference=reference)


def logged(cause: BaseException) -> str:
    """Logs a mistake of ours once; the reference under which it is found."""
    reference = secrets.token_hex(6)
    _logger.error("reference %s", reference, exc_info=cause)
    return reference


def masked(reference: str) -> str:
    """What a client is told of a mistake of ours."""
    return f"Something went wrong on our side (reference {reference})."


def _shown(error: GraphQLError, message: str, code: str, **more: object) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": code, **more},
    )


def _code(problems: Iterable[Problem]) -> str:
    return _ALONE.get(frozenset(problem.code for problem in problems), "BAD_USER_INPUT")


def _sentence(problems: tuple[Problem, ...]) -> str:
    return problems[0].message if len(problems) == 1 else f"{len(problems)} mistakes in the input."


def _plain(problems: Iterable[Problem]) -> list[dict[str, object]]:
    return [
        {"message": problem.message, "path": list(problem.path), "code": problem.code.value} for problem in problems
    ]
