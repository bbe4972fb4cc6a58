"""What the guest is about to buy: lines, discounts, the guest, undo, the price (R8, R12, R56).

A basket is a row of frozen states, so that every change can be taken back and none is half done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from playpark.contracts.catalog import PackageKind, PackageView, SalesChannel
from playpark.contracts.pricing import (
    MAX_LINES,
    MAX_TICKETS,
    Cart,
    CartLine,
    PaymentIn,
    PricedCart,
)
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import Context, price


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was rung; the manual discount is satang off the whole line."""

    package_id: str
    qty: int
    discount_ids: tuple[str, ...] = ()
    manual_discount: int = 0

    def in_cart(self) -> CartLine:
        more: dict[str, Any] = {}
        if self.discount_ids:
            more["discount_ids"] = list(self.discount_ids)
        if self.manual_discount:
            more["manual_discount"] = self.manual_discount
        return CartLine(package_id=self.package_id, qty=self.qty, **more)


@dataclass(frozen=True, slots=True)
class Guest:
    """The customer whose sale it is; `points` as they were when looked up."""

    customer_id: str
    name: str
    group: str
    points: int


@dataclass(frozen=True, slots=True)
class Parked:
    """The parked cart that this basket was resumed from; satang that it cost then."""

    open_ticket_id: str
    name: str
    grand_total: int


@dataclass(frozen=True, slots=True)
class Rung:
    """One state of a basket."""

    lines: tuple[Line, ...] = ()
    promo_codes: tuple[str, ...] = ()
    discount_ids: tuple[str, ...] = ()
    guest: Guest | None = None
    parked: Parked | None = None

    @property
    def manual_discount(self) -> int:
        """All manual discounts together, satang."""
        return sum(line.manual_discount for line in self.lines)


@dataclass(slots=True)
class Basket:
    """Lines in the order in which they were rung. A refused change changes nothing."""

    rung: Rung = field(default_factory=Rung)
    _before: list[Rung] = field(default_factory=list)

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.rung.lines

    @property
    def quantities(self) -> tuple[tuple[str, int], ...]:
        """(package id, quantity) of each line."""
        return tuple((line.package_id, line.qty) for line in self.rung.lines)

    def __bool__(self) -> bool:
        return bool(self.rung.lines)

    # --- changes ------------------------------------------------------------------------

    def add(self, package_id: str, qty: int, catalog: CatalogSnapshot) -> None:
        """Ring `qty` more of a package; a package has one line.

        Raises PlayParkError: more lines or tickets than one sale may have (R56).
        """
        lines = list(self.rung.lines)
        for index, line in enumerate(lines):
            if line.package_id == package_id:
                lines[index] = replace(line, qty=line.qty + qty)
                break
        else:
            lines.append(Line(package_id, qty))
        _check(lines, catalog)
        self._change(lines=tuple(lines))

    def void_line(self, index: int) -> None:
        """Take a line out. Raises IndexError where there is none.

        With the last line goes all that belonged to this guest: the next one's sale is their own.
        """
        self._at(index)
        if len(self.rung.lines) == 1:
            self._before.append(self.rung)
            self.rung = Rung()
        else:
            self._change(lines=self.rung.lines[:index] + self.rung.lines[index + 1 :])

    def choose_for_line(self, index: int, discount_id: str) -> None:
        """Give a line one of the store's discounts, or take it off again."""
        line = self._at(index)
        self._line(index, replace(line, discount_ids=_toggled(line.discount_ids, discount_id)))

    def choose_for_cart(self, discount_id: str) -> None:
        """Give the cart one of the store's discounts, or take it off again."""
        self._change(discount_ids=_toggled(self.rung.discount_ids, discount_id))

    def discount_by_hand(self, index: int, amount: int) -> None:
        """Take `amount` satang off a line; 0 takes the discount away."""
        self._line(index, replace(self._at(index), manual_discount=amount))

    def enter_promo(self, code: str) -> None:
        """Enter a promotion code, or take it off again."""
        self._change(promo_codes=_toggled(self.rung.promo_codes, code.upper()))

    def attach(self, guest: Guest | None) -> None:
        """Whose sale it is; None for nobody known."""
        self._change(guest=guest)

    def resume(self, cart: Cart, parked: Parked, guest: Guest | None) -> None:
        """Take a parked cart up again, in the place of what is rung."""
        lines = tuple(
            Line(
                line.package_id,
                line.qty,
                tuple(line.discount_ids or ()),
                line.manual_discount or 0,
            )
            for line in cart.lines
        )
        self._before.clear()
        self.rung = Rung(
            lines, tuple(cart.promo_codes or ()), tuple(cart.discount_ids or ()), guest, parked
        )

    def undo(self) -> bool:
        """Take the last change back; False where there is none."""
        if not self._before:
            return False
        self.rung = self._before.pop()
        return True

    def clear(self) -> None:
        self.rung = Rung()
        self._before.clear()

    # --- what it costs --------------------------------------------------------------------

    def cart(self) -> Cart:
        """The lines as pricing takes them. Only for a basket that is not empty."""
        rung = self.rung
        more: dict[str, Any] = {}
        if rung.promo_codes:
            more["promo_codes"] = list(rung.promo_codes)
        if rung.discount_ids:
            more["discount_ids"] = list(rung.discount_ids)
        if rung.guest:
            more["customer_id"] = rung.guest.customer_id
        return Cart(lines=[line.in_cart() for line in rung.lines], **more)

    def priced(
        self,
        catalog: CatalogSnapshot,
        at: datetime,
        payments: Sequence[PaymentIn] | None = None,
    ) -> PricedCart | None:
        """The price by the same function as the server's; None for an empty basket (R12)."""
        if not self.rung.lines:
            return None
        group = self.rung.guest.group if self.rung.guest else None
        context = Context(channel=SalesChannel.POS, customer_group=group)
        return price(self.cart(), catalog, at=at, context=context, payments=payments)

    # --- inside ---------------------------------------------------------------------------

    def _at(self, index: int) -> Line:
        if not 0 <= index < len(self.rung.lines):
            raise IndexError(index)
        return self.rung.lines[index]

    def _line(self, index: int, line: Line) -> None:
        lines = self.rung.lines
        self._change(lines=(*lines[:index], line, *lines[index + 1 :]))

    def _change(self, **changes: Any) -> None:
        self._before.append(self.rung)
        self.rung = replace(self.rung, **changes)


def tickets_per_unit(package: PackageView) -> int:
    """How many tickets one sold unit makes: a bundle one for each component (R18)."""
    if package.kind is PackageKind.BUNDLE:
        return sum(component.qty for component in package.components)
    return 1


def _toggled(chosen: tuple[str, ...], one: str) -> tuple[str, ...]:
    return tuple(each for each in chosen if each != one) if one in chosen else (*chosen, one)


def _check(lines: Sequence[Line], catalog: CatalogSnapshot) -> None:
    packages = {package.package_id: package for package in catalog.packages}
    tickets = sum(line.qty * tickets_per_unit(packages[line.package_id]) for line in lines)
    if len(lines) > MAX_LINES or max(tickets, sum(line.qty for line in lines)) > MAX_TICKETS:
        message = f"One sale makes at most {MAX_TICKETS} tickets: sell the rest separately."
        raise PlayParkError(ErrorCode.VALIDATION, message)
