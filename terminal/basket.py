"""What the guest is about to buy: lines, undo, and the price that is shown (R8, R12, R56)."""

from datetime import datetime

from playpark.contracts.catalog import CatalogSnapshot, PackageKind, PackageView
from playpark.contracts.pricing import (
    MAX_LINES,
    MAX_TICKETS,
    Cart,
    CartLine,
    PricedCart,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import price

Lines = tuple[tuple[str, int], ...]
"""(package id, quantity) of each line."""


class Basket:
    """Lines in the order in which they were rung. A refused change changes nothing."""

    def __init__(self) -> None:
        self._lines: Lines = ()
        self._before: list[Lines] = []

    @property
    def lines(self) -> Lines:
        return self._lines

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, package_id: str, qty: int, catalog: CatalogSnapshot) -> None:
        """Ring `qty` more of a package; a package has one line.

        Raises PlayParkError: more lines or tickets than one sale may have (R56).
        """
        lines = dict(self._lines)
        lines[package_id] = lines.get(package_id, 0) + qty
        self._check(lines, catalog)
        self._change(tuple(lines.items()))

    def void_line(self, index: int) -> None:
        """Take a line out. Raises IndexError where there is none."""
        if not 0 <= index < len(self._lines):
            raise IndexError(index)
        self._change(self._lines[:index] + self._lines[index + 1 :])

    def undo(self) -> bool:
        """Take the last change back; False where there is none."""
        if not self._before:
            return False
        self._lines = self._before.pop()
        return True

    def clear(self) -> None:
        self._lines = ()
        self._before.clear()

    def cart(self) -> Cart:
        """The lines as pricing takes them. Only for a basket that is not empty."""
        return Cart(lines=[CartLine(package_id=each, qty=qty) for each, qty in self._lines])

    def priced(self, catalog: CatalogSnapshot, at: datetime) -> PricedCart | None:
        """The price by the same function as the server's; None for an empty basket (R12)."""
        return price(self.cart(), catalog, at=at) if self._lines else None

    def _change(self, lines: Lines) -> None:
        self._before.append(self._lines)
        self._lines = lines

    @staticmethod
    def _check(lines: dict[str, int], catalog: CatalogSnapshot) -> None:
        packages = {package.package_id: package for package in catalog.packages}
        tickets = sum(qty * tickets_per_unit(packages[each]) for each, qty in lines.items())
        if len(lines) > MAX_LINES or max(tickets, sum(lines.values())) > MAX_TICKETS:
            message = f"One sale makes at most {MAX_TICKETS} tickets: sell the rest separately."
            raise PlayParkError(ErrorCode.VALIDATION, message)


def tickets_per_unit(package: PackageView) -> int:
    """How many tickets one sold unit makes: a bundle one for each component (R18)."""
    if package.kind is PackageKind.BUNDLE:
        return sum(component.qty for component in package.components)
    return 1
