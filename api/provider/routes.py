"""HTTP of the operator of many tenants, and of what devices and tenants tell and ask them."""

from typing import Annotated, Any

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from api.audit import reading
from api.audit.repository import Chosen
from api.identity.repository import TenantRepository
from api.identity.stores import require_everywhere
from api.platform.csv import CSV, AsksForCsv, Listing, Wish
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router, provider_router, public_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from api.platform.usage import ROUTE
from api.provider import alerts, billing, heartbeats, operators, tenants
from api.provider.repository import (
    AllAlerts,
    AllDevices,
    AllTenants,
    AllUsage,
    ProviderAudits,
)
from api.provider.scope import Operator
from playpark.canonical import canonical_json
from playpark.contracts.audit import AuditView, EntityId, EventType
from playpark.contracts.auth import LoggedOut, TotpConfirmIn, TotpEnrolment
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.provider import (
    AlertView,
    BillingRow,
    DeviceHealth,
    HeartbeatAnswer,
    HeartbeatIn,
    Month,
    OperatorView,
    PasswordChangeIn,
    ProviderLoginIn,
    ProviderSession,
    TenantAccount,
    TenantAccountPatch,
    TotpEnrolIn,
    UsageRow,
)
from playpark.contracts.tenancy import NewTenant, OpenedTenant

public = public_router("provider")
private = private_router("provider")
provider = provider_router("provider")
OfTenant = Annotated[IdStr | None, Query(alias="tenant", description="only of this tenant_id")]
InMonth = Annotated[Month | None, Query(description="such as 2026-11, by default the present one")]
AUDITED = tuple(AuditView.model_fields)
BILLED = tuple(BillingRow.model_fields)


async def _listing(asks: AsksForCsv, limit: Limit = 50, cursor: Cursor = None) -> Wish:
    return Wish(asks, limit, cursor)


OperatorsListing = Annotated[Wish, Depends(_listing)]
"""`limit`, `cursor` and `format` of a list that an operator asks for."""


# --- operators --------------------------------------------------------------------------


@public.post("/provider/login")
async def login(platform: App, body: ProviderLoginIn) -> Envelope[ProviderSession]:
    """A provider token for an hour: email, password and, where one is enrolled, the code of the
    authenticator app."""
    return ok(await operators.login(platform, body))


@provider.post("/provider/logout")
async def logout(platform: App, operator: Operator) -> Envelope[LoggedOut]:
    """End all logins of this operator, on every machine."""
    await operators.logout(platform, operator)
    return ok(LoggedOut(logged_out=True))


@provider.post("/provider/password")
async def change_password(
    platform: App, operator: Operator, body: PasswordChangeIn
) -> Envelope[ProviderSession]:
    """Another password. All logins end; the token in the answer goes on."""
    return ok(await operators.change_password(platform, operator, body))


@provider.post("/provider/totp")
async def enrol_totp(
    platform: App, operator: Operator, body: TotpEnrolIn
) -> Envelope[TotpEnrolment]:
    """A secret for an authenticator app, shown this once. When a code has confirmed it, it takes
    the place of an earlier one, which counts until then."""
    return ok(await operators.enrol(platform, operator, body.password, body.totp))


@provider.post("/provider/totp/confirm")
async def confirm_totp(
    platform: App, operator: Operator, body: TotpConfirmIn
) -> Envelope[OperatorView]:
    """Show that the app works: from now on logins need its codes."""
    return ok(await operators.confirm(platform, operator, body.code))


# --- tenants ----------------------------------------------------------------------------


@provider.get("/provider/tenants")
async def list_tenants(
    platform: App, _operator: Operator, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[TenantAccount]]:
    """All tenants, newest first."""
    found, more = await AllTenants(platform.uow.reading()).page(limit, cursor)
    return ok(Page(items=[tenants.view(tenant) for tenant in found], next_cursor=more))


@provider.post("/provider/tenants")
async def open_tenant(platform: App, operator: Operator, body: NewTenant) -> Envelope[OpenedTenant]:
    """Open a park with its first store and its owner. The site key is shown this once."""
    return ok(await tenants.open_for(platform, operator, body))


@provider.get("/provider/tenants/{tenant_id}")
async def one_tenant(
    platform: App, _operator: Operator, tenant_id: IdStr
) -> Envelope[TenantAccount]:
    """One tenant."""
    return ok(tenants.view(await tenants.find(platform.uow.reading(), tenant_id)))


@provider.patch("/provider/tenants/{tenant_id}")
async def change_tenant(
    platform: App, operator: Operator, tenant_id: IdStr, body: TenantAccountPatch
) -> Envelope[TenantAccount]:
    """Name, plan, status. The next request of a suspended tenant's tokens is refused."""
    return ok(await tenants.change(platform, operator, tenant_id, body))


# --- devices ----------------------------------------------------------------------------


