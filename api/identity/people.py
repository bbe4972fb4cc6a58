"""Managing employees: who they are, where they work, their PINs (R40, R41, R43, R44)."""

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pymongo.errors import DuplicateKeyError

from api.audit import service as audit
from api.identity import changes, memberships, tries
from api.identity.changes import Change
from api.identity.models import Employee, Membership
from api.identity.reach import (
    Managed,
    managed_by_caller,
    managed_now,
    may_decide_on,
    not_allowed,
    visible,
)
from api.identity.repository import ALL, EmployeeRepository, TenantMemberships
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.base import Page
from playpark.contracts.employees import (
    EmployeeCreated,
    EmployeeDetail,
    EmployeeIn,
    EmployeePatch,
    EmployeeStatus,
    MembershipIn,
    PinReset,
    is_weak,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

PIN_DIGITS = 6
_EVENTS = {
    EmployeeStatus.SUSPENDED: "employee.suspended",
    EmployeeStatus.ACTIVE: "employee.resumed",
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which employees a list holds: how their name begins, their status, their store."""

    q: str | None
    status: EmployeeStatus | None
    store_id: str | None

    def conditions(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.q:
            found["name"] = {"$regex": f"^{re.escape(self.q)}", "$options": "i"}
        if self.status is not None:
            found["status"] = self.status.value
        return found


async def page(
    work: Work, scope: Scope, chosen: Chosen, limit: int, cursor: str | None
) -> Page[EmployeeDetail]:
    """Employees of the stores where the caller manages employees, newest first."""
    managed = managed_now(scope)
    everywhere = TenantMemberships(work, scope.tenant_id, None)
    if chosen.store_id is not None:
        of_store = await everywhere.people(store_id=chosen.store_id, active=True)
        fitting = {"$in": sorted(of_store)}
    else:
        near = await everywhere.people(store_id={"$in": sorted(managed)})
        far = await everywhere.people(store_id={"$nin": sorted(managed)})
        fitting = {"$nin": sorted(far - near)}
    conditions = {**chosen.conditions(), "$and": [{"_id": fitting}]}
    people, more = await EmployeeRepository.of(work, scope).page(limit, cursor, **conditions)
    return Page(items=await _details(work, scope, people, managed), next_cursor=more)


async def one(work: Work, scope: Scope, employee_id: str) -> EmployeeDetail:
    """An employee whom the caller may see. Raises E_NOT_FOUND."""
    managed = managed_now(scope)
    employee = await visible(work, scope, employee_id, managed)
    return await _detail(work, scope, employee, managed)


async def create(platform: Platform, scope: Scope, body: EmployeeIn) -> EmployeeCreated:
    """Add an employee, with memberships where the caller manages employees.

    Raises E_CONFLICT for an e-mail address in use, E_NOT_FOUND for a store or role, E_PERMISSION.
    """
    made_up = None if body.pin else _make_up_pin()
    pin_hash = await platform.pins.hash(body.pin or made_up or "")
    employee_id = new_ulid()

    async def transaction(work: Work) -> EmployeeDetail:
        change = await changes.begin(work, scope, (employee_id,))
        managed = managed_by_caller(change, scope)
        employee = Employee(
            id=employee_id,
            tenant_id=scope.tenant_id,
            created_at=work.now,
            name=body.name,
            email=body.email,
            pin_hash=pin_hash,
        )
        await EmployeeRepository.of(work, scope).insert(employee)
        told = await memberships.replace(
            work, scope.tenant_id, employee_id, body.memberships, managed
        )
        await change.settle()
        facts = {"name": body.name, "email": body.email, "memberships": told}
        await audit.append(work, scope, "employee.created", employee_id, facts)
        return await _detail(work, scope, employee, managed)

    detail = await _with_unique_email(platform, scope, transaction)
    return EmployeeCreated(**detail.model_dump(), generated_pin=made_up)


async def change_person(
    platform: Platform, scope: Scope, employee_id: str, body: EmployeePatch
) -> EmployeeDetail:
    """Change name, e-mail or status; what is null or as it was says nothing.

    Raises E_NOT_FOUND, E_PERMISSION, E_CONFLICT for an e-mail address in use and for the last
    manager of employees.
    """
    sent = body.model_dump(exclude_none=True, mode="json")

    async def transaction(work: Work) -> EmployeeDetail:
        change = await changes.begin(work, scope, (employee_id,))
        managed = managed_by_caller(change, scope)
        employee = await visible(work, scope, employee_id, managed)
        told = [
            {"field": name, "old": getattr(employee, name), "new": value}
            for name, value in sent.items()
            if getattr(employee, name) != value
        ]
        if not told:
            return await _detail(work, scope, employee, managed)
        await may_decide_on(work, scope, employee_id, managed)
        update: dict[str, Any] = {"$set": {each["field"]: each["new"] for each in told}}
        status = update["$set"].get("status")
        if status == EmployeeStatus.SUSPENDED:
            if employee_id == scope.actor_id:
                raise not_allowed("You cannot suspend yourself: ask another manager.")
            update["$inc"] = {"ver": 1}
        changed = await EmployeeRepository.of(work, scope).change(update, _id=employee_id)
        await change.settle()
        event = _EVENTS.get(status, "employee.changed")
        await audit.append(work, scope, event, employee_id, {"changes": told})
        return await _detail(work, scope, changed or employee, managed)

    return await _with_unique_email(platform, scope, transaction)


async def reset_pin(
    platform: Platform, scope: Scope, employee_id: str, pin: str | None
) -> PinReset:
    """Give an employee another PIN: all their logins end, wrong tries before it are forgotten.

    Raises E_NOT_FOUND, E_PERMISSION.
    """
    made_up = None if pin else _make_up_pin()
    pin_hash = await platform.pins.hash(pin or made_up or "")

    async def transaction(work: Work) -> None:
        change = await changes.begin(work, scope, (employee_id,))
        managed = managed_by_caller(change, scope)
        await visible(work, scope, employee_id, managed)
        await may_decide_on(work, scope, employee_id, managed)
        await renew_pin(work, scope, change, employee_id, pin_hash)
        facts = {"made_up": made_up is not None}
        await audit.append(work, scope, "employee.pin_reset", employee_id, facts)

    await changes.in_turn(platform, scope, transaction)
    return PinReset(employee_id=employee_id, generated_pin=made_up)


async def renew_pin(
    work: Work, scope: Scope, change: Change, employee_id: str, pin_hash: str
) -> None:
    """Another PIN, inside a change: all logins end, wrong tries before it are forgotten."""
    update = {"$set": {"pin_hash": pin_hash}, "$inc": {"ver": 1}}
    await EmployeeRepository.of(work, scope).update_one(update, _id=employee_id)
    await tries.forget_everywhere(work, scope.tenant_id, employee_id)
    change.ended.add(employee_id)
    await change.settle()


async def put_memberships(
    platform: Platform, scope: Scope, employee_id: str, wanted: Sequence[MembershipIn]
) -> EmployeeDetail:
    """Replace an employee's memberships in the stores where the caller manages employees.

    Raises E_NOT_FOUND, E_CONFLICT for the last manager of employees, and what
    `memberships.replace` raises.
    """

    async def transaction(work: Work) -> EmployeeDetail:
        change = await changes.begin(work, scope, (employee_id,))
        managed = managed_by_caller(change, scope)
        employee = await visible(work, scope, employee_id, managed)
        told = await memberships.replace(work, scope.tenant_id, employee_id, wanted, managed)
        if told:
            await change.settle()
            event, facts = "employee.memberships_changed", {"changes": told}
            await audit.append(work, scope, event, employee_id, facts)
        return await _detail(work, scope, employee, managed)

    return await changes.in_turn(platform, scope, transaction)


def _make_up_pin() -> str:
    while True:
        pin = f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"
        if not is_weak(pin):
            return pin


async def _with_unique_email(
    platform: Platform, scope: Scope, transaction: Callable[[Work], Awaitable[T]]
) -> T:
    try:
        return await changes.in_turn(platform, scope, transaction)
    except DuplicateKeyError:
        message = "An employee with this e-mail address exists: search for them."
        raise PlayParkError(ErrorCode.CONFLICT, message) from None


async def _detail(work: Work, scope: Scope, person: Employee, managed: Managed) -> EmployeeDetail:
    (detail,) = await _details(work, scope, [person], managed)
    return detail


async def _details(
    work: Work, scope: Scope, people: Sequence[Employee], managed: Managed
) -> list[EmployeeDetail]:
    found = await TenantMemberships(work, scope.tenant_id, None).find(
        sort="store_id",
        limit=ALL,
        employee_id={"$in": [person.id for person in people]},
        store_id={"$in": sorted(managed)},
    )
    named = {role_id for each in found for role_id in each.roles}
    roles = await memberships.by_id(work, scope.tenant_id, named)
    of_person: dict[str, list[Membership]] = {}
    for each in found:
        of_person.setdefault(each.employee_id, []).append(each)
    return [
        EmployeeDetail(
            employee_id=person.id,
            name=person.name,
            email=person.email,
            status=EmployeeStatus(person.status),
            memberships=[memberships.view(each, roles) for each in of_person.get(person.id, [])],
            created_at=person.created_at,
            last_login_at=person.last_login_at,
        )
        for person in people
    ]
