"""Publishing catalogue versions, reading them, pricing carts with them (R8–R13)."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from api.catalog.models import Package, StoredSnapshot
from api.catalog.repository import (
    PackageRepository,
    SnapshotRepository,
    TaxRepository,
    ZoneRepository,
)
from api.identity import stores
from api.platform.documents import scoped_id
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.canonical import canonical_json
from playpark.contracts.catalog import (
    CatalogSnapshot,
    PackageKind,
    PackageView,
    TaxView,
    VatMode,
    ZoneView,
)
from playpark.contracts.pricing import Cart, PricedCart
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import price

NO_LIMIT = 10_000
_CACHE_SIZE = 64
_snapshots: dict[str, CatalogSnapshot] = {}
"""Snapshots never change, so a process may keep them; the key names tenant, store, version."""


async def publish(work: Work, tenant_id: str, store_id: str) -> int:
    """Freeze the store's catalogue as the next version and tell its devices. Run it in the
    transaction that changed the catalogue. Returns the version; raises E_VALIDATION."""
    packages = await PackageRepository(work, tenant_id, store_id).find(limit=NO_LIMIT, active=True)
    zones = await ZoneRepository(work, tenant_id, store_id).find(limit=NO_LIMIT, active=True)
    taxes = await TaxRepository(work, tenant_id, store_id).find(limit=NO_LIMIT)
    _check_bundles(packages)
    version = await stores.next_catalog_version(work, tenant_id, store_id)
    content = {
        "packages": [
            package_view(package).model_dump(mode="json")
            for package in sorted(packages, key=lambda package: (package.sort, package.id))
        ],
        "zones": [
            ZoneView(
                zone_id=zone.id,
                name=zone.name,
                name_th=zone.name_th,
                credit_price=zone.credit_price,
            ).model_dump(mode="json")
            for zone in zones
        ],
        "taxes": [
            TaxView(tax_id=tax.id, name=tax.name, rate=tax.rate, mode=tax.mode).model_dump(
                mode="json"
            )
            for tax in taxes
        ],
        "vat_mode": VatMode.PER_RECEIPT.value,
    }
    snapshot = StoredSnapshot(
        id=scoped_id(tenant_id, store_id, str(version)),
        tenant_id=tenant_id,
        store_id=store_id,
        version=version,
        hash=hashlib.sha256(canonical_json(content)).hexdigest(),
        content=content,
    )
    await SnapshotRepository(work, tenant_id, store_id).insert(snapshot)
    return version


def _check_bundles(packages: Sequence[Package]) -> None:
    """A bundle is sold as its components, so all of them are on sale with it (R18)."""
    tickets = {each.id for each in packages if each.kind is not PackageKind.BUNDLE}
    for package in packages:
        if not {part["package_id"] for part in package.components} <= tickets:
            message = f"{package.name} has a component that is not on sale: take it off sale too."
            raise PlayParkError(ErrorCode.VALIDATION, message)


async def snapshot(work: Work, scope: Scope, version: int | None = None) -> CatalogSnapshot:
    """The store's catalogue, in its present or the given version. Raises E_NOT_FOUND."""
    version = scope.catalog_version if version is None else version
    key = scoped_id(scope.tenant_id, scope.store_id, str(version))
    if (known := _snapshots.get(key)) is not None:
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
    while len(_snapshots) >= _CACHE_SIZE:
        _snapshots.pop(next(iter(_snapshots)))
    _snapshots[key] = found
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
        more = [package_view(package) for package in stored]
        found = found.model_copy(update={"packages": [*found.packages, *more]})
    return found, flags


async def price_cart(work: Work, scope: Scope, cart: Cart, *, at: datetime) -> PricedCart:
    """Price with the store's catalogue. Raises what `pricing.price` raises, and
    E_INACTIVE_PACKAGE for a package that exists but is not on sale (R13)."""
    catalog = await snapshot(work, scope)
    try:
        return price(cart, catalog, at=at)
    except PlayParkError as refusal:
        if refusal.code is not ErrorCode.NOT_FOUND or refusal.details is None:
            raise
        package_id = cart.lines[refusal.details["line"]].package_id
        packages = PackageRepository.of(work, scope)
        if await packages.find_one(_id=package_id) is None:
            raise
        message = "This package is not on sale now: take it off the cart."
        raise PlayParkError(ErrorCode.INACTIVE_PACKAGE, message, details=refusal.details) from None


def package_view(package: Package) -> PackageView:
    return PackageView(
        package_id=package.id,
        name=package.name,
        name_th=package.name_th,
        kind=package.kind,
        price=package.price,
        tax_id=package.tax_id,
        quota_or_minutes=package.quota_or_minutes,
        valid_days=package.valid_days,
        zones=package.zones,
        visible_on=package.visible_on,
        active=package.active,
        components=package.components,
        sort=package.sort,
    )
