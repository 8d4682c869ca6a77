"""The table of all settings: their names, parsers, defaults and descriptions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from command_center.actions.users import parse_period
from command_center.database.connections import DEFAULT_CACHE_BYTES
from command_center.database.postgres import url as postgres_url
from command_center.email_addresses import domain_key

MIN_SECRET_CHARACTERS = 32
MIN_CACHE_BYTES = 1_000_000
_DOMAIN = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")

_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
ALLOWED_HEADERS = (
    "apollo-require-preflight,apollographql-client-name,apollographql-client-version,b3,baggage,cache-control,"
    "graphql-client-name,graphql-client-version,idempotency-key,last-event-id,newrelic,sentry-trace,traceparent,"
    "tracestate,x-apollo-operation-name,x-b3-parentspanid,x-b3-sampled,x-b3-spanid,x-b3-traceid,x-correlation-id,"
    "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-trace-id,x-request-id,x-requested-with"
)
"""Headers of tracing, client awareness and idempotency that browsers send.

A browser refuses a request with a header that is not allowed.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, parser, default and description.

    The name has no prefix, the default is text, and the description is for operators.

    The values of secret settings are never shown.
    """

    name: str
    parse: Callable[[str], str | int | timedelta | frozenset[str]]
    default: str | None
    description: str
    secret: bool = False


def _parse_database_url(text: str) -> str:
    scheme = urlsplit(text).scheme
    if scheme not in ("sqlite", *postgres_url.SCHEMES):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    if scheme != "sqlite":
        postgres_url.parse(text)
    return text


def _parse_secret(text: str) -> str:
    if len(text) < MIN_SECRET_CHARACTERS:
        raise ValueError(
            f"must have at least {MIN_SECRET_CHARACTERS} characters, such as `openssl rand -hex 32` prints"
        )
    return text


def _parse_base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("must be an address such as https://mail.example.com")
    return text.rstrip("/")


def _parse_smtp_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be an address such as smtp://user:password@mail.example.com:587")
    return text


def _parse_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError("must be a whole number from 1")
    return int(text)


def _parse_cache_bytes(text: str) -> int:
    number = _parse_number(text)
    if number < MIN_CACHE_BYTES:
        raise ValueError(f"must be at least {MIN_CACHE_BYTES}")
    return number


def _parse_duration(text: str) -> timedelta:
    return timedelta(seconds=parse_period(text))


def _parse_domains(text: str) -> frozenset[str]:
    values = frozenset(domain_key(part) for part in text.split(",") if part.strip())
    if not all(_DOMAIN.fullmatch(each) for each in values):
        raise ValueError("must be domains such as example.com, with commas between")
    return values


def _parse_origins(text: str) -> frozenset[str]:
    values = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(_ORIGIN.fullmatch(each) for each in values):
        raise ValueError("must be origins such as https://app.example.com, with commas between")
    return values


def _parse_headers(text: str) -> frozenset[str]:
    values = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(_HEADER.fullmatch(each) for each in values):
        raise ValueError("must be names of headers such as x-request-id, with commas between")
    return values


def _parse_level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("must be debug, info, warning or error")
    return text.lower()


TABLE = (
    Setting(
        "DATABASE_URL",
        _parse_database_url,
        "sqlite:///command-center.db",
        "Database: `sqlite:///` with a path, or `postgresql://` with the parameters of libpq.",
    ),
    Setting(
        "SQLITE_CACHE_BYTES",
        _parse_cache_bytes,
        str(DEFAULT_CACHE_BYTES),
        "Memory for the page caches of all SQLite connections together, in bytes; at least 1,000,000.",
    ),
    Setting(
        "SECRET",
        _parse_secret,
        None,
        f"Secret that signs tokens and tracking links; at least {MIN_SECRET_CHARACTERS} characters.",
        True,
    ),
    Setting(
        "BASE_URL",
        _parse_base_url,
        "http://127.0.0.1:8000",
        "URL at which recipients reach this server; tracking and unsubscribe links begin with it.",
    ),
    Setting(
        "SMTP_URL",
        _parse_smtp_url,
        "smtp://127.0.0.1:25",
        "Mail server that emails are handed over to, with user and password if it requires them.",
    ),
    Setting("LOG_RETENTION", _parse_duration, "P30D", "Age after which entries of the change log are deleted."),
    Setting(
        "EMAILS_PER_DAY",
        _parse_number,
        "1000",
        "Maximum number of emails that a user sends in a day, counting each cc and bcc.",
    ),
    Setting("COPIES", _parse_number, "50", "Maximum number of cc and bcc addresses of an email."),
    Setting("SELECT_AND_SEND_PEOPLE", _parse_number, "200", "Maximum number of people in a Select and Send."),
    Setting("GROUP_SEND_PEOPLE", _parse_number, "1000", "Maximum number of people in a Group Email."),
    Setting("SEARCHES_PER_USER", _parse_number, "500", "Maximum number of saved searches of a user."),
    Setting(
        "EVENTS_PER_REQUEST",
        _parse_number,
        "1000",
        "Maximum number of events in one `engagementRecord` or `deliveryRecord`.",
    ),
    Setting(
        "BLOCKED_DOMAINS",
        _parse_domains,
        "",
        "Domains to which nothing is sent, including their subdomains, separated by commas.",
    ),
    Setting("FILTER_DEPTH", _parse_number, "8", "Maximum nesting depth of a filter."),
    Setting("FILTER_LEAVES", _parse_number, "64", "Maximum number of conditions in a filter."),
    Setting("DOCUMENT_TOKENS", _parse_number, "2000", "Maximum number of tokens in a GraphQL document."),
    Setting("DOCUMENT_DEPTH", _parse_number, "12", "Maximum nesting depth of the fields in a document."),
    Setting("DOCUMENT_ALIASES", _parse_number, "30", "Maximum number of aliases in a document."),
    Setting("DOCUMENT_ROOT_FIELDS", _parse_number, "20", "Maximum number of root fields in a query or mutation."),
    Setting("DOCUMENT_DIRECTIVES", _parse_number, "50", "Maximum number of directives in a document."),
    Setting(
        "QUERY_COST",
        _parse_number,
        "20000",
        "Maximum number of objects that a response can contain, estimated from `first` and `last`.",
    ),
    Setting(
        "VARIABLE_VALUES",
        _parse_number,
        "70000",
        "Maximum number of values in the variables of a request; one in thirty may be an object.",
    ),
    Setting("ANSWER_ERRORS", _parse_number, "20", "Maximum number of errors in a response."),
    Setting("REQUEST_TIME", _parse_duration, "PT10S", "Time limit of a query or mutation."),
    Setting("BODY_BYTES", _parse_number, "1000000", "Maximum size of a request's body in bytes."),
    Setting("BODY_TIME", _parse_duration, "PT30S", "Time in which a request's body must arrive."),
    Setting("HEADER_BYTES", _parse_number, "65536", "Maximum size of a request's line and headers in bytes."),
    Setting("HEADER_TIME", _parse_duration, "PT10S", "Time in which a request's headers must arrive."),
    Setting("FRAME_BYTES", _parse_number, "256000", "Maximum size of a WebSocket message from a client in bytes."),
    Setting("SOCKET_OPERATIONS", _parse_number, "100", "Maximum number of simultaneous operations on one WebSocket."),
    Setting("USER_SOCKETS", _parse_number, "2000", "Maximum number of open WebSockets of a user in each process."),
    Setting(
        "USER_SUBSCRIPTIONS", _parse_number, "2000", "Maximum number of open subscriptions of a user in each process."
    ),
    Setting(
        "USER_OPERATION_BYTES",
        _parse_number,
        "64000000",
        "Memory for a user's open operations and their variables in each process, in bytes.",
    ),
    Setting("SOCKET_INIT_TIME", _parse_duration, "PT5S", "Time in which a WebSocket must send `connection_init`."),
    Setting("USER_REQUESTS", _parse_number, "30000", "Maximum number of operations of a user in a minute."),
    Setting(
        "ADDRESS_REQUESTS",
        _parse_number,
        "60000",
        "Maximum number of requests from a network address in a minute, not counting tracking.",
    ),
    Setting(
        "ALLOWED_ORIGINS",
        _parse_origins,
        "",
        "Other origins whose pages may call the API, such as https://app.example.com, separated by commas.",
    ),
    Setting(
        "ALLOWED_HEADERS",
        _parse_headers,
        ALLOWED_HEADERS,
        "Headers that these pages may send besides Accept, Authorization and Content-Type, separated by commas.",
    ),
    Setting(
        "LOG_LEVEL",
        _parse_level,
        "info",
        "Lowest level of log messages that are written: debug, info, warning or error.",
    ),
)
