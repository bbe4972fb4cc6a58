"""Tenants, stores, devices, people as stored. The session document is in platform.authority."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.employees import Permission
from playpark.contracts.provider import DEFAULT_PLAN
from playpark.contracts.tenancy import DeviceStatus, DeviceType

DAY = 24 * 60 * 60
"""Seconds."""


class Tenant(Model):
    """`device_numbers` counts the devices ever paired: their codes and numbers (R24, R29).
    `short_codes` counts the codes that the server itself has handed out, `key_version` the
    rotations of its ticket keys (R21). `features` are what it has switched, by name."""

    model_config = ODMConfigDict(collection="tenants")

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    legal_name: str
    tz: str
    currency: str = "THB"
    billing_plan: str = DEFAULT_PLAN
    trial_from: str | None = None
    trial_until: str | None = None
    """Days, such as 2026-11-21."""
    status: str = "active"
    device_numbers: int = 0
    short_codes: int = 0
    short_code_key: str
    """Sealed hex. Never rotates: codes must stay unique for ever (R24)."""
    key_version: int = 0
    features: dict[str, bool] = {}
    feature_changes: int = 0
    """Its own and its stores'."""


class Store(Model):
    """A place with its own catalogue and books. `id` is the store_id. `features` are what it has
    switched itself, by name: they go before the tenant's (R40)."""

    model_config = ODMConfigDict(
        collection="stores", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    address: str | None = None
    tz: str
    receipt_header: list[str] = []
    receipt_footer: list[str] = []
    logo_ref: str | None = None
    tax_registration: str | None = None
    paper_width_mm: int = 80
    catalog_version: int = 0
    features: dict[str, bool] = {}
    active: bool = True


class SiteKey(Model):
    """What pairs a device. `id` is the SHA-256 of the key; the key itself is not stored.

    `store_id` null: for every store of the tenant. `site_key_id` names it where people see it;
    `prefix` is how they know it again. `uses` null: any number of devices.
    """

    model_config = ODMConfigDict(
        collection="site_keys",
        indexes=lambda: [ascending("tenant_id", "store_id", "site_key_id", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str | None
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    site_key_id: str = ""
    prefix: str = ""
    auto_approve: bool = False
    uses: int | None = None
    used: int = 0
    expires_at: StoredTime | None = None
    created_by: str | None = None
    withdrawn_at: StoredTime | None = None


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
    certificates: int = 0
    """Counts those that it was given ever: each has a key id of its own (R22)."""
    caps: dict[str, Any]
    notes: str = ""
    registered_at: StoredTime
    registered_by: str | None = None
    """Who made the site key."""
    last_login_at: StoredTime | None = None
    token_used_at: StoredTime | None = None
    """The last login with the present token."""
    revoked_at: StoredTime | None = None
    rewound_at: str | None = None
    """The place, `epoch.seq`, where its store was last found to be set back or copied (R38)."""
    qa: dict[str, Any] = {}
    """The simulator's switches that are on; `qa_version` counts their changes."""
    qa_version: int = 0
    qa_set_at: StoredTime | None = None


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
    """Rises when tokens issued before must die: a new PIN, a suspension."""
    turn: int = 0
    """The latest change of what they may do. Logins write this document too, so that a login and
    a change cannot pass each other unseen."""
    last_login_at: StoredTime | None = None


class Role(Model):
    model_config = ODMConfigDict(
        collection="roles", indexes=lambda: [ascending("tenant_id", "name", unique=True)]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    permissions: list[Permission]


class Membership(Model):
    """An employee's roles in one store. `id` is tenant:store:employee."""

    model_config = ODMConfigDict(
        collection="memberships",
        indexes=lambda: [ascending("tenant_id", "store_id", "employee_id", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    employee_id: str
    roles: list[str]
    active: bool = True


class AuthorityTurn(Model):
    """Counts the changes of what a tenant's people may do: they happen one after the other.
    `id` is the tenant's; `at` is the latest one's moment, later than that of the one before."""

    model_config = ODMConfigDict(collection="authority_turns")

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    number: int
    at: StoredTime


class AuthorityRow(Model):
    """What an employee may do in a store from `at` on, until their next row; never changed (R35).

    `status` is active, suspended, or gone without a membership. `id` is
    tenant:store:employee:turn.
    """

    model_config = ODMConfigDict(
        collection="authority_history",
        indexes=lambda: [ascending("tenant_id", "store_id", "employee_id", "at", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    employee_id: str
    turn: int
    at: StoredTime
    status: str
    roles: list[str]
    permissions: list[Permission]


class PinAttempts(Model):
    """Wrong PINs in a row of one employee on one device, forgotten after a day without any (R41).
    `id` is compound."""

    model_config = ODMConfigDict(
        collection="pin_attempts",
        indexes=lambda: [ascending("updated_at", expireAfterSeconds=DAY)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    failed: int = 0
    locked_until: StoredTime | None = None


class Authenticator(Model):
    """The app that makes an employee's codes (TOTP, R41). `id` is tenant:employee.

    `sealed` is its secret, encrypted; it counts once a first code has confirmed it. `last_step` is
    the time step of the newest code that was used: each works once.
    """

    model_config = ODMConfigDict(collection="authenticators")

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    sealed: str
    confirmed_at: StoredTime | None = None
    last_step: int = 0


class Budget(Model):
    """How often something was done within a window that opens with the first time (R41).

    `id` is compound; what belongs to no tenant (an address) stands under "*".
    """

    model_config = ODMConfigDict(
        collection="budgets", indexes=lambda: [ascending("resets_at", expireAfterSeconds=0)]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    used: int
    resets_at: StoredTime
