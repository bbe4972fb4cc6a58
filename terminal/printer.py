"""A sale on paper: receipt and tickets as one job, so that they come out together (R23).

`ReceiptPrinter` is all that the till knows of printing; it is called in a thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import SaleAnswer
from playpark.contracts.tenancy import StoreView
from playpark.errors import ErrorCode, PlayParkError
from playpark.printing.escpos import to_escpos
from playpark.printing.letterhead import Letterhead
from playpark.printing.templates import receipt_document, tickets_document
from playpark.printing.transport import PrinterTarget, TargetKind


class ReceiptPrinter(Protocol):
    """Blocks until the paper is out.

    Raises PrinterError, whose `maybe_printed` tells whether something left already; any other
    PlayParkError means that nothing did.
    """

    @property
    def name(self) -> str:
        """What the status bar calls it while nothing is wrong."""
        ...

    def print_sale(self, answer: SaleAnswer, *, copy: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class PaperPrinter:
    """Prints with playpark.printing; `letterhead` is asked anew for each sale."""

    target: PrinterTarget
    store: Callable[[], StoreView | None]

    @property
    def name(self) -> str:
        return "no printer" if self.target.kind is TargetKind.NONE else "printer ok"

    def print_sale(self, answer: SaleAnswer, *, copy: bool = False) -> None:
        if self.target.kind is TargetKind.NONE:
            return
        store = self.store()
        if store is None:
            raise PlayParkError(ErrorCode.CONFLICT, "This till has not logged in yet.")
        paid_cash = any(paid.method is PaymentMethod.CASH for paid in answer.sale.payments)
        try:
            head = Letterhead.of(store)
            receipt = receipt_document(
                head,
                answer.sale,
                till=answer.sale.receipt_no.partition("-")[0],
                copy=copy,
                kick_drawer=paid_cash and not copy,
            )
            papers = receipt + tickets_document(head, answer.tickets, copy=copy)
            data = to_escpos(papers)
        except (ValueError, OSError) as wrong:
            # A ticket without token, a paper of a strange width, a font that is not there.
            message = f"This sale cannot be printed: {wrong}."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        self.target.send(data)
