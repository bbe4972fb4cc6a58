"""The demo park of config/park.demo.toml, loaded where it is missing; refused in production."""

import hashlib
import secrets
import tomllib
from typing import Any

from api.catalog.models import Package, Tax, Zone
from api.catalog.repository import PackageRepository, TaxRepository, ZoneRepository
from api.catalog.service import publish
from api.identity.devices import secret_hash
from api.identity.models import Employee, Membership, Role, SiteKey, Store, Tenant
from api.identity.repository import (
    EmployeeRepository,
    MembershipRepository,
    RoleRepository,
    SiteKeyRepository,
    StoreRepository,
    TenantRepository,
)
from api.platform.documents import scoped_id
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.catalog import SalesChannel
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import CROCKFORD
from playpark.resources import config_path


def demo_id(kind: str, slug: str) -> str:
    """The same ULID for the same thing of the demo park in every installation."""
    digest = int.from_bytes(hashlib.sha256(f"{kind}/{slug}".encode()).digest()[:16], "big")
    # The leading zeros put it before every real ULID and keep it inside 128 bits.
    return "00" + "".join(CROCKFORD[digest >> (5 * i) & 31] for i in range(24))


async def load_demo_park(platform: Platform) -> None:
    """Insert the tenants that are not there yet. Raises E_PERMISSION in production."""
    if platform.settings.production:
        message = "The demo park has public PINs: it is not loaded in production."
        raise PlayParkError(ErrorCode.PERMISSION, message)
    park = tomllib.loads(config_path("park.demo.toml").read_text(encoding="utf-8"))
    for tenant in park["tenant"]:

        async def load(work: Work, tenant: dict[str, Any] = tenant) -> None:
            tenant_id = demo_id("tenant", tenant["slug"])
            if await TenantRepository(work, tenant_id, None).find_one(_id=tenant_id) is None:
                await _load_tenant(platform, work, tenant_id, tenant)

        await platform.uow.run(load)


async def _load_tenant(
    platform: Platform, work: Work, tenant_id: str, park: dict[str, Any]
) -> None:
    shop = park["store"]
    store_id = demo_id("store", shop["slug"])
    area: dict[str, Any] = {"tenant_id": tenant_id, "store_id": store_id}
    tenant = Tenant(
        id=tenant_id,
        tenant_id=tenant_id,
        name=park["name"],
        legal_name=park["legal_name"],
        tz=park["tz"],
        short_code_key=secrets.token_hex(32),
    )
    store = Store(
        id=store_id,
        **area,
        name=shop["name"],
        tz=park["tz"],
        receipt_header=shop.get("receipt_header", []),
        receipt_footer=shop.get("receipt_footer", []),
        tax_registration=shop.get("tax_registration"),
    )
    await TenantRepository(work, tenant_id, None).insert(tenant)
    await StoreRepository(work, tenant_id, store_id).insert(store)
    key = SiteKey(id=secret_hash(shop["site_key"]), **area, auto_approve=True)
    await SiteKeyRepository(work, tenant_id, store_id).insert(key)
    await _load_people(platform, work, area, park)
    await _load_catalog(work, area, park)
    await publish(work, tenant_id, store_id)


async def _load_people(
    platform: Platform, work: Work, area: dict[str, Any], park: dict[str, Any]
) -> None:
    tenant_id, store_id = area["tenant_id"], area["store_id"]
    for role in park["role"]:
        await RoleRepository(work, tenant_id, None).insert(
            Role(
                id=demo_id("role", role["slug"]),
                tenant_id=tenant_id,
                name=role["name"],
                permissions=role["permissions"],
            )
        )
    for person in park["employee"]:
        employee = Employee(
            id=demo_id("employee", person["slug"]),
            tenant_id=tenant_id,
            name=person["name"],
            email=person["email"],
            pin_hash=platform.pins.hash(person["pin"]),
        )
        membership = Membership(
            id=scoped_id(tenant_id, store_id, employee.id),
            **area,
            employee_id=employee.id,
            roles=[demo_id("role", person["role"])],
        )
        await EmployeeRepository(work, tenant_id, None).insert(employee)
        await MembershipRepository(work, tenant_id, store_id).insert(membership)


async def _load_catalog(work: Work, area: dict[str, Any], park: dict[str, Any]) -> None:
    tenant_id, store_id = area["tenant_id"], area["store_id"]
    for zone in park["zone"]:
        fields = {key: value for key, value in zone.items() if key != "slug"}
        document = Zone(id=demo_id("zone", zone["slug"]), **area, **fields)
        await ZoneRepository(work, tenant_id, store_id).insert(document)
    for tax in park["tax"]:
        fields = {key: value for key, value in tax.items() if key != "slug"}
        await TaxRepository(work, tenant_id, store_id).insert(
            Tax(id=demo_id("tax", tax["slug"]), **area, **fields)
        )
    tax_id = demo_id("tax", park["tax"][0]["slug"])
    for sort, package in enumerate(park["package"], start=1):
        parts = [
            {"package_id": demo_id("package", part["package"]), "qty": part["qty"]}
            for part in package.get("components", [])
        ]
        item = Package(
            id=demo_id("package", package["slug"]),
            **area,
            name=package["name"],
            name_th=package["name_th"],
            kind=package["kind"],
            price=package["price"],
            tax_id=tax_id,
            quota_or_minutes=package["quota_or_minutes"],
            valid_days=package.get("valid_days", 1),
            zones=[demo_id("zone", slug) for slug in package.get("zones", [])],
            visible_on=[SalesChannel.POS, SalesChannel.KIOSK],
            components=parts,
            sort=sort,
            active=package.get("active", True),
        )
        await PackageRepository(work, tenant_id, store_id).insert(item)
