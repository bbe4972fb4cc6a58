"""Freezing what a store sells as the next immutable version (R12).

A change of the catalogue takes its stores' turns (`api.identity.stores.next_catalogs`), writes,
checks, and freezes, all in one transaction. Taking the turn makes two changes of the same store
follow each other, so that what one of them checks cannot be undone by the other (R10).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from api.approvals import service as approvals
from api.catalog.models import (
    Discount,
    Package,
    PaymentType,
    PriceList,
    PricingRule,
    ReceiptTemplate,
    StoredSnapshot,
    Tax,
    Zone,
)
from api.catalog.parts import (
    DISCOUNTS,
    PACKAGES,
    PAYMENT_TYPES,
    PRICE_LISTS,
    RECEIPT_TEMPLATES,
    RULES,
    TAXES,
    ZONES,
)
from api.catalog.repository import (
    DiscountsInStores,
    PackagesInStores,
    PaymentTypesInStores,
    PriceListsInStores,
    ReceiptTemplatesInStores,
    RulesInStores,
    TaxesInStores,
    TenantSnapshots,
    ZonesInStores,
)
from api.identity import stores
from api.identity.stores import CatalogTurn
from api.platform.documents import scoped_id
from api.platform.uow import Work
from api.settings import features
from api.settings import service as settings
from playpark.canonical import canonical_json
from playpark.contracts.approvals import ReasonCodeView
from playpark.contracts.catalog import PackageKind
from playpark.contracts.rules import MAX_RULES
from playpark.contracts.settings import Features, StoreSettings
from playpark.errors import ErrorCode, PlayParkError

AT_ONCE = 20
"""Stores whose versions are made before other requests get on: about 50 ms."""


async def publish(work: Work, tenant_id: str, store_id: str | None) -> None:
    """Freeze the catalogue of the store, or of all the tenant's, as the next version and tell the
    devices. Run it in the transaction that changed something. Raises E_VALIDATION."""
    await freeze(work, tenant_id, await stores.next_catalogs(work, tenant_id, store_id))


async def freeze(work: Work, tenant_id: str, turns: Sequence[CatalogTurn]) -> None:
    """Write the versions of `turns`. Raises E_VALIDATION for what cannot be sold together."""
    found = await _in_force(work, tenant_id, [turn.store_id for turn in turns])
    snapshots = TenantSnapshots(work, tenant_id, None)
    for first in range(0, len(turns), AT_ONCE):
        some = turns[first : first + AT_ONCE]
        await snapshots.insert_many(
            [_snapshot(tenant_id, turn, found[turn.store_id]) for turn in some]
        )


def _snapshot(tenant_id: str, turn: CatalogTurn, found: "_InForce") -> StoredSnapshot:
    content = _content(found, turn.tz)
    return StoredSnapshot(
        id=scoped_id(tenant_id, turn.store_id, str(turn.version)),
        tenant_id=tenant_id,
        store_id=turn.store_id,
        version=turn.version,
        hash=hashlib.sha256(canonical_json(content)).hexdigest(),
        content=content,
    )


@dataclass(frozen=True, slots=True)
class _InForce:
    """What a store sells now, its tenant's with its own."""

    packages: list[Package]
    zones: list[Zone]
    taxes: list[Tax]
    lists: list[PriceList]
    rules: list[PricingRule]
    discounts: list[Discount]
    payment_types: list[PaymentType]
    templates: list[ReceiptTemplate]
    reason_codes: list[ReasonCodeView]
    settings: StoreSettings
    features: Features


async def _in_force(work: Work, tenant_id: str, store_ids: Sequence[str]) -> dict[str, _InForce]:
    """By store, in as many queries for all of them as for one."""
    places = (work, tenant_id, store_ids)
    packages = await PackagesInStores(*places).by_store(active=True)
    zones = await ZonesInStores(*places).by_store(active=True)
    taxes = await TaxesInStores(*places).by_store()
    lists = await PriceListsInStores(*places).by_store(active=True)
    rules = await RulesInStores(*places).by_store(active=True)
    discounts = await DiscountsInStores(*places).by_store(active=True)
    payment_types = await PaymentTypesInStores(*places).by_store(active=True)
    templates = await ReceiptTemplatesInStores(*places).by_store(descending=True, active=True)
    reasons = await approvals.reason_codes_in(*places)
    merged = await settings.merged(*places)
    switched = await features.in_force(*places)
    return {
        store_id: _InForce(
            packages=packages[store_id],
            zones=zones[store_id],
            taxes=taxes[store_id],
            lists=lists[store_id],
            rules=rules[store_id],
            discounts=discounts[store_id],
            payment_types=payment_types[store_id],
            templates=templates[store_id],
            reason_codes=reasons[store_id],
            settings=merged[store_id],
            features=switched[store_id],
        )
        for store_id in store_ids
    }


def _content(found: _InForce, tz: str) -> dict[str, Any]:
    """All that is in force, in an order of its own, so that the same catalogue has the same
    hash."""
    _check_on_sale(found.packages, {zone.id for zone in found.zones})
    if len(found.rules) > MAX_RULES:
        message = f"A store has at most {MAX_RULES} active rules: switch others off first."
        raise PlayParkError(ErrorCode.VALIDATION, message, details={"most": MAX_RULES})
    views: dict[str, Sequence[BaseModel]] = {
        "packages": [
            PACKAGES.show(each) for each in sorted(found.packages, key=lambda p: (p.sort, p.id))
        ],
        "zones": [ZONES.show(each) for each in found.zones],
        "taxes": [TAXES.show(each) for each in found.taxes],
        "price_lists": [PRICE_LISTS.show(each) for each in found.lists],
        "rules": [RULES.show(each) for each in found.rules],
        "discounts": [DISCOUNTS.show(each) for each in found.discounts],
        "payment_types": [
            PAYMENT_TYPES.show(each)
            for each in sorted(found.payment_types, key=lambda p: (p.sort, p.id))
        ],
        "reason_codes": found.reason_codes,
    }
    return {
        **{name: [view.model_dump(mode="json") for view in part] for name, part in views.items()},
        "receipt_template": next(
            (RECEIPT_TEMPLATES.show(each).model_dump(mode="json") for each in found.templates), None
        ),
        "settings": found.settings.model_dump(mode="json"),
        "features": found.features.model_dump(mode="json"),
        "tz": tz,
    }


def _check_on_sale(packages: Sequence[Package], zones: set[str]) -> None:
    """A bundle is sold as its components, so all of them are on sale with it (R18); a ticket's
    zones are open, or nobody could be let in."""
    tickets = {each.id for each in packages if each.kind is not PackageKind.BUNDLE}
    for package in packages:
        if not {part["package_id"] for part in package.components} <= tickets:
            message = f"{package.name} has a component that is not on sale: take it off sale too."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        if not set(package.zones) <= zones:
            message = f"{package.name} admits to a zone that is not in use: change it first."
            raise PlayParkError(ErrorCode.VALIDATION, message)
