"""HTTP of settings and feature flags."""

from api.platform.envelope import ok
from api.platform.health import Measured
from api.platform.http import private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from api.settings import features, service
from playpark.contracts.base import Envelope
from playpark.contracts.employees import Permission
from playpark.contracts.settings import (
    FeatureFlagsIn,
    FeatureFlagsView,
    SettingsIn,
    SettingsView,
)

private = private_router("settings")


@private.get("/settings", dependencies=needs())
async def settings(platform: App, metrics: Measured, scope: Caller) -> Envelope[SettingsView]:
    """Every setting of this store, and whether it is the default, the tenant's or the store's.

    While it cannot be read the last good copy is answered, marked as `stale`.
    """
    return ok(await service.read(platform, metrics, scope))


@private.put("/settings", dependencies=needs(Permission.SETTINGS_WRITE))
async def change_settings(platform: App, scope: Caller, body: SettingsIn) -> Envelope[SettingsView]:
    """Set values for the store or the whole tenant; null takes one back. For the tenant it takes
    the permission in every store."""
    return ok(await service.change(platform, scope, body))


@private.get("/feature_flags", dependencies=needs())
async def feature_flags(
    platform: App, metrics: Measured, scope: Caller
) -> Envelope[FeatureFlagsView]:
    """What is switched on in this store, and whether that is the default, the tenant's or the
    store's. While it cannot be read the last good copy is answered, marked as `stale`."""
    return ok(await features.read(platform, metrics, scope))


@private.put("/feature_flags", dependencies=needs(Permission.SETTINGS_WRITE))
async def switch_features(
    platform: App, scope: Caller, body: FeatureFlagsIn
) -> Envelope[FeatureFlagsView]:
    """Switch features for the store or the whole tenant; null takes a switch back. It holds from
    the next request of every device on. For the tenant it takes the permission in every store."""
    return ok(await features.change(platform, scope, body))
