"""Packages, zones, taxes and the snapshot that a till sells from (API.md: catalog; R12, R18)."""

from enum import StrEnum

from playpark.contracts.base import View
from playpark.money import BasisPoints, Satang


class PackageKind(StrEnum):
    SINGLE = "single"
    MULTI = "multi"
    TIMEPASS = "timepass"
    CREDIT = "credit"
    BUNDLE = "bundle"


class SalesChannel(StrEnum):
    POS = "POS"
    KIOSK = "KIOSK"


class TaxMode(StrEnum):
    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class VatMode(StrEnum):
    """Where inclusive VAT is rounded: once a receipt and rate, or once a line (R4)."""

    PER_RECEIPT = "per_receipt"
    PER_LINE = "per_line"


class TaxView(View):
    tax_id: str
    name: str
    rate: BasisPoints
    mode: TaxMode


class ZoneView(View):
    zone_id: str
    name: str
    name_th: str
    credit_price: Satang | None = None
    """What an entry costs a `credit` ticket, satang; null where credit is not taken."""


class Component(View):
    package_id: str
    qty: int


class PackageView(View):
    """`quota_or_minutes`: uses of a multi, minutes of a timepass, satang of a credit.

    `zones` empty means every zone. `valid_days` 1 ends with the business day of the sale.
    """

    package_id: str
    name: str
    name_th: str
    kind: PackageKind
    price: Satang
    tax_id: str
    quota_or_minutes: int
    valid_days: int
    zones: list[str]
    visible_on: list[SalesChannel]
    active: bool
    components: list[Component] = []
    sort: int = 0


class CatalogSnapshot(View):
    """All that a till needs to price and sell; immutable, one version forever (R12)."""

    catalog_version: int
    hash: str
    store_id: str
    vat_mode: VatMode = VatMode.PER_RECEIPT
    packages: list[PackageView]
    zones: list[ZoneView]
    taxes: list[TaxView]
