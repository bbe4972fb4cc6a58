"""The demo park of config/park.demo.toml, loaded where it is missing; refused in production."""

import hashlib
import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from api.approvals.repository import ReasonCodeRepository
from api.catalog.editing import insert
from api.catalog.parts import (
    DISCOUNTS,
    PACKAGES,
    PAYMENT_TYPES,
    RULES,
    TAXES,
    ZONES,
    Edit,
    Part,
)
from api.identity.devices import KEY_GROUP, secret_hash
from api.identity.models import Employee, SiteKey, Store
from api.identity.repository import (
    SiteKeyRepository,
    StoreRepository,
    TenantRepository,
)
from api.platform.repository import Repository
from api.platform.services import Platform
from api.platform.uow import Work
from api.platform.vault import Vault
from api.provider import operators
from api.provider.repository import OperatorRepository
from api.tenancy.opening import add_reasons, add_roles, defaults, employ, new_tenant
from playpark.contracts.catalog import PackageIn, TaxIn, ZoneIn
from playpark.contracts.rules import DiscountIn, PaymentTypeIn, RuleIn
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import CROCKFORD
from playpark.resources import config_path

NO_LIMIT = 10_000
Entries = dict[str, BaseModel]
"""By the id in the demo park."""


def demo_id(kind: str, slug: str) -> str:
    """The same ULID for the same thing of the demo park in every installation."""
    digest = int.from_bytes(hashlib.sha256(f"{kind}/{slug}".encode()).digest()[:16], "big")
    # The leading zeros put it before every real ULID and keep it inside 128 bits.
    return "00" + "".join(CROCKFORD[digest >> (5 * i) & 31] for i in range(24))


async def load_demo_park(platform: Platform) -> None:
    """Insert what is not there yet. Raises E_PERMISSION in production."""
    if platform.settings.production:
        message = "The demo park has public PINs: it is not loaded in production."
        raise PlayParkError(ErrorCode.PERMISSION, message)
    park = tomllib.loads(config_path("park.demo.toml").read_text(encoding="utf-8"))
    for tenant in park["tenant"]:
        await _load(platform, tenant)
    for told in park["operator"]:
        if await OperatorRepository(platform.uow.reading()).find_one(email=told["email"]) is None:
            await operators.create(platform, told["email"], told["password"])


async def _load(platform: Platform, park: dict[str, Any]) -> None:
    tenant_id, store_id = demo_id("tenant", park["slug"]), demo_id("store", park["store"]["slug"])
    known = await TenantRepository(platform.uow.reading(), tenant_id, None).find_one(_id=tenant_id)
    # Hashing takes its time, so it is done before the transaction.
    people = [] if known else [await _person(platform, tenant_id, p) for p in park["employee"]]

    async def load(work: Work) -> None:
        if await TenantRepository(work, tenant_id, None).find_one(_id=tenant_id) is None:
            await _load_tenant(platform.vault, work, tenant_id, store_id, park)
            ids = {name: demo_id("role", f"{park['slug']}/{name}") for name in defaults().roles}
            await add_roles(work, tenant_id, ids)
            for employee, told in zip(people, park["employee"], strict=True):
                await employ(work, store_id, employee, [ids[told["role"]]])
        if await _load_catalog(work, tenant_id, store_id, park):
            await platform.publish(work, tenant_id, store_id)

    await platform.uow.run(load)


async def _load_tenant(
    vault: Vault, work: Work, tenant_id: str, store_id: str, park: dict[str, Any]
) -> None:
    shop = park["store"]
    area: dict[str, Any] = {"tenant_id": tenant_id, "store_id": store_id}
    words = {name: park[name] for name in ("name", "legal_name", "tz")}
    store = Store(
        id=store_id,
        **area,
        name=shop["name"],
        tz=park["tz"],
        receipt_header=shop.get("receipt_header", []),
        receipt_footer=shop.get("receipt_footer", []),
        tax_registration=shop.get("tax_registration"),
    )
    key = SiteKey(
        id=secret_hash(shop["site_key"]),
        **area,
        site_key_id=demo_id("site_key", shop["slug"]),
        prefix=shop["site_key"][:KEY_GROUP],
        auto_approve=True,
    )
    await TenantRepository(work, tenant_id, None).insert(new_tenant(vault, tenant_id, **words))
    await StoreRepository(work, tenant_id, store_id).insert(store)
    await SiteKeyRepository(work, tenant_id, store_id).insert(key)


