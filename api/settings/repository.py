"""Queries on settings and feature flags."""

from collections.abc import Mapping
from typing import Any

from api.platform.documents import scoped_id
from api.platform.repository import D, InStores, Repository
from api.settings.models import FeatureFlags, Overrides
from playpark.contracts.tenancy import Feature


class _Own(Repository[D]):
    """Those of one store, or with store None the tenant's: one document."""

    async def put(self, values: Mapping[str, Any]) -> D | None:
        """Set {path: value}, or take back where the value is None; as it was before."""
        update: dict[str, Any] = {
            "$set": {path: value for path, value in values.items() if value is not None},
            "$inc": {"version": 1},
        }
        if taken_back := {path: "" for path, value in values.items() if value is None}:
            update["$unset"] = taken_back
        place = scoped_id(self.tenant_id, self.store_id or "*")
        return await self.change(update, before=True, upsert=True, _id=place)


class OverridesRepository(_Own[Overrides]):
    model = Overrides

    async def set_values(self, values: Mapping[tuple[str, str], Any]) -> Overrides | None:
        """Set {(section, name): value}, or take back where the value is None; as it was before."""
        return await self.put(
            {f"sections.{section}.{name}": v for (section, name), v in values.items()}
        )


class OverridesInForce(InStores[Overrides]):
    model = Overrides


class FlagsRepository(_Own[FeatureFlags]):
    model = FeatureFlags

    async def switch(self, features: Mapping[Feature, bool | None]) -> FeatureFlags | None:
        """Switch on or off, or take the switch back where it is None; as it was before."""
        return await self.put({f"features.{name.value}": on for name, on in features.items()})

    async def switched(self) -> dict[str, bool]:
        """What is switched at this level, by name."""
        found = await self.find_one()
        return found.features if found else {}


class FlagsInForce(InStores[FeatureFlags]):
    model = FeatureFlags
