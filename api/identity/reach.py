"""Who may decide on whom: managers of employees act in their own stores, and nobody gives or takes
what they do not have (R40, R44; decision 0011)."""

from collections.abc import Mapping
from typing import Any

from api.identity.changes import Change
from api.identity.models import Employee
from api.identity.repository import ALL, EmployeeRepository, TenantMemberships
from api.identity.standing import standings
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceType
from playpark.errors import ErrorCode, PlayParkError

MANAGE = Permission.EMPLOYEE_MANAGE
Managed = Mapping[str, frozenset[Permission]]
"""{store_id: all that the caller may do there}, of the stores where they manage employees."""


def managed_now(scope: Scope) -> Managed:
    """For reading: as the request's scope has it."""
    if scope.actor is None:
        return {}
    held = {**scope.actor.stores, scope.store_id: scope.actor.permissions}
    return {store_id: may for store_id, may in held.items() if MANAGE in may}


def managed_by_caller(change: Change, scope: Scope) -> Managed:
    """For writing: as it stands inside the transaction. On an ADMIN device in all the caller's
    stores, elsewhere in the device's (R44). Raises E_PERMISSION."""
    caller = change.before.get(scope.actor_id or "")
    if caller is None or not caller.may(scope.store_id, MANAGE):
        raise not_allowed("Your roles do not allow that: ask a supervisor.", MANAGE)
    everywhere = scope.device.type is DeviceType.ADMIN
    return {
        store_id: there.permissions
        for store_id, there in caller.stores.items()
        if MANAGE in there.permissions and (everywhere or store_id == scope.store_id)
    }


async def visible(work: Work, scope: Scope, employee_id: str, managed: Managed) -> Employee:
    """An employee with a membership, resting or past ones too, in a managed store, or with none
    anywhere. Raises E_NOT_FOUND for anybody else, of this tenant or another."""
    employee = await EmployeeRepository.of(work, scope).find_one(_id=employee_id)
    memberships = TenantMemberships(work, scope.tenant_id, None)
    found = await memberships.find(limit=ALL, employee_id=employee_id)
    if employee is None or (found and not any(each.store_id in managed for each in found)):
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such employee.")
    return employee


async def may_decide_on(work: Work, scope: Scope, employee_id: str, managed: Managed) -> None:
    """Raises E_PERMISSION for somebody who may do more than the caller in any store, or could again
    as soon as a membership of theirs that rests is woken."""
    if employee_id == scope.actor_id:
        return
    people = await standings(work, scope.tenant_id, {employee_id}, resting=True)
    for store_id, there in people[employee_id].stores.items():
        if not there.permissions <= managed.get(store_id, frozenset()):
            message = "This person may do more than you: ask someone who may do all of it."
            raise not_allowed(message)


def check_held(wanted: frozenset[Permission], held: frozenset[Permission]) -> None:
    """Raises E_PERMISSION, naming what is wanted and not held."""
    if missing := wanted - held:
        message = "You can give and take only what you may do yourself: see details."
        raise not_allowed(message, *sorted(missing))


def not_allowed(message: str, *missing: Permission) -> PlayParkError:
    """E_PERMISSION; `missing` are the permissions that it takes."""
    details: dict[str, Any] = {"reason": "permission"}
    if missing:
        details["permissions"] = [permission.value for permission in missing]
    return PlayParkError(ErrorCode.PERMISSION, message, details=details)
