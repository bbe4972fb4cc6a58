"""Logins of employees: opening, refreshing once a token, ending (R41, R43).

A refresh token's `jti` is `login.number`: the number rises with each rotation, so a spent token is
known for one by what the session holds now.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from api.audit import service as audit
from api.identity import history
from api.identity.employees import view
from api.identity.proving import Proof
from api.identity.repository import AuthorityRepository, EmployeeRepository
from api.identity.standing import standings, store_that_matters
from api.platform.authority import DeviceAuthority
from api.platform.jwt import LIFETIME, Claims, TokenType, unauthenticated
from api.platform.operations import chain_key
from api.platform.scope import Actor, Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.employees import EmployeeSession
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

RACE = timedelta(seconds=10)
"""How long after its rotation a spent token may be a race or a lost answer."""


async def open_session(
    platform: Platform,
    scope: Scope,
    proof: Proof,
    *,
    also: Callable[[Work], Awaitable[None]] | None = None,
) -> EmployeeSession:
    """Log the person in on the scope's device. Logging in again goes on with the session there.

    `also(work)` stands in the same transaction, before the session is written. Raises the 403s of
    R43 for what was suspended meanwhile, and E_TOKEN_EXPIRED for a PIN that was changed.
    """
    jti, who = f"{new_ulid()}.1", proof.employee.id

    async def write(work: Work) -> tuple[DeviceAuthority, Actor]:
        if also is not None:
            await also(work)
        if await EmployeeRepository.of(work, scope).enter(who, proof.employee.ver) is None:
            raise _over()
        actor, authority = await _authority(work, scope, who)
        sessions = _sessions(work, scope)
        before = await sessions.find_one(_id=scope.device.device_id)
        # What an earlier token of the device began may not end in tokens that live (R43).
        if before is None or before.device_ver != scope.device.ver:
            raise unauthenticated()
        before.check_device()
        entry = {
            "sid": before.employees.get(who, {}).get("sid") or new_ulid(),
            "status": "active",
            "ver": proof.employee.ver,
            **authority,
            "refresh_jti": jti,
            "refreshed_at": work.now,
            "proved_at": work.now,
        }
        update: dict[str, Any] = {"$set": {f"employees.{who}": entry}}
        if gone := [each for each in before.lapsed(work.now) if each != who]:
            update["$unset"] = {f"employees.{each}": "" for each in gone}
        session = await sessions.change(update, _id=before.id)
        if session is None:
            raise unauthenticated()
        await proof.settle(work)
        await audit.append(work, scope.acting_as(actor), "employee.login", who, {})
        return session, actor

    session, actor = await platform.uow.run(write, queue=chain_key(scope))
    return _issued(platform, session, actor, jti)


async def refresh(platform: Platform, token: str) -> EmployeeSession:
    """A new pair of tokens for a refresh token that was not used yet; it dies with this use.

    One that was used before ends the session, because somebody has copied it; within ten seconds
    of its rotation it is only refused. Raises the 401s and the 403s of R43.
    """
    claims = platform.jwt.read(token, TokenType.REFRESH)
    work = platform.uow.reading()
    sessions = AuthorityRepository(work, claims.tenant_id, claims.store_id)
    authority = await sessions.find_one(_id=claims.device_id)
    who = claims.employee_id or ""
    entry = authority.employees.get(who) if authority else None
    if authority is None or entry is None:
        raise unauthenticated()
    scope = authority.scope(who)
    try:
        authority.check(who)
    except PlayParkError as refusal:
        asking = authority.asking(who)
        await platform.note_refusal(platform.uow, asking, refusal.code, "POST /v1/auth/refresh")
        raise
    if authority.version_for(who) != claims.ver:
        raise _over()
    if entry["refresh_jti"] != claims.jti:
        if _was_copied(entry, claims.jti, work.now):
            await _end(platform, scope, entry["sid"], "employee.refresh_reused")
        raise _over()
    # Only now: dead tokens of its people must not use up what a device may ask.
    await platform.limits.login_of_device(claims.tenant_id, claims.device_id)
    return await _rotate(platform, scope, claims)


async def _rotate(platform: Platform, scope: Scope, claims: Claims) -> EmployeeSession:
    who = scope.person.employee_id
    login, _, number = claims.jti.partition(".")
    jti, field = f"{login}.{int(number) + 1}", f"employees.{who}"
    unspent: dict[str, Any] = {f"{field}.refresh_jti": claims.jti}

    async def write(work: Work) -> tuple[DeviceAuthority, Actor]:
        # A change of what people may do writes this document too: the database puts the two in
        # an order, and the session cannot hold what was true before.
        if await EmployeeRepository.of(work, scope).hold(_id=who, status="active") is None:
            raise unauthenticated()
        actor, authority = await _authority(work, scope, who)
        renewed = {**authority, "refresh_jti": jti, "refreshed_at": work.now}
        session = await _sessions(work, scope).change(
            {"$set": {f"{field}.{name}": value for name, value in renewed.items()}},
            _id=scope.device.device_id,
            device_ver=scope.device.ver,
            **unspent,
        )
        if session is None:
            raise _over()
        await audit.append(work, scope.acting_as(actor), "employee.refreshed", who, {})
        return session, actor

    session, actor = await platform.uow.run(write, queue=chain_key(scope))
    return _issued(platform, session, actor, jti)


def _was_copied(entry: dict[str, Any], jti: str, now: datetime) -> bool:
    """Whether a spent token came again other than by a race. Tokens of an earlier login are dead
    since the later one, and no sign of anything."""
    login, _, number = jti.partition(".")
    current_login, _, current = entry["refresh_jti"].partition(".")
    if login != current_login:
        return False
    just_spent = int(number) == int(current) - 1
    return not (just_spent and now - entry["refreshed_at"] <= RACE)


async def logout(platform: Platform, scope: Scope) -> None:
    """End the caller's session on this device; their tokens are dead at once."""
    if scope.actor is not None:
        sid = scope.sessions[scope.actor.employee_id]
        await _end(platform, scope, sid, "employee.logout")


