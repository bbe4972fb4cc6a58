"""Roles of a tenant: names for what people may do, the same in all its stores (R40)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError

from api.audit import service as audit
from api.identity import changes, stores
from api.identity.changes import Change
from api.identity.models import Role
from api.identity.reach import MANAGE, check_held, managed_by_caller
from api.identity.repository import ALL, RoleRepository, TenantMemberships, TenantStores
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.base import Page
from playpark.contracts.employees import (
    MatrixRow,
    Permission,
    PermissionMatrix,
    RoleIn,
    RolePatch,
    RoleView,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

Routes = Mapping[Permission, Sequence[str]]
"""Method and path of every route that asks for a permission."""


async def page(work: Work, scope: Scope, limit: int, cursor: str | None) -> Page[RoleView]:
    """The tenant's roles, newest first."""
    found, more = await RoleRepository.of(work, scope).page(limit, cursor)
    return Page(items=[view(role) for role in found], next_cursor=more)


async def matrix(work: Work, scope: Scope, routes: Routes) -> PermissionMatrix:
    """Every permission, the roles that have it, and the routes that ask for it."""
    roles = await RoleRepository.of(work, scope).find(sort="name", limit=ALL)
    rows = [
        MatrixRow(
            permission=permission,
            role_ids=[role.id for role in roles if permission in role.permissions],
            routes=list(routes.get(permission, ())),
        )
        for permission in Permission
    ]
    return PermissionMatrix(roles=[view(role) for role in roles], rows=rows)


async def create(platform: Platform, scope: Scope, body: RoleIn) -> RoleView:
    """Add a role. Raises E_CONFLICT for a name in use, and E_PERMISSION unless the caller manages
    employees and may do all of the role in every store."""
    role = Role(
        id=new_ulid(),
        tenant_id=scope.tenant_id,
        name=body.name,
        permissions=sorted(set(body.permissions)),
    )

    async def transaction(work: Work) -> RoleView:
        change = await changes.begin(work, scope, ())
        await _check_caller(change, scope, frozenset(role.permissions))
        await RoleRepository.of(work, scope).insert(role)
        facts = {"name": role.name, "permissions": [each.value for each in role.permissions]}
        await audit.append(work, scope, "role.created", role.id, facts)
        return view(role)

    try:
        return await changes.in_turn(platform, scope, transaction)
    except DuplicateKeyError:
        raise _name_in_use() from None


async def change(platform: Platform, scope: Scope, role_id: str, body: RolePatch) -> RoleView:
    """Change a role's name or permissions; whoever has it may do more or less at once.

    Raises E_NOT_FOUND, E_CONFLICT for a name in use and for the last manager of employees, and
    E_PERMISSION as `create` does, for what the role allowed before too.
    """
    sent = body.model_dump(exclude_none=True, mode="json")
    if "permissions" in sent:
        sent["permissions"] = sorted(set(sent["permissions"]))

    async def transaction(work: Work) -> RoleView:
        holders = TenantMemberships(work, scope.tenant_id, None)
        people = await holders.people(roles=role_id, active=True)
        pending = await changes.begin(work, scope, people)
        roles = RoleRepository.of(work, scope)
        was = await roles.find_one(_id=role_id)
        if was is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such role.")
        told = _differences(was, sent)
        if not told:
            return view(was)
        wanted = frozenset(was.permissions) | frozenset(body.permissions or ())
        await _check_caller(pending, scope, wanted)
        fields = {each["field"]: each["new"] for each in told}
        now = await roles.change({"$set": fields}, _id=role_id)
        await pending.settle()
        facts = {"changes": told, "people": len(people)}
        await audit.append(work, scope, "role.changed", role_id, facts)
        return view(now or was)

    try:
        return await changes.in_turn(platform, scope, transaction)
    except DuplicateKeyError:
        raise _name_in_use() from None


def view(role: Role) -> RoleView:
    return RoleView(role_id=role.id, name=role.name, permissions=sorted(role.permissions))


async def _check_caller(change: Change, scope: Scope, wanted: frozenset[Permission]) -> None:
    """A role is the same in all stores: raises E_PERMISSION unless the caller manages employees in
    every active one, and may do there all that is wanted."""
    await stores.require_everywhere(change.work, scope, MANAGE)
    managed = managed_by_caller(change, scope)
    check_held(wanted, managed[scope.store_id])
    caller = change.before[scope.actor_id or ""]
    everywhere = TenantStores(change.work, scope.tenant_id, None)
    for store in await everywhere.find(limit=ALL, active=True):
        there = caller.stores.get(store.id)
        check_held(wanted, there.permissions if there else frozenset())


def _differences(was: Role, sent: Mapping[str, Any]) -> list[dict[str, Any]]:
    before = {"name": was.name, "permissions": sorted(each.value for each in was.permissions)}
    return [
        {"field": name, "old": before[name], "new": value}
        for name, value in sent.items()
        if before[name] != value
    ]


def _name_in_use() -> PlayParkError:
    message = "A role of this name exists: change that one, or take another name."
    return PlayParkError(ErrorCode.CONFLICT, message)
