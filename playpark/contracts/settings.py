"""A store's settings and feature flags: defaults, overridden by the tenant, overridden by the store
(R40, R46; 001 §8).

Every field has a default, so that a park works before anybody has set anything.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool

from playpark.clock import BusinessDate
from playpark.contracts.base import Request, View
from playpark.contracts.rules import Level
from playpark.contracts.tenancy import Feature
from playpark.money import BasisPoints, Satang


class VatMode(StrEnum):
    """Where VAT is rounded: once a receipt and rate, or once a line (R4)."""

    PER_RECEIPT = "per_receipt"
    PER_LINE = "per_line"


class CashRounding(StrEnum):
    NEAREST = "nearest"
    DOWN = "down"


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        msg = "Input should be 1, 25, 50 or 100"
        raise ValueError(msg)  # noqa: TRY004 - pydantic reads ValueErrors
    return value


CashStep = Annotated[Literal[1, 25, 50, 100], BeforeValidator(_no_boolean)]
"""`True` equals 1, and a Literal would take it (R1)."""


class MoneySettings(View):
    vat_mode: VatMode = VatMode.PER_RECEIPT
    cash_step: CashStep = 1
    """The smallest coin that is given, satang (R7)."""
    cash_rounding: CashRounding = CashRounding.NEAREST
    manual_discount_limit: BasisPoints = 1_000
    """Of a line's price; beyond it a manual discount needs an approval (R42)."""


class SalesSettings(View):
    without_shift: StrictBool = False
    """Whether an uncommitted sale may be booked while no shift is open (R26)."""
    refund_by_amount: StrictBool = False
    refund_reprice: StrictBool = False
    """Whether what is kept after a partial refund is priced again, without its promotions (R31)."""
    parked_hours: Annotated[int, Field(strict=True, ge=1, le=24 * 30)] = 24


class ShiftSettings(View):
    variance_tolerance: Satang = 2_000
    """How far the count may be from what is expected before a supervisor has to see it (R27)."""


class ReprintSettings(View):
    """Reprints a trading day (R42)."""

    per_device: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 50
    per_employee: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 30


class LoyaltySettings(View):
    """One point for each `satang_per_point` paid, worth `point_value` satang; 0 is off."""

    satang_per_point: Satang = 10_000
    point_value: Satang = 100


class GateSettings(View):
    allow_list_hours: Annotated[int, Field(strict=True, ge=1, le=24 * 7)] = 24
    """How old a gate's own list may be while it admits by it without the server (R33)."""


class OfflineSettings(View):
    """What a till may sign while the server is away, under one certificate (R22)."""

    certificate_hours: Annotated[int, Field(strict=True, ge=1, le=72)] = 72
    max_tickets: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 5_000


class StoreSettings(View):
    """All sections, merged. Part of each catalogue version: a sale is judged by its own (R12)."""

    money: MoneySettings = MoneySettings()
    sales: SalesSettings = SalesSettings()
    shifts: ShiftSettings = ShiftSettings()
    reprints: ReprintSettings = ReprintSettings()
    loyalty: LoyaltySettings = LoyaltySettings()
    offline: OfflineSettings = OfflineSettings()
    gate: GateSettings = GateSettings()


class Features(View):
    """What is switched on, by the names of `Feature`. Part of each catalogue version, so that tills
    and gates without a server know it too (R40).

    kiosk: KIOSK devices may be paired and may sell. gate_binding: tickets are held to their zones
    and devices. multi_price: price lists play a part in the price. webhooks: events are delivered.
    """

    kiosk: bool = True
    gate_binding: bool = True
    multi_price: bool = True
    webhooks: bool = True


class BillingSettings(View):
    """What the park has agreed with its operator: shown, never acted on (001 §8)."""

    plan: str | None = None
    trial_from: BusinessDate | None = None
    trial_until: BusinessDate | None = None


class ReceiptSettings(View):
    """What the store prints where no receipt template says otherwise."""

    header: list[str] = []
    footer: list[str] = []
    logo_ref: str | None = None
    tax_registration: str | None = None
    paper_width_mm: int = 80


class Source(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    TENANT = "tenant"
    STORE = "store"


class SettingView(View):
    value: Any
    source: Source


class SettingsView(View):
    """{section: {name: value with its provenance}}. The sections `features`, `billing` and
    `receipt` are changed elsewhere.

    `version` counts the changes. `stale`: the last good copy, because reading failed.
    """

    version: int
    stale: bool = False
    sections: dict[str, dict[str, SettingView]]


class SettingsIn(Request):
    """Values to set for the tenant or the store, by section; null takes an override back."""

    scope: Level = Level.STORE
    sections: Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=20)]


class FeatureFlagView(View):
    value: bool
    source: Source


class FeatureFlagsView(View):
    """`version` counts the changes. `stale`: the last good copy, because reading failed."""

    version: int
    stale: bool = False
    features: dict[Feature, FeatureFlagView]


class FeatureFlagsIn(Request):
    """Features to switch for the tenant or the store; null takes a switch back."""

    scope: Level = Level.STORE
    features: Annotated[dict[Feature, StrictBool | None], Field(min_length=1)]
