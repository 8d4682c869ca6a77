"""Logs internal errors, and gives clients a reference to the log entry."""

import logging
import secrets

_logger = logging.getLogger("command_center.errors")


def log_internal_error(cause: BaseException) -> str:
    """Log an internal error with its traceback, and return its reference."""
    reference = secrets.token_hex(6)
    _logger.error("reference %s", reference, exc_info=cause)
    return reference


def internal_error_message(reference: str) -> str:
    """Return the message that a client receives instead of the error."""
    return f"Something went wrong on our side (reference {reference})."
