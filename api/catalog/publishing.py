"""Freezing what a store sells as the next immutable version (R12).

A change of the catalogue takes its stores' turns (`api.identity.stores.next_catalogs`), writes,
checks, and freezes, all in one transaction. Taking the turn makes two changes of the same store
follow each other, so that what one of them checks cannot be undone by the other (R10).
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from api.approvals import service as approvals
from api.catalog.models import Package, StoredSnapshot
from api.catalog.parts import (
    DISCOUNTS,
    NO_LIMIT,
    PACKAGES,
    PAYMENT_TYPES,
    PRICE_LISTS,
    RECEIPT_TEMPLATES,
    RULES,
    TAXES,
    ZONES,
)
from api.catalog.repository import (
    DiscountRepository,
    PackageRepository,
    PaymentTypeRepository,
    PriceListsInForce,
    ReceiptTemplateRepository,
    RulesInForce,
    SnapshotRepository,
    TaxRepository,
    ZoneRepository,
)
from api.identity import stores
from api.identity.stores import CatalogTurn
from api.platform.documents import scoped_id
from api.platform.uow import Work
from api.settings import features
from api.settings import service as settings
from playpark.canonical import canonical_json
from playpark.contracts.catalog import PackageKind
from playpark.contracts.rules import MAX_RULES
from playpark.errors import ErrorCode, PlayParkError


async def publish(work: Work, tenant_id: str, store_id: str | None) -> None:
    """Freeze the catalogue of the store, or of all the tenant's, as the next version and tell the
    devices. Run it in the transaction that changed something. Raises E_VALIDATION."""
    for turn in await stores.next_catalogs(work, tenant_id, store_id):
        await freeze(work, tenant_id, turn)


async def freeze(work: Work, tenant_id: str, turn: CatalogTurn) -> None:
    """Write the version of `turn`. Raises E_VALIDATION for what cannot be sold together."""
    content = await _content(work, tenant_id, turn)
    snapshot = StoredSnapshot(
        id=scoped_id(tenant_id, turn.store_id, str(turn.version)),
        tenant_id=tenant_id,
        store_id=turn.store_id,
        version=turn.version,
        hash=hashlib.sha256(canonical_json(content)).hexdigest(),
        content=content,
    )
    await SnapshotRepository(work, tenant_id, turn.store_id).insert(snapshot)


async def _content(work: Work, tenant_id: str, turn: CatalogTurn) -> dict[str, Any]:
    """All that is in force, in an order of its own, so that the same catalogue has the same
    hash."""
    place = (work, tenant_id, turn.store_id)
    packages = await PackageRepository(*place).find(limit=NO_LIMIT, active=True)
    zones = await ZoneRepository(*place).find(limit=NO_LIMIT, active=True)
    taxes = await TaxRepository(*place).find(limit=NO_LIMIT)
    lists = await PriceListsInForce(*place).find(limit=NO_LIMIT, active=True)
    rules = await RulesInForce(*place).find(limit=NO_LIMIT, active=True)
    discounts = await DiscountRepository(*place).find(limit=NO_LIMIT, active=True)
    payment_types = await PaymentTypeRepository(*place).find(limit=NO_LIMIT, active=True)
    templates = await ReceiptTemplateRepository(*place).find(limit=1, descending=True, active=True)
    _check_on_sale(packages, {zone.id for zone in zones})
    if len(rules) > MAX_RULES:
        message = f"A store has at most {MAX_RULES} active rules: switch others off first."
        raise PlayParkError(ErrorCode.VALIDATION, message, details={"most": MAX_RULES})
    views: dict[str, Sequence[BaseModel]] = {
        "packages": [
            PACKAGES.show(each) for each in sorted(packages, key=lambda p: (p.sort, p.id))
        ],
        "zones": [ZONES.show(each) for each in zones],
        "taxes": [TAXES.show(each) for each in taxes],
        "price_lists": [PRICE_LISTS.show(each) for each in lists],
        "rules": [RULES.show(each) for each in rules],
        "discounts": [DISCOUNTS.show(each) for each in discounts],
        "payment_types": [
            PAYMENT_TYPES.show(each) for each in sorted(payment_types, key=lambda p: (p.sort, p.id))
        ],
        "reason_codes": await approvals.reason_codes(*place),
    }
    merged = await settings.merged(*place)
    switched = await features.in_force(*place)
    return {
        **{name: [view.model_dump(mode="json") for view in part] for name, part in views.items()},
        "receipt_template": next(
            (RECEIPT_TEMPLATES.show(each).model_dump(mode="json") for each in templates), None
        ),
        "settings": merged.model_dump(mode="json"),
        "features": switched.model_dump(mode="json"),
        "tz": turn.tz,
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
