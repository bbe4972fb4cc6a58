"""Rules on the cart: codes, percentages and amounts off what they are for (R5, R8)."""

from playpark.contracts.rules import RuleKind
from playpark.money import allocate, format_satang, percent_of
from playpark.pricing.choosing import Effect, RuleStage
from playpark.pricing.compiled import Rule
from playpark.pricing.line_rules import NOTHING, percent_text
from playpark.pricing.working import Line


def spread(off: int, lines: list[Line]) -> list[tuple[Line, int]]:
    """A cart discount over its lines by largest remainder; no share exceeds its line (R5)."""
    return list(zip(lines, allocate(off, [line.amount for line in lines]), strict=True))


def take_from_cart(offs: list[tuple[Line, int]]) -> None:
    for line, off in offs:
        line.amount -= off
        line.cart_discount += off


def _off_cart(rule: Rule, lines: list[Line]) -> Effect:
    """A percentage of the targeted lines together, rounded once, or an amount, at most all."""
    base = sum(line.amount for line in lines)
    rate = rule.params.percent
    off = percent_of(base, rate) if rate else min(base, rule.params.amount or 0)
    if not off:
        return Effect([], NOTHING)
    what = f"{percent_text(rate)} of {format_satang(base)}, " if rate else ""
    return Effect(spread(off, lines), f"{what}{format_satang(off)} off")


def _take(_: Rule, effect: Effect) -> None:
    take_from_cart(effect.offs)


promo_code = RuleStage(RuleKind.PROMO_CODE, _off_cart, _take, whole_cart=True)
cart_percent = RuleStage(RuleKind.CART_PERCENT, _off_cart, _take, whole_cart=True)
cart_amount = RuleStage(RuleKind.CART_AMOUNT, _off_cart, _take, whole_cart=True)
