"""Access and refresh tokens: HS256, one audience, one issuer, versions inside (API.md, R43).

The header names the key (`kid`): the current one signs, earlier ones go on verifying until what
they signed has run out.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt

from playpark.errors import ErrorCode, PlayParkError

SYNC_REVIEW = "sync_review"
"""All that a revoked device's token is good for: its operations are kept for a review (R38)."""
ISSUER, AUDIENCE, ALGORITHM = "playpark", "playpark-api", "HS256"
_MOST_KEPT = 10_000
"""Tokens that a process remembers as verified."""


class TokenType(StrEnum):
    DEVICE = "device"
    ACCESS = "access"
    REFRESH = "refresh"
    PROVIDER = "provider"


LIFETIME = {
    TokenType.DEVICE: timedelta(hours=12),
    TokenType.ACCESS: timedelta(hours=1),
    TokenType.REFRESH: timedelta(hours=16),
    TokenType.PROVIDER: timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class Claims:
    """What the API reads from a token. Authority comes from the session it names, not from it."""

    type: TokenType
    tenant_id: str
    store_id: str
    device_id: str
    employee_id: str | None
    ver: str
    """Device version, and with an employee `.` and theirs: another version is a dead token."""
    jti: str
    only_review: bool = False
    """Of a revoked device, by its scope `sync_review` (R38)."""


class Jwt:
    """`secret` signs; what `previous` ones have signed is still read."""

    def __init__(self, secret: str, previous: Sequence[str] = ()) -> None:
        self._keys = {_kid(key): key.encode() for key in (secret, *previous)}
        self._current = _kid(secret)
        self._verified: dict[bytes, tuple[Claims, float]] = {}

    def issue(self, claims: Claims, now: datetime, **public: Any) -> str:
        """Sign `claims`; `public` fields (roles, permissions) are there for the client to read."""
        payload = {
            "sub": claims.employee_id or claims.device_id,
            "type": claims.type,
            "tenant_id": claims.tenant_id,
            "store_id": claims.store_id,
            "device_id": claims.device_id,
            "employee_id": claims.employee_id,
            "ver": claims.ver,
            "jti": claims.jti,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + LIFETIME[claims.type],
            **public,
        }
        key = self._keys[self._current]
        return jwt.encode(payload, key, ALGORITHM, headers={"kid": self._current})

    def read(self, token: str, *allowed: TokenType) -> Claims:
        """Verified claims. Raises E_TOKEN_EXPIRED, or E_UNAUTHENTICATED for anything else.

        A token says the same until it has run out, so a process verifies it once; what its bearer
        may do is not in it (R43).
        """
        name = hashlib.sha256(token.encode()).digest()
        claims, ends_at = self._verified.get(name) or self._verify(token)
        if ends_at <= time.time():
            raise _run_out()
        if len(self._verified) >= _MOST_KEPT:
            self._verified.clear()
        self._verified[name] = claims, ends_at
        if claims.type not in allowed:
            raise unauthenticated()
        return claims

    def _verify(self, token: str) -> tuple[Claims, float]:
        """(claims, the moment at which it runs out, Unix time). Raises as `read`."""
        try:
            found = jwt.decode(
                token,
                self._key_of(token),
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "sub", "type", "ver", "jti"],
                    # Servers' clocks differ by a little: a token of another one may be from the
                    # future. Its signature says that it is ours.
                    "verify_iat": False,
                },
            )
            claims = Claims(
                type=TokenType(found["type"]),
                tenant_id=_text(found["tenant_id"]),
                store_id=_text(found["store_id"]),
                device_id=_text(found["device_id"]),
                employee_id=_text(found["employee_id"]) if found.get("employee_id") else None,
                ver=_text(found["ver"]),
                jti=_text(found["jti"]),
                only_review=found.get("scopes") == [SYNC_REVIEW],
            )
            return claims, float(int(found["exp"]))
        except jwt.ExpiredSignatureError:
            raise _run_out() from None
        except (jwt.InvalidTokenError, KeyError, ValueError):
            raise unauthenticated() from None

    def _key_of(self, token: str) -> bytes:
        """The key that the header names. Headers that point elsewhere (jku, x5u, jwk) and kids
        that are not ours are refused. Raises InvalidTokenError."""
        header = jwt.get_unverified_header(token)
        if set(header) != {"alg", "typ", "kid"} or header["kid"] not in self._keys:
            raise jwt.InvalidTokenError
        return self._keys[header["kid"]]


def _text(claim: Any) -> str:
    """A claim that goes into filters. Raises InvalidTokenError for anything but a text."""
    if not isinstance(claim, str):
        raise jwt.InvalidTokenError
    return claim


def _kid(secret: str) -> str:
    return hashlib.sha256(f"kid|{secret}".encode()).hexdigest()[:8]


def _run_out() -> PlayParkError:
    return PlayParkError(ErrorCode.TOKEN_EXPIRED, "The login has run out: log in again.")


def unauthenticated() -> PlayParkError:
    """401 that tells nothing about what was wrong."""
    message = "Log in first: send the access token as Authorization: Bearer."
    return PlayParkError(ErrorCode.UNAUTHENTICATED, message)
