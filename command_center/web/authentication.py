"""Issues and verifies bearer tokens: JWTs signed with HS256.

A token names a user, its team and scopes. It does not contain the role, which is read from the database each time.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import jwt

ISSUER = "command-center"
ALGORITHM = "HS256"
CACHED_TOKENS = 10_000
"""The most verified tokens that are cached."""
EXPIRED = "The token has expired."
SCOPES = ("engagement:write",)


class Unauthenticated(Exception):
    """There is no token, or it is not valid. The message may be shown to the client."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token. `expires_at` is when it expires, in seconds since 1970."""

    user_id: int
    team_id: int
    scopes: frozenset[str]
    expires_at: float


class TokenUser(Protocol):
    """The attributes of a user that a token contains."""

    id: int
    team_id: int


class Tokens:
    """Issues and verifies tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._cache: dict[str, Claims] = {}

    def issue(self, user: TokenUser, scopes: tuple[str, ...], lifetime: timedelta) -> str:
        """Return a new token for the user."""
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

    def verify(self, token: str) -> Claims:
        """Return a token's claims.

        Verified tokens are cached. Raises: Unauthenticated if it is invalid or expired.
        """
        claims = self._cache.get(token)
        if claims is None:
            claims = self._verify(token)
            if len(self._cache) >= CACHED_TOKENS:
                del self._cache[next(iter(self._cache))]
            self._cache[token] = claims
        if claims.expires_at <= time.time():
            raise Unauthenticated(EXPIRED)
        return claims

    def _verify(self, token: str) -> Claims:
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


def parse_bearer_token(header: object) -> str:
    """Return the token of an Authorization header.

    Raises: Unauthenticated if there is none.
    """
    if not isinstance(header, str) or not header:
        raise Unauthenticated("A bearer token is needed.")
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header reads: Bearer, a space, the token.")
    return token.strip()
