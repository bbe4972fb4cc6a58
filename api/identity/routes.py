"""HTTP of device pairing and employee login."""

from api.identity import devices, employees
from api.identity.repository import DeviceRepository
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router, public_router
from api.platform.jwt import unauthenticated
from api.platform.services import App, Caller
from playpark.contracts.auth import (
    DeviceLoginIn,
    DeviceRegistered,
    DeviceRegisterIn,
    DeviceSession,
    LoggedOut,
    RefreshIn,
)
from playpark.contracts.base import Envelope, Page
from playpark.contracts.employees import EmployeeLoginIn, EmployeeSession, EmployeeView, Permission
from playpark.contracts.tenancy import DeviceView

public = public_router("auth")
private = private_router("people")


@public.post("/auth/device/register")
async def register_device(platform: App, body: DeviceRegisterIn) -> Envelope[DeviceRegistered]:
    """Pair a device with a site key. The token is shown this once."""
    return ok(await devices.register(platform, body))


@public.post("/auth/device/login")
async def login_device(platform: App, body: DeviceLoginIn) -> Envelope[DeviceSession]:
    """A short-lived access token for a paired device."""
    return ok(await devices.login(platform, body))


@public.post("/auth/refresh")
async def refresh(platform: App, body: RefreshIn) -> Envelope[EmployeeSession]:
    """A new pair of tokens; the refresh token that was sent is dead afterwards."""
    return ok(await employees.refresh(platform, body.refresh_token))


@private.post("/auth/logout")
async def logout(platform: App, scope: Caller) -> Envelope[LoggedOut]:
    """End the employee's session on this device."""
    await employees.logout(platform, scope)
    return ok(LoggedOut(logged_out=True))


@private.post("/employees/login")
async def login_employee(
    platform: App, scope: Caller, body: EmployeeLoginIn
) -> Envelope[EmployeeSession]:
    """PIN login on the device whose token is sent."""
    return ok(await employees.login(platform, scope, body))


@private.get("/employees/me")
async def me(scope: Caller) -> Envelope[EmployeeView]:
    """Who is logged in, and what they may do in this store."""
    if scope.actor is None:
        raise unauthenticated()
    return ok(employees.view(scope.actor))


@private.get("/devices/me")
async def my_device(platform: App, scope: Caller) -> Envelope[DeviceView]:
    """The calling device and its capabilities."""
    work = platform.uow.reading()
    repository = DeviceRepository.of(work, scope)
    device = await repository.find_one(_id=scope.device.device_id)
    if device is None:
        raise unauthenticated()
    return ok(devices.device_view(device))


@private.get("/devices")
async def list_devices(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[DeviceView]]:
    """The store's devices, newest first. Needs `device_manage`."""
    scope.require(Permission.DEVICE_MANAGE)
    repository = DeviceRepository.of(platform.uow.reading(), scope)
    found, more = await repository.page(limit, cursor)
    return ok(Page(items=[devices.device_view(device) for device in found], next_cursor=more))
