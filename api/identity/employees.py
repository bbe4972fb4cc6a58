"""PIN login on a device, refresh, logout (R40, R41, R43)."""

from typing import Any

from api.audit import service as audit
from api.identity.models import Employee
from api.identity.repository import (
    AuthorityRepository,
    EmployeeRepository,
    MembershipRepository,
    PinAttemptsRepository,
    RoleRepository,
)
from api.platform.authority import DeviceAuthority
from api.platform.documents import scoped_id
from api.platform.jwt import LIFETIME, Claims, TokenType, unauthenticated
from api.platform.operations import chain_key
from api.platform.scope import Actor, Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.employees import (
    EmployeeLoginIn,
    EmployeeSession,
    EmployeeView,
    Permission,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid


async def login(platform: Platform, scope: Scope, body: EmployeeLoginIn) -> EmployeeSession:
    """Log an employee in on the caller's device.

    Unknown person and wrong PIN look and take the same: E_UNAUTHENTICATED. Five wrong PINs in
    a row lock this person on this device, longer each time: E_PIN_LOCKED.
    """
    employee, actor = await check_pin(
        platform,
        scope.acting_as(None),
        employee_id=body.employee_id,
        email=body.email,
        pin=body.pin,
        failure="employee.login_failed",
    )
    return await _open_session(platform, scope, actor, employee.ver, "employee.login")


async def check_pin(
    platform: Platform,
    scope: Scope,
    *,
    employee_id: str | None,
    email: str | None,
    pin: str,
    failure: str,
) -> tuple[Employee, Actor]:
    """Who the person is and what they may do in this store, if the PIN is theirs.

    The attempt is counted before the PIN is hashed; whoever goes on with the right PIN calls
    `forget_attempts` in their transaction. Unknown person, no membership here and wrong PIN look
    and take the same (R41): E_UNAUTHENTICATED, audited as `failure` of who is acting. Raises
    E_PIN_LOCKED and E_EMPLOYEE_SUSPENDED too.
    """
    work = platform.uow.reading()
    who = {"_id": employee_id} if employee_id else {"email": email}
    employee = await EmployeeRepository.of(work, scope).find_one(**who)
    subject = employee.id if employee else str(employee_id or email)
    attempts = PinAttemptsRepository.of(work, scope)
    if not await attempts.reserve(_attempts_key(scope, subject)):
        message = "Too many wrong PINs: wait, or ask a supervisor to reset the PIN."
        wait = await attempts.locked_for(_attempts_key(scope, subject))
        raise PlayParkError(ErrorCode.PIN_LOCKED, message, retry_after=wait)
    right = await platform.pins.verify(employee.pin_hash if employee else None, pin)
    actor = await _actor(work, scope, employee) if employee and right else None
    if employee is None or actor is None:
        await _record(platform, scope, failure, subject)
        message = "That person and PIN do not belong together here: try again."
        raise PlayParkError(ErrorCode.UNAUTHENTICATED, message)
    if employee.status != "active":
        message = "This employee is suspended: ask a supervisor."
        raise PlayParkError(ErrorCode.EMPLOYEE_SUSPENDED, message)
    return employee, actor


async def forget_attempts(work: Work, scope: Scope, employee_id: str) -> None:
    """The right PIN was given: wrong ones before it no longer count on this device."""
    await PinAttemptsRepository.of(work, scope).forget(_attempts_key(scope, employee_id))


def _attempts_key(scope: Scope, subject: str) -> str:
    return scoped_id(chain_key(scope), subject)


async def _actor(work: Work, scope: Scope, employee: Employee) -> Actor | None:
    """The employee with the union of their roles in this store (R40); None without membership."""
    memberships = MembershipRepository.of(work, scope)
    membership = await memberships.find_one(employee_id=employee.id, active=True)
    if membership is None:
        return None
    roles = await RoleRepository.of(work, scope).find(_id={"$in": membership.roles})
    permissions = {permission for role in roles for permission in role.permissions}
    return Actor(
        employee_id=employee.id,
        name=employee.name,
        roles=tuple(sorted(role.name for role in roles)),
        permissions=frozenset(permissions),
    )


async def member(work: Work, scope: Scope, employee_id: str) -> Actor | None:
    """An active employee of this store, whether logged in here or not; None for anyone else."""
    employees = EmployeeRepository.of(work, scope)
    employee = await employees.find_one(_id=employee_id, status="active")
    return await _actor(work, scope, employee) if employee else None


async def _open_session(
    platform: Platform,
    scope: Scope,
    actor: Actor,
    ver: int,
    event: str,
    *,
    spent_jti: str | None = None,
) -> EmployeeSession:
    """Write the employee's session and issue its tokens; `spent_jti` must be its refresh token."""
    jti = new_ulid()
    # Logging in again goes on with the session; logging out ends it for good.
    entry = {
        "sid": scope.sessions.get(actor.employee_id) or new_ulid(),
        "status": "active",
        "ver": ver,
        "name": actor.name,
        "roles": list(actor.roles),
        "permissions": sorted(actor.permissions),
        "refresh_jti": jti,
    }

    async def open_session(work: Work) -> DeviceAuthority:
        sessions = AuthorityRepository.of(work, scope)
        field = f"employees.{actor.employee_id}"
        unspent: dict[str, Any] = {f"{field}.refresh_jti": spent_jti} if spent_jti else {}
        found = await sessions.change(
            {"$set": {field: entry}}, _id=scope.device.device_id, **unspent
        )
        if found is None:
            raise unauthenticated()
        await forget_attempts(work, scope, actor.employee_id)
        await audit.append(work, scope.acting_as(actor), event, actor.employee_id, {})
        return found

    authority = await platform.uow.run(open_session, queue=chain_key(scope))
    version = authority.version_for(actor.employee_id) or ""
    now = platform.clock.now()

    def token(token_type: TokenType) -> str:
        claims = Claims(
            type=token_type,
            tenant_id=scope.tenant_id,
            store_id=scope.store_id,
            device_id=scope.device.device_id,
            employee_id=actor.employee_id,
            ver=version,
            jti=jti,
        )
        public = {"roles": list(actor.roles), "permissions": sorted(actor.permissions)}
        return platform.jwt.issue(claims, now, **public)

    return EmployeeSession(
        access_token=token(TokenType.ACCESS),
        refresh_token=token(TokenType.REFRESH),
        expires_in=int(LIFETIME[TokenType.ACCESS].total_seconds()),
        employee=view(actor),
    )


async def refresh(platform: Platform, token: str) -> EmployeeSession:
    """A new pair of tokens for a refresh token that was not used yet; it dies with this use."""
    claims = platform.jwt.read(token, TokenType.REFRESH)
    work = platform.uow.reading()
    sessions = AuthorityRepository(work, claims.tenant_id, claims.store_id)
    authority = await sessions.find_one(_id=claims.device_id)
    entry = authority.employees.get(claims.employee_id or "") if authority else None
    if authority is None or entry is None or claims.employee_id is None:
        raise unauthenticated()
    authority.check_device()
    scope = authority.scope(claims.employee_id)
    if (
        entry["refresh_jti"] != claims.jti
        or authority.version_for(claims.employee_id) != claims.ver
    ):
        raise PlayParkError(ErrorCode.TOKEN_EXPIRED, "The login has run out: log in again.")
    employees = EmployeeRepository.of(work, scope)
    employee = await employees.find_one(_id=claims.employee_id, status="active")
    actor = await _actor(work, scope, employee) if employee else None
    if employee is None or actor is None:
        message = "This employee is suspended: ask a supervisor."
        raise PlayParkError(ErrorCode.EMPLOYEE_SUSPENDED, message)
    return await _open_session(
        platform, scope, actor, employee.ver, "employee.refreshed", spent_jti=claims.jti
    )


async def logout(platform: Platform, scope: Scope) -> None:
    """End the caller's session on this device; their tokens are dead at once."""
    if scope.actor is None:
        return
    actor = scope.actor

    async def close(work: Work) -> None:
        sessions = AuthorityRepository.of(work, scope)
        field = f"employees.{actor.employee_id}"
        await sessions.update_one({"$unset": {field: ""}}, _id=scope.device.device_id)
        await audit.append(work, scope, "employee.logout", actor.employee_id, {})

    await platform.uow.run(close, queue=chain_key(scope))


async def _record(platform: Platform, scope: Scope, event: str, subject: str) -> None:
    async def append(work: Work) -> None:
        await audit.append(work, scope, event, subject, {})

    await platform.uow.run(append, queue=chain_key(scope))


def view(actor: Actor) -> EmployeeView:
    """An employee as the API shows them."""
    return EmployeeView(
        employee_id=actor.employee_id,
        name=actor.name,
        roles=list(actor.roles),
        permissions=[Permission(name) for name in sorted(actor.permissions)],
    )
