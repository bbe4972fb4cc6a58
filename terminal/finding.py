"""Finding a sale that was made: by its receipt, a code, a scanned ticket; here or anywhere (R53).

A sale of this till that the server does not have yet is said to be so (R31).
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from playpark.contracts.catalog import PackageView
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import SaleAnswer, SaleStatus, SaleView
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketStatus, TicketView
from playpark.device import OpState, StoredOp
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import normalise_short_code
from playpark.offline_tickets import named_ticket
from terminal.basket import tickets_per_unit
from terminal.counter import Counter

DEADLINE_S = 6.0
RECEIPT = re.compile(r"[0-9A-Z]{2,6}-[STW][0-9]{6,9}")
"""The receipt number of a sale, of any till."""


@dataclass(frozen=True, slots=True)
class FoundTicket:
    """A ticket of a found sale: `state` in a word, `left` what it can still give back, satang.
    `unit` is the same for all tickets of a bundle that was sold: they go back together (R18)."""

    ticket: TicketView
    state: str
    left: int
    unit: str


@dataclass(frozen=True, slots=True)
class FoundSale:
    """A sale with all its tickets, as the server knows it now."""

    answer: SaleAnswer
    tickets: tuple[FoundTicket, ...]

    @property
    def sale(self) -> SaleView:
        return self.answer.sale

    @property
    def left(self) -> int:
        """What was taken and not given back, satang."""
        gone = self.sale.status is SaleStatus.VOIDED
        return 0 if gone else self.sale.grand_total - self.sale.refunded

    @property
    def methods(self) -> list[PaymentMethod]:
        """How it was paid, each way once."""
        return list(dict.fromkeys(payment.method for payment in self.sale.payments))


class Finding:
    """Asks the server for sales; online only."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def find(self, text: str) -> FoundSale:
        """The sale of a receipt number, a short code or a scanned ticket.

        Raises PlayParkError: unknown, offline, or sold here and not arrived at the server yet.
        """
        counter, text = self._counter, text.strip()
        counter.need_server()
        code = normalise_short_code(text)
        ticket_id = named_ticket(text.upper())
        known = await asyncio.to_thread(counter.store.by_receipt, text.upper())
        if known is None and (wanted := code or ticket_id):
            known = await asyncio.to_thread(counter.store.sale_of_ticket, wanted)
        if known is not None and known.kind is OpKind.SALE:
            return await self.find_sold(known)
        sale_id = await self._look_up(text, code, is_token=text.upper().startswith("PP"))
        return await self._load(sale_id)

    async def find_sold(self, op: StoredOp) -> FoundSale:
        """The sale of an operation of this till. Raises PlayParkError where it has not arrived."""
        if op.state is OpState.PENDING:
            await self._counter.engine.submit(op.op_id, DEADLINE_S, patient=True)
            op = self._counter.store.op(op.op_id) or op
        if op.state is OpState.PENDING:
            message = f"Sale {op.receipt_no} has not arrived at the server yet: wait till it has."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        if op.state is OpState.REJECTED or not op.result:
            message = f"The server refused sale {op.receipt_no}: call the supervisor."
            raise PlayParkError(ErrorCode.NOT_FOUND, message)
        return await self._load(op.result["sale_id"])

    async def _look_up(self, text: str, code: str | None, *, is_token: bool) -> str:
        ask = self._counter.ask
        if is_token or code:
            query = {"qr": text} if is_token else {"short_code": text}
            tickets = (await ask(lambda server: server.tickets(**query))).items
            if tickets and tickets[0].sale_id:
                return tickets[0].sale_id
        elif RECEIPT.fullmatch(text.upper()):
            sold = (await ask(lambda server: server.sales_by_receipt(text.upper()))).items
            if sold:
                return sold[0].sale_id
        message = "No sale is known by that: type a receipt number or the code on a ticket."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)

    async def _load(self, sale_id: str) -> FoundSale:
        answer = await self._counter.ask(lambda server: server.sale(sale_id))
        known = await self._counter.ask(lambda server: server.tickets(sale_id=sale_id))
        refunded = {each.ticket_id: each.refunded or 0 for each in known.items}
        gone = answer.sale.status is SaleStatus.VOIDED
        issued = known.items or answer.tickets
        tickets = []
        for ticket, unit in zip(issued, self._units(answer.sale, issued), strict=True):
            left = ticket.payable - refunded.get(ticket.ticket_id, 0)
            back = gone or ticket.status is TicketStatus.REFUNDED
            tickets.append(FoundTicket(ticket, _state(ticket), 0 if back else left, unit))
        return FoundSale(answer, tuple(tickets))

    def _units(self, sale: SaleView, issued: Sequence[TicketView]) -> list[str]:
        """The sold unit of each ticket: they stand line by line and unit by unit, as issued.
        Each is its own where the catalogue of now knows the bundles no more."""
        catalog = self._counter.catalog
        packages = {each.package_id: each for each in catalog.packages} if catalog else {}
        units = [
            f"{line}:{number}"
            for line, sold in enumerate(sale.lines)
            for number in range(sold.qty)
            for _ in range(_tickets_of(packages.get(sold.package_id)))
        ]
        return units if len(units) == len(issued) else [each.ticket_id for each in issued]


def _tickets_of(package: PackageView | None) -> int:
    return tickets_per_unit(package) if package else 1


def _state(ticket: TicketView) -> str:
    if ticket.status is not TicketStatus.ACTIVE:
        return ticket.status.value
    return "used" if ticket.used else "not used"
