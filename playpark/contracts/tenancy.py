"""Stores, devices and what is switched on, as the programs see them (R40, R44)."""

from enum import StrEnum

from playpark.clock import UtcDatetime
from playpark.contracts.base import View


class DeviceType(StrEnum):
    POS = "POS"
    GATE = "GATE"
    KIOSK = "KIOSK"
    ADMIN = "ADMIN"


class DeviceStatus(StrEnum):
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


class StoreView(View):
    store_id: str
    tenant_id: str
    tenant_name: str
    name: str
    tz: str
    currency: str = "THB"
    receipt_header: list[str] = []
    receipt_footer: list[str] = []
    tax_registration: str | None = None
    paper_width_mm: int = 80


class DeviceView(View):
    device_id: str
    device_code: str
    device_number: int
    type: DeviceType
    name: str
    status: DeviceStatus
    caps: DeviceCaps
    last_login_at: UtcDatetime | None = None
