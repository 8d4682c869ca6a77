"""Settings: environment variables with the prefix COMMAND_CENTER_, which are read once.

Startup fails with a message that names the first invalid variable.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from command_center.actions.context import Limits
from command_center.actions.users import format_period, parse_period
from command_center.database.connections import DEFAULT_CACHE_BYTES
from command_center.database.postgres import url as postgres_url
from command_center.email_addresses import domain_key
from command_center.graphql_engine.limits import AnswerLimits, DocumentLimits, SocketLimits, UserLimits
from command_center.search.parser import FilterLimits
from command_center.web.middleware import EdgeLimits

PREFIX = "COMMAND_CENTER_"
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


class ConfigurationError(Exception):
    """A setting or an option is missing or invalid. The message names it and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name without the prefix, its parser, its default as text, and a description for operators.

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


_PAGE_HEAD = (
    "# Settings",
    "",
    "<!-- Generated by `command-center config --markdown`; change command_center/server/settings.py instead. -->",
    "",
    "Settings are environment variables. Startup fails with a message that names the first invalid variable. Durations",
    "have the form of ISO 8601: `PT30S`, `PT10M`, `P30D`. `command-center config` prints the current settings.",
    "",
    "| variable | default | meaning |",
    "|---|---|---|",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of all settings, named as in TABLE but in lower case."""

    database_url: str
    sqlite_cache_bytes: int
    secret: str | None
    base_url: str
    smtp_url: str
    log_retention: timedelta
    emails_per_day: int
    copies: int
    select_and_send_people: int
    group_send_people: int
    searches_per_user: int
    events_per_request: int
    blocked_domains: frozenset[str]
    filter_depth: int
    filter_leaves: int
    document_tokens: int
    document_depth: int
    document_aliases: int
    document_root_fields: int
    document_directives: int
    query_cost: int
    variable_values: int
    answer_errors: int
    request_time: timedelta
    body_bytes: int
    body_time: timedelta
    header_bytes: int
    header_time: timedelta
    frame_bytes: int
    socket_operations: int
    user_sockets: int
    user_subscriptions: int
    user_operation_bytes: int
    socket_init_time: timedelta
    user_requests: int
    address_requests: int
    allowed_origins: frozenset[str]
    allowed_headers: frozenset[str]
    log_level: str

    @property
    def uses_https(self) -> bool:
        """Whether clients reach the server over HTTPS only."""
        return self.base_url.startswith("https:")

    def limits(self) -> Limits:
        return Limits(
            emails_per_day=self.emails_per_day,
            copies=self.copies,
            select_and_send_people=self.select_and_send_people,
            group_send_people=self.group_send_people,
            searches_per_user=self.searches_per_user,
            events_per_request=self.events_per_request,
            blocked_domains=self.blocked_domains,
            filter=FilterLimits(depth=self.filter_depth, leaves=self.filter_leaves),
        )

    def document_limits(self) -> DocumentLimits:
        return DocumentLimits(
            tokens=self.document_tokens,
            depth=self.document_depth,
            aliases=self.document_aliases,
            root_fields=self.document_root_fields,
            directives=self.document_directives,
            cost=self.query_cost,
            variable_values=self.variable_values,
        )

    def edge_limits(self) -> EdgeLimits:
        return EdgeLimits(
            address_requests=self.address_requests,
            body_bytes=self.body_bytes,
            body_time=self.body_time,
            secure=self.uses_https,
            base_url=self.base_url,
            allowed_origins=self.allowed_origins,
            allowed_headers=self.allowed_headers,
        )

    def answer_limits(self) -> AnswerLimits:
        return AnswerLimits(self.answer_errors, self.request_time)

    def socket_limits(self) -> SocketLimits:
        return SocketLimits(self.socket_operations, self.socket_init_time)

    def user_limits(self) -> UserLimits:
        return UserLimits(self.user_sockets, self.user_subscriptions, self.user_operation_bytes)

    def signing_secret(self) -> str:
        """Return the secret. Raises: ConfigurationError if it is not set."""
        if self.secret is None:
            raise ConfigurationError(
                f"{PREFIX}SECRET is missing: set at least {MIN_SECRET_CHARACTERS} characters,"
                " such as `openssl rand -hex 32` prints"
            )
        return self.secret


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings of an environment. Raises: ConfigurationError for the first invalid one."""
    values: dict[str, Any] = {}
    for setting in TABLE:
        text = environment.get(PREFIX + setting.name)
        try:
            value_text = setting.default if text is None else text
            values[setting.name.lower()] = None if value_text is None else setting.parse(value_text)
        except ValueError as exc:
            raise ConfigurationError(
                f"{PREFIX}{setting.name} is {_format_invalid(setting, text)}: it {_requirement(exc)}"
            ) from exc
    return Settings(**{each.name: values[each.name] for each in fields(Settings)})


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that have the prefix but are not settings, for example misspelled ones."""
    names = {PREFIX + setting.name for setting in TABLE}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in names)


def as_environment_file(settings: Settings) -> list[str]:
    """Return the settings in force as lines that a shell or a service manager can read.

    A value that contains a secret is omitted: its line is a comment.
    """
    lines: list[str] = []
    for each in TABLE:
        name, value = PREFIX + each.name, _format_value(getattr(settings, each.name.lower()))
        lines.append(f"# {each.description}")
        if value is None:
            lines.append(f"# {name} is not set")
        elif each.secret or value != _without_password(value):
            shown = "" if each.secret else f": {_without_password(value)}"
            lines.append(f"# {name} is set and secret{shown}")
        else:
            lines.append(f"{name}={shlex.quote(value) if value else ''}")
    return lines


def as_markdown() -> str:
    """Returns the page docs/settings.md, which lists all settings with their defaults."""
    rows = (f"| `{PREFIX}{each.name}` | {_default(each)} | {each.description} |" for each in TABLE)
    return "\n".join((*_PAGE_HEAD, *rows)) + "\n"


def _default(setting: Setting) -> str:
    if setting.default is None:
        return "required"
    return f"`{setting.default}`" if setting.default else "none"


def _format_value(value: object) -> str | None:
    """Return a setting's value as text that can be parsed again."""
    if isinstance(value, timedelta):
        return format_period(value // timedelta(seconds=1))
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return None if value is None else str(value)


def _without_password(text: str) -> str:
    """Return an address with its passwords hidden; they may contain an @ or a slash."""
    head, question, query = text.partition("?")
    head = re.sub(r"^(.*?//)?([^/@:]*):.*@", r"\1\2:***@", head)
    return head + question + re.sub(r"(?i)(password=)[^&]*", r"\1***", query)


def _format_invalid(setting: Setting, text: str | None) -> str:
    return "set" if setting.secret else repr(_without_password(text or ""))


def _requirement(exc: ValueError) -> str:
    text = str(exc)
    return text if text.startswith("must") else f"must be right: {text}"
