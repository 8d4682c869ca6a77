"""Settings: environment variables named COMMAND_CENTER_…, each read once, a wrong one stopping the start by name."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from command_center.actions.context import Limits
from command_center.actions.users import period, seconds
from command_center.database.connections import CACHE_BYTES
from command_center.database.postgres import url as postgres_url
from command_center.email_addresses import domain_key
from command_center.graphql_engine.limits import AnswerLimits, DocumentLimits, SocketLimits, UserLimits
from command_center.search.parser import FilterLimits
from command_center.web.middleware import EdgeLimits

PREFIX = "COMMAND_CENTER_"
SECRET_LENGTH = 32
LEAST_CACHE_BYTES = 1_000_000
_DOMAIN = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")

_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
ALLOWED_HEADERS = (
    "apollo-require-preflight,apollographql-client-name,apollographql-client-version,b3,baggage,cache-control,"
    "graphql-client-name,graphql-client-version,idempotency-key,last-event-id,newrelic,sentry-trace,traceparent,"
    "tracestate,x-apollo-operation-name,x-b3-parentspanid,x-b3-sampled,x-b3-spanid,x-b3-traceid,x-correlation-id,"
    "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-trace-id,x-request-id,x-requested-with"
)
"""What tracing, client awareness and idempotency send from a browser; without leave the browser sends nothing."""


class Misconfigured(Exception):
    """A setting is missing or wrong; the message names it and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table: its name without the prefix, how it is read, its default as text, and what it is."""

    name: str
    read: Callable[[str], Any]
    default: str | None
    meaning: str
    secret: bool = False


def _database(text: str) -> str:
    scheme = urlsplit(text).scheme
    if scheme not in ("sqlite", *postgres_url.SCHEMES):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    if scheme != "sqlite":
        postgres_url.parse(text)
    return text


def _secret(text: str) -> str:
    if len(text) < SECRET_LENGTH:
        raise ValueError(f"must have at least {SECRET_LENGTH} characters, such as `openssl rand -hex 32` prints")
    return text


def _base(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("must be an address such as https://mail.example.com")
    return text.rstrip("/")


def _smtp(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be an address such as smtp://user:password@mail.example.com:587")
    return text


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError("must be a whole number from 1")
    return int(text)


def _cache(text: str) -> int:
    number = _number(text)
    if number < LEAST_CACHE_BYTES:
        raise ValueError(f"must be at least {LEAST_CACHE_BYTES}")
    return number


def _span(text: str) -> timedelta:
    return timedelta(seconds=seconds(text))


def _domains(text: str) -> frozenset[str]:
    found = frozenset(domain_key(part) for part in text.split(",") if part.strip())
    if not all(_DOMAIN.fullmatch(each) for each in found):
        raise ValueError("must be domains such as example.com, with commas between")
    return found


def _origins(text: str) -> frozenset[str]:
    found = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(_ORIGIN.fullmatch(each) for each in found):
        raise ValueError("must be origins such as https://app.example.com, with commas between")
    return found


def _headers(text: str) -> frozenset[str]:
    found = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(_HEADER.fullmatch(each) for each in found):
        raise ValueError("must be names of headers such as x-request-id, with commas between")
    return found


def _level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("must be debug, info, warning or error")
    return text.lower()


TABLE = (
    Setting("DATABASE_URL", _database, "sqlite:///command-center.db", "where everything is kept"),
    Setting(
        "SQLITE_CACHE_BYTES",
        _cache,
        str(CACHE_BYTES),
        "memory that the page caches of SQLite's connections may take together",
    ),
    Setting("SECRET", _secret, None, f"signs tokens and tracking links; at least {SECRET_LENGTH} characters", True),
    Setting("BASE_URL", _base, "http://127.0.0.1:8000", "how recipients reach the tracking links"),
    Setting("SMTP_URL", _smtp, "smtp://127.0.0.1:25", "the mail server that emails are handed to"),
    Setting("LOG_RETENTION", _span, "P30D", "how long the change log reaches back"),
    Setting(
        "EMAILS_PER_DAY",
        _number,
        "1000",
        "emails that leave a user's hands in a day of theirs, each cc and bcc one more",
    ),
    Setting("COPIES", _number, "50", "cc and bcc of one email together"),
    Setting("SELECT_AND_SEND_PEOPLE", _number, "200", "people one Select and Send goes to"),
    Setting("GROUP_SEND_PEOPLE", _number, "1000", "people one Group Email goes to"),
    Setting("SEARCHES_PER_USER", _number, "500", "saved searches of one user"),
    Setting("EVENTS_PER_REQUEST", _number, "1000", "events in one engagementRecord or deliveryRecord"),
    Setting(
        "BLOCKED_DOMAINS", _domains, "", "domains nothing is sent to, their subdomains included, with commas between"
    ),
    Setting("FILTER_DEPTH", _number, "8", "how deep a filter may nest"),
    Setting("FILTER_LEAVES", _number, "64", "how many conditions a filter may hold"),
    Setting("DOCUMENT_TOKENS", _number, "2000", "tokens of one GraphQL document"),
    Setting("DOCUMENT_DEPTH", _number, "12", "how deep the fields of a document may nest"),
    Setting("DOCUMENT_ALIASES", _number, "30", "aliases in one document"),
    Setting("DOCUMENT_ROOT_FIELDS", _number, "20", "fields of one query or mutation at its root"),
    Setting("DOCUMENT_DIRECTIVES", _number, "50", "directives in one document"),
    Setting("QUERY_COST", _number, "20000", "objects that one answer may hold, counted by what `first` allows"),
    Setting(
        "VARIABLE_VALUES", _number, "70000", "values in the variables of one request; one in thirty may be an object"
    ),
    Setting("ANSWER_ERRORS", _number, "20", "errors told in one answer"),
    Setting("REQUEST_TIME", _span, "PT10S", "how long a query or mutation may take"),
    Setting("BODY_BYTES", _number, "1000000", "bytes of a request's body"),
    Setting("BODY_TIME", _span, "PT30S", "how long a request's body may take to arrive"),
    Setting("HEADER_BYTES", _number, "65536", "bytes of a request's line and headers"),
    Setting("HEADER_TIME", _span, "PT10S", "how long a request's headers may take to arrive"),
    Setting("FRAME_BYTES", _number, "256000", "bytes of one WebSocket message from a client"),
    Setting("SOCKET_OPERATIONS", _number, "100", "operations under way at once on one WebSocket"),
    Setting("USER_SOCKETS", _number, "2000", "WebSockets that one user may have open at once"),
    Setting("USER_SUBSCRIPTIONS", _number, "2000", "subscriptions that one user may have open at once"),
    Setting(
        "USER_OPERATION_BYTES",
        _number,
        "64000000",
        "memory that a user's open operations may take, with their variables",
    ),
    Setting("SOCKET_INIT_TIME", _span, "PT5S", "how long a WebSocket may stay without `connection_init`"),
    Setting("USER_REQUESTS", _number, "30000", "operations of one user in a minute"),
    Setting("ADDRESS_REQUESTS", _number, "60000", "requests from one network address in a minute, tracking apart"),
    Setting(
        "ALLOWED_ORIGINS",
        _origins,
        "",
        "origins of applications in browsers beside our own, such as https://app.example.com, with commas between",
    ),
    Setting(
        "ALLOWED_HEADERS",
        _headers,
        ALLOWED_HEADERS,
        "headers that requests of those applications may carry beside Accept, Authorization and Content-Type",
    ),
    Setting("LOG_LEVEL", _level, "info", "how much is logged: debug, info, warning or error"),
)


@dataclass(frozen=True, slots=True)
class Settings:
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
    def secure(self) -> bool:
        """Whether we are reached by HTTPS alone."""
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
            secure=self.secure,
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
        """The secret, for whoever cannot do without. Raises Misconfigured."""
        if self.secret is None:
            raise Misconfigured(
                f"{PREFIX}SECRET is missing: set at least {SECRET_LENGTH} characters, such as `openssl rand -hex 32`"
                " prints"
            )
        return self.secret


def read(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment. Raises Misconfigured for the first that is wrong."""
    values: dict[str, Any] = {}
    for setting in TABLE:
        text = environment.get(PREFIX + setting.name)
        try:
            given = setting.default if text is None else text
            values[setting.name.lower()] = None if given is None else setting.read(given)
        except ValueError as exc:
            raise Misconfigured(f"{PREFIX}{setting.name} is {_shown(setting, text)}: it {_must(exc)}") from exc
    return Settings(**{each.name: values[each.name] for each in fields(Settings)})


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: a slip of the pen, most likely."""
    names = {PREFIX + setting.name for setting in TABLE}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in names)


def as_environment_file(settings: Settings) -> list[str]:
    """Returns the settings in force as lines that a shell or a service manager reads as they are.

    A value with a secret in it is left out: its line is a comment.
    """
    lines: list[str] = []
    for each in TABLE:
        name, value = PREFIX + each.name, _text(getattr(settings, each.name.lower()))
        lines.append(f"# {each.meaning}")
        if value is None:
            lines.append(f"# {name} is not set")
        elif each.secret or value != _without_password(value):
            shown = "" if each.secret else f": {_without_password(value)}"
            lines.append(f"# {name} is set and secret{shown}")
        else:
            lines.append(f"{name}={shlex.quote(value) if value else ''}")
    return lines


def _text(value: Any) -> str | None:
    """A setting's value in the form in which it is given."""
    if isinstance(value, timedelta):
        return period(value // timedelta(seconds=1))
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return None if value is None else str(value)


def _without_password(text: str) -> str:
    """Hides the passwords of an address, which may hold an @ or a slash."""
    head, question, query = text.partition("?")
    head = re.sub(r"^(.*?//)?([^/@:]*):.*@", r"\1\2:***@", head)
    return head + question + re.sub(r"(?i)(password=)[^&]*", r"\1***", query)


def _shown(setting: Setting, text: str | None) -> str:
    return "set" if setting.secret else repr(_without_password(text or ""))


def _must(exc: ValueError) -> str:
    text = str(exc)
    return text if text.startswith("must") else f"must be right: {text}"
