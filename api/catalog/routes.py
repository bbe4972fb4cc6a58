"""HTTP of the catalogue, of its rules and of the price preview."""

from typing import Annotated

from fastapi import Header, Query, Response

from api.catalog import editing, service
from api.catalog.parts import (
    DISCOUNTS,
    PACKAGES,
    PAYMENT_TYPES,
    PRICE_LISTS,
    RECEIPT_TEMPLATES,
    RULES,
    TAXES,
    ZONES,
)
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router
from api.platform.permissions import needs
from api.platform.repository import MAX_PAGE
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.catalog import (
    PackageIn,
    PackagePatch,
    PackageView,
    SalesChannel,
    TaxIn,
    TaxPatch,
    TaxView,
    ZoneIn,
    ZonePatch,
    ZoneView,
)
from playpark.contracts.employees import Permission
from playpark.contracts.pricing import PreviewIn, PricedCart
from playpark.contracts.receipts import (
    ReceiptTemplateIn,
    ReceiptTemplatePatch,
    ReceiptTemplateView,
)
from playpark.contracts.rules import (
    DiscountIn,
    DiscountPatch,
    DiscountView,
    PaymentTypeIn,
    PaymentTypePatch,
    PaymentTypeView,
    PriceListIn,
    PriceListPatch,
    PriceListView,
    RuleIn,
    RulePatch,
    RuleView,
)
from playpark.contracts.snapshot import CatalogSnapshot

private = private_router("catalog")
WRITE = needs(Permission.CATALOG_WRITE)


@private.get("/catalog/packages", dependencies=needs())
async def packages(
    platform: App,
    scope: Caller,
    visible_on: SalesChannel | None = None,
    limit: Limit = MAX_PAGE,
    cursor: Annotated[int, Query(ge=0, le=100_000, description="next_cursor")] = 0,
) -> Envelope[Page[PackageView]]:
    """What is on sale at this moment, in the order of the register's keys."""
    on_sale = await service.on_sale(platform.uow.reading(), scope)
    items = [each for each in on_sale if visible_on is None or visible_on in each.visible_on]
    end = cursor + limit
    more = str(end) if end < len(items) else None
    return ok(Page(items=items[cursor:end], next_cursor=more))


@private.post("/catalog/packages", dependencies=WRITE)
async def add_package(platform: App, scope: Caller, body: PackageIn) -> Envelope[PackageView]:
    """A new package of this store."""
    return ok(await editing.create(platform, scope, PACKAGES, body))


@private.patch("/catalog/packages/{package_id}", dependencies=WRITE)
async def change_package(
    platform: App, scope: Caller, package_id: IdStr, body: PackagePatch
) -> Envelope[PackageView]:
    """Change a package, or take it off sale."""
    return ok(await editing.change(platform, scope, PACKAGES, package_id, body))


@private.get("/catalog/zones", dependencies=needs())
async def zones(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[ZoneView]]:
    """The store's zones, those out of use too, newest first."""
    return ok(await editing.page(platform.uow.reading(), scope, ZONES, limit, cursor))


@private.post("/catalog/zones", dependencies=WRITE)
async def add_zone(platform: App, scope: Caller, body: ZoneIn) -> Envelope[ZoneView]:
    """A new zone."""
    return ok(await editing.create(platform, scope, ZONES, body))


@private.patch("/catalog/zones/{zone_id}", dependencies=WRITE)
async def change_zone(
    platform: App, scope: Caller, zone_id: IdStr, body: ZonePatch
) -> Envelope[ZoneView]:
    """Change a zone. One that packages on sale admit to stays in use."""
    return ok(await editing.change(platform, scope, ZONES, zone_id, body))


@private.get("/catalog/price_lists", dependencies=needs())
async def price_lists(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[PriceListView]]:
    """The price lists of the store and of its tenant, newest first."""
    return ok(await editing.page(platform.uow.reading(), scope, PRICE_LISTS, limit, cursor))


@private.post("/catalog/price_lists", dependencies=WRITE)
async def add_price_list(
    platform: App, scope: Caller, body: PriceListIn
) -> Envelope[PriceListView]:
    """A new price list of the store, or of all the tenant's stores."""
    return ok(await editing.create(platform, scope, PRICE_LISTS, body))


@private.patch("/catalog/price_lists/{price_list_id}", dependencies=WRITE)
async def change_price_list(
    platform: App, scope: Caller, price_list_id: IdStr, body: PriceListPatch
) -> Envelope[PriceListView]:
    """Change a price list; `prices` replaces all of its prices."""
    return ok(await editing.change(platform, scope, PRICE_LISTS, price_list_id, body))


@private.get("/catalog/taxes", dependencies=needs())
async def taxes(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[TaxView]]:
    """The store's taxes, newest first."""
    return ok(await editing.page(platform.uow.reading(), scope, TAXES, limit, cursor))


@private.post("/catalog/taxes", dependencies=WRITE)
async def add_tax(platform: App, scope: Caller, body: TaxIn) -> Envelope[TaxView]:
    """A new tax."""
    return ok(await editing.create(platform, scope, TAXES, body))


