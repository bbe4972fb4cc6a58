"""Tenants, stores, devices, people as stored. The session document is in platform.authority."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceStatus, DeviceType


class Tenant(Model):
    """`device_numbers` counts the devices ever paired: their codes and numbers (R24, R29).
    `short_codes` counts the codes that the server itself has handed out."""

    model_config = ODMConfigDict(collection="tenants")

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    legal_name: str
    tz: str
    currency: str = "THB"
    status: str = "active"
    device_numbers: int = 0
    short_codes: int = 0
    short_code_key: str
    """Hex. Never rotates: codes must stay unique for ever (R24)."""


class Store(Model):
    """A place with its own catalogue and books."""

    model_config = ODMConfigDict(collection="stores")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    tz: str
    receipt_header: list[str] = []
    receipt_footer: list[str] = []
    tax_registration: str | None = None
    paper_width_mm: int = 80
    catalog_version: int = 0
    active: bool = True


class SiteKey(Model):
    """What pairs a device. `id` is the SHA-256 of the key; the key itself is not stored."""

    model_config = ODMConfigDict(collection="site_keys")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    auto_approve: bool = False
    uses_left: int | None = None
    expires_at: StoredTime | None = None


class Device(Model):
    model_config = ODMConfigDict(
        collection="devices",
        indexes=lambda: [ascending("tenant_id", "store_id", "number", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    type: DeviceType
    name: str
    code: str
    number: int
    status: DeviceStatus
    token_hash: str
    public_key: str | None = None
    caps: dict[str, Any]
    registered_at: StoredTime
    last_login_at: StoredTime | None = None


class Employee(Model):
    model_config = ODMConfigDict(
        collection="employees",
        indexes=lambda: [ascending("tenant_id", "email", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    email: str
    pin_hash: str
    status: str = "active"
    ver: int = 1


class Role(Model):
    model_config = ODMConfigDict(collection="roles")

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    permissions: list[Permission]


class Membership(Model):
    """An employee's roles in one store. `id` is tenant:store:employee."""

    model_config = ODMConfigDict(collection="memberships")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    employee_id: str
    roles: list[str]
    active: bool = True


class PinAttempts(Model):
    """Wrong PINs in a row of one employee on one device (R41). `id` is compound."""

    model_config = ODMConfigDict(collection="pin_attempts")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    failed: int = 0
    locked_until: StoredTime | None = None
