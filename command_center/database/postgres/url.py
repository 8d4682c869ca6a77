"""Converts the address of a PostgreSQL database to arguments for asyncpg.

It parses the address as libpq does.

Source of the parameters: PostgreSQL 18, section 34.1.2, "Parameter Key Words".
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SCHEMES = ("postgres", "postgresql")
CONNECT_TIMEOUT_SECONDS = 4.0
"""How long connecting may take. The parameter `connect_timeout` may shorten it."""
_MIN_TIMEOUT_SECONDS = 2
_ASYNCPG_PARAMETERS = {
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "service",
    "sslmode",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
    "sslpassword",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "krbsrvname",
    "gsslib",
    "application_name",
    "options",
}
"""Parameters that asyncpg understands, the last two as session settings."""
_IGNORED_PARAMETERS = {
    "client_encoding": ("utf8", "utf-8", "auto"),
    "channel_binding": ("prefer", "disable"),
    "gssencmode": ("prefer", "disable", "allow"),
    "gssdelegation": ("0",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
    "sslcertmode": ("allow",),
    "replication": ("false", "off", "no", "0"),
    "load_balance_hosts": ("disable",),
}
"""Parameters that have no effect here, with the values that request the behaviour of this product."""
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """The address of a PostgreSQL database.

    `dsn` is for asyncpg, and `timeout_seconds` limits the time to connect.
    """

    dsn: str
    timeout_seconds: float

    def arguments(self) -> dict[str, str | float]:
        """Return the arguments of `asyncpg.connect`."""
        return {"dsn": self.dsn, "timeout": self.timeout_seconds}


def parse(url: str) -> PostgresAddress:
    """Parse `postgresql://user:password@host:port/name?parameter=value`.

    Raises: ValueError, with the name of the parameter, if libpq does not have it or it has no effect here.
    """
    parts = urlsplit(_quote_user(url))
    if parts.scheme not in SCHEMES:
        raise ValueError("must begin with postgresql://")
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as exc:
        raise ValueError("must have parameters such as ?sslmode=require&connect_timeout=5") from exc
    parameters = dict(pairs)
    timeout = _parse_timeout(parameters.pop("connect_timeout", ""))
    name = parameters.pop("fallback_application_name", None)
    if name is not None:
        parameters.setdefault("application_name", name)
    for key in parameters.keys() & _IGNORED_PARAMETERS.keys():
        _check(key, parameters.pop(key), _IGNORED_PARAMETERS[key])
    if "sslmode" in parameters:
        _check("sslmode", parameters["sslmode"], _SSL_MODES)
    if unsupported := sorted(parameters.keys() - _ASYNCPG_PARAMETERS):
        raise ValueError(
            f"must not have the parameter {unsupported[0]}: it is not supported; settings of the session are given as"
            " ?options=-c%20name%3Dvalue"
        )
    # asyncpg reads the pairs with `parse_qs`, which turns a plus sign into a space.
    query = urlencode(parameters, quote_via=quote)
    address = f"postgresql://{parts.netloc}{parts.path}"
    return PostgresAddress(f"{address}?{query}" if query else address, timeout)


def _parse_timeout(text: str) -> float:
    """Return the time limit in the parameter `connect_timeout`, in seconds.

    It can only shorten the wait. As in libpq, 1 counts as 2 and 0 as absent.
    """
    if not text:
        return CONNECT_TIMEOUT_SECONDS
    try:
        seconds = int(text)
    except ValueError as exc:
        raise ValueError("must have a whole number of seconds as connect_timeout") from exc
    return min(max(seconds, _MIN_TIMEOUT_SECONDS), CONNECT_TIMEOUT_SECONDS) if seconds > 0 else CONNECT_TIMEOUT_SECONDS


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value.lower() not in allowed:
        raise ValueError(f"must have one of these as {name}: {', '.join(allowed)}")


def _quote_user(url: str) -> str:
    """Percent-encode user and password, because a password is often pasted as it is.

    They end at the last @ before the query.
    """
    scheme, separator, address = url.partition("://")
    head, question, query = address.partition("?")
    user, at, host = head.rpartition("@")
    if not separator or not at:
        return url
    return f"{scheme}://{quote(user, safe=':%!$&()*+,;=~')}@{host}{question}{query}"
