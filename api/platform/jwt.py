"""Access and refresh tokens: HS256, one audience, one issuer, versions inside (API.md, R43)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt

from playpark.errors import ErrorCode, PlayParkError

ISSUER, AUDIENCE, ALGORITHM = "playpark", "playpark-api", "HS256"


class TokenType(StrEnum):
    DEVICE = "device"
    ACCESS = "access"
    REFRESH = "refresh"


LIFETIME = {
    TokenType.DEVICE: timedelta(hours=12),
    TokenType.ACCESS: timedelta(hours=1),
    TokenType.REFRESH: timedelta(hours=16),
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


class Jwt:
    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

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
        return jwt.encode(payload, self._key, ALGORITHM)

    def read(self, token: str, *allowed: TokenType) -> Claims:
        """Verified claims. Raises E_TOKEN_EXPIRED, or E_UNAUTHENTICATED for anything else."""
        try:
            found = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "type", "ver", "jti"]},
            )
            claims = Claims(
                type=TokenType(found["type"]),
                tenant_id=found["tenant_id"],
                store_id=found["store_id"],
                device_id=found["device_id"],
                employee_id=found.get("employee_id"),
                ver=found["ver"],
                jti=found["jti"],
            )
        except jwt.ExpiredSignatureError:
            message = "The login has run out: log in again."
            raise PlayParkError(ErrorCode.TOKEN_EXPIRED, message) from None
        except (jwt.InvalidTokenError, KeyError, ValueError):
            raise unauthenticated() from None
        if claims.type not in allowed:
            raise unauthenticated()
        return claims


def unauthenticated() -> PlayParkError:
    """401 that tells nothing about what was wrong."""
    message = "Log in first: send the access token as Authorization: Bearer."
    return PlayParkError(ErrorCode.UNAUTHENTICATED, message)
