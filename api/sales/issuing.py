"""Which tickets a sale makes: components, ids, codes, a bundle's shares (R6, R23, R24)."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.tickets import arriving
from api.tickets.issuing import TicketSpec
from playpark.clock import business_day_start
from playpark.contracts.catalog import PackageKind, PackageView
from playpark.contracts.pricing import MAX_TICKETS, PricedCart, Slice
from playpark.contracts.sales import SaleIn
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
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


def given(lists: list[list[str]] | None, counts: list[int], name: str) -> list[str] | None:
    """What the till chose, in one list; None where it left the choice to the server.

    Raises E_VALIDATION where it sent another number of them, or one twice.
    """
    if lists is None:
        return None
    flat = [item for line in lists for item in line]
    if [len(line) for line in lists] != counts or len(set(flat)) != len(flat):
        message = f"`{name}` needs one list for each line and one entry for each ticket, all new."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return flat


async def printed(
    work: Work,
    scope: Scope,
    op: Operation[SaleIn],
    counts: list[int],
    tickets: Sequence[TicketSpec],
    valid_from: datetime,
) -> tuple[arriving.Printed | None, list[str]]:
    """What the till has signed and printed of these tickets by itself, None for nothing; and flags.

    Raises E_VALIDATION for another number of tokens, or where nothing can be printed yet, and
    E_CONFLICT for an id of another ticket (R16).
    """
    texts = given(op.body.offline_tokens, counts, "offline_tokens")
    if texts is None:
        return None, []
    if not op.committed:
        message = "Tickets that are printed belong to a sale that has happened: send it committed."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    expected = [
        arriving.Expected(each.ticket_id, each.package.package_id, valid_from, each.valid_to)
        for each in tickets
    ]
    return await arriving.read(work, scope, expected, texts)


def specs(
    priced: PricedCart,
    catalog: CatalogSnapshot,
    *,
    ids: Sequence[str],
    codes: Sequence[str],
    day: date,
    zone: ZoneInfo,
) -> list[TicketSpec]:
    """The tickets of a sale: line by line, unit-major, components in order, with as many ids and
    short codes."""
    by_id = {package.package_id: package for package in catalog.packages}
    parts_of = {line.package_id: components(by_id[line.package_id], by_id) for line in priced.lines}
    shares = [
        (f"{index}:{position}", package, share)
        for index, line in enumerate(priced.lines)
        for position, unit in enumerate(line.slices)
        for package, share in zip(
            parts_of[line.package_id], _shares(unit, parts_of[line.package_id]), strict=True
        )
    ]
    return [
        TicketSpec(
            ticket_id=ticket_id,
            short_code=code,
            package=package,
            slice=share,
            valid_to=business_day_start(day + timedelta(days=package.valid_days), zone),
            unit=unit,
        )
        for (unit, package, share), ticket_id, code in zip(shares, ids, codes, strict=True)
    ]


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
