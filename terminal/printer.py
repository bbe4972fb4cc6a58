"""The till's printer: each paper is a job of its own, so a failure repeats only what is not out
(R23).

`ReceiptPrinter` is all that the till knows of printing; it is called in a thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from playpark.contracts.base import View
from playpark.device import DeviceStore
from playpark.errors import ErrorCode, PlayParkError
from playpark.printing.document import Document, KickDrawer
from playpark.printing.escpos import to_escpos
from playpark.printing.letterhead import Letterhead
from playpark.printing.transport import PrinterTarget, TargetKind

NO_PRINTER = "no printer"


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper. `name` is its own among those of its operation; `content` what it is about.

    `draw` makes the document for a letterhead, marked COPY where asked. `kick` opens the drawer
    with the first print, never with a copy.
    """

    name: str
    content: View
    draw: Callable[[Letterhead, bool], Document]
    kick: bool = False
    always_copy: bool = False


class ReceiptPrinter(Protocol):
    """Blocks until the paper is out.

    Raises PrinterError, whose `maybe_printed` tells whether something left already; any other
    PlayParkError means that nothing did.
    """

    @property
    def name(self) -> str:
        """What the status bar calls it while nothing is wrong."""
        ...

    def put_out(self, paper: Paper, *, copy: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class PaperPrinter:
    """Prints with playpark.printing under the letterhead that `store` holds at that moment."""

    target: PrinterTarget
    store: DeviceStore

    @property
    def name(self) -> str:
        return NO_PRINTER if self.target.kind is TargetKind.NONE else "printer ok"

    def put_out(self, paper: Paper, *, copy: bool = False) -> None:
        if self.target.kind is TargetKind.NONE:
            return
        identity, catalog = self.store.identity, self.store.catalog()
        if identity is None or identity.store is None or catalog is None:
            raise PlayParkError(ErrorCode.CONFLICT, "This till has not logged in yet.")
        try:
            head = Letterhead.of(identity.store, catalog.receipt_template)
            drawn = paper.draw(head, copy or paper.always_copy)
            if paper.kick and not copy:
                drawn = Document((KickDrawer(), *drawn.blocks), drawn.paper)
            data = to_escpos(drawn)
        except (ValueError, OSError) as wrong:
            # A ticket without token, a paper of a strange width, a font that is not there.
            message = f"This paper cannot be printed: {wrong}."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        self.target.send(data)
