"""What a request can reach: database, clock, keys. Built once by the app, held in its state."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request

from api.platform.authority import SubjectRefusedError, read_scope
from api.platform.jwt import Claims, Jwt, TokenType, unauthenticated
from api.platform.keyring import KeyRing, TicketKeys
from api.platform.limits import Limits
from api.platform.mongo import Mongo
from api.platform.pins import PinHasher
from api.platform.scope import Scope
from api.platform.settings import Settings
from api.platform.uow import UnitOfWork, Work
from api.platform.usage import Usage
from api.platform.vault import Vault
from playpark.clock import Clock
from playpark.contracts.base import IdStr
from playpark.errors import ErrorCode

Publish = Callable[[Work, str, str | None], Awaitable[None]]
"""(work, tenant, store or None for all of the tenant's): freeze the next catalogue version."""


REVIEWED = {"POST /sync/batch"}
"""Where a revoked device is heard (R38)."""
NoteRefusal = Callable[[UnitOfWork, Scope, ErrorCode, str], Awaitable[None]]
"""(unit of work, who, code, route or operation): write a refusal into the audit trail (R43)."""


@dataclass(slots=True)
class Platform:
    """`publish` is the catalogue's: domains below it change what a snapshot holds too.
    `note_refusal` is the audit trail's, which stands above the platform."""

    settings: Settings
    mongo: Mongo
    clock: Clock
    uow: UnitOfWork
    jwt: Jwt
    pins: PinHasher
    vault: Vault
    keyring: KeyRing
    limits: Limits
    publish: Publish
    note_refusal: NoteRefusal
    spare_codes: dict[str, list[str]] = field(default_factory=dict)
    """By tenant: the server's short codes that this process has taken and not used yet."""
    usage: Usage = field(default_factory=Usage)
    """Requests that this process has counted and not written yet."""

    @classmethod
    def build(
        cls,
        settings: Settings,
        mongo: Mongo,
        clock: Clock,
        *,
        publish: Publish,
        note_refusal: NoteRefusal,
    ) -> "Platform":
        current, *previous = settings.secret_keys
        vault = Vault(settings.encryption_keys)
        roots = {n: key.get_secret_value() for n, key in settings.hmac_keys.items()}
        return cls(
            settings=settings,
            mongo=mongo,
            clock=clock,
            uow=UnitOfWork(mongo, clock),
            jwt=Jwt(current, previous),
            pins=PinHasher(memory_kib=settings.pin_memory_kib),
            vault=vault,
            keyring=KeyRing(roots, vault),
            limits=Limits(settings),
            publish=publish,
            note_refusal=note_refusal,
        )

    def close(self) -> None:
        """Let go of threads and connections."""
        self.pins.close()
        self.uow.close()
        self.mongo.close()

    async def ticket_keys(self, scope: Scope) -> TicketKeys:
        """The keys of the scope's tenant as of this request (R21)."""
        work = self.uow.reading()
        return await self.keyring.of(work, scope.tenant_id, scope.key_version)


def get_platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


def bearer_token(request: Request) -> str:
    """The bearer token of a request. Raises E_UNAUTHENTICATED."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > 4096:
        raise unauthenticated()
    return token


def read_claims(request: Request, *allowed: TokenType) -> Claims:
    """The verified claims of a request's token. Raises the 401s."""
    return get_platform(request).jwt.read(bearer_token(request), *allowed)


async def get_scope(
    request: Request,
    acting_in: Annotated[
        IdStr | None,
        Query(
            alias="store_id", description="another store of an employee on an ADMIN device (R44)"
        ),
    ] = None,
) -> Scope:
    """Dependency of every route that needs a token: its claims were verified before the body
    was read (see `http.PrivateRoute`); one read makes them a scope."""
    claims: Claims = request.state.claims
    platform = get_platform(request)
    route = f"{request.method} {request.scope['route'].path}"
    try:
        work, review = platform.uow.reading(), route in REVIEWED
        scope = await read_scope(work, claims, acting_in, review=review)
    except SubjectRefusedError as refused:
        await platform.note_refusal(platform.uow, refused.scope, refused.code, route)
        raise
    request.state.log = {"tenant_id": scope.tenant_id, "device_id": scope.device.device_id}
    await platform.limits.employee(scope, route)
    platform.usage.count(scope, route, platform.clock.now())
    return scope


async def get_scope_if_any(request: Request) -> Scope | None:
    """The same for routes that answer without a token too: None then."""
    return await get_scope(request, None) if request.state.claims is not None else None


async def platform_of(request: Request) -> Platform:
    return get_platform(request)


Caller = Annotated[Scope, Depends(get_scope)]
CallerIfAny = Annotated[Scope | None, Depends(get_scope_if_any)]
App = Annotated[Platform, Depends(platform_of)]
