"""What can be sold and what changes its price, as stored; and the immutable snapshots that tills
sell from (R12).

Fields mean what they mean in playpark/contracts/catalog.py and rules.py; parts that are only read
as a whole are kept as JSON.
"""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.catalog import (
    PackageKind,
    PendingPolicy,
    SalesChannel,
    SlipPolicy,
    TaxMode,
)
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.rules import DiscountLevel, RuleKind


class Zone(Model):
    model_config = ODMConfigDict(
        collection="zones", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    name_th: str
    credit_price: int | None = None
    capacity: int | None = None
    reentry_needs_exit: bool = False
    pending: PendingPolicy = PendingPolicy.ADMIT
    slip: SlipPolicy = SlipPolicy.NEVER
    offline_credit_limit: int = 0
    active: bool = True


class Tax(Model):
    model_config = ODMConfigDict(
        collection="taxes", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    rate: int
    mode: TaxMode


class Package(Model):
    model_config = ODMConfigDict(
        collection="packages", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    name_th: str
    kind: PackageKind
    price: int
    tax_id: str
    quota_or_minutes: int
    valid_days: int = 1
    zones: list[str] = []
    allowed_devices: list[str] = []
    visible_on: list[SalesChannel]
    window: dict[str, Any] | None = None
    components: list[dict[str, Any]] = []
    sort: int = 0
    active: bool = True


class PriceList(Model):
    """`store_id` null: for every store of the tenant."""

    model_config = ODMConfigDict(
        collection="price_lists", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str | None
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    channel: SalesChannel | None = None
    starts_at: StoredTime | None = None
    ends_at: StoredTime | None = None
    prices: dict[str, int]
    priority: int
    active: bool


class PricingRule(Model):
    """`store_id` null: for every store of the tenant (R9)."""

    model_config = ODMConfigDict(
        collection="pricing_rules", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str | None
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    name_th: str
    kind: RuleKind
    params: dict[str, Any]
    targets: dict[str, Any]
    priority: int
    stackable: bool
    exclusive_group: str | None = None
    window: dict[str, Any] | None = None
    max_uses: int | None = None
    active: bool


class RuleUses(Model):
    """How often a rule has been sold, counted while it has a cap. `id` is the rule's, its place
    too: a tenant's rule is counted over all its stores. Made with the rule, so that counting is
    one conditional update."""

    model_config = ODMConfigDict(
        collection="rule_uses", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str | None
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    used: int = 0


class Discount(Model):
    model_config = ODMConfigDict(
        collection="discounts", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    name_th: str
    level: DiscountLevel
    percent: int | None = None
    amount: int | None = None
    package_ids: list[str] = []
    needs_approval: bool
    active: bool


class PaymentType(Model):
    model_config = ODMConfigDict(
        collection="payment_types", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    name_th: str
    method: PaymentMethod
    surcharge_percent: int
    surcharge_amount: int
    surcharge_tax: int
    needs_reference: bool
    points: bool
    active: bool
    sort: int


class ReceiptTemplate(Model):
    """Field meanings as in the contract's ReceiptTemplateView."""

    model_config = ODMConfigDict(
        collection="receipt_templates", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    header: list[str]
    footer: list[str]
    tax_registration: bool
    paper_width_mm: int | None
    active: bool


class StoredSnapshot(Model):
    """One version of a store's catalogue, never changed, never deleted. `id` is store:version."""

    model_config = ODMConfigDict(collection="catalog_snapshots")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    version: int
    hash: str
    content: dict[str, Any]