async def _person(platform: Platform, tenant_id: str, told: dict[str, Any]) -> Employee:
    return Employee(
        id=demo_id("employee", told["slug"]),
        tenant_id=tenant_id,
        name=told["name"],
        email=told["email"],
        pin_hash=await platform.pins.hash(told["pin"]),
    )


async def _load_catalog(work: Work, tenant_id: str, store_id: str, park: dict[str, Any]) -> bool:
    """Add what the catalogue does not have; whether that was anything. What has been changed
    since stays as it is."""
    edit = Edit(work, tenant_id, store_id, turns=())
    added = 0
    for part, entries in _entries(park):
        missing = await _missing(part.repository(work, tenant_id, store_id), list(entries))
        for document_id in missing:
            await insert(edit, part, document_id, entries[document_id])
        added += len(missing)
    codes = ReasonCodeRepository(work, tenant_id, store_id)
    known = {reason.code for reason in await codes.find(limit=NO_LIMIT)}
    reasons = [reason for reason in defaults().reasons if reason.code not in known]
    await add_reasons(work, tenant_id, store_id, reasons)
    return added + len(reasons) > 0


async def _missing(repository: Repository[Any], ids: Sequence[str]) -> list[str]:
    found = await repository.find(limit=NO_LIMIT, _id={"$in": list(ids)})
    known = {document.id for document in found}
    return [each for each in ids if each not in known]


def _entries(park: dict[str, Any]) -> list[tuple[Part[Any], Entries]]:
    """The catalogue of one tenant, read by the contracts that the API has for it."""
    zones = {slug: ZoneIn(**fields) for slug, fields in _listed(park, "zone")}
    taxes = {slug: TaxIn(**fields) for slug, fields in _listed(park, "tax")}
    tax_id = demo_id("tax", next(iter(taxes)))
    packages = {
        slug: _package(fields, tax_id=tax_id, sort=sort)
        for sort, (slug, fields) in enumerate(_listed(park, "package"), start=1)
    }
    rules = {slug: _rule(fields) for slug, fields in _listed(park, "rule")}
    discounts = {slug: DiscountIn(**fields) for slug, fields in _listed(park, "discount")}
    payments = {
        slug: PaymentTypeIn(**fields, sort=sort)
        for sort, (slug, fields) in enumerate(_listed(park, "payment_type"), start=1)
    }
    named: list[tuple[Part[Any], dict[str, Any]]] = [
        (ZONES, zones),
        (TAXES, taxes),
        (PACKAGES, packages),
        (RULES, rules),
        (DISCOUNTS, discounts),
        (PAYMENT_TYPES, payments),
    ]
    return [
        (part, {demo_id(part.name, slug): entry for slug, entry in entries.items()})
        for part, entries in named
    ]


def _listed(park: dict[str, Any], kind: str) -> list[tuple[str, dict[str, Any]]]:
    """[(slug, the other fields)]"""
    return [
        (entry["slug"], {key: value for key, value in entry.items() if key != "slug"})
        for entry in park.get(kind, [])
    ]


def _package(fields: dict[str, Any], *, tax_id: str, sort: int) -> PackageIn:
    parts = [
        {"package_id": demo_id("package", part["package"]), "qty": part["qty"]}
        for part in fields.get("components", [])
    ]
    zones = [demo_id("zone", slug) for slug in fields.get("zones", [])]
    return PackageIn.model_validate(
        {**fields, "components": parts, "zones": zones, "tax_id": tax_id, "sort": sort}
    )


def _rule(fields: dict[str, Any]) -> RuleIn:
    targets = dict(fields.get("targets", {}))
    slugs = targets.pop("packages", [])
    targets["package_ids"] = [demo_id("package", slug) for slug in slugs]
    return RuleIn.model_validate({**fields, "targets": targets})
