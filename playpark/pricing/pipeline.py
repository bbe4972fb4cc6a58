"""The pipeline as one composition, and the header that its lines add up to (R6, R8, R11)."""

from collections.abc import Sequence
from datetime import datetime

from playpark.contracts.pricing import Cart, PaymentIn, PricedCart
from playpark.contracts.rules import RuleKind
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import MAX_AMOUNT
from playpark.pricing import cart_rules, chosen, line_rules
from playpark.pricing.base import base
from playpark.pricing.compiled import compiled
from playpark.pricing.context import Context
from playpark.pricing.frozen import frozen, names_of
from playpark.pricing.settling import settle
from playpark.pricing.tax import vat
from playpark.pricing.trace import fitted, rule_ids
from playpark.pricing.windows import Moment
from playpark.pricing.working import Working

PIPELINE = (
    base,
    chosen.check,
    line_rules.time_of_day,
    line_rules.bundle,
    line_rules.line_amount,
    line_rules.line_percent,
    chosen.line_discounts,
    chosen.unknown_codes,
    cart_rules.promo_code,
    cart_rules.cart_percent,
    cart_rules.cart_amount,
    chosen.cart_discounts,
    chosen.manual_discounts,
    vat,
    settle,
)
"""The composition, in the order of R8. No stage takes more off than there is, so nothing is
ever below zero and no floor is needed at the end."""

ANYBODY = Context()
_CART = names_of(PricedCart)
_RULE_STAGES = frozenset(kind.value for kind in RuleKind)


def price(
    cart: Cart,
    catalog: CatalogSnapshot,
    *,
    at: datetime,
    context: Context = ANYBODY,
    payments: Sequence[PaymentIn] | None = None,
) -> PricedCart:
    """Price a cart with one catalogue version at one moment. Pure: same input, same bytes.

    Without `payments` there is neither surcharge nor cash rounding, and `due` is empty. Raises
    PlayParkError: E_NOT_FOUND and E_INACTIVE_PACKAGE with `details.line`; E_VALIDATION for a code
    or discount that is not offered, a manual discount beyond its line, payments that cannot
    settle the cart, a total beyond ten billion baht.
    """
    ready = compiled(catalog)
    moment = Moment.of(at, ready.zone)
    work = Working(cart, ready, moment, context, payments or ())
    for stage in PIPELINE:
        stage(work)
    return _frozen(work)


def applied_rules(priced: PricedCart) -> list[str]:
    """Ids of the rules that changed this price, each once, in the order of the trace."""
    return rule_ids(priced.trace, _RULE_STAGES)


def _frozen(work: Working) -> PricedCart:
    lines = [line.frozen() for line in work.lines]
    subtotal = sum(line.gross for line in lines)
    if max(subtotal, work.total) > MAX_AMOUNT:
        raise PlayParkError(ErrorCode.VALIDATION, "The cart is too large: sell it in parts.")
    values = {
        "subtotal": subtotal,
        "discount_total": sum(line.line_discount + line.cart_discount for line in lines),
        "tax_total": sum(line.vat for line in lines),
        "surcharge_total": sum(each.amount for each in work.surcharges),
        "cash_rounding": work.cash_rounding,
        "grand_total": work.total,
        "lines": lines,
        "surcharges": work.surcharges,
        "due": work.due,
        "trace": fitted(work.trace),
        "catalog_version": work.catalog.version,
    }
    return frozen(PricedCart, _CART, values)
