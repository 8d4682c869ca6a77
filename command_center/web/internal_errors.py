"""Internal errors: logged in full, and shown to clients as a reference under which the log has them."""

import logging
import secrets

_logger = logging.getLogger("command_center.errors")


def log_internal_error(cause: BaseException) -> str:
    """Logs an error of ours with its traceback, and returns the reference that the log line begins with."""
    reference = secrets.token_hex(6)
    _logger.error("reference %s", reference, exc_info=cause)
    return reference


def internal_error_message(reference: str) -> str:
    """Returns the message that a client receives instead of the error."""
    return f"Something went wrong on our side (reference {reference})."
