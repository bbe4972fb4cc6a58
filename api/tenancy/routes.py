"""HTTP of stores, site keys and devices."""

from typing import Annotated

from fastapi import Query

from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from api.tenancy import devices, qa, site_keys, stores
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.qa import QaSwitches, QaView
from playpark.contracts.tenancy import (
    DeviceDetail,
    DevicePatch,
    DeviceRotated,
    DeviceStatus,
    DeviceType,
    DeviceView,
    SiteKeyCreated,
    SiteKeyIn,
    SiteKeyView,
    StoreIn,
    StorePatch,
    StoreView,
    TenantView,
)

private = private_router("tenancy")
MANAGE, WRITE = Permission.DEVICE_MANAGE, Permission.SETTINGS_WRITE


# --- tenant and stores ------------------------------------------------------------------


@private.get("/tenants/me", dependencies=needs())
async def my_tenant(platform: App, scope: Caller) -> Envelope[TenantView]:
    """The tenant that the caller belongs to."""
    return ok(await stores.tenant_view(platform.uow.reading(), scope))


@private.get("/stores", dependencies=needs())
async def list_stores(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[StoreView]]:
    """On ADMIN devices the stores of the employee's memberships, newest first; elsewhere the
    device's own."""
    return ok(await stores.page(platform.uow.reading(), scope, limit, cursor))


@private.post("/stores", dependencies=needs(WRITE))
async def create_store(platform: App, scope: Caller, body: StoreIn) -> Envelope[StoreView]:
    """Open another store, with the reasons and taxes of the present one and the caller's roles in
    it. The permission is needed in every active store."""
    return ok(await stores.create(platform, scope, body))


@private.patch("/stores/{store_id}", dependencies=needs(WRITE))
async def change_store(
    platform: App, scope: Caller, store_id: IdStr, body: StorePatch
) -> Envelope[StoreView]:
    """Change or close one of the caller's stores. The permission is needed in that store too."""
    return ok(await stores.change(platform, scope, store_id, body))


# --- site keys --------------------------------------------------------------------------


@private.get("/site_keys", dependencies=needs(MANAGE))
async def list_site_keys(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[SiteKeyView]]:
    """The store's keys and the tenant's, newest first, by their beginnings only."""
    return ok(await site_keys.page(platform.uow.reading(), scope, limit, cursor))


@private.post("/site_keys", dependencies=needs(MANAGE))
async def create_site_key(
    platform: App, scope: Caller, body: SiteKeyIn
) -> Envelope[SiteKeyCreated]:
    """A key that pairs devices; it is shown this once. For a tenant's key the permission is needed
    in every active store."""
    return ok(await site_keys.create(platform, scope, body))


@private.post("/site_keys/{site_key_id}/withdraw", dependencies=needs(MANAGE))
async def withdraw_site_key(
    platform: App, scope: Caller, site_key_id: IdStr
) -> Envelope[SiteKeyView]:
    """Make a key useless. Devices that it has paired stay."""
    return ok(await site_keys.withdraw(platform, scope, site_key_id))


# --- devices ----------------------------------------------------------------------------


@private.get("/devices/me", dependencies=needs(device=True))
async def my_device(platform: App, scope: Caller) -> Envelope[DeviceView]:
    """The calling device and its capabilities."""
    return ok(await devices.own(platform.uow.reading(), scope))


@private.get("/devices", dependencies=needs(MANAGE))
async def list_devices(
    platform: App,
    scope: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: DeviceStatus | None = None,
    device_type: Annotated[DeviceType | None, Query(alias="type")] = None,
) -> Envelope[Page[DeviceDetail]]:
    """The store's devices, newest first."""
    work = platform.uow.reading()
    found = await devices.page(work, scope, limit, cursor, status=status, device_type=device_type)
    return ok(found)


@private.get("/devices/{device_id}", dependencies=needs(MANAGE))
async def read_device(platform: App, scope: Caller, device_id: IdStr) -> Envelope[DeviceDetail]:
    """One device, with its notes and the last use of its token."""
    return ok(await devices.one(platform.uow.reading(), scope, device_id))


@private.patch("/devices/{device_id}", dependencies=needs(MANAGE))
async def change_device(
    platform: App, scope: Caller, device_id: IdStr, body: DevicePatch
) -> Envelope[DeviceDetail]:
    """Change name, notes and capabilities; they hold from the device's next request on."""
    return ok(await devices.change(platform, scope, device_id, body))


@private.post("/devices/{device_id}/approve", dependencies=needs(MANAGE))
async def approve_device(platform: App, scope: Caller, device_id: IdStr) -> Envelope[DeviceDetail]:
    """Let a pending device work."""
    return ok(await devices.move(platform, scope, device_id, devices.APPROVE))


@private.post("/devices/{device_id}/suspend", dependencies=needs(MANAGE))
async def suspend_device(platform: App, scope: Caller, device_id: IdStr) -> Envelope[DeviceDetail]:
    """Refuse an active device until it is resumed."""
    return ok(await devices.move(platform, scope, device_id, devices.SUSPEND))


@private.post("/devices/{device_id}/resume", dependencies=needs(MANAGE))
async def resume_device(platform: App, scope: Caller, device_id: IdStr) -> Envelope[DeviceDetail]:
    """Let a suspended device work again."""
    return ok(await devices.move(platform, scope, device_id, devices.RESUME))


@private.post("/devices/{device_id}/revoke", dependencies=needs(MANAGE, fresh=True))
async def revoke_device(platform: App, scope: Caller, device_id: IdStr) -> Envelope[DeviceDetail]:
    """Refuse a device for good: pairing it again makes a new one with another number."""
    return ok(await devices.move(platform, scope, device_id, devices.REVOKE))


@private.post("/devices/{device_id}/rotate", dependencies=needs(MANAGE, fresh=True))
async def rotate_device(platform: App, scope: Caller, device_id: IdStr) -> Envelope[DeviceRotated]:
    """Another device token, shown this once; all tokens issued before are dead."""
    return ok(await devices.rotate(platform, scope, device_id))


@private.get("/devices/{device_id}/qa", dependencies=needs(MANAGE))
async def read_simulation(platform: App, scope: Caller, device_id: IdStr) -> Envelope[QaView]:
    """What the simulator does to a device."""
    return ok(await qa.read(platform.uow.reading(), scope, device_id))


@private.put("/devices/{device_id}/qa", dependencies=needs(MANAGE))
async def simulate(
    platform: App, scope: Caller, device_id: IdStr, body: QaSwitches
) -> Envelope[QaView]:
    """Simulate outages on a device, exactly these; `{}` ends them. It hears of it with its next
    heartbeat. Refused in production."""
    return ok(await qa.put(platform, scope, device_id, body))
