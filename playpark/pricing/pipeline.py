"""The pipeline as one composition, and the header that its lines add up to (R6, R8, R11)."""

from datetime import datetime

from playpark.contracts.catalog import CatalogSnapshot
from playpark.contracts.pricing import Cart, PricedCart
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import MAX_AMOUNT
from playpark.pricing.stages import PIPELINE
from playpark.pricing.working import Working


def price(cart: Cart, catalog: CatalogSnapshot, *, at: datetime) -> PricedCart:
    """Price a cart with one catalogue version at one moment. Pure: same input, same bytes.

    Raises PlayParkError: E_NOT_FOUND for a package not in the catalogue, E_VALIDATION for a
    discount that is not offered or a total beyond ten billion baht.
    """
    work = Working(cart=cart, catalog=catalog, at=at)
    for stage in PIPELINE:
        stage(work)
    lines = [line.frozen() for line in work.lines]
    if sum(line.payable for line in lines) > MAX_AMOUNT:
        raise PlayParkError(ErrorCode.VALIDATION, "The cart is too large: sell it in parts.")
    return PricedCart(
        lines=lines,
        subtotal=sum(line.gross for line in lines),
        discount_total=sum(line.line_discount + line.cart_discount for line in lines),
        tax_total=sum(line.vat for line in lines),
        surcharge_total=0,
        cash_rounding=0,
        grand_total=sum(line.payable for line in lines),
        trace=work.trace,
        catalog_version=catalog.catalog_version,
    )
