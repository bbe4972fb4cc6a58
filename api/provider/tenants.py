"""Tenants as the operator sees them: opening, naming, suspending (R44)."""

from typing import Any

from api.audit import service as audit
from api.identity.models import Tenant
from api.identity.repository import TenantRepository, TenantSessions
from api.platform.operations import chain_key
from api.platform.services import Platform
from api.platform.uow import Work
from api.provider.repository import AllTenants
from api.provider.scope import ProviderScope
from api.tenancy.opening import open_tenant
from playpark.contracts.provider import TenantAccount, TenantAccountPatch, TenantStatus
from playpark.contracts.tenancy import NewTenant, OpenedTenant
from playpark.errors import ErrorCode, PlayParkError


async def find(work: Work, tenant_id: str) -> Tenant:
    """Raises E_NOT_FOUND."""
    if (found := await AllTenants(work).find_one(_id=tenant_id)) is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such tenant.")
    return found


async def open_for(platform: Platform, operator: ProviderScope, body: NewTenant) -> OpenedTenant:
    """A new park, and who opened it; its site key is told this once."""

    async def note(work: Work, tenant_id: str) -> None:
        await audit.append(work, operator.own, "tenant.opened", tenant_id, {"name": body.name})

    return await open_tenant(platform, body, note=note)


async def change(
    platform: Platform, operator: ProviderScope, tenant_id: str, body: TenantAccountPatch
) -> TenantAccount:
    """Change what is named. A status is written into all sessions of the tenant in the same
    transaction: all of them are refused, or heard again, from their next request on (R43).

    Raises E_NOT_FOUND.
    """
    told = body.model_dump(mode="json", exclude_unset=True)

    async def transaction(work: Work) -> Tenant:
        tenants = TenantRepository(work, tenant_id, None)
        before = await tenants.change({"$set": told}, before=True, _id=tenant_id)
        if before is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such tenant.")
        if body.status is not None:
            sessions = TenantSessions(work, tenant_id, None)
            await sessions.update_many({"$set": {"tenant_status": body.status.value}})
        facts = {"changes": _changes(before, told)}
        await audit.append(work, operator.own, "tenant.changed", tenant_id, facts)
        return before.model_copy(update=told)

    return view(await platform.uow.run(transaction, queue=chain_key(operator.own)))


def view(tenant: Tenant) -> TenantAccount:
    """A tenant as the operator sees it."""
    return TenantAccount(
        tenant_id=tenant.id,
        name=tenant.name,
        legal_name=tenant.legal_name,
        tz=tenant.tz,
        currency=tenant.currency,
        billing_plan=tenant.billing_plan,
        trial_from=tenant.trial_from,
        trial_until=tenant.trial_until,
        status=TenantStatus(tenant.status),
        created_at=tenant.created_at,
    )


def _changes(before: Tenant, told: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"field": name, "old": getattr(before, name), "new": value}
        for name, value in told.items()
        if getattr(before, name) != value
    ]
