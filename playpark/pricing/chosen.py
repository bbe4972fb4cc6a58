"""What the cashier or the guest chose: discounts by id, codes, a manual discount (R8, R42)."""

from playpark.contracts.rules import DiscountLevel, DiscountView, RuleKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import allocate, format_satang, percent_of
from playpark.pricing.cart_rules import take_from_cart
from playpark.pricing.line_rules import NOTHING, percent_text
from playpark.pricing.working import Line, Working

CODE = RuleKind.PROMO_CODE.value
LINE_DISCOUNT, CART_DISCOUNT, MANUAL_DISCOUNT = "line_discount", "cart_discount", "manual_discount"
_UNKNOWN = {
    CODE: "No such promo code is known in this store",
    CART_DISCOUNT: "No such discount for the whole cart is known in this store",
    LINE_DISCOUNT: "No such discount for a line is known in this store",
}


def check(work: Working) -> None:
    """What the store does not offer is refused by name, never left out silently (R13).

    Raises E_VALIDATION. For money that is taken already it is left out, and the trace says so.
    """
    given = {code.upper() for code in work.cart.promo_codes or ()}
    work.codes = frozenset(given & work.catalog.codes)
    work.line_discounts = _on_lines(work)
    work.unknown = {
        CODE: len(given) > len(work.codes),
        CART_DISCOUNT: any(
            _of_level(work, each, DiscountLevel.CART) is None
            for each in work.cart.discount_ids or ()
        ),
        LINE_DISCOUNT: any(
            _of_level(work, each, DiscountLevel.LINE) is None for each in work.line_discounts
        ),
    }
    for stage, unknown in work.unknown.items():
        if unknown and not work.context.committed:
            message = f"{_UNKNOWN[stage]}: take it off the cart."
            raise PlayParkError(ErrorCode.VALIDATION, message, details={"reason": "discount"})


def unknown_codes(work: Working) -> None:
    """Written before the codes that are known."""
    _skip_unknown(work, CODE)


def line_discounts(work: Working) -> None:
    """Each discount that was chosen for lines, in the order in which they stand in the cart."""
    _skip_unknown(work, LINE_DISCOUNT)
    for discount_id, lines in work.line_discounts.items():
        discount = _of_level(work, discount_id, DiscountLevel.LINE)
        if discount is None:
            continue
        fitting = _fitting(discount, lines)
        offs = [_off(discount, line.amount) for line in fitting]
        for line, off in zip(fitting, offs, strict=True):
            line.amount -= off
        _write(work, LINE_DISCOUNT, discount, fitting, offs)


def cart_discounts(work: Working) -> None:
    """Each discount that was chosen for the cart, in the order of the cart."""
    _skip_unknown(work, CART_DISCOUNT)
    for discount_id in dict.fromkeys(work.cart.discount_ids or ()):
        discount = _of_level(work, discount_id, DiscountLevel.CART)
        if discount is None:
            continue
        fitting = _fitting(discount, work.lines)
        amounts = [line.amount for line in fitting]
        offs = allocate(_off(discount, sum(amounts)), amounts)
        take_from_cart(fitting, offs)
        _write(work, CART_DISCOUNT, discount, fitting, offs)


def manual_discounts(work: Working) -> None:
    """Satang off a line, at most what the line still costs. Raises E_VALIDATION beyond it."""
    if not any(asked.manual_discount for asked in work.cart.lines):
        return
    offs = []
    for index, (line, asked) in enumerate(zip(work.lines, work.cart.lines, strict=True)):
        off = asked.manual_discount or 0
        if off > line.amount and not work.context.committed:
            left = format_satang(line.amount)
            message = f"A manual discount is more than its line still costs: at most {left}."
            details = {"reason": "manual_discount", "line": index, "most": line.amount}
            raise PlayParkError(ErrorCode.VALIDATION, message, details=details)
        offs.append(min(off, line.amount))
        line.amount -= offs[-1]
    if total := sum(offs):
        why = f"Manual discount: {format_satang(total)} off"
        facts = work.lines_off(work.lines, offs)
        work.step(MANUAL_DISCOUNT, why, change=-total, facts=facts)


def _of_level(work: Working, discount_id: str, level: DiscountLevel) -> DiscountView | None:
    found = work.catalog.discounts.get(discount_id)
    return found if found is not None and found.level is level else None


def _on_lines(work: Working) -> dict[str, list[Line]]:
    """The lines of each discount that was chosen for lines."""
    chosen: dict[str, list[Line]] = {}
    for line, asked in zip(work.lines, work.cart.lines, strict=True):
        if not asked.discount_ids:
            continue
        for discount_id in dict.fromkeys(asked.discount_ids):
            chosen.setdefault(discount_id, []).append(line)
    return chosen


def _fitting(discount: DiscountView, lines: list[Line]) -> list[Line]:
    if not discount.package_ids:
        return lines
    return [line for line in lines if line.package.package_id in discount.package_ids]


def _off(discount: DiscountView, amount: int) -> int:
    if discount.percent is not None:
        return percent_of(amount, discount.percent)
    return min(amount, discount.amount or 0)


def _write(
    work: Working,
    stage: str,
    discount: DiscountView,
    fitting: list[Line],
    offs: list[int],
) -> None:
    """The step of a discount; its id stands where a rule's would."""
    off = sum(offs)
    if not off:
        reason = "no_effect" if fitting else "packages"
        why = NOTHING if fitting else "it is not for these tickets"
        work.skip(stage, f"{discount.name}: {why}", reason, discount.discount_id)
        return
    what = f"{percent_text(discount.percent)} off, " if discount.percent is not None else ""
    why = f"{discount.name}: {what}{format_satang(off)} in all"
    facts = work.lines_off(fitting, offs)
    work.step(stage, why, change=-off, rule_id=discount.discount_id, facts=facts)


def _skip_unknown(work: Working, stage: str) -> None:
    if work.unknown[stage]:
        work.skip(stage, _UNKNOWN[stage], "unknown")
