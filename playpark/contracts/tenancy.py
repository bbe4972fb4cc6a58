"""Tenants, stores, site keys, devices and what is switched on, as the programs see them (R40, R43,
R44; API.md: tenancy)."""

from enum import StrEnum
from functools import cache
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from playpark.clock import DEFAULT_ZONE, UtcDatetime
from playpark.contracts.base import Name, Request, ShortText, View
from playpark.contracts.employees import Email, NewPin
from playpark.contracts.receipts import PaperWidth, PrintedLines
from playpark.contracts.rules import Level
from playpark.money import Satang

MAX_KEY_USES = 10_000


class DeviceType(StrEnum):
    POS = "POS"
    GATE = "GATE"
    KIOSK = "KIOSK"
    ADMIN = "ADMIN"


class DeviceStatus(StrEnum):
    """pending → active ⇄ suspended; any of them → revoked, which is final (R43)."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Feature(StrEnum):
    """What a tenant or store can switch on and off; all are on by default (R40, 001 §8)."""

    KIOSK = "kiosk"
    GATE_BINDING = "gate_binding"
    MULTI_PRICE = "multi_price"
    WEBHOOKS = "webhooks"


class OfflineCap(View):
    """How much a device may sell before the server has heard of it: sales and satang (R39)."""

    sales: int | None = None
    satang: int | None = None


class DeviceCaps(View):
    """What a device may do besides what its people may do (R40)."""

    can_sell: bool = False
    can_redeem: bool = False
    kiosk_mode: bool = False
    offline_cap: OfflineCap | None = None


def _refuse_nulls(patch: BaseModel, *nullable: str) -> None:
    for name in sorted(patch.model_fields_set.difference(nullable)):
        if getattr(patch, name) is None:
            msg = f"{name} cannot be empty: leave it out to keep it"
            raise ValueError(msg)


# --- tenants and stores -----------------------------------------------------------------


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "Factory"})  # no place on earth


def _known_zone(name: str) -> str:
    if name in _zones():
        return name
    msg = "a time zone is a name such as Asia/Bangkok"
    raise ValueError(msg)


TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
"""The IANA name of a time zone."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""ISO 4217."""
LogoRef = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z._/-]{0,119}$")]
"""The name of a picture that the park's printers know."""
TaxRegistration = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z /-]{1,30}$")]


class TenantView(View):
    tenant_id: str
    name: str
    legal_name: str
    tz: str
    currency: str
    status: str


class StoreView(View):
    store_id: str
    tenant_id: str
    tenant_name: str
    name: str
    address: str | None = None
    tz: str
    currency: str = "THB"
    receipt_header: list[str] = []
    receipt_footer: list[str] = []
    logo_ref: str | None = None
    tax_registration: str | None = None
    paper_width_mm: int = 80
    active: bool = True


class StoreIn(Request):
    """A new store. Its time zone defaults to the tenant's."""

    name: Name
    address: ShortText | None = None
    tz: TimeZone | None = None
    receipt_header: PrintedLines = []
    receipt_footer: PrintedLines = []
    logo_ref: LogoRef | None = None
    tax_registration: TaxRegistration | None = None
    paper_width_mm: PaperWidth = 80


class StorePatch(Request):
    """What is to change; null empties `address`, `logo_ref` and `tax_registration`. A store that
    is not `active` pairs no devices and is no longer acted in from elsewhere."""

    name: Name | None = None
    address: ShortText | None = None
    tz: TimeZone | None = None
    receipt_header: PrintedLines | None = None
    receipt_footer: PrintedLines | None = None
    logo_ref: LogoRef | None = None
    tax_registration: TaxRegistration | None = None
    paper_width_mm: PaperWidth | None = None
    active: StrictBool | None = None

    @model_validator(mode="after")
    def _only_some_can_be_empty(self) -> Self:
        _refuse_nulls(self, "address", "logo_ref", "tax_registration")
        return self


class NewTenant(Request):
    """A park to be opened: its first store and its owner."""

    name: Name
    legal_name: Name
    tz: TimeZone = DEFAULT_ZONE
    currency: Currency = "THB"
    store_name: Name
    owner_name: Name
    owner_email: Email
    owner_pin: NewPin


class OpenedTenant(View):
    """`site_key` is shown this once; it pairs the first devices."""

    tenant_id: str
    store_id: str
    owner_id: str
    site_key: str = Field(repr=False)


# --- site keys --------------------------------------------------------------------------


class SiteKeyIn(Request):
    """A key that pairs devices with this store, or with any store of the tenant.

    `uses`: how many devices, null for any number. A device that was paired by a key with
    `auto_approve` works at once, others wait for a supervisor.
    """

    scope: Level = Level.STORE
    uses: Annotated[int, Field(strict=True, ge=1, le=MAX_KEY_USES)] | None = 1
    expires_at: UtcDatetime | None = None
    auto_approve: StrictBool = False


class SiteKeyView(View):
    """A site key as it is listed: `prefix` is its beginning, the rest is not known any more."""

    site_key_id: str
    scope: Level
    prefix: str
    uses: int | None
    used: int
    uses_left: int | None
    expires_at: UtcDatetime | None
    auto_approve: bool
    created_at: UtcDatetime
    created_by: str | None
    """employee_id; null for a key that came with the park."""
    withdrawn_at: UtcDatetime | None


class SiteKeyCreated(SiteKeyView):
    """`site_key` is shown this once."""

    site_key: str = Field(repr=False)


# --- devices ----------------------------------------------------------------------------


class DeviceView(View):
    """A device as it sees itself."""

    device_id: str
    device_code: str
    device_number: int
    type: DeviceType
    name: str
    status: DeviceStatus
    caps: DeviceCaps
    last_login_at: UtcDatetime | None = None


class DeviceDetail(DeviceView):
    """A device as the back office sees it.

    `token_used_at`: the last login with the present device token, null while nobody has used it.
    `registered_by`: who made the site key, by employee_id.
    """

    notes: str
    registered_at: UtcDatetime
    registered_by: str | None
    token_used_at: UtcDatetime | None


class OfflineCapIn(Request):
    """Null: no limit of this kind."""

    sales: Annotated[int, Field(strict=True, ge=0, le=100_000)] | None = None
    satang: Satang | None = None


class DeviceCapsPatch(Request):
    """What is to change; null takes the offline cap away."""

    can_sell: StrictBool | None = None
    can_redeem: StrictBool | None = None
    kiosk_mode: StrictBool | None = None
    offline_cap: OfflineCapIn | None = None

    @model_validator(mode="after")
    def _only_some_can_be_empty(self) -> Self:
        _refuse_nulls(self, "offline_cap")
        return self


class DevicePatch(Request):
    """What is to change."""

    name: Name | None = None
    notes: Annotated[str, StringConstraints(max_length=2_000)] | None = None
    caps: DeviceCapsPatch | None = None

    @model_validator(mode="after")
    def _nothing_can_be_empty(self) -> Self:
        _refuse_nulls(self)
        return self


class DeviceRotated(View):
    """`device_token` is shown this once; every token that was issued before is dead (R43)."""

    device_id: str
    device_token: str = Field(repr=False)