async def _end(platform: Platform, scope: Scope, sid: str, event: str) -> None:
    who = scope.person.employee_id
    field = f"employees.{who}"

    async def write(work: Work) -> None:
        ended = await _sessions(work, scope).update_one(
            {"$unset": {field: ""}}, _id=scope.device.device_id, **{f"{field}.sid": sid}
        )
        if ended:
            await audit.append(work, scope, event, who, {})

    await platform.uow.run(write, queue=chain_key(scope))


def _sessions(work: Work, scope: Scope) -> AuthorityRepository:
    """The device's own document, whatever store its people act in."""
    return AuthorityRepository(work, scope.tenant_id, scope.home_store_id)


async def _authority(work: Work, scope: Scope, who: str) -> tuple[Actor, dict[str, Any]]:
    """Who acts, and what the session says of their authority. Raises E_TOKEN_EXPIRED for somebody
    who has no membership in the device's store any more."""
    place = (scope.home_store_id, scope.device.type)
    store_id = store_that_matters(scope)
    person = (await standings(work, scope.tenant_id, (who,), store_id=store_id)).get(who)
    actor = person.actor(*place) if person else None
    if person is None or actor is None:
        raise _over()
    since = await history.since(work, scope.tenant_id, scope.home_store_id, who)
    return actor, person.entry(*place, since)


def _issued(
    platform: Platform, session: DeviceAuthority, actor: Actor, jti: str
) -> EmployeeSession:
    version, now = session.version_for(actor.employee_id) or "", platform.clock.now()

    def token(token_type: TokenType) -> str:
        claims = Claims(
            type=token_type,
            tenant_id=session.tenant_id,
            store_id=session.store_id,
            device_id=session.id,
            employee_id=actor.employee_id,
            ver=version,
            jti=jti,
        )
        public: dict[str, Any] = {
            "roles": list(actor.roles),
            "permissions": sorted(actor.permissions),
        }
        if actor.stores:
            public["stores"] = sorted(actor.stores)
        return platform.jwt.issue(claims, now, **public)

    return EmployeeSession(
        access_token=token(TokenType.ACCESS),
        refresh_token=token(TokenType.REFRESH),
        expires_in=int(LIFETIME[TokenType.ACCESS].total_seconds()),
        employee=view(actor),
    )


def _over() -> PlayParkError:
    return PlayParkError(ErrorCode.TOKEN_EXPIRED, "The login has run out: log in again.")
