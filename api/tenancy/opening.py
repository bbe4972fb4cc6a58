"""Opening a park: tenant, first store, roles, owner, what is sold with, and a key that pairs its
first devices (R44).

What every park starts with stands in config/park.default.toml.
"""

import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from api.approvals.models import ReasonCode
from api.approvals.repository import ReasonCodeRepository
from api.audit import service as audit
from api.catalog.editing import insert
from api.catalog.parts import TAXES, Edit
from api.identity import short_codes
from api.identity.models import Employee, Membership, Role, Store, Tenant
from api.identity.repository import (
    EmployeeRepository,
    MembershipRepository,
    RoleRepository,
    SiteKeyRepository,
    StoreRepository,
    TenantRepository,
)
from api.platform.documents import scoped_id
from api.platform.operations import chain_key
from api.platform.scope import server_scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.platform.vault import Vault
from api.tenancy import site_keys
from playpark.contracts.approvals import ReasonCodeIn
from playpark.contracts.catalog import TaxIn
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import NewTenant, OpenedTenant
from playpark.ids import new_ulid
from playpark.resources import config_path

FIRST_DEVICES = 10
FIRST_WEEK = timedelta(days=7)
OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What every park starts with; `roles` are permissions by name."""

    roles: dict[str, list[Permission]]
    reasons: list[ReasonCodeIn]
    taxes: list[TaxIn]


@cache
def defaults() -> Defaults:
    """config/park.default.toml, read by the contracts."""
    told = tomllib.loads(config_path("park.default.toml").read_text(encoding="utf-8"))
    return Defaults(
        roles={
            role["name"]: [Permission(name) for name in role["permissions"]]
            for role in told["role"]
        },
        reasons=[ReasonCodeIn(**fields) for fields in told["reason_code"]],
        taxes=[TaxIn(**fields) for fields in told["tax"]],
    )


async def open_tenant(
    platform: Platform,
    body: NewTenant,
    *,
    note: Callable[[Work, str], Awaitable[None]] | None = None,
) -> OpenedTenant:
    """Open a park that can be worked in at once, all of it or nothing.

    Its site key approves by itself, for there is nobody yet who could: it pairs ten devices within
    a week. Two parks may have the same name and the same owner's email; each call opens another.
    `note` (work, tenant_id) writes down who opened it, in the same transaction.
    """
    pin_hash = await platform.pins.hash(body.owner_pin)
    tenant_id, store_id, owner_id = new_ulid(), new_ulid(), new_ulid()
    scope = server_scope(tenant_id, store_id, body.tz)
    site_key, key = site_keys.make(
        tenant_id,
        store_id,
        uses=FIRST_DEVICES,
        expires_at=platform.clock.now() + FIRST_WEEK,
        auto_approve=True,
        created_by=None,
    )
    store = Store(
        id=store_id, tenant_id=tenant_id, store_id=store_id, name=body.store_name, tz=body.tz
    )
    owner = Employee(
        id=owner_id,
        tenant_id=tenant_id,
        name=body.owner_name,
        email=body.owner_email,
        pin_hash=pin_hash,
    )

    async def transaction(work: Work) -> None:
        tenant = new_tenant(
            platform.vault,
            tenant_id,
            name=body.name,
            legal_name=body.legal_name,
            tz=body.tz,
            currency=body.currency,
        )
        await TenantRepository(work, tenant_id, None).insert(tenant)
        await StoreRepository(work, tenant_id, store_id).insert(store)
        await SiteKeyRepository(work, tenant_id, store_id).insert(key)
        roles = await add_roles(work, tenant_id, {name: new_ulid() for name in defaults().roles})
        await employ(work, store_id, owner, [roles[OWNER]])
        await add_reasons(work, tenant_id, store_id, defaults().reasons)
        edit = Edit(work, tenant_id, store_id, turns=())
        for tax in defaults().taxes:
            await insert(edit, TAXES, new_ulid(), tax)
        await platform.publish(work, tenant_id, store_id)
        facts = {"name": body.name, "store_id": store_id, "owner_id": owner_id}
        await audit.append(work, scope, "tenant.opened", tenant_id, facts)
        if note is not None:
            await note(work, tenant_id)

    await platform.uow.run(transaction, queue=chain_key(scope))
    return OpenedTenant(
        tenant_id=tenant_id, store_id=store_id, owner_id=owner_id, site_key=site_key
    )


def new_tenant(
    vault: Vault, tenant_id: str, *, name: str, legal_name: str, tz: str, currency: str = "THB"
) -> Tenant:
    """A tenant with a key of its own for short codes."""
    return Tenant(
        id=tenant_id,
        tenant_id=tenant_id,
        name=name,
        legal_name=legal_name,
        tz=tz,
        currency=currency,
        short_code_key=short_codes.make_key(vault),
    )


async def add_roles(work: Work, tenant_id: str, ids: dict[str, str]) -> dict[str, str]:
    """Insert the default roles under `ids`, by name; which it returns."""
    roles = [
        Role(id=ids[name], tenant_id=tenant_id, name=name, permissions=permissions)
        for name, permissions in defaults().roles.items()
    ]
    await RoleRepository(work, tenant_id, None).insert_many(roles)
    return ids


async def employ(work: Work, store_id: str, employee: Employee, roles: list[str]) -> None:
    """Insert a new employee with roles (by id) in one store."""
    membership = Membership(
        id=scoped_id(employee.tenant_id, store_id, employee.id),
        tenant_id=employee.tenant_id,
        store_id=store_id,
        employee_id=employee.id,
        roles=roles,
    )
    await EmployeeRepository(work, employee.tenant_id, None).insert(employee)
    await MembershipRepository(work, employee.tenant_id, store_id).insert(membership)


async def add_reasons(
    work: Work, tenant_id: str, store_id: str, reasons: list[ReasonCodeIn]
) -> None:
    """Insert a store's first reason codes."""
    codes = [
        ReasonCode(id=new_ulid(), tenant_id=tenant_id, store_id=store_id, **reason.model_dump())
        for reason in reasons
    ]
    await ReasonCodeRepository(work, tenant_id, store_id).insert_many(codes)
