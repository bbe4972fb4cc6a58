"""Stores of a tenant, and the tenant itself (R30, R40, R44; decision 0010)."""

from dataclasses import replace
from typing import Any

from api.approvals import service as approvals
from api.audit import service as audit
from api.catalog.editing import insert
from api.catalog.parts import NO_LIMIT, TAXES, Edit
from api.catalog.repository import TaxRepository
from api.identity import changes
from api.identity.devices import store_view
from api.identity.models import Membership, Store, Tenant
from api.identity.repository import (
    AuthorityRepository,
    MembershipRepository,
    StoreRepository,
    TenantMemberships,
    TenantRepository,
    TenantStores,
)
from api.identity.standing import Standing, standings
from api.identity.stores import MANY, require_everywhere
from api.platform.documents import scoped_id
from api.platform.jwt import unauthenticated
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.tenancy.opening import add_reasons
from playpark.contracts.approvals import ReasonCodeIn
from playpark.contracts.base import Page
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import StoreIn, StorePatch, StoreView, TenantView
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

WRITE = Permission.SETTINGS_WRITE


async def page(work: Work, scope: Scope, limit: int, cursor: str | None) -> Page[StoreView]:
    """The stores that the caller may see, newest first, closed ones too: on ADMIN devices those of
    their memberships, elsewhere the device's own."""
    tenant = await _tenant(work, scope)
    mine = {scope.store_id, *(scope.actor.stores if scope.actor else ())}
    stores = TenantStores(work, scope.tenant_id, None)
    found, more = await stores.page(limit, cursor, store_id={"$in": sorted(mine)})
    return Page(items=[store_view(store, tenant) for store in found], next_cursor=more)


async def tenant_view(work: Work, scope: Scope) -> TenantView:
    """The caller's tenant."""
    tenant = await _tenant(work, scope)
    return TenantView(
        tenant_id=tenant.id,
        name=tenant.name,
        legal_name=tenant.legal_name,
        tz=tenant.tz,
        currency=tenant.currency,
        status=tenant.status,
    )


async def create(platform: Platform, scope: Scope, body: StoreIn) -> StoreView:
    """Open another store that can be worked in at once: it takes over the reasons and taxes of the
    caller's present store, and the caller works there with the same roles. So does everybody
    who may do all that the caller may: nobody opens a store over the heads of the park's owners.

    Raises E_PERMISSION where the caller may not do so in every store.
    """
    if scope.actor is None:
        raise unauthenticated()
    creator, store_id = scope.actor.employee_id, new_ulid()

    async def transaction(work: Work) -> StoreView:
        known = await standings(work, scope.tenant_id, {creator})
        members = {creator, *await _no_less(work, scope, known[creator])}
        change = await changes.begin(work, scope, members)
        await require_everywhere(work, scope, WRITE)
        tenant = await _tenant(work, scope)
        store = Store(
            id=store_id,
            tenant_id=tenant.id,
            store_id=store_id,
            tz=body.tz or tenant.tz,
            **body.model_dump(exclude={"tz"}),
        )
        await StoreRepository(work, tenant.id, store_id).insert(store)
        await _furnish(work, scope, store_id)
        here = MembershipRepository.of(work, scope)
        there = [
            Membership(
                id=scoped_id(tenant.id, store_id, each.employee_id),
                tenant_id=tenant.id,
                store_id=store_id,
                employee_id=each.employee_id,
                roles=each.roles,
            )
            for each in await here.find(limit=MANY, employee_id={"$in": sorted(members)})
        ]
        await MembershipRepository(work, tenant.id, store_id).insert_many(there)
        await platform.publish(work, tenant.id, store_id)
        await change.settle()
        facts = {**body.model_dump(mode="json"), "tz": store.tz}
        await audit.append(work, scope, "store.created", store_id, facts)
        return store_view(store, tenant)

    return await changes.in_turn(platform, scope, transaction)


async def _no_less(work: Work, scope: Scope, caller: Standing) -> set[str]:
    """Who may do in every store of the caller all that the caller may do there."""
    near = await TenantMemberships(work, scope.tenant_id, None).people(
        store_id=scope.store_id, active=True
    )
    people = await standings(work, scope.tenant_id, near)
    return {
        employee_id
        for employee_id, person in people.items()
        if person.active
        and all(
            store_id in person.stores and there.permissions <= person.stores[store_id].permissions
            for store_id, there in caller.stores.items()
        )
    }


async def _furnish(work: Work, scope: Scope, store_id: str) -> None:
    """Copy what a store cannot be worked in without."""
    known = await approvals.reason_codes(work, scope.tenant_id, scope.store_id)
    reasons = [ReasonCodeIn(**reason.model_dump()) for reason in known]
    await add_reasons(work, scope.tenant_id, store_id, reasons)
    edit = Edit(work, scope.tenant_id, store_id, turns=())
    taxes = await TaxRepository.of(work, scope).find(limit=NO_LIMIT)
    # The first of them is the one that packages have by default: the order is kept.
    for tax_id, tax in zip(sorted(new_ulid() for _ in taxes), taxes, strict=True):
        await insert(edit, TAXES, tax_id, TAXES.whole.model_validate(TAXES.values(tax)))


async def change(platform: Platform, scope: Scope, store_id: str, patch: StorePatch) -> StoreView:
    """Change a store of the caller's; another time zone reaches its devices with their next
    request.

    Raises E_NOT_FOUND for a store that is not theirs, E_PERMISSION where they may not do so in it,
    E_CONFLICT for closing the store that they work from.
    """
    there = _in_store(scope, store_id)
    there.require(WRITE)

    async def transaction(work: Work) -> StoreView:
        tenant = await _tenant(work, scope)
        stores = StoreRepository(work, scope.tenant_id, store_id)
        store = await stores.find_one(_id=store_id)
        if store is None:
            raise _no_such_store()
        told = [
            {"field": name, "old": getattr(store, name), "new": value}
            for name, value in patch.model_dump(exclude_unset=True).items()
            if getattr(store, name) != value
        ]
        if not told:
            return store_view(store, tenant)
        fields: dict[str, Any] = {each["field"]: each["new"] for each in told}
        if fields.get("active") is False and store_id == scope.home_store_id:
            message = "You are working in this store: close it from a device of another one."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        changed = await stores.change({"$set": fields}, _id=store_id)
        if "tz" in fields:
            sessions = AuthorityRepository(work, scope.tenant_id, store_id)
            await sessions.update_many({"$set": {"tz": fields["tz"]}})
            await platform.publish(work, scope.tenant_id, store_id)
        await audit.append(work, there, "store.changed", store_id, {"changes": told})
        return store_view(changed or store, tenant)

    return await platform.uow.run(transaction, queue=chain_key(there))


def _in_store(scope: Scope, store_id: str) -> Scope:
    """The caller in another store of theirs, closed ones too. Raises E_NOT_FOUND."""
    if store_id == scope.store_id:
        return scope
    if scope.actor is None or store_id not in scope.actor.stores:
        raise _no_such_store()
    actor = replace(scope.actor, permissions=scope.actor.stores[store_id])
    return scope.in_store(store_id, actor, scope.catalog_version, scope.tz)


def _no_such_store() -> PlayParkError:
    return PlayParkError(ErrorCode.NOT_FOUND, "There is no such store.")


async def _tenant(work: Work, scope: Scope) -> Tenant:
    tenant = await TenantRepository.of(work, scope).find_one(_id=scope.tenant_id)
    if tenant is None:
        raise RuntimeError("session without tenant")  # a tenant is never deleted
    return tenant
