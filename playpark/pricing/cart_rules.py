"""Rules on the cart: codes, percentages and amounts off what they are for (R5, R8)."""

from playpark.contracts.rules import RuleKind
from playpark.money import allocate, format_satang, percent_of
from playpark.pricing.choosing import Effect, RuleStage
from playpark.pricing.compiled import Rule
from playpark.pricing.line_rules import NOTHING, percent_text
from playpark.pricing.working import Line


def take_from_cart(lines: list[Line], offs: list[int]) -> None:
    for line, off in zip(lines, offs, strict=True):
        line.amount -= off
        line.cart_discount += off


def _off_cart(rule: Rule, lines: list[Line]) -> Effect:
    """A percentage of the targeted lines together, rounded once, or an amount, at most all; over
    the lines by largest remainder, so that no share exceeds its line (R5)."""
    amounts = [line.amount for line in lines]
    base = sum(amounts)
    rate = rule.params.percent
    off = percent_of(base, rate) if rate else min(base, rule.params.amount or 0)
    if not off:
        return Effect.none(NOTHING)
    what = f"{percent_text(rate)} of {format_satang(base)}, " if rate else ""
    return Effect(lines, allocate(off, amounts), off, f"{what}{format_satang(off)} off")


def _take(_: Rule, effect: Effect) -> None:
    take_from_cart(effect.lines, effect.offs)


promo_code = RuleStage(RuleKind.PROMO_CODE, _off_cart, _take, whole_cart=True)
cart_percent = RuleStage(RuleKind.CART_PERCENT, _off_cart, _take, whole_cart=True)
cart_amount = RuleStage(RuleKind.CART_AMOUNT, _off_cart, _take, whole_cart=True)
