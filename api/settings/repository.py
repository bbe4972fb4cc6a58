"""Queries on settings."""

from typing import Any

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.settings.models import Overrides


class OverridesRepository(Repository[Overrides]):
    """Those of one store, or with store None the tenant's."""

    model = Overrides

    async def set_values(self, values: dict[tuple[str, str], Any]) -> Overrides | None:
        """Set {(section, name): value}, or take back where the value is None; as it was before."""
        paths = {f"sections.{section}.{name}": v for (section, name), v in values.items()}
        update: dict[str, Any] = {
            "$set": {path: value for path, value in paths.items() if value is not None},
            "$inc": {"version": 1},
        }
        if taken_back := {path: "" for path, value in paths.items() if value is None}:
            update["$unset"] = taken_back
        place = scoped_id(self.tenant_id, self.store_id or "*")
        return await self.change(update, before=True, upsert=True, _id=place)


class OverridesInForce(Repository[Overrides]):
    """A store's and its tenant's."""

    model = Overrides

    def where(self, **conditions: Any) -> dict[str, Any]:
        places = {"$in": [self.store_id, None]}
        return {"tenant_id": self.tenant_id, "store_id": places} | conditions
