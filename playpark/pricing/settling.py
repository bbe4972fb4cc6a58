"""How it is paid: surcharges, cash rounding, and what each payment has to be (R7, decision 7).

Every payment but the last is taken as it stands, its surcharge contained; the last one settles
the rest.
"""

from playpark.cash import round_cash
from playpark.contracts.pricing import PaymentIn, PaymentMethod, Surcharge
from playpark.contracts.rules import PaymentTypeView
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang, percent_of, vat_inside
from playpark.pricing.frozen import frozen, names_of
from playpark.pricing.line_rules import percent_text
from playpark.pricing.working import Working

_SURCHARGE = names_of(Surcharge)


def settle(work: Working) -> None:
    """Surcharges and `due` of all payments, cash rounding of the last.

    Raises E_VALIDATION for a way to pay that is not offered, for cash that no coins make, and
    where the payments before the last are more than the cart.
    """
    rest = work.total
    for index, payment in enumerate(work.payments):
        kind = _type_of(work, index, payment)
        if index + 1 == len(work.payments):
            surcharge = _on_top(rest, kind)
            _charge(work, index, kind, rest, surcharge)
            work.due.append(_rounded(work, payment, rest + surcharge))
            return
        surcharge = _contained(work, index, payment, kind)
        goods = payment.amount - surcharge
        if goods > rest:
            if not work.context.committed:
                message = "The payments before the last are more than the cart: lower one of them."
                raise _refused(message, index, excess=goods - rest)
            goods = rest
            surcharge = _on_top(rest, kind)
        _charge(work, index, kind, goods, surcharge)
        work.due.append(goods + surcharge)
        rest -= goods


def _type_of(work: Working, index: int, payment: PaymentIn) -> PaymentTypeView | None:
    """The payment's type; None where it names none."""
    if payment.payment_type_id is None:
        return None
    found = work.catalog.payment_types.get(payment.payment_type_id)
    if found is not None and found.method is payment.method:
        return found
    if work.context.committed:
        return None
    message = "This way to pay is not offered in this store: choose another one."
    raise _refused(message, index)


def _on_top(base: int, kind: PaymentTypeView | None) -> int:
    """What paying `base` this way costs more: nothing for nothing."""
    if kind is None or not base:
        return 0
    return percent_of(base, kind.surcharge_percent) + kind.surcharge_amount


def _contained(work: Working, index: int, payment: PaymentIn, kind: PaymentTypeView | None) -> int:
    """The surcharge inside a payment that is taken as it stands."""
    amount, committed = payment.amount, work.context.committed
    step = work.catalog.money.cash_step
    if payment.method is PaymentMethod.CASH and amount % step and not committed:
        coins = format_satang(step)
        message = f"Cash comes in steps of {coins}: change this payment, or make it the last."
        raise _refused(message, index)
    if kind is None or not amount:
        return 0
    if amount <= kind.surcharge_amount:
        if committed:
            return 0
        message = "This payment is no more than its own surcharge: raise it, or take it out."
        raise _refused(message, index)
    inside = vat_inside(amount - kind.surcharge_amount, kind.surcharge_percent)
    return inside + kind.surcharge_amount


def _charge(
    work: Working, index: int, kind: PaymentTypeView | None, base: int, surcharge: int
) -> None:
    """The surcharge's own line, VAT contained."""
    if kind is None or not surcharge:
        return
    values = {
        "payment": index,
        "payment_type_id": kind.payment_type_id,
        "name": kind.name,
        "name_th": kind.name_th,
        "amount": surcharge,
        "vat": vat_inside(surcharge, kind.surcharge_tax),
        "vat_rate": kind.surcharge_tax,
    }
    work.surcharges.append(frozen(Surcharge, _SURCHARGE, values))
    rate, fixed = kind.surcharge_percent, kind.surcharge_amount
    parts = [f"{percent_text(rate)} of {format_satang(base)}"] if rate else []
    parts += [format_satang(fixed)] if fixed else []
    why = f"{kind.name}: {' + '.join(parts)} is {format_satang(surcharge)} on top"
    facts: dict[str, object] = {"payment": index, "vat": values["vat"]}
    work.step("surcharge", why, change=surcharge, facts=facts)


def _rounded(work: Working, payment: PaymentIn, amount: int) -> int:
    """What the last payment comes to; in cash, in coins that there are."""
    money = work.catalog.money
    if payment.method is not PaymentMethod.CASH or money.cash_step == 1:
        return amount
    rounded = round_cash(amount, money.cash_step, money.cash_rounding)
    work.cash_rounding = rounded - amount
    how = "to the nearest" if money.cash_rounding.value == "nearest" else "down to"
    why = f"Cash {how} {format_satang(money.cash_step)}: {format_satang(rounded)}"
    work.step("cash_rounding", why, change=rounded - amount)
    return rounded


def _refused(message: str, index: int, **facts: int) -> PlayParkError:
    details = {"reason": "payments", "payment": index, **facts}
    return PlayParkError(ErrorCode.VALIDATION, message, details=details)
