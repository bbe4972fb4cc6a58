"""What a receipt says beyond its sale: the name of each discount, list prices, the guest (R8, R11).

The till writes the notes down from the trace when it sells, so that the paper is the same whenever
it comes out.
"""

from collections.abc import Sequence

from playpark.contracts.base import View
from playpark.contracts.pricing import TraceEntry
from playpark.contracts.rules import RuleKind
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.money import SatangSum

_NO_REDUCTION = frozenset({"base", "vat", "surcharge", "cash_rounding"})
"""Stages that take nothing off: they have rows of their own on a receipt."""
_OF_THE_CART = frozenset(
    {RuleKind.PROMO_CODE, RuleKind.CART_PERCENT, RuleKind.CART_AMOUNT, "cart_discount"}
)
_BY_HAND = ("Discount", "ส่วนลดพิเศษ")


class Reduction(View):
    """One discount: of a line, or of the whole cart where `line` is None. `amount` is negative,
    satang."""

    line: int | None
    name: str
    name_th: str
    amount: SatangSum


class OtherPrice(View):
    """A line whose unit price is not the price list's; satang."""

    line: int
    name: str
    name_th: str
    list_price: SatangSum


class ReceiptNotes(View):
    """`points_balance` is the guest's balance before the sale, as the till knew it."""

    reductions: Sequence[Reduction] = ()
    prices: Sequence[OtherPrice] = ()
    guest: str | None = None
    points_balance: int | None = None

    @classmethod
    def of(
        cls,
        trace: Sequence[TraceEntry],
        catalog: CatalogSnapshot,
        quantities: Sequence[int],
        *,
        guest: str | None = None,
        points_balance: int | None = None,
    ) -> "ReceiptNotes":
        """The notes of a trace; `quantities` of its lines, in their order."""
        names = {rule.rule_id: (rule.name, rule.name_th) for rule in catalog.rules}
        names |= {each.discount_id: (each.name, each.name_th) for each in catalog.discounts}
        listed: dict[int, int] = {}
        reductions: list[Reduction] = []
        prices: list[OtherPrice] = []
        for step in trace:
            change = step.output - step.input
            if step.stage == "base" and step.line is not None:
                listed[step.line] = change // quantities[step.line]
            if not step.applied or step.stage in _NO_REDUCTION or not change:
                continue
            name, thai = names.get(step.rule_id or "", _BY_HAND)
            offs = offs_of(step)
            if step.stage == RuleKind.TIME_OF_DAY:
                prices += [
                    OtherPrice(line=line, name=name, name_th=thai, list_price=listed[line])
                    for line in offs
                ]
            elif step.stage in _OF_THE_CART or not offs:
                reductions.append(Reduction(line=None, name=name, name_th=thai, amount=change))
            else:
                reductions += [
                    Reduction(line=line, name=name, name_th=thai, amount=-off)
                    for line, off in offs.items()
                ]
        return cls(reductions=reductions, prices=prices, guest=guest, points_balance=points_balance)


def offs_of(step: TraceEntry) -> dict[int, int]:
    """What a step took off each line that it changed, satang; empty where it does not say."""
    return {line: off for line, off in enumerate(step.facts.get("lines", ())) if off}
