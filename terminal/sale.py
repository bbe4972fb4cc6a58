"""A sale as an operation: its frozen body, its papers, its row on the screen (R12, R14, R23)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from playpark.contracts.pricing import PaymentIn, PaymentMethod, PricedCart, Rung
from playpark.contracts.sales import SaleAnswer, SaleIn, SaleView
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tickets import TicketView
from playpark.device import Allocator, OpState, PrintState, StoredOp
from playpark.ids import ReceiptSeries
from playpark.printing.document import Document
from playpark.printing.letterhead import Letterhead
from playpark.printing.receipt_notes import ReceiptNotes
from playpark.printing.templates import receipt_document, ticket_document
from terminal.alone import SOLD, SoldHere, answer_of, sold_here, tokens_of
from terminal.basket import Basket, tickets_per_unit
from terminal.printer import Paper

RECEIPT = "receipt"
UNUSUAL_TENDER = 10
"""A tender of more than so many times the total is asked about: it may be a slip (SCREENS)."""


@dataclass(frozen=True, slots=True)
class SaleDraft:
    """All that a sale's body is made of; the numbers come with the store's transaction."""

    basket: Basket
    priced: PricedCart
    catalog: CatalogSnapshot
    payments: Sequence[PaymentIn]
    occurred_at: datetime
    business_date: date
    training: bool = False
    device_id: str = ""
    cashier_name: str | None = None

    def body(self, allocator: Allocator) -> dict[str, Any]:
        """The request body of `POST /v1/sales`: number, ticket ids and codes included."""
        packages = {package.package_id: package for package in self.catalog.packages}
        cart = self.basket.cart()
        counts = [line.qty * tickets_per_unit(packages[line.package_id]) for line in cart.lines]
        series = ReceiptSeries.TRAINING if self.training else ReceiptSeries.SALE
        more: dict[str, Any] = {"training": True} if self.training else {}
        if parked := self.basket.rung.parked:
            more["open_ticket_id"] = parked.open_ticket_id
        sale = SaleIn(
            **{name: getattr(cart, name) for name in cart.model_fields_set},
            payments=list(self.payments),
            receipt_no=allocator.receipt_no(series),
            ticket_ids=[[allocator.ticket_id() for _ in range(count)] for count in counts],
            short_codes=[[allocator.short_code() for _ in range(count)] for count in counts],
            catalog_version=self.priced.catalog_version,
            business_date=self.business_date,
            rung=Rung.of(self.priced),
            occurred_at=self.occurred_at,
            **more,
        )
        return sale.model_dump(mode="json", exclude_unset=True)

    def memo(self) -> dict[str, Any]:
        """What the till keeps beside the body for its papers."""
        kept = self.sold_here().model_dump(mode="json", exclude_defaults=True)
        return {**self.notes().model_dump(mode="json"), SOLD: kept}

    def sold_here(self) -> SoldHere:
        """What its papers need beyond the body."""
        return SoldHere.of(
            self.priced, self.catalog, device_id=self.device_id, cashier_name=self.cashier_name
        )

    def notes(self) -> ReceiptNotes:
        """What the receipt says beyond the sale."""
        guest = self.basket.rung.guest
        return ReceiptNotes.of(
            self.priced.trace,
            self.catalog,
            [line.qty for line in self.priced.lines],
            guest=guest.name if guest else None,
            points_balance=guest.points if guest else None,
        )


def papers_of(
    answer: SaleAnswer, notes: ReceiptNotes | None, *, always_copy: bool = False
) -> list[Paper]:
    """The receipt and each ticket, every one a paper of its own."""
    sale = answer.sale
    paid_cash = any(paid.method is PaymentMethod.CASH for paid in sale.payments)
    receipt = receipt_paper(sale, notes, kick=paid_cash and not sale.training and not always_copy)
    tickets = [ticket_paper(ticket, training=sale.training) for ticket in answer.tickets]
    return [
        Paper(each.name, each.content, each.draw, each.kick, always_copy)
        for each in (receipt, *tickets)
    ]


def papers_of_op(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    """The papers of a sale of this till, from the server's answer and the till's own notes.
    Raises ValidationError where the answer is none."""
    notes = ReceiptNotes.model_validate(op.memo) if op.memo else None
    return papers_of(SaleAnswer.model_validate(result), notes)


def papers_alone(op: StoredOp, zone: ZoneInfo) -> list[Paper] | None:
    """The papers of a sale whose tickets the till has signed by itself; None where it has not."""
    known, tokens = sold_here(op), tokens_of(op)
    if known is None or tokens is None:
        return None
    notes = ReceiptNotes.model_validate(op.memo)
    # The guest's points after this sale are the server's to say.
    notes = notes.model_copy(update={"points_balance": None})
    return papers_of(answer_of(op, known, tokens, zone), notes)


def receipt_paper(sale: SaleView, notes: ReceiptNotes | None, *, kick: bool = False) -> Paper:
    def draw(head: Letterhead, copy: bool) -> Document:
        till = sale.receipt_no.partition("-")[0]
        return receipt_document(head, sale, till=till, notes=notes, copy=copy)

    return Paper(RECEIPT, sale, draw, kick)


def ticket_paper(ticket: TicketView, *, training: bool = False) -> Paper:
    draw = partial(_draw_ticket, ticket, training)
    return Paper(ticket.ticket_id, ticket, draw)


def _draw_ticket(ticket: TicketView, training: bool, head: Letterhead, copy: bool) -> Document:
    return ticket_document(head, ticket, copy=copy, training=training)


def is_unusual(tendered: int, total: int) -> bool:
    """True where a tender (satang) looks like a slip of the finger."""
    return total > 0 and tendered > UNUSUAL_TENDER * total


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale in the list of the last ones, read from its operation. `tendered` is the cash that
    was handed over, None where none was; `method` the one of its payments, or `split`."""

    op_id: str
    receipt_no: str
    occurred_at: datetime
    total: int
    method: str
    tendered: int | None
    change: int
    state: OpState
    printing: PrintState
    training: bool

    @classmethod
    def of(cls, op: StoredOp) -> "Sold":
        payments = op.body["payments"]
        methods = list(dict.fromkeys(each["method"] for each in payments))
        cash = [each for each in payments if each.get("tendered") is not None]
        return cls(
            op_id=op.op_id,
            receipt_no=op.receipt_no or "",
            occurred_at=op.occurred_at,
            total=op.body["rung"]["grand_total"],
            method="split" if len(methods) > 1 else (methods or [PaymentMethod.OTHER.value])[0],
            tendered=sum(each["tendered"] for each in cash) if cash else None,
            change=sum(each["tendered"] - each["amount"] for each in cash),
            state=op.state,
            printing=op.printing,
            training=bool(op.body.get("training")),
        )
