"""Which tickets a sale makes: their packages, money and validity (R6, R18, R30).

Pure: the server books with it, and a till that sells by itself signs and prints with it (R22).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from playpark.clock import business_day_start
from playpark.contracts.catalog import PackageKind, PackageView
from playpark.contracts.pricing import MAX_TICKETS, CartLine, PricedCart, Slice
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import allocate

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlannedTicket:
    """A ticket that a sale makes, before it has an id. `unit` is `line:unit` of the sale, the same
    for all components of a bundle; `slice` is its share of the money (R6)."""

    unit: str
    package: PackageView
    slice: Slice
    valid_from: datetime
    valid_to: datetime


def planned(
    priced: PricedCart, catalog: CatalogSnapshot, *, day: date, zone: ZoneInfo
) -> list[PlannedTicket]:
    """The tickets of a sale of the trading day `day` in a store of time zone `zone`: line by line,
    unit-major, a bundle's components in their order."""
    by_id = {package.package_id: package for package in catalog.packages}
    parts_of = {line.package_id: components(by_id[line.package_id], by_id) for line in priced.lines}
    return [
        PlannedTicket(f"{index}:{position}", package, share, *validity(package, day, zone))
        for index, line in enumerate(priced.lines)
        for position, unit in enumerate(line.slices)
        for package, share in zip(
            parts_of[line.package_id], shares(unit, parts_of[line.package_id]), strict=True
        )
    ]


def tickets_per_line(lines: Sequence[CartLine], catalog: CatalogSnapshot) -> list[int]:
    """How many tickets each line of a cart makes. Raises E_VALIDATION beyond 500 in a sale
    (R56)."""
    by_id = {package.package_id: package for package in catalog.packages}
    counts = [line.qty * len(components(by_id[line.package_id], by_id)) for line in lines]
    if sum(counts) > MAX_TICKETS:
        message = f"A sale makes at most {MAX_TICKETS} tickets: sell it in parts."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return counts


def components(package: PackageView, by_id: Mapping[str, PackageView]) -> list[PackageView]:
    """The ticketed packages of one unit: itself, or a bundle's components in their order (R18)."""
    if package.kind is not PackageKind.BUNDLE:
        return [package]
    return [by_id[part.package_id] for part in package.components for _ in range(part.qty)]


def validity(package: PackageView, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From when and until when a ticket holds that is sold on the trading day `day` (R30)."""
    until = day + timedelta(days=package.valid_days)
    return business_day_start(day, zone), business_day_start(until, zone)


def shares(unit: Slice, parts: Sequence[PackageView]) -> list[Slice]:
    """A unit's slice over its components, by their base prices, every field exactly (R6)."""
    if len(parts) == 1:
        return [unit]
    weights = [part.price for part in parts]
    payable = allocate(unit.payable, weights)
    line_discount = allocate(unit.line_discount, weights)
    cart_discount = allocate(unit.cart_discount, weights)
    vat = allocate(unit.vat, payable)
    # Exclusive VAT is in what is payable and not in the gross price; inclusive VAT is in both.
    inclusive = unit.payable + unit.line_discount + unit.cart_discount == unit.gross
    added = [0] * len(parts) if inclusive else vat
    return [
        Slice(
            # Sums that a till got wrong may not go below zero here: they are flagged (R12).
            gross=max(0, payable[i] - added[i] + line_discount[i] + cart_discount[i]),
            line_discount=line_discount[i],
            cart_discount=cart_discount[i],
            payable=payable[i],
            vat=vat[i],
            vat_rate=unit.vat_rate,
        )
        for i in range(len(parts))
    ]


def by_line(of_tickets: Sequence[T], counts: Sequence[int]) -> list[list[T]]:
    """One list for each line, of what belongs to the tickets in their order: ids, codes, tokens.
    `counts` is `tickets_per_line`."""
    rest = iter(of_tickets)
    return [[next(rest) for _ in range(count)] for count in counts]
