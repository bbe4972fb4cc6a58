"""What people may do now, store by store: by status, memberships and the roles of those (R40).

Logins, changes and the history all reckon with what is worked out here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.identity.models import Employee, Role
from api.identity.repository import (
    ALL,
    EmployeeRepository,
    RoleRepository,
    TenantMemberships,
)
from api.platform.scope import Actor, Scope
from api.platform.uow import Work
from playpark.contracts.employees import EmployeeStatus, Permission
from playpark.contracts.tenancy import DeviceType


@dataclass(frozen=True, slots=True)
class InStore:
    """Names of the roles, and the union of their permissions."""

    roles: tuple[str, ...]
    permissions: frozenset[Permission]

    def entry(self) -> dict[str, Any]:
        """As it stands in a login."""
        return {"roles": list(self.roles), "permissions": sorted(self.permissions)}


@dataclass(frozen=True, slots=True)
class Standing:
    """An employee and what their active memberships allow: {store_id: roles and permissions}.

    Of someone suspended, what they would be allowed.
    """

    employee: Employee
    stores: Mapping[str, InStore]

    @property
    def active(self) -> bool:
        return self.employee.status == EmployeeStatus.ACTIVE

    def may(self, store_id: str, permission: Permission) -> bool:
        """Whether they may do this there, now."""
        there = self.stores.get(store_id)
        return self.active and there is not None and permission in there.permissions

    def actor(self, store_id: str, device: DeviceType) -> Actor | None:
        """The person acting in a store on such a device; None without a membership there."""
        if (here := self.stores.get(store_id)) is None:
            return None
        everywhere = self.stores if device is DeviceType.ADMIN else {}
        return Actor(
            employee_id=self.employee.id,
            name=self.employee.name,
            roles=here.roles,
            permissions=here.permissions,
            stores={each: there.permissions for each, there in everywhere.items()},
        )

    def entry(self, store_id: str, device: DeviceType, since: datetime) -> dict[str, Any]:
        """What a login of theirs in a store of theirs, on such a device, says of their authority.

        `since`: from when on they have had it. People on ADMIN devices carry all their stores
        (R44).
        """
        told = {"name": self.employee.name, "since": since, **self.stores[store_id].entry()}
        if device is DeviceType.ADMIN:
            told["stores"] = {each: there.entry() for each, there in self.stores.items()}
        return told


def store_that_matters(scope: Scope) -> str | None:
    """Where people on this device may act: in its store, on ADMIN devices (None) in all of theirs
    (R44)."""
    return None if scope.device.type is DeviceType.ADMIN else scope.store_id


async def standings(
    work: Work,
    tenant_id: str,
    employee_ids: Collection[str],
    *,
    store_id: str | None = None,
    resting: bool = False,
) -> dict[str, Standing]:
    """By id, of those who exist in this tenant; with `store_id` only what they may do there, and
    with `resting` as if no membership rested."""
    chosen: dict[str, Any] = {"$in": sorted(employee_ids)}
    people = await EmployeeRepository(work, tenant_id, None).find(limit=ALL, _id=chosen)
    there: dict[str, Any] = {} if store_id is None else {"store_id": store_id}
    if not resting:
        there["active"] = True
    memberships = await TenantMemberships(work, tenant_id, None).held(employee_id=chosen, **there)
    named = {role_id for each in memberships for role_id in each.role_ids}
    roles = await RoleRepository(work, tenant_id, None).find(limit=ALL, _id={"$in": sorted(named)})
    by_id = {role.id: role for role in roles}
    stores: dict[str, dict[str, InStore]] = {}
    for each in memberships:
        known = stores.setdefault(each.employee_id, {})
        known[each.store_id] = _in_store(each.role_ids, by_id)
    return {person.id: Standing(person, stores.get(person.id, {})) for person in people}


def _in_store(role_ids: Sequence[str], roles: Mapping[str, Role]) -> InStore:
    held = [roles[each] for each in role_ids if each in roles]
    permissions = frozenset(permission for role in held for permission in role.permissions)
    return InStore(tuple(sorted(role.name for role in held)), permissions)
