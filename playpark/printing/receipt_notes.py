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

_NO_REDUCTION = {"base", "vat", "surcharge", "cash_rounding", "floor"}
"""Stages that take nothing off: they have rows of their own on a receipt."""
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
        base = {
            step.line: step.output // quantities[step.line]
            for step in trace
            if step.stage == "base" and step.line is not None
        }
        reductions, prices = [], []
        for step in trace:
            if not step.applied or step.stage in _NO_REDUCTION or step.output == step.input:
                continue
            name, thai = names.get(step.rule_id or "", _BY_HAND)
            if step.stage == RuleKind.TIME_OF_DAY and step.line is not None:
                prices.append(
                    OtherPrice(line=step.line, name=name, name_th=thai, list_price=base[step.line])
                )
            else:
                reductions.append(
                    Reduction(
                        line=step.line, name=name, name_th=thai, amount=step.output - step.input
                    )
                )
        return cls(reductions=reductions, prices=prices, guest=guest, points_balance=points_balance)