@private.post("/provider/heartbeats", dependencies=needs(device=True))
async def heartbeat(platform: App, scope: Caller, body: HeartbeatIn) -> Envelope[HeartbeatAnswer]:
    """How the calling device is; what it should know. Every 30 seconds, whoever is logged in."""
    return ok(await heartbeats.receive(platform, scope, body))


@provider.get("/provider/devices")
async def list_devices(
    platform: App,
    _operator: Operator,
    tenant: OfTenant = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[DeviceHealth]]:
    """All devices with their last heartbeats, newest first."""
    work = platform.uow.reading()
    found, more = await AllDevices(work).page(limit, cursor, **_of(tenant))
    return ok(Page(items=await heartbeats.health(work, found), next_cursor=more))


@provider.get("/provider/alerts")
async def list_alerts(
    platform: App,
    _operator: Operator,
    tenant: OfTenant = None,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[AlertView]]:
    """Alerts about devices, newest first. Every 30 seconds the server looks who is silent."""
    known = AllAlerts(platform.uow.reading())
    found, more = await known.listed(limit, cursor, is_open=is_open, **_of(tenant))
    return ok(Page(items=[alerts.view(alert) for alert in found], next_cursor=more))


@provider.post("/provider/alerts/{alert_id}/ack")
async def acknowledge(platform: App, operator: Operator, alert_id: IdStr) -> Envelope[AlertView]:
    """Say that you look after it. The first who does so stays."""
    return ok(await alerts.acknowledge(platform, operator, alert_id))


@provider.get("/provider/audits", response_model=Envelope[Page[AuditView]], responses=CSV)
async def list_audits(
    platform: App,
    _operator: Operator,
    listing: OperatorsListing,
    event_type: Annotated[
        EventType | None, Query(description="`tenant.changed`, or what stands before a dot")
    ] = None,
    entity_id: Annotated[EntityId | None, Query(description="the tenant, alert, operator")] = None,
) -> Envelope[Page[AuditView]] | StreamingResponse:
    """What operators did, newest first."""
    rows = ProviderAudits(platform.uow.reading())
    conditions = await rows.conditions(Chosen(event_type=event_type, entity_id=entity_id))
    return await listing.answer(
        lambda limit, cursor: rows.newest(limit, cursor, conditions),
        reading.row_view,
        AUDITED,
        lambda _row, told: {"payload": canonical_json(told.payload).decode("utf-8", "replace")},
    )


# --- usage ------------------------------------------------------------------------------


@provider.get("/provider/usage")
async def usage(
    platform: App,
    _operator: Operator,
    tenant: OfTenant = None,
    month: InMonth = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[UsageRow]]:
    """Requests by tenant, month and route; of all months where none is named. What other processes
    have counted in the last ten seconds may be missing."""
    await platform.usage.flush(platform.uow)
    chosen = {**_of(tenant), "counted": ROUTE}
    if month is not None:
        chosen["month"] = month
    found, more = await AllUsage(platform.uow.reading()).page(limit, cursor, **chosen)
    return ok(Page(items=[billing.usage_view(counter) for counter in found], next_cursor=more))


@provider.get("/provider/billing/usage", response_model=Envelope[Page[BillingRow]], responses=CSV)
async def bill(
    platform: App,
    _operator: Operator,
    listing: OperatorsListing,
    tenant: OfTenant = None,
    month: InMonth = None,
) -> Envelope[Page[BillingRow]] | StreamingResponse:
    """What each tenant used in a month, and what that is by its plan."""
    return await _bill(platform, listing, tenant, month)


@private.get(
    "/usage/billing/usage",
    response_model=Envelope[Page[BillingRow]],
    responses=CSV,
    dependencies=needs(Permission.PROVIDER_VIEW),
)
async def own_bill(
    platform: App, scope: Caller, listing: Listing, month: InMonth = None
) -> Envelope[Page[BillingRow]] | StreamingResponse:
    """What the caller's own tenant used in a month, in all its stores, and what that is by its
    plan."""
    await require_everywhere(platform.uow.reading(), scope, Permission.PROVIDER_VIEW)
    return await _bill(platform, listing, scope.tenant_id, month)


async def _bill(
    platform: App, listing: Wish, tenant: str | None, month: str | None
) -> Envelope[Page[BillingRow]] | StreamingResponse:
    await platform.usage.flush(platform.uow)

    async def fetch(limit: int, cursor: str | None) -> tuple[list[BillingRow], str | None]:
        work = platform.uow.reading()
        chosen = AllTenants(work) if tenant is None else TenantRepository(work, tenant, None)
        found, more = await chosen.page(min(limit, billing.A_TURN), cursor)
        plans = platform.settings.billing_plans
        return [await billing.row(work, tenant, month, plans) for tenant in found], more

    return await listing.answer(fetch, lambda row: row, BILLED)


def _of(tenant: str | None) -> dict[str, Any]:
    return {} if tenant is None else {"tenant_id": tenant}
