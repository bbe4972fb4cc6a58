"""Which money a sale is booked with: the server's price, or what the till rang (R12, R17)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from api.catalog import service as catalog
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.contracts.catalog import TaxMode
from playpark.contracts.pricing import Cart, PricedCart, PricedLine, Rung, Slice, Totals
from playpark.contracts.sales import SaleIn
from playpark.contracts.settings import VatMode
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import percent_of, vat_inside
from playpark.pricing import Context, price

NEEDS_REVIEW, PRICE_VARIANCE = "needs_review", "price_variance"
NOT_PRICEABLE, INACTIVE_PACKAGE = "not_priceable", "inactive_package"
CUSTOMER_UNKNOWN = "customer_unknown"
CHANGED = "The price has changed: show the guest the new total, then sell again."


@dataclass(slots=True)
class Booking:
    """The priced cart as it is booked, and what an auditor has to look at."""

    priced: PricedCart
    catalog: CatalogSnapshot
    customer_id: str | None
    """The guest, as far as the park knows them."""
    at: datetime
    """The moment whose price it is."""
    flags: list[str] = field(default_factory=list)
    variance: dict[str, int] | None = None
    """What the till told and what the server reckons, satang."""


async def book(work: Work, scope: Scope, op: Operation[SaleIn]) -> Booking:
    """Price the sale, or take what was rung for money that is taken already.

    What is not paid yet costs what it costs now, by the server's clock: the client's
    `occurred_at` is kept for the record and chooses no price (R12). Money that is taken was taken
    at the price of its time.

    Raises E_PRICE_CHANGED (uncommitted, with both traces), E_VALIDATION for a rung cart of
    another shape, and what pricing raises.
    """
    sale = op.body
    if sale.rung is not None:
        _check_shape(sale, sale.rung)
    if op.committed:
        return await _book_committed(work, scope, op)
    priced = await catalog.price_cart(work, scope, sale, at=work.now, payments=sale.payments)
    if not _as_told(sale, priced):
        raise await price_changed(work, scope, op, priced)
    return Booking(priced, await catalog.snapshot(work, scope), sale.customer_id, work.now)


async def used_up(
    work: Work, scope: Scope, op: Operation[SaleIn], booking: Booking, rule_ids: Sequence[str]
) -> PlayParkError:
    """E_PRICE_CHANGED for promotions whose last use somebody else has just sold (R9)."""
    sale, known = op.body, booking.catalog
    where = await catalog.context(work, scope, sale, known)
    where = replace(where, used_up=where.used_up.union(rule_ids))
    priced = price(sale, known, at=booking.at, context=where, payments=sale.payments)
    message = "A promotion was used up just now: show the guest the new total, then sell again."
    return await price_changed(work, scope, op, priced, message)


async def price_changed(
    work: Work, scope: Scope, op: Operation[SaleIn], priced: PricedCart, message: str = CHANGED
) -> PlayParkError:
    """The refusal with the server's price and trace, and the client's as far as it told (R12)."""
    sale = op.body
    details: dict[str, Any] = {
        "grand_total": priced.grand_total,
        "catalog_version": priced.catalog_version,
        "trace": _trace(priced),
    }
    expected = sale.expected_total if sale.rung is None else sale.rung.grand_total
    if expected is not None:
        details["expected"] = expected
    if sale.rung is not None:
        details["rung"] = {name: getattr(sale.rung, name) for name in Totals.model_fields}
    told = await _price_as_told(work, scope, op)
    if told is not None:
        details["rung_trace"] = _trace(told)
    return PlayParkError(ErrorCode.PRICE_CHANGED, message, details=details)


def _trace(priced: PricedCart) -> list[dict[str, Any]]:
    return [entry.model_dump(mode="json") for entry in priced.trace]


def _as_told(sale: SaleIn, priced: PricedCart) -> bool:
    return sale.expected_total in {None, priced.grand_total} and (
        sale.rung is None or Rung.of(priced) == sale.rung
    )


async def _price_as_told(work: Work, scope: Scope, op: Operation[SaleIn]) -> PricedCart | None:
    """The price by the catalogue that the client has named; None where it has no other one."""
    sale = op.body
    if sale.catalog_version in {None, scope.catalog_version}:
        return None
    try:
        known = await catalog.snapshot(work, scope, sale.catalog_version)
        where = await catalog.context(work, scope, sale, known)
        return price(sale, known, at=work.now, context=where, payments=sale.payments)
    except PlayParkError:
        return None


# --- money that is taken already --------------------------------------------------------


async def _book_committed(work: Work, scope: Scope, op: Operation[SaleIn]) -> Booking:
    """As rung where it was rung. The server prices it by that version and flags what differs;
    what no longer fits the catalogue is priced as well as it can be (R17)."""
    sale = op.body
    known, flags = await _catalog_of(work, scope, sale)
    where, customer_id = await _context(work, scope, sale, known)
    if customer_id != sale.customer_id:
        flags.append(CUSTOMER_UNKNOWN)
    priced, refusal = _priced_leniently(op, known, where)
    if refusal is not None and refusal not in flags:
        flags.append(refusal)
    booking = Booking(priced, known, customer_id, op.occurred_at, flags)
    if sale.rung is not None:
        if where.used_up and Rung.of(priced) != sale.rung:
            # A till cannot know what is used up: that is judged by counting, not by the price.
            counted_on, _ = _priced_leniently(op, known, replace(where, used_up=frozenset()))
            if Rung.of(counted_on) == sale.rung:
                booking.priced = counted_on
        _book_as_rung(booking, sale.rung)
    elif sale.expected_total not in {None, priced.grand_total}:
        flags.append(PRICE_VARIANCE)
        booking.variance = {"rung": sale.expected_total or 0, "server": priced.grand_total}
    return booking


async def _catalog_of(work: Work, scope: Scope, sale: SaleIn) -> tuple[CatalogSnapshot, list[str]]:
    """The catalogue that was sold from, with all that was sold; a bundle that is off sale brings
    its components, which may be off sale too (R18). And flags."""
    sold = {line.package_id for line in sale.lines}
    known, flags = await catalog.snapshot_with(work, scope, sale.catalog_version, sorted(sold))
    bundles = [package for package in known.packages if package.package_id in sold]
    parts = {part.package_id for package in bundles for part in package.components}
    if parts <= {package.package_id for package in known.packages}:
        return known, flags
    whole = sorted(sold | parts)
    return await catalog.snapshot_with(work, scope, sale.catalog_version, whole)


async def _context(
    work: Work, scope: Scope, sale: SaleIn, known: CatalogSnapshot
) -> tuple[Context, str | None]:
    """What the price depends on, and the customer; without one that is not there (any more)."""
    try:
        return await catalog.context(work, scope, sale, known), sale.customer_id
    except PlayParkError:
        anybody = Cart(lines=sale.lines)
        return await catalog.context(work, scope, anybody, known), None


def _priced_leniently(
    op: Operation[SaleIn], known: CatalogSnapshot, where: Context
) -> tuple[PricedCart, str | None]:
    """The price, without what pricing refuses, and the flag for that. Raises E_NOT_FOUND for an
    unknown package, E_VALIDATION beyond ten billion baht."""
    sale, at = op.body, op.occurred_at
    try:
        return price(sale, known, at=at, context=where, payments=sale.payments), None
    except PlayParkError as refusal:
        if refusal.code is ErrorCode.NOT_FOUND:
            raise
        inactive = refusal.code is ErrorCode.INACTIVE_PACKAGE
        lenient = replace(where, committed=True)
        priced = price(sale, known, at=at, context=lenient, payments=sale.payments)
        return priced, INACTIVE_PACKAGE if inactive else NOT_PRICEABLE


def _check_shape(sale: SaleIn, rung: Rung) -> None:
    """A rung cart has the lines and units of its sale; anything else is malformed (R17)."""
    same_lines = len(rung.lines) == len(sale.lines)
    if not same_lines or any(
        len(line.slices) != asked.qty for line, asked in zip(rung.lines, sale.lines, strict=True)
    ):
        message = "`rung` needs one line for each line sold and one slice for each unit."
        raise PlayParkError(ErrorCode.VALIDATION, message)


def _book_as_rung(booking: Booking, rung: Rung) -> None:
    server = booking.priced
    if Rung.of(server) == rung:
        return
    booking.flags.append(PRICE_VARIANCE)
    booking.variance = {"rung": rung.grand_total, "server": server.grand_total}
    lines = [
        _rung_line(line, rung_line.unit_price, rung_line.slices)
        for line, rung_line in zip(server.lines, rung.lines, strict=True)
    ]
    header = {name: getattr(rung, name) for name in Totals.model_fields}
    booking.priced = server.model_copy(update={**header, "lines": lines})
    if not _adds_up(booking.priced) or not _taxed(booking.priced, booking.catalog):
        booking.flags.append(NEEDS_REVIEW)


def _rung_line(line: PricedLine, unit_price: int, rung: Sequence[Slice]) -> PricedLine:
    slices = [Slice.model_validate(part.model_dump()) for part in rung]
    sums = {
        name: sum(getattr(part, name) for part in slices)
        for name in ("gross", "line_discount", "cart_discount", "payable", "vat")
    }
    return line.model_copy(update={"unit_price": unit_price, "slices": slices, **sums})


def _adds_up(cart: PricedCart) -> bool:
    """The sums of R5–R7: slices make the header, each slice makes sense by itself, surcharges
    are those of the payments."""
    lines = cart.lines
    if not all(_makes_sense(part) for line in lines for part in line.slices):
        return False
    discount = sum(line.line_discount + line.cart_discount for line in lines)
    payable = sum(line.payable for line in lines)
    return (
        cart.subtotal == sum(line.gross for line in lines)
        and cart.discount_total == discount
        and cart.tax_total == sum(line.vat for line in lines)
        and cart.surcharge_total == sum(each.amount for each in cart.surcharges)
        and cart.grand_total == payable + cart.surcharge_total + cart.cash_rounding
    )


def _makes_sense(part: Slice) -> bool:
    """What is payable is the discounted price, with VAT on top where it is exclusive (R6)."""
    net = part.gross - part.line_discount - part.cart_discount
    return part.payable in {net, net + part.vat} and part.vat <= part.payable


def _taxed(cart: PricedCart, known: CatalogSnapshot) -> bool:
    """The VAT of R4: once a receipt and rate, or once a line, of what was rung."""
    tax_ids = {package.package_id: package.tax_id for package in known.packages}
    taxes = {tax.tax_id: tax for tax in known.taxes}
    per_line = known.settings.money.vat_mode is VatMode.PER_LINE
    groups: dict[tuple[Any, ...], list[PricedLine]] = {}
    for index, line in enumerate(cart.lines):
        tax = taxes[tax_ids[line.package_id]]
        if any(part.vat_rate != tax.rate for part in line.slices):
            return False
        groups.setdefault((tax.mode, tax.rate, index if per_line else 0), []).append(line)
    return all(
        sum(line.vat for line in lines) == _vat(mode, rate, sum(_net(line) for line in lines))
        for (mode, rate, _), lines in groups.items()
    )


def _net(line: PricedLine) -> int:
    return line.gross - line.line_discount - line.cart_discount


def _vat(mode: TaxMode, rate: int, amount: int) -> int:
    if mode is TaxMode.INCLUSIVE:
        return vat_inside(amount, rate)
    return percent_of(amount, rate) if mode is TaxMode.EXCLUSIVE else 0
