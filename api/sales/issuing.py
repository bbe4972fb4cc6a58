"""Which tickets a sale makes: components, ids, codes, a bundle's shares (R6, R23, R24)."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from api.tickets.service import TicketSpec
from playpark.clock import business_day_start
from playpark.contracts.catalog import CatalogSnapshot, PackageKind, PackageView
from playpark.contracts.pricing import MAX_TICKETS, PricedCart, Slice
from playpark.contracts.sales import SaleIn
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from playpark.money import allocate


def tickets_per_line(sale: SaleIn, catalog: CatalogSnapshot) -> list[int]:
    """How many tickets each line makes. Raises E_VALIDATION beyond 500 in a sale (R56)."""
    by_id = {package.package_id: package for package in catalog.packages}
    counts = [line.qty * len(components(by_id[line.package_id], by_id)) for line in sale.lines]
    if sum(counts) > MAX_TICKETS:
        message = f"A sale makes at most {MAX_TICKETS} tickets: sell it in parts."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return counts


def components(package: PackageView, by_id: dict[str, PackageView]) -> list[PackageView]:
    """The ticketed packages of one unit: itself, or a bundle's components in their order (R18)."""
    if package.kind is not PackageKind.BUNDLE:
        return [package]
    return [by_id[part.package_id] for part in package.components for _ in range(part.qty)]


def specs(
    sale: SaleIn,
    priced: PricedCart,
    catalog: CatalogSnapshot,
    *,
    short_code: Callable[[], str],
    day: date,
    zone: ZoneInfo,
) -> list[TicketSpec]:
    """The tickets of a sale, line by line, unit-major, components in order.

    Ids and short codes are the till's where it sent them; else fresh ids and `short_code()`.
    Raises E_VALIDATION where the till sent another number of them, or one twice.
    """
    counts = tickets_per_line(sale, catalog)
    ids = _given(sale.ticket_ids, counts, "ticket_ids")
    codes = _given(sale.short_codes, counts, "short_codes")
    by_id = {package.package_id: package for package in catalog.packages}
    found: list[TicketSpec] = []
    for line in priced.lines:
        parts = components(by_id[line.package_id], by_id)
        for unit in line.slices:
            for package, share in zip(parts, _shares(unit, parts), strict=True):
                ends_on = day + timedelta(days=package.valid_days)
                found.append(
                    TicketSpec(
                        ticket_id=next(ids) if ids else new_ulid(),
                        short_code=next(codes) if codes else short_code(),
                        package=package,
                        slice=share,
                        valid_to=business_day_start(ends_on, zone),
                    )
                )
    return found


def _given(lists: list[list[str]] | None, counts: list[int], name: str) -> Iterator[str] | None:
    if lists is None:
        return None
    flat = [item for line in lists for item in line]
    if [len(line) for line in lists] != counts or len(set(flat)) != len(flat):
        message = f"`{name}` needs one list for each line and one entry for each ticket, all new."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return iter(flat)


def _shares(unit: Slice, parts: list[PackageView]) -> list[Slice]:
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
            gross=payable[i] - added[i] + line_discount[i] + cart_discount[i],
            line_discount=line_discount[i],
            cart_discount=cart_discount[i],
            payable=payable[i],
            vat=vat[i],
            vat_rate=unit.vat_rate,
        )
        for i in range(len(parts))
    ]
