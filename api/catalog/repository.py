"""Queries on the catalogue."""

from typing import Any

from api.catalog.models import (
    Discount,
    Package,
    PaymentType,
    PriceList,
    PricingRule,
    ReceiptTemplate,
    RuleUses,
    StoredSnapshot,
    Tax,
    Zone,
)
from api.platform.repository import D, InStores, Repository


class PackageRepository(Repository[Package]):
    model = Package


class TenantPackages(Repository[Package]):
    """The packages of all stores of a tenant: what a tenant's rule may name."""

    model = Package

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id} | conditions


class ZoneRepository(Repository[Zone]):
    model = Zone


class TaxRepository(Repository[Tax]):
    model = Tax


class DiscountRepository(Repository[Discount]):
    model = Discount


class PaymentTypeRepository(Repository[PaymentType]):
    model = PaymentType


class _InForce(Repository[D]):
    """Reads a store's own documents and its tenant's; writes go through the plain repositories."""

    def where(self, **conditions: Any) -> dict[str, Any]:
        places = {"$in": [self.store_id, None]}
        return {"tenant_id": self.tenant_id, "store_id": places} | conditions


class PriceListRepository(Repository[PriceList]):
    """Those of one store, or with store None the tenant's."""

    model = PriceList


class PriceListsInForce(_InForce[PriceList]):
    model = PriceList


class PackagesInStores(InStores[Package]):
    model = Package


class ZonesInStores(InStores[Zone]):
    model = Zone


class TaxesInStores(InStores[Tax]):
    model = Tax


class PriceListsInStores(InStores[PriceList]):
    model = PriceList


class RulesInStores(InStores[PricingRule]):
    model = PricingRule


class DiscountsInStores(InStores[Discount]):
    model = Discount


class PaymentTypesInStores(InStores[PaymentType]):
    model = PaymentType


class ReceiptTemplatesInStores(InStores[ReceiptTemplate]):
    model = ReceiptTemplate


class RuleRepository(Repository[PricingRule]):
    """Those of one store, or with store None the tenant's."""

    model = PricingRule


class RulesInForce(_InForce[PricingRule]):
    model = PricingRule


class RuleUsesRepository(Repository[RuleUses]):
    """Those of one store's rules, or with store None the tenant's."""

    model = RuleUses

    async def count(self, rule_id: str, cap: int) -> bool:
        """Take one use; False where the cap is reached."""
        return await self.update_one({"$inc": {"used": 1}}, _id=rule_id, used={"$lt": cap})

    async def give_back(self, rule_id: str) -> None:
        await self.update_one({"$inc": {"used": -1}}, _id=rule_id, used={"$gt": 0})


class RuleUsesInForce(_InForce[RuleUses]):
    model = RuleUses


class ReceiptTemplateRepository(Repository[ReceiptTemplate]):
    model = ReceiptTemplate


class SnapshotRepository(Repository[StoredSnapshot]):
    model = StoredSnapshot


class TenantSnapshots(Repository[StoredSnapshot]):
    """The versions of all stores of a tenant: for what is published for all of them."""

    model = StoredSnapshot

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id} | conditions
