"""Who is asking: bearer tokens, JWT signed with HS256. The token says which user; the role is read anew each time."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import jwt

ISSUER = "command-center"
ALGORITHM = "HS256"
REMEMBERED = 10_000
"""Tokens that need not be verified again."""
EXPIRED = "The token has expired."
SCOPES = ("engagement:write",)


class Unauthenticated(Exception):
    """No token, or none that is good for anything; the message may be shown."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `until` is when it ends, in seconds since 1970."""

    user_id: int
    team_id: int
    scopes: frozenset[str]
    until: float


class TokenUser(Protocol):
    """What a token says of its user."""

    id: int
    team_id: int


class Tokens:
    """Issues tokens and reads them."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._read: dict[str, Claims] = {}

    def issue(self, user: TokenUser, scopes: tuple[str, ...], lifetime: timedelta) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "sub": str(user.id),
            "team": user.team_id,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """Raises Unauthenticated. A token that was found good stays so until it ends: it is not verified again."""
        claims = self._read.get(token)
        if claims is None:
            claims = self._verified(token)
            if len(self._read) >= REMEMBERED:
                del self._read[next(iter(self._read))]
            self._read[token] = claims
        if claims.until <= time.time():
            raise Unauthenticated(EXPIRED)
        return claims

    def _verified(self, token: str) -> Claims:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": ["exp", "sub", "iss"]},
            )
            scopes = frozenset(str(claims.get("scope", "")).split())
            return Claims(int(claims["sub"]), int(claims["team"]), scopes, float(claims["exp"]))
        except jwt.ExpiredSignatureError as exc:
            raise Unauthenticated(EXPIRED) from exc
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as exc:
            raise Unauthenticated("The token is not valid.") from exc


def bearer(header: object) -> str:
    """The token of an Authorization header. Raises Unauthenticated."""
    if not isinstance(header, str) or not header:
        raise Unauthenticated("A bearer token is needed.")
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header reads: Bearer, a space, the token.")
    return token.strip()
