"""Codes of an authenticator app (TOTP): enrolling, taking away, using each code once (R41)."""

import hmac
from datetime import datetime, timedelta

import pyotp

from api.audit import service as audit
from api.identity.models import Authenticator
from api.identity.repository import AuthenticatorRepository, EmployeeRepository, TenantRepository
from api.platform.documents import scoped_id
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.auth import TotpEnrolment, TotpState
from playpark.errors import ErrorCode, PlayParkError

STEP = timedelta(seconds=30)
NEIGHBOURS = (1, 0, -1)
"""Clocks may be a step apart."""


async def authenticator(work: Work, tenant_id: str, employee_id: str) -> Authenticator | None:
    """The app of an employee that has been confirmed, None for everybody else."""
    found = await _find(work, tenant_id, employee_id)
    return found if found and found.confirmed_at else None


async def spend(platform: Platform, work: Work, enrolled: Authenticator, code: str) -> bool:
    """Use a code up. False for a wrong one, for one that was used, and for one older than that.

    The newest time step is raised by one conditional update: of parallel uses one stands.
    """
    step = _step_of(platform.vault.open(enrolled.sealed), code, work.now)
    if step is None:
        return False
    return await AuthenticatorRepository(work, enrolled.tenant_id, None).update_one(
        {"$set": {"last_step": step}}, _id=enrolled.id, last_step={"$lt": step}
    )


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that `code` belongs to, within one of the present; the newest of several."""
    app, present = pyotp.TOTP(secret, interval=int(STEP.total_seconds())), int(now.timestamp())
    here = present // int(STEP.total_seconds())
    fitting = [
        here + each
        for each in NEIGHBOURS
        if hmac.compare_digest(app.at(present, counter_offset=each), code)
    ]
    return fitting[0] if fitting else None


async def enrol(platform: Platform, scope: Scope) -> TotpEnrolment:
    """A new secret for the app of who is logged in; it counts once a code has confirmed it.

    Raises E_CONFLICT where they have an app already.
    """
    actor, secret = scope.person, pyotp.random_base32()

    async def write(work: Work) -> str:
        tenant = await TenantRepository.of(work, scope).find_one(_id=scope.tenant_id)
        employee = await EmployeeRepository.of(work, scope).find_one(_id=actor.employee_id)
        apps = AuthenticatorRepository.of(work, scope)
        app_id = scoped_id(scope.tenant_id, actor.employee_id)
        found = await apps.find_one(_id=app_id)
        if tenant is None or employee is None or (found and found.confirmed_at):
            message = "You have an authenticator app already: take it away before you add another."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        sealed = platform.vault.seal(secret)
        if found is None:
            await apps.insert(Authenticator(id=app_id, tenant_id=scope.tenant_id, sealed=sealed))
        else:
            await apps.update_one({"$set": {"sealed": sealed}}, _id=app_id, confirmed_at=None)
        await audit.append(work, scope, "employee.totp_begun", actor.employee_id, {})
        return pyotp.TOTP(secret).provisioning_uri(name=employee.email, issuer_name=tenant.name)

    uri = await platform.uow.run(write, queue=chain_key(scope))
    return TotpEnrolment(secret=secret, otpauth_uri=uri)


async def begun(work: Work, scope: Scope) -> Authenticator:
    """The app that who is logged in is about to confirm. Raises E_CONFLICT where there is none."""
    found = await _find(work, scope.tenant_id, scope.person.employee_id)
    if found is None or found.confirmed_at is not None:
        message = "There is no authenticator app to confirm: begin with POST /v1/employees/me/totp."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    return found


async def confirm(work: Work, scope: Scope, app: Authenticator) -> TotpState:
    """From now on logins and step-ups need a code; in a transaction, after `spend`."""
    confirmed = {"$set": {"confirmed_at": work.now}}
    apps = AuthenticatorRepository.of(work, scope)
    if not await apps.update_one(confirmed, _id=app.id, confirmed_at=None, sealed=app.sealed):
        message = "Another enrolment came in between: begin again."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    await audit.append(work, scope, "employee.totp_enrolled", scope.person.employee_id, {})
    return TotpState(employee_id=scope.person.employee_id, enrolled=True)


async def remove(work: Work, scope: Scope, employee_id: str, event: str) -> TotpState:
    """Without it the PIN is enough again; in a transaction. Nothing is audited where there was
    none."""
    apps = AuthenticatorRepository.of(work, scope)
    if await apps.remove(scoped_id(scope.tenant_id, employee_id)):
        await audit.append(work, scope, event, employee_id, {})
    return TotpState(employee_id=employee_id, enrolled=False)


async def _find(work: Work, tenant_id: str, employee_id: str) -> Authenticator | None:
    apps = AuthenticatorRepository(work, tenant_id, None)
    return await apps.find_one(_id=scoped_id(tenant_id, employee_id))
