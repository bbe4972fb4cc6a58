"""How a sale is paid: ways to pay, and the money of a basket payment after payment (R7).

The last payment settles the rest: its amount, surcharge and rounding come from the price function
(docs/decisions/0007), never from here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from playpark.contracts.pricing import PaymentIn, PaymentMethod, PricedCart
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang

MAX_REFERENCE = 100
_PLAIN = {
    PaymentMethod.CASH: "Cash",
    PaymentMethod.CARD: "Card",
    PaymentMethod.QR: "QR",
}


@dataclass(frozen=True, slots=True)
class Way:
    """A way to pay. `surcharge` says in words what it costs on top, empty where nothing."""

    method: PaymentMethod
    name: str
    payment_type_id: str | None = None
    surcharge: str = ""
    needs_reference: bool = False
    points: bool = False

    def payment(
        self, amount: int, *, tendered: int | None = None, reference: str | None = None
    ) -> PaymentIn:
        """A payment of this way, satang. Raises E_VALIDATION for a reference that is missing or
        too long."""
        reference = (reference or "").strip()
        if self.needs_reference and not reference:
            message = f"{self.name} needs a reference: type the number from its slip."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        if len(reference) > MAX_REFERENCE:
            message = f"The reference is too long: {MAX_REFERENCE} letters at most."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        more: dict[str, Any] = {}
        if self.payment_type_id:
            more["payment_type_id"] = self.payment_type_id
        if tendered is not None:
            more["tendered"] = tendered
        if reference:
            more["reference"] = reference
        return PaymentIn(method=self.method, amount=amount, **more)


def ways(catalog: CatalogSnapshot) -> list[Way]:
    """The store's ways to pay in their order; cash, card and QR where it has set none up."""
    types = sorted(
        (each for each in catalog.payment_types if each.active),
        key=lambda each: (each.sort, each.name),
    )
    if not types:
        return [Way(method, name) for method, name in _PLAIN.items()]
    return [
        Way(
            method=each.method,
            name=each.name,
            payment_type_id=each.payment_type_id,
            surcharge=_surcharge(each.surcharge_percent, each.surcharge_amount),
            needs_reference=each.needs_reference,
            points=each.points,
        )
        for each in types
    ]


def way_of(catalog: CatalogSnapshot, method: PaymentMethod) -> Way:
    """The first way with this method; a plain one where the store has set none up."""
    found = [each for each in ways(catalog) if each.method is method and not each.points]
    return found[0] if found else Way(method, _PLAIN.get(method, "Other"))


def _surcharge(percent: int, amount: int) -> str:
    parts = [f"{percent / 100:g} %"] if percent else []
    parts += [format_satang(amount)] if amount else []
    return f"+{' + '.join(parts)}" if parts else ""


Preview = Callable[[Sequence[PaymentIn]], PricedCart]
"""The price of the basket when it is paid so."""


class Split:
    """The payments of one sale, as they are given. `points_limit` is what the guest's points
    are worth, satang, `point_value` what one is."""

    def __init__(self, preview: Preview, *, points_limit: int = 0, point_value: int = 0) -> None:
        self._preview = preview
        self._points_limit = points_limit
        self._point_value = point_value
        self.given: list[tuple[Way, PaymentIn]] = []
        self.settled = False

    @property
    def payments(self) -> list[PaymentIn]:
        return [payment for _, payment in self.given]

    def settles(self, way: Way) -> PricedCart:
        """The price if this way settles the rest."""
        return self._preview([*self._without_cash(way), way_payment(way)])

    def due(self, way: Way) -> int:
        """What this way would have to pay now to settle the rest, satang: surcharge and rounding
        contained. Cash that was given before counts as cash."""
        return self.settles(way).due[-1] - self._cash_before(way)

    def suggested(self, way: Way) -> int:
        """The next sensible amount: the rest, or as much of it as the points are worth."""
        due = self.due(way)
        if not way.points:
            return due
        worth = min(self._points_left(), due)
        return worth - worth % max(self._point_value, 1)

    def give(self, way: Way, amount: int, reference: str | None = None) -> None:
        """Take `amount` satang this way. Cash may be more than is due: the rest is change.

        Raises PlayParkError: nothing, too much, more points than there are, no reference.
        """
        if self.settled:
            raise PlayParkError(ErrorCode.CONFLICT, "Everything is paid.")
        due = self.due(way)
        if amount < 1 and due > 0:
            message = "Type how much is paid this way, more than 0."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        cash = way.method is PaymentMethod.CASH
        if amount > due and not cash:
            message = f"Only {format_satang(due)} is due this way: type that, or less."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        if way.points:
            self._check_points(amount)
        before = self._cash_before(way)
        tendered = amount + before if cash else None
        payment = way.payment(before + min(amount, due), tendered=tendered, reference=reference)
        kept = [each for each in self.given if not (cash and each[0].method is PaymentMethod.CASH)]
        if amount < due:
            # Whether something can follow it is asked before the money is taken.
            so_far = [*(each for _, each in kept), payment]
            self._preview([*so_far, PaymentIn(method=PaymentMethod.CASH, amount=0)])
        self.given = [*kept, (way, payment)]
        self.settled = amount >= due

    def take_back(self) -> PaymentIn | None:
        """Take the last payment off the list; None where there is none."""
        self.settled = False
        return self.given.pop()[1] if self.given else None

    def _without_cash(self, way: Way) -> list[PaymentIn]:
        # A second piece of cash joins the first: a sale has one cash payment, and one change.
        if way.method is not PaymentMethod.CASH:
            return self.payments
        return [each for each in self.payments if each.method is not PaymentMethod.CASH]

    def _cash_before(self, way: Way) -> int:
        if way.method is not PaymentMethod.CASH:
            return 0
        return sum(each.amount for each in self.payments if each.method is PaymentMethod.CASH)

    def _points_left(self) -> int:
        spent = sum(payment.amount for way, payment in self.given if way.points)
        return max(self._points_limit - spent, 0)

    def _check_points(self, amount: int) -> None:
        if amount > self._points_left():
            worth = format_satang(self._points_left())
            message = f"The points are worth {worth}: type that, or less."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        if self._point_value and amount % self._point_value:
            step = format_satang(self._point_value)
            message = f"A point is worth {step}: type an amount in steps of {step}."
            raise PlayParkError(ErrorCode.VALIDATION, message)


def way_payment(way: Way) -> PaymentIn:
    """A payment that settles the rest, whatever that is; for previews."""
    more = {"payment_type_id": way.payment_type_id} if way.payment_type_id else {}
    return PaymentIn(method=way.method, amount=0, **more)
