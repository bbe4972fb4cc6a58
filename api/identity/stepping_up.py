"""Proving again who one is, before secrets, exports and revocations; and the app that such a proof
asks for, enrolled and taken away (R41)."""

from dataclasses import replace

from api.audit import service as audit
from api.identity import changes, proving, reach, totp
from api.identity.proving import Told
from api.identity.repository import AuthorityRepository
from api.platform.jwt import unauthenticated
from api.platform.operations import chain_key
from api.platform.permissions import FRESH
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.auth import SteppedUp, StepUpIn, TotpState


async def step_up(platform: Platform, scope: Scope, body: StepUpIn) -> SteppedUp:
    """The PIN of who is logged in, and their code: this session is fresh from now on.

    Raises what `proving.prove` raises.
    """
    person, at_home = scope.person, replace(scope, store_id=scope.home_store_id)
    told = Told(person.employee_id, None, body.pin, body.totp)
    proof = await proving.prove(platform, at_home, told, failure="employee.step_up_failed")
    field = f"employees.{person.employee_id}"

    async def write(work: Work) -> SteppedUp:
        sessions = AuthorityRepository.of(work, at_home)
        here = {"_id": scope.device.device_id, f"{field}.sid": scope.sessions[person.employee_id]}
        if not await sessions.update_one({"$set": {f"{field}.proved_at": work.now}}, **here):
            raise unauthenticated()
        await proof.settle(work)
        await audit.append(work, at_home, "employee.stepped_up", person.employee_id, {})
        return SteppedUp(fresh_until=work.now + FRESH)

    return await platform.uow.run(write, queue=chain_key(at_home))


async def confirm(platform: Platform, scope: Scope, code: str) -> TotpState:
    """The first code of the app: from now on logins and step-ups need one.

    Raises E_CONFLICT without an enrolment, E_UNAUTHENTICATED and E_PIN_LOCKED for wrong codes.
    """
    app = await totp.begun(platform.uow.reading(), scope)
    held = await proving.check_code(platform, scope, app, code, failure="employee.totp_failed")

    async def write(work: Work) -> TotpState:
        await held.forget(work)
        return await totp.confirm(work, scope, app)

    return await platform.uow.run(write, queue=chain_key(scope))


async def remove(platform: Platform, scope: Scope) -> TotpState:
    """Take one's own app away: the PIN is enough again."""
    who = scope.person.employee_id

    async def write(work: Work) -> TotpState:
        return await totp.remove(work, scope, who, "employee.totp_removed")

    return await platform.uow.run(write, queue=chain_key(scope))


async def reset(platform: Platform, scope: Scope, employee_id: str) -> TotpState:
    """Take somebody's app away who has lost it. Raises E_NOT_FOUND, and E_PERMISSION for people
    who may do more than the caller."""

    async def write(work: Work) -> TotpState:
        change = await changes.begin(work, scope, (employee_id,))
        managed = reach.managed_by_caller(change, scope)
        await reach.visible(work, scope, employee_id, managed)
        await reach.may_decide_on(work, scope, employee_id, managed)
        return await totp.remove(work, scope, employee_id, "employee.totp_reset")

    return await changes.in_turn(platform, scope, write)
