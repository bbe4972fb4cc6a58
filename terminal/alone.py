"""A sale that the till prints by itself: its tickets and papers from its own data (R22, R23).

All of it comes from the operation as it stands on the disk, so that it is the same before and after
a restart, whatever is on sale by then.
"""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from playpark.contracts.base import View
from playpark.contracts.catalog import PackageView
from playpark.contracts.pricing import (
    CartLine,
    PaymentIn,
    PaymentMethod,
    PricedCart,
    PricedLine,
    RungLine,
    Slice,
    Surcharge,
    Totals,
)
from playpark.contracts.sales import PaymentView, SaleAnswer, SaleIn, SaleView
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tickets import TicketView
from playpark.device import StoredOp
from playpark.device.till_key import Wanted
from playpark.issuing import PlannedTicket, components, planned

TRAINING_PREFIX = "PPT."
SOLD = "sold"
"""Where it stands in the memo of a sale."""
_SUMS = ("gross", "line_discount", "cart_discount", "payable", "vat")


class SoldHere(View):
    """What the papers of a sale need beyond its body; kept in the operation's memo."""

    device_id: str
    cashier_name: str | None
    surcharges: list[Surcharge]
    catalog: CatalogSnapshot
    """The packages that were sold, and their components; no more of the catalogue."""

    @classmethod
    def of(
        cls,
        priced: PricedCart,
        catalog: CatalogSnapshot,
        *,
        device_id: str,
        cashier_name: str | None,
    ) -> "SoldHere":
        by_id = {each.package_id: each for each in catalog.packages}
        sold = [by_id[line.package_id] for line in priced.lines]
        needed = {
            each.package_id: each
            for package in sold
            for each in (package, *components(package, by_id))
        }
        little = CatalogSnapshot(
            catalog_version=catalog.catalog_version,
            hash=catalog.hash,
            store_id=catalog.store_id,
            taxes=[],
            zones=[],
            packages=list(needed.values()),
        )
        return cls(
            device_id=device_id,
            cashier_name=cashier_name,
            surcharges=priced.surcharges,
            catalog=little,
        )


def sold_here(op: StoredOp) -> SoldHere | None:
    """What was noted with a sale; None for one of a program that noted nothing."""
    try:
        return SoldHere.model_validate((op.memo or {})[SOLD])
    except (KeyError, ValidationError):
        return None


def wanted(body: dict[str, Any], known: SoldHere, zone: ZoneInfo) -> list[Wanted]:
    """The tickets of a sale as the till signs them, in the order of its `ticket_ids`."""
    sale = SaleIn.model_validate(body)
    ids = [each for line in sale.ticket_ids or () for each in line]
    return [
        Wanted(ticket_id, ticket.package.package_id, ticket.valid_from, ticket.valid_to)
        for ticket_id, ticket in zip(ids, _planned(sale, known, zone), strict=True)
    ]


def tokens_of(op: StoredOp) -> list[str] | None:
    """The tokens that this till prints for a sale by itself; None where the server's are needed.
    Those of practice are no signatures: the till knows what the server would give (R32)."""
    if op.body.get("training"):
        return [f"{TRAINING_PREFIX}{each}" for line in op.body["ticket_ids"] for each in line]
    tokens = (op.envelope.get("local") or {}).get("tokens")
    return None if tokens is None else [each for line in tokens for each in line]


def answer_of(op: StoredOp, known: SoldHere, tokens: Sequence[str], zone: ZoneInfo) -> SaleAnswer:
    """What the server would answer, but for what only it knows: its ids, points, flags."""
    sale = SaleIn.model_validate(op.body)
    return SaleAnswer(sale=_sale(op, sale, known), tickets=_tickets(sale, known, tokens, zone))


def _sale(op: StoredOp, sale: SaleIn, known: SoldHere) -> SaleView:
    priced = _priced(sale, known)
    header = {name: getattr(priced, name) for name in Totals.model_fields}
    return SaleView(
        **header,
        sale_id=op.op_id,
        receipt_no=op.receipt_no or "",
        business_date=sale.business_date or op.occurred_at.date(),
        occurred_at=op.occurred_at,
        device_id=known.device_id,
        shift_id=op.shift_id,
        cashier_id=op.employee_id,
        cashier_name=known.cashier_name,
        lines=priced.lines,
        payments=[_payment(position, each) for position, each in enumerate(sale.payments)],
        change=sum(
            each.tendered - each.amount for each in sale.payments if each.tendered is not None
        ),
        payment_method=_method(sale.payments),
        surcharges=known.surcharges,
        promo_codes=list(sale.promo_codes or ()),
        customer_id=sale.customer_id,
        training=sale.training,
        catalog_version=priced.catalog_version,
    )


def _payment(position: int, paid: PaymentIn) -> PaymentView:
    return PaymentView(payment_id=str(position), **paid.model_dump())


def _method(payments: Sequence[PaymentIn]) -> str:
    methods = {each.method for each in payments}
    if not methods:
        return PaymentMethod.OTHER.value  # nothing had to be paid
    return methods.pop().value if len(methods) == 1 else "split"


def _tickets(
    sale: SaleIn, known: SoldHere, tokens: Sequence[str], zone: ZoneInfo
) -> list[TicketView]:
    ids = [each for line in sale.ticket_ids or () for each in line]
    codes = [each for line in sale.short_codes or () for each in line]
    return [
        TicketView(
            ticket_id=ticket_id,
            short_code=code,
            qr_token=token,
            kind=ticket.package.kind,
            package_id=ticket.package.package_id,
            package_name=ticket.package.name,
            package_name_th=ticket.package.name_th,
            quota_or_minutes=ticket.package.quota_or_minutes,
            valid_from=ticket.valid_from,
            valid_to=ticket.valid_to,
            payable=ticket.slice.payable,
            zones=ticket.package.zones,
        )
        for ticket_id, code, token, ticket in zip(
            ids, codes, tokens, _planned(sale, known, zone), strict=True
        )
    ]


def _planned(sale: SaleIn, known: SoldHere, zone: ZoneInfo) -> list[PlannedTicket]:
    if sale.business_date is None:
        msg = "a sale of a till has its trading day"
        raise ValueError(msg)
    return planned(_priced(sale, known), known.catalog, day=sale.business_date, zone=zone)


def _priced(sale: SaleIn, known: SoldHere) -> PricedCart:
    """What was rung, with the names that stand on the paper."""
    if sale.rung is None:
        msg = "a sale of a till tells what was rung"
        raise ValueError(msg)
    by_id = {each.package_id: each for each in known.catalog.packages}
    lines = [
        _line(asked, rung, by_id[asked.package_id])
        for asked, rung in zip(sale.lines, sale.rung.lines, strict=True)
    ]
    return PricedCart(
        **{name: getattr(sale.rung, name) for name in Totals.model_fields},
        lines=lines,
        surcharges=known.surcharges,
        trace=[],
        catalog_version=known.catalog.catalog_version,
    )


def _line(asked: CartLine, rung: RungLine, package: PackageView) -> PricedLine:
    slices = [Slice.model_validate(part.model_dump()) for part in rung.slices]
    sums = {name: sum(getattr(part, name) for part in slices) for name in _SUMS}
    return PricedLine(
        **sums,
        vat_rate=slices[0].vat_rate,
        package_id=asked.package_id,
        name=package.name,
        name_th=package.name_th,
        qty=asked.qty,
        unit_price=rung.unit_price,
        slices=slices,
    )