@private.patch("/catalog/taxes/{tax_id}", dependencies=WRITE)
async def change_tax(
    platform: App, scope: Caller, tax_id: IdStr, body: TaxPatch
) -> Envelope[TaxView]:
    """Change a tax from the next sale on; what is sold keeps its own."""
    return ok(await editing.change(platform, scope, TAXES, tax_id, body))


@private.get("/catalog/discounts", dependencies=needs())
async def discounts(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[DiscountView]]:
    """The discounts that a cashier may choose, newest first, inactive ones too."""
    return ok(await editing.page(platform.uow.reading(), scope, DISCOUNTS, limit, cursor))


@private.post("/catalog/discounts", dependencies=WRITE)
async def add_discount(platform: App, scope: Caller, body: DiscountIn) -> Envelope[DiscountView]:
    """A new discount to choose."""
    return ok(await editing.create(platform, scope, DISCOUNTS, body))


@private.patch("/catalog/discounts/{discount_id}", dependencies=WRITE)
async def change_discount(
    platform: App, scope: Caller, discount_id: IdStr, body: DiscountPatch
) -> Envelope[DiscountView]:
    """Change a discount."""
    return ok(await editing.change(platform, scope, DISCOUNTS, discount_id, body))


@private.get("/catalog/payment_types", dependencies=needs())
async def payment_types(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[PaymentTypeView]]:
    """The ways to pay, newest first, inactive ones too."""
    return ok(await editing.page(platform.uow.reading(), scope, PAYMENT_TYPES, limit, cursor))


@private.post("/catalog/payment_types", dependencies=WRITE)
async def add_payment_type(
    platform: App, scope: Caller, body: PaymentTypeIn
) -> Envelope[PaymentTypeView]:
    """A new way to pay."""
    return ok(await editing.create(platform, scope, PAYMENT_TYPES, body))


@private.patch("/catalog/payment_types/{payment_type_id}", dependencies=WRITE)
async def change_payment_type(
    platform: App, scope: Caller, payment_type_id: IdStr, body: PaymentTypePatch
) -> Envelope[PaymentTypeView]:
    """Change a way to pay."""
    return ok(await editing.change(platform, scope, PAYMENT_TYPES, payment_type_id, body))


@private.get("/receipt_templates", dependencies=needs())
async def receipt_templates(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[ReceiptTemplateView]]:
    """The store's receipt templates, newest first: the newest active one is printed with."""
    work = platform.uow.reading()
    return ok(await editing.page(work, scope, RECEIPT_TEMPLATES, limit, cursor))


@private.post("/receipt_templates", dependencies=WRITE)
async def add_receipt_template(
    platform: App, scope: Caller, body: ReceiptTemplateIn
) -> Envelope[ReceiptTemplateView]:
    """A new receipt template."""
    return ok(await editing.create(platform, scope, RECEIPT_TEMPLATES, body))


@private.patch("/receipt_templates/{receipt_template_id}", dependencies=WRITE)
async def change_receipt_template(
    platform: App, scope: Caller, receipt_template_id: IdStr, body: ReceiptTemplatePatch
) -> Envelope[ReceiptTemplateView]:
    """Change a receipt template, or take it out of use."""
    part = RECEIPT_TEMPLATES
    return ok(await editing.change(platform, scope, part, receipt_template_id, body))


@private.get(
    "/catalog/snapshot",
    dependencies=needs(),
    response_model=Envelope[CatalogSnapshot],
    responses={304: {"description": "The version named in If-None-Match is the present one."}},
)
async def snapshot(
    platform: App,
    scope: Caller,
    response: Response,
    if_none_match: Annotated[str | None, Header(max_length=1_000)] = None,
) -> Response | Envelope[CatalogSnapshot]:
    """All that a till needs to price and sell by itself. A version never changes; the ETag names
    it and its hash."""
    found = await service.snapshot(platform.uow.reading(), scope)
    etag = f'"{found.catalog_version}-{found.hash}"'
    known = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    if known & {etag, "*"}:
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return ok(found)


@private.get("/pricing/rules", dependencies=needs())
async def rules(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[RuleView]]:
    """The price rules of the store and of its tenant, newest first, inactive ones too."""
    return ok(await editing.page(platform.uow.reading(), scope, RULES, limit, cursor))


@private.post("/pricing/rules", dependencies=WRITE)
async def add_rule(platform: App, scope: Caller, body: RuleIn) -> Envelope[RuleView]:
    """A new price rule of the store, or of all the tenant's stores. E_RULE_CONFLICT, with a cart
    to try it on, where another rule leaves open which goes first."""
    return ok(await editing.create(platform, scope, RULES, body))


@private.patch("/pricing/rules/{rule_id}", dependencies=WRITE)
async def change_rule(
    platform: App, scope: Caller, rule_id: IdStr, body: RulePatch
) -> Envelope[RuleView]:
    """Change a price rule; the uses of its cap go on being counted."""
    return ok(await editing.change(platform, scope, RULES, rule_id, body))


@private.post("/pricing/preview", dependencies=needs())
async def preview(platform: App, scope: Caller, body: PreviewIn) -> Envelope[PricedCart]:
    """Exact prices of a cart with the trace of how they came about; with `payments` also what
    each of them has to be."""
    at = body.at or platform.clock.now()
    work = platform.uow.reading()
    return ok(await service.price_cart(work, scope, body, at=at, payments=body.payments))
