"""What shifts are for the other rooms: their operations, and booking on them (R26–R28).

A sale, void, refund or reprint books its figures in its own transaction. An operation that names
its shift is booked there and nowhere else; what is committed after that shift was closed becomes
a supplement in the Z chain, in the same transaction.
"""

from typing import Any

from api.platform.operations import Kind, Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts import booking, figures
from api.shifts.adjustments import ADJUST
from api.shifts.booking import NO_SHIFT
from api.shifts.closing import CLOSE
from api.shifts.figures import Figures, RefundAmounts, SaleAmounts
from api.shifts.movements import MOVE
from api.shifts.opening import OPEN
from playpark.errors import ErrorCode, PlayParkError

__all__ = [
    "ADJUST",
    "CLOSE",
    "KINDS",
    "MOVE",
    "OPEN",
    "RefundAmounts",
    "SaleAmounts",
    "book_refund",
    "book_reprint",
    "book_sale",
    "book_void",
]

KINDS: tuple[Kind[Any, Any], ...] = (OPEN, CLOSE, MOVE, ADJUST)


async def book_sale(
    work: Work, scope: Scope, op: Operation[Any], amounts: SaleAmounts
) -> tuple[str | None, list[str]]:
    """Add a sale to the device's open shift. Returns (shift_id, flags).

    Without a shift an uncommitted sale is E_SHIFT_CLOSED, unless the store's setting
    `sales.without_shift` allows it and the sale names none; a committed one is flagged.
    """
    booked = await booking.book(work, scope, op, op.shift_id, figures.of_sale(amounts))
    if booked is not None:
        return booked[0].shift_id, booked[1]
    if op.committed:
        return None, [NO_SHIFT]
    settings, _ = await booking.store_rules(work, scope)
    if op.shift_id is None and settings.sales.without_shift:
        return None, []
    raise booking.none_open()


async def book_void(
    work: Work, scope: Scope, op: Operation[Any], shift_id: str | None, amounts: SaleAmounts
) -> list[str]:
    """Take a sale out of its shift, which is still open on this device, and count it as voided
    (R32, decision 0009). Returns flags. Raises E_CONFLICT where that shift is not open here; a
    committed void of a closed one is a supplement."""
    booked = None
    if shift_id is not None:
        booked = await booking.book(work, scope, op, shift_id, figures.of_void(amounts))
    if booked is None:
        message = "Only a sale of the open shift on this device can be voided: refund it."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    return booked[1]


async def book_refund(
    work: Work, scope: Scope, op: Operation[Any], amounts: RefundAmounts
) -> tuple[str | None, list[str]]:
    """Add a refund to the shift that is open now (R26). Returns (shift_id, flags).

    Without one an uncommitted refund is E_SHIFT_CLOSED; a committed one is flagged, or posted to
    the shift that it names, from whose drawer the cash has gone.
    """
    booked = await booking.book(work, scope, op, _meant(op), figures.of_refund(amounts))
    if booked is not None:
        return booked[0].shift_id, booked[1]
    if not op.committed:
        raise booking.none_open()
    return None, [NO_SHIFT]


async def book_reprint(work: Work, scope: Scope, op: Operation[Any]) -> str | None:
    """Count a reprint on the shift that is open now; None where there is none."""
    booked = await booking.book(work, scope, op, _meant(op), Figures(reprints=1))
    return booked[0].shift_id if booked else None


def _meant(op: Operation[Any]) -> str | None:
    """What is not done yet is done in the shift of now, whichever was open when it was asked."""
    return op.shift_id if op.committed else None
