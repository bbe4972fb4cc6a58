"""Memberships of an employee: which roles in which store (R40)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.identity.models import Membership, Role
from api.identity.reach import Managed, check_held
from api.identity.repository import (
    ALL,
    MembershipRepository,
    RoleRepository,
    TenantMemberships,
)
from api.platform.documents import scoped_id
from api.platform.uow import Work
from playpark.contracts.employees import MembershipIn, MembershipView, Permission
from playpark.errors import ErrorCode, PlayParkError

Roles = Mapping[str, Role]
"""By id."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a membership says; one that has ended has no roles and rests."""

    role_ids: frozenset[str] = frozenset()
    active: bool = False

    def told(self, roles: Roles) -> dict[str, Any]:
        names = sorted(roles[each].name for each in self.role_ids if each in roles)
        return {"roles": names, "active": self.active}


async def replace(
    work: Work, tenant_id: str, employee_id: str, wanted: Sequence[MembershipIn], managed: Managed
) -> list[dict[str, Any]]:
    """Write what differs in the managed stores: [{store_id, old, new}].

    Raises E_NOT_FOUND for another store and for an unknown role, E_PERMISSION where a role that is
    given, taken or set to rest allows more than the caller has in that store.
    """
    if any(each.store_id not in managed for each in wanted):
        message = "There is no such store among those where you manage employees."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    found = await TenantMemberships(work, tenant_id, None).find(limit=ALL, employee_id=employee_id)
    were = {each.store_id: _as_stored(each) for each in found if each.store_id in managed}
    are = {each.store_id: _Terms(frozenset(each.role_ids), each.active) for each in wanted}
    named = {role_id for terms in (*were.values(), *are.values()) for role_id in terms.role_ids}
    roles = await by_id(work, tenant_id, named)
    if any(role_id not in roles for terms in are.values() for role_id in terms.role_ids):
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such role: see the list of roles.")
    told = []
    for store_id in sorted({*were, *are}):
        was, now = were.get(store_id, _Terms()), are.get(store_id, _Terms())
        if was == now:
            continue
        check_held(_touched(was, now, roles), managed[store_id])
        place = MembershipRepository(work, tenant_id, store_id)
        await _write(place, store_id, employee_id, now, exists=store_id in were)
        told.append({"store_id": store_id, "old": was.told(roles), "new": now.told(roles)})
    return told


async def by_id(work: Work, tenant_id: str, role_ids: set[str]) -> dict[str, Role]:
    """Those of the roles that exist in this tenant."""
    roles = RoleRepository(work, tenant_id, None)
    found = await roles.find(limit=ALL, _id={"$in": sorted(role_ids)})
    return {role.id: role for role in found}


def view(membership: Membership, roles: Roles) -> MembershipView:
    held = sorted(membership.roles)
    return MembershipView(
        store_id=membership.store_id,
        role_ids=held,
        roles=[roles[each].name for each in held if each in roles],
        active=membership.active,
    )


def _as_stored(membership: Membership) -> _Terms:
    return _Terms(frozenset(membership.roles), membership.active)


def _touched(was: _Terms, now: _Terms, roles: Roles) -> frozenset[Permission]:
    """All that the roles allow which come, go, begin or cease to rest."""
    same = was.role_ids & now.role_ids if was.active is now.active else frozenset()
    changed = (was.role_ids | now.role_ids) - same
    return frozenset(
        permission for each in changed if each in roles for permission in roles[each].permissions
    )


async def _write(
    place: MembershipRepository, store_id: str, employee_id: str, terms: _Terms, *, exists: bool
) -> None:
    role_ids = sorted(terms.role_ids)
    if exists:
        update = {"$set": {"roles": role_ids, "active": terms.active}}
        await place.update_one(update, employee_id=employee_id)
        return
    membership = Membership(
        id=scoped_id(place.tenant_id, store_id, employee_id),
        tenant_id=place.tenant_id,
        store_id=store_id,
        employee_id=employee_id,
        roles=role_ids,
        active=terms.active,
    )
    await place.insert(membership)
