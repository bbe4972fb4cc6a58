"""Reading catalogue versions, pricing carts with them, counting capped promotions (R8–R13)."""

from collections.abc import Sequence
from datetime import datetime
from weakref import WeakKeyDictionary

from api.catalog.parts import PACKAGES
from api.catalog.publishing import publish
from api.catalog.repository import (
    PackageRepository,
    RuleUsesInForce,
    RuleUsesRepository,
    SnapshotRepository,
)
from api.customers import service as customers
from api.platform.documents import scoped_id
from api.platform.mongo import Mongo
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.clock import park_zone
from playpark.contracts.catalog import PackageView, SalesChannel
from playpark.contracts.pricing import Cart, PaymentIn, PricedCart
from playpark.contracts.rules import MAX_RULES, Level, RuleView
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tenancy import DeviceType
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import Context, price
from playpark.pricing.windows import Moment, Window

__all__ = [
    "context",
    "count_uses",
    "give_back_uses",
    "on_sale",
    "price_cart",
    "publish",
    "snapshot",
    "snapshot_with",
]
_CACHE_SIZE = 64
_snapshots: WeakKeyDictionary[Mongo, dict[str, CatalogSnapshot]] = WeakKeyDictionary()
"""Snapshots never change, so a process may keep them; the key names tenant, store, version."""


async def snapshot(work: Work, scope: Scope, version: int | None = None) -> CatalogSnapshot:
    """The store's catalogue, in its present or the given version. Raises E_NOT_FOUND."""
    version = scope.catalog_version if version is None else version
    key = scoped_id(scope.tenant_id, scope.store_id, str(version))
    kept = _snapshots.setdefault(work.mongo, {})
    if (known := kept.get(key)) is not None:
        return known
    repository = SnapshotRepository.of(work, scope)
    stored = await repository.find_one(_id=key)
    if stored is None:
        message = "There is no such version of the catalogue: fetch the catalogue again."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    found = CatalogSnapshot(
        catalog_version=stored.version,
        hash=stored.hash,
        store_id=stored.store_id,
        **stored.content,
    )
    while len(kept) >= _CACHE_SIZE:
        kept.pop(next(iter(kept)))
    kept[key] = found
    return found


async def snapshot_with(
    work: Work, scope: Scope, version: int | None, package_ids: Sequence[str]
) -> tuple[CatalogSnapshot, list[str]]:
    """The catalogue that something was sold from, with what is no longer on sale added: for
    money that is taken already. Returns it and the flags of what did not fit (R17)."""
    flags: list[str] = []
    try:
        found = await snapshot(work, scope, version)
    except PlayParkError:
        flags.append("catalog_version_unknown")
        found = await snapshot(work, scope)
    missing = set(package_ids) - {package.package_id for package in found.packages}
    if missing:
        packages = PackageRepository.of(work, scope)
        stored = await packages.find(_id={"$in": sorted(missing)})
        if stored:
            flags.append("inactive_package")
        more = [PACKAGES.show(package) for package in stored]
        found = found.model_copy(update={"packages": [*found.packages, *more]})
    return found, flags


async def on_sale(work: Work, scope: Scope) -> list[PackageView]:
    """The packages that are on sale at this moment, in the register's order (R13)."""
    catalog = await snapshot(work, scope)
    now = Moment.of(work.now, park_zone(catalog.tz))
    windows = ((package, Window.of(package.window)) for package in catalog.packages)
    return [package for package, window in windows if window is None or window.is_open(now)]


async def context(work: Work, scope: Scope, cart: Cart, catalog: CatalogSnapshot) -> Context:
    """What the price depends on beside the cart and the catalogue: the device's channel, the
    customer's group, and which promotions are used up.

    Raises E_NOT_FOUND for a customer that is not there.
    """
    channel = SalesChannel.POS
    if scope.device.type is DeviceType.KIOSK:
        channel = SalesChannel.KIOSK
    group = None
    if cart.customer_id is not None:
        group = await customers.group_of(work, scope, cart.customer_id)
    caps = {rule.rule_id: rule.max_uses for rule in catalog.rules if rule.max_uses is not None}
    used_up: frozenset[str] = frozenset()
    if caps:
        uses = RuleUsesInForce.of(work, scope)
        counted = await uses.find(limit=MAX_RULES, _id={"$in": sorted(caps)})
        used_up = frozenset(each.id for each in counted if each.used >= caps[each.id])
    return Context(channel=channel, customer_group=group, used_up=used_up)


async def price_cart(
    work: Work,
    scope: Scope,
    cart: Cart,
    *,
    at: datetime,
    payments: Sequence[PaymentIn] | None = None,
) -> PricedCart:
    """Price with the store's catalogue. Raises what `context` and `pricing.price` raise, and
    E_INACTIVE_PACKAGE for a package that exists but is not on sale (R13)."""
    catalog = await snapshot(work, scope)
    where = await context(work, scope, cart, catalog)
    try:
        return price(cart, catalog, at=at, context=where, payments=payments)
    except PlayParkError as refusal:
        if refusal.code is not ErrorCode.NOT_FOUND or refusal.details is None:
            raise
        package_id = cart.lines[refusal.details["line"]].package_id
        packages = PackageRepository.of(work, scope)
        if await packages.find_one(_id=package_id) is None:
            raise
        message = "This package is not on sale now: take it off the cart."
        raise PlayParkError(ErrorCode.INACTIVE_PACKAGE, message, details=refusal.details) from None


async def count_uses(
    work: Work, scope: Scope, catalog: CatalogSnapshot, rule_ids: Sequence[str]
) -> list[str]:
    """Count one use of each rule that has a cap, in the sale's transaction. Returns the ids of
    those whose cap was reached: they are not counted, and their price does not hold.

    The counter is the one document that all sales with the same promotion share: they follow each
    other there. A tenant's rule is counted over all its stores.
    """
    over: list[str] = []
    for rule in _capped(catalog, rule_ids):
        uses = RuleUsesRepository(work, scope.tenant_id, _place(scope, rule))
        if not await uses.count(rule.rule_id, rule.max_uses or 0):
            over.append(rule.rule_id)
    return over


async def give_back_uses(
    work: Work, scope: Scope, catalog: CatalogSnapshot, rule_ids: Sequence[str]
) -> None:
    """Take back the uses that `count_uses` has counted, for a sale that is voided."""
    for rule in _capped(catalog, rule_ids):
        uses = RuleUsesRepository(work, scope.tenant_id, _place(scope, rule))
        await uses.give_back(rule.rule_id)


def _capped(catalog: CatalogSnapshot, rule_ids: Sequence[str]) -> list[RuleView]:
    asked = set(rule_ids)
    return [rule for rule in catalog.rules if rule.rule_id in asked and rule.max_uses is not None]


def _place(scope: Scope, rule: RuleView) -> str | None:
    return None if rule.scope is Level.TENANT else scope.store_id
