"""Feature flags: what a tenant or store switches on and off, and who hears of it (R40, R46).

The flags in force are copied to where they are asked: tenant and stores (devices that are paired
later), sessions (the next request), the next catalogue version (prices; tills and gates without a
server).
"""

from collections.abc import Sequence
from typing import Any

from api.audit import service as audit
from api.identity import stores
from api.identity.repository import (
    AuthorityRepository,
    StoreRepository,
    TenantRepository,
    TenantStores,
)
from api.platform.health import Metrics
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.settings.last_good import LastGood
from api.settings.models import FeatureFlags
from api.settings.repository import FlagsInForce, FlagsRepository
from playpark.contracts.employees import Permission
from playpark.contracts.rules import Level
from playpark.contracts.settings import (
    FeatureFlagsIn,
    FeatureFlagsView,
    FeatureFlagView,
    Features,
    Source,
)
from playpark.contracts.tenancy import Feature

_last_good: LastGood[FeatureFlagsView] = LastGood("feature_flags")


async def in_force(work: Work, tenant_id: str, store_ids: Sequence[str]) -> dict[str, Features]:
    """What is switched on in each store as it is now."""
    found = await _in_force(work, tenant_id, store_ids)
    return {
        store_id: Features.model_validate(
            {name: on for each in flags for name, on in each.features.items()}
        )
        for store_id, flags in found.items()
    }


async def read(platform: Platform, metrics: Metrics, scope: Scope) -> FeatureFlagsView:
    """Every feature in the scope's store and where its state comes from, or the last good copy."""
    work = platform.uow.reading()
    return await _last_good.read(
        platform.mongo, metrics, _place(scope), lambda: view(work, scope.tenant_id, scope.store_id)
    )


async def view(work: Work, tenant_id: str, store_id: str) -> FeatureFlagsView:
    """Every feature in a store and where its state comes from."""
    found = (await _in_force(work, tenant_id, [store_id]))[store_id]
    features = {
        feature: FeatureFlagView(value=value, source=Source.DEFAULT)
        for feature, value in _by_feature(Features()).items()
    }
    for flags in found:
        source = Source.TENANT if flags.store_id is None else Source.STORE
        for name, value in flags.features.items():
            features[Feature(name)] = FeatureFlagView(value=value, source=source)
    return FeatureFlagsView(version=sum(each.version for each in found), features=features)


async def change(platform: Platform, scope: Scope, body: FeatureFlagsIn) -> FeatureFlagsView:
    """Switch features for the store or the whole tenant, or take switches back; it holds from
    everybody's next request on. Raises E_PERMISSION."""
    store_id = None if body.scope is Level.TENANT else scope.store_id

    async def transaction(work: Work) -> FeatureFlagsView:
        if store_id is None:
            await stores.require_everywhere(work, scope, Permission.SETTINGS_WRITE)
        own = FlagsRepository(work, scope.tenant_id, store_id)
        before = await own.switch(body.features)
        await _tell_devices(work, scope.tenant_id, store_id)
        await platform.publish(work, scope.tenant_id, store_id)
        changed = await view(work, scope.tenant_id, scope.store_id)
        was = before.features if before else {}
        changes = [
            {"feature": feature.value, "old": was.get(feature.value), "new": value}
            for feature, value in body.features.items()
        ]
        facts = {"scope": body.scope.value, "changes": changes}
        entity = store_id or scope.tenant_id
        await audit.append(work, scope, "feature_flags.changed", entity, facts)
        return changed

    changed = await platform.uow.run(transaction, queue=chain_key(scope))
    return _last_good.keep(platform.mongo, _place(scope), changed)


async def _tell_devices(work: Work, tenant_id: str, store_id: str | None) -> None:
    """Copy what is in force to the tenant, its store or stores and their sessions.

    The tenant counts the changes of its stores too: a device that is being paired counts in the
    same document, so one of the two comes first and the other sees it.
    """
    everywhere = await FlagsRepository(work, tenant_id, None).switched()
    await TenantRepository(work, tenant_id, None).update_one(
        {"$set": {"features": everywhere}, "$inc": {"feature_changes": 1}}, _id=tenant_id
    )
    which: dict[str, Any] = {} if store_id is None else {"_id": store_id}
    for store in await TenantStores(work, tenant_id, None).find(limit=stores.MANY, **which):
        place = (work, tenant_id, store.id)
        here = await FlagsRepository(*place).switched()
        await StoreRepository(*place).update_one({"$set": {"features": here}}, _id=store.id)
        now = Features.model_validate(everywhere | here).model_dump()
        await AuthorityRepository(*place).update_many({"$set": {"features": now}})


async def _in_force(
    work: Work, tenant_id: str, store_ids: Sequence[str]
) -> dict[str, list[FeatureFlags]]:
    """For each store the tenant's flags, then its own: those that exist."""
    return await FlagsInForce(work, tenant_id, store_ids).by_store(sort="store_id")


def _by_feature(features: Features) -> dict[Feature, bool]:
    return {Feature(name): value for name, value in features.model_dump().items()}


def _place(scope: Scope) -> str:
    return f"{scope.tenant_id}:{scope.store_id}"
