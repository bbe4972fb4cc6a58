"""The catalogue snapshot: all that a till needs to price and sell by itself (R12)."""

from playpark.clock import DEFAULT_ZONE
from playpark.contracts.approvals import ReasonCodeView
from playpark.contracts.base import View
from playpark.contracts.catalog import PackageView, TaxView, ZoneView
from playpark.contracts.receipts import ReceiptTemplateView
from playpark.contracts.rules import DiscountView, PaymentTypeView, PriceListView, RuleView
from playpark.contracts.settings import Features, StoreSettings


class CatalogSnapshot(View):
    """Immutable, one version forever; `hash` covers all but itself, the version and the store."""

    catalog_version: int
    hash: str
    store_id: str
    tz: str = DEFAULT_ZONE
    """The park's time zone: windows and business dates are reckoned in it (R9, R30)."""
    packages: list[PackageView]
    zones: list[ZoneView]
    taxes: list[TaxView]
    price_lists: list[PriceListView] = []
    rules: list[RuleView] = []
    discounts: list[DiscountView] = []
    payment_types: list[PaymentTypeView] = []
    reason_codes: list[ReasonCodeView] = []
    receipt_template: ReceiptTemplateView | None = None
    """The one that this store prints with."""
    settings: StoreSettings = StoreSettings()
    features: Features = Features()
    """What is switched on here (R40)."""
