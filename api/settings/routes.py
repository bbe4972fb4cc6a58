"""HTTP of settings."""

from api.platform.envelope import ok
from api.platform.http import private_router
from api.platform.services import App, Caller
from api.settings import service
from playpark.contracts.base import Envelope
from playpark.contracts.settings import SettingsIn, SettingsView

private = private_router("settings")


@private.get("/settings")
async def settings(platform: App, scope: Caller) -> Envelope[SettingsView]:
    """Every setting of this store, and whether it is the default, the tenant's or the store's."""
    return ok(await service.read(platform.uow.reading(), scope))


@private.put("/settings")
async def change_settings(platform: App, scope: Caller, body: SettingsIn) -> Envelope[SettingsView]:
    """Set values for the store or the whole tenant; null takes one back. Needs
    `settings_write`."""
    return ok(await service.change(platform, scope, body))
