"""What a request can reach: database, clock, keys. Built once by the app, held in its state."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from api.platform.authority import read_scope
from api.platform.jwt import Jwt, TokenType, unauthenticated
from api.platform.mongo import Mongo
from api.platform.pins import PinHasher
from api.platform.scope import Scope
from api.platform.settings import Settings
from api.platform.uow import UnitOfWork
from playpark.clock import Clock


@dataclass(frozen=True, slots=True)
class TicketKeys:
    """The HMAC keys of one tenant, by kid; `current` signs new tickets (R21)."""

    by_kid: dict[str, bytes]
    current: str


@dataclass(slots=True)
class Platform:
    settings: Settings
    mongo: Mongo
    clock: Clock
    uow: UnitOfWork
    jwt: Jwt
    pins: PinHasher
    code_numbers: dict[str, list[int]] = field(default_factory=dict)
    """By tenant: numbers for short codes that this process has taken and not used yet."""

    @classmethod
    def build(cls, settings: Settings, mongo: Mongo, clock: Clock) -> "Platform":
        return cls(
            settings=settings,
            mongo=mongo,
            clock=clock,
            uow=UnitOfWork(mongo, clock),
            jwt=Jwt(settings.secret_key.get_secret_value()),
            pins=PinHasher(),
        )

    def close(self) -> None:
        """Let go of threads and connections."""
        self.pins.close()
        self.mongo.close()

    def ticket_keys(self, tenant_id: str) -> TicketKeys:
        """Keys that belong to this tenant alone, derived from HMAC_KEY_V<n>: kid `01` is V1."""
        by_kid = {
            f"{n:02d}": _derive(key.get_secret_value(), f"ticket|{tenant_id}")
            for n, key in self.settings.hmac_keys.items()
        }
        return TicketKeys(by_kid, current=max(by_kid))

    def short_code_key(self, tenant_id: str) -> bytes:
        """The key of the tenant's short codes: the oldest, because codes must stay unique (R24)."""
        oldest = self.settings.hmac_keys[min(self.settings.hmac_keys)]
        return _derive(oldest.get_secret_value(), f"short-code|{tenant_id}")


def _derive(secret: str, purpose: str) -> bytes:
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).digest()


def get_platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


def bearer_token(request: Request) -> str:
    """The bearer token of a request. Raises E_UNAUTHENTICATED."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > 4096:
        raise unauthenticated()
    return token


async def get_scope(request: Request) -> Scope:
    """Dependency of every route that needs a token: verified claims, one read, a scope."""
    platform = get_platform(request)
    claims = platform.jwt.read(bearer_token(request), TokenType.DEVICE, TokenType.ACCESS)
    scope = await read_scope(platform.uow.reading(), claims)
    request.state.log = {"tenant_id": scope.tenant_id, "device_id": scope.device.device_id}
    return scope


async def platform_of(request: Request) -> Platform:
    return get_platform(request)


Caller = Annotated[Scope, Depends(get_scope)]
App = Annotated[Platform, Depends(platform_of)]
