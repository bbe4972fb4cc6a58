"""The operator of many tenants: logins, tenants, heartbeats, alerts, usage (R44)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from playpark.clock import BusinessDate, UtcDatetime
from playpark.contracts.base import Name, Request, Secret, View
from playpark.contracts.catalog import Count
from playpark.contracts.employees import Email, TotpCode
from playpark.contracts.qa import QaSwitches
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType, Feature
from playpark.money import Satang

MIN_PASSWORD = 12
HEARTBEAT_EVERY_S = 30
DEFAULT_PLAN = "standard"

Password = Annotated[
    str, StringConstraints(min_length=MIN_PASSWORD, max_length=200), Field(repr=False)
]
"""A new password of an operator."""
PlanName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Month = Annotated[str, StringConstraints(pattern=r"^2[01][0-9]{2}-(0[1-9]|1[0-2])$")]
"""A calendar month in park time, `2026-11`."""
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}$")]


# --- operators --------------------------------------------------------------------------


class OperatorStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class ProviderLoginIn(Request):
    """`totp` where an authenticator app is enrolled."""

    email: Email
    password: Secret
    totp: TotpCode | None = None


class OperatorView(View):
    """`totp`: whether an authenticator app is enrolled."""

    operator_id: str
    email: str
    totp: bool


class ProviderSession(View):
    access_token: str
    expires_in: int
    operator: OperatorView


class PasswordChangeIn(Request):
    password: Secret
    new_password: Password
    totp: TotpCode | None = None


class TotpEnrolIn(Request):
    """`totp`: a code of the present authenticator app, where one is to be replaced."""

    password: Secret
    totp: TotpCode | None = None


# --- tenants ----------------------------------------------------------------------------


class TenantStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class TenantAccount(View):
    """A tenant as the operator sees it."""

    tenant_id: str
    name: str
    legal_name: str
    tz: str
    currency: str
    billing_plan: str
    trial_from: BusinessDate | None = None
    trial_until: BusinessDate | None = None
    status: TenantStatus
    created_at: UtcDatetime


class TenantAccountPatch(Request):
    """What is to change. A suspended tenant's tokens are refused from the next request on. Plan and
    trial are shown to the park (001 §8) and switch nothing."""

    name: Name | None = None
    legal_name: Name | None = None
    billing_plan: PlanName | None = None
    trial_from: BusinessDate | None = None
    trial_until: BusinessDate | None = None
    status: TenantStatus | None = None

    @model_validator(mode="after")
    def _something_and_not_null(self) -> Self:
        if not self.model_fields_set or None in self.model_dump(exclude_unset=True).values():
            msg = "name at least one field to change, and none as null"
            raise ValueError(msg)
        return self


# --- heartbeats and alerts --------------------------------------------------------------


class PartState(StrEnum):
    """A printer or a camera of a device."""

    OK = "ok"
    FAILED = "failed"
    NONE = "none"


class HeartbeatIn(Request):
    """How a device is; what it does not tell is not known.

    `clock_offset_ms`: what its clock lacks to the server's (R36). `free_disk` is in bytes.
    """

    app_version: Version | None = None
    queued: Count | None = None
    oldest_queued_at: UtcDatetime | None = None
    clock_offset_ms: Annotated[int, Field(strict=True, ge=-(10**13), le=10**13)] | None = None
    printer: PartState | None = None
    camera: PartState | None = None
    catalog_version: Count | None = None
    free_disk: Annotated[int, Field(strict=True, ge=0, le=2**53)] | None = None


class HeartbeatAnswer(View):
    """What a device should know now: newer prices, what is switched on, whether its clock is off
    by so much that a person should set it (R36, R46)."""

    server_time: UtcDatetime
    catalog_version: int
    features: list[Feature]
    caps: DeviceCaps
    clock_skewed: bool
    qa: QaSwitches | None = None
    """The simulator's switches, where QA has set some; never in production."""
    next_in_s: int = HEARTBEAT_EVERY_S


class AlertKind(StrEnum):
    DEVICE_OFFLINE = "device_offline"
    CLOCK_SKEW = "clock_skew"
    QUEUE_STUCK = "queue_stuck"


class AlertView(View):
    """`last_seen`: the last heartbeat when it was raised. Resolved by itself."""

    alert_id: str
    tenant_id: str
    store_id: str
    device_id: str
    device_name: str
    kind: AlertKind
    opened_at: UtcDatetime
    last_seen: UtcDatetime
    acknowledged_by: str | None
    """operator_id"""
    acknowledged_at: UtcDatetime | None
    resolved_at: UtcDatetime | None


class DeviceHealth(View):
    """A device and its last heartbeat; `last_seen` null where it has sent none."""

    tenant_id: str
    store_id: str
    device_id: str
    device_code: str
    type: DeviceType
    name: str
    status: DeviceStatus
    online: bool
    last_seen: UtcDatetime | None = None
    app_version: str | None = None
    queued: int | None = None
    oldest_queued_at: UtcDatetime | None = None
    clock_offset_ms: int | None = None
    printer: PartState | None = None
    camera: PartState | None = None
    catalog_version: int | None = None
    free_disk: int | None = None


# --- usage ------------------------------------------------------------------------------


class UsageRow(View):
    """Requests of a tenant to one route in one month."""

    tenant_id: str
    month: str
    route: str
    requests: int


class PlanPrices(Request):
    """What a plan costs a month, satang."""

    monthly: Satang = 0
    per_device: Satang = 0
    per_sale: Satang = 0
    per_ticket: Satang = 0


class BillingRow(View):
    """What a tenant used in a month. `amount` is null for a plan without prices, satang."""

    tenant_id: str
    tenant_name: str
    month: str
    billing_plan: str
    requests: int
    sales: int
    tickets: int
    active_devices: int
    """Devices that have sent at least one request."""
    amount: int | None
