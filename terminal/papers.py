"""From the server's answer to paper: each sale prints once, whatever dies in between (R23).

A sale is claimed on disk before its bytes leave. Where nothing left it is due again; where
something may have left, a person looks at the paper first.
"""

import asyncio
from collections.abc import Callable

from pydantic import ValidationError

from playpark.contracts.sales import SaleAnswer
from playpark.contracts.sync import OpKind, OpResult, OpStatus
from playpark.device import DeviceStore, OpState, PrintState, StoredOp, SyncEngine
from playpark.errors import PlayParkError
from playpark.printing.transport import PrinterError
from terminal.printer import ReceiptPrinter


class Papers:
    """Prints the answers to sales, one after the other.

    `tell` gets (sentence, refused); `moved` gets every new print state of an operation.
    """

    def __init__(
        self,
        store: DeviceStore,
        engine: SyncEngine,
        printer: ReceiptPrinter,
        tell: Callable[[str, bool], None],
        moved: Callable[[str, PrintState], None],
    ) -> None:
        self._store = store
        self._engine = engine
        self._printer = printer
        self._tell = tell
        self._moved = moved
        self._answers: dict[str, SaleAnswer] = {}
        """Answers with tokens whose paper is not out: they live here and nowhere else."""
        self._queue: asyncio.Queue[tuple[str, PrintState]] = asyncio.Queue()
        self._receipts: dict[str, str] = {}
        self._waiting: dict[str, PrintState] = {}
        for op in store.unprinted():
            if op.state is not OpState.REJECTED:
                self.expect(op)
        self.error: str | None = None
        """Why the printer does not print; None while it does."""
        engine.listen(self._heard)

    @property
    def printer_state(self) -> str:
        """The printer in a few words, for the status bar."""
        if self.error:
            return "PRINTER FAILED"
        return f"{len(self._waiting)} to print" if self._waiting else self._printer.name

    @property
    def doubtful(self) -> list[str]:
        """Operations that may be on paper already."""
        return [op for op, state in self._waiting.items() if state is PrintState.DOUBTFUL]

    @property
    def due(self) -> list[str]:
        """Operations whose paper is due: not answered yet, or the printer failed."""
        return [op for op, state in self._waiting.items() if state is PrintState.DUE]

    def expect(self, op: StoredOp) -> None:
        """A sale was recorded: its paper is due as soon as the server answers."""
        self._waiting[op.op_id] = op.printing
        self._receipts[op.op_id] = op.receipt_no or op.op_id

    def receipts(self, op_ids: list[str]) -> list[str]:
        """The receipt numbers of operations that are not on paper."""
        return [self._receipts.get(op_id, op_id) for op_id in op_ids]

    async def run(self) -> None:
        """Print what is answered, until cancelled."""
        while True:
            op_id, expected = await self._queue.get()
            await self._print(op_id, expected)

    async def resume(self, op_ids: list[str], deadline: float) -> int:
        """Try these papers again, asking the server for the tokens where they are not at hand.

        Returns how many still wait for the server.
        """
        missing = 0
        for op_id in op_ids:
            state = self._waiting.get(op_id)
            if state is None:
                continue
            if op_id in self._answers:
                self._queue.put_nowait((op_id, state))
            elif await self._engine.submit(op_id, deadline) is None:
                missing += 1
            elif state is PrintState.DOUBTFUL:
                self._queue.put_nowait((op_id, state))
        return missing

    async def are_on_paper(self, op_ids: list[str]) -> None:
        """The cashier holds the papers of these doubtful operations in hand."""
        for op_id in op_ids:
            await self._finish(op_id, PrintState.PRINTED)

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        if op.kind is not OpKind.SALE or op.op_id not in self._waiting:
            return
        if op.state is OpState.APPLIED and result.status is OpStatus.REJECTED:
            self._tell(f"{op.receipt_no} is sold; its tickets cannot be had now. Ctrl+R.", True)
            return
        if result.status is OpStatus.REJECTED:
            reason = result.message or "it gave no reason"
            self._tell(
                f"The server refused sale {op.receipt_no}: {reason} Call the supervisor.",
                True,
            )
            self._forget(op.op_id)
            return
        try:
            self._answers[op.op_id] = SaleAnswer.model_validate(result.result)
        except ValidationError:
            self._tell(f"The answer to sale {op.receipt_no} cannot be read: call support.", True)
            return
        # What may be out already is not claimed as due: it waits for a person.
        self._queue.put_nowait((op.op_id, PrintState.DUE))

    async def _print(self, op_id: str, expected: PrintState) -> None:
        answer = self._answers.get(op_id)
        if answer is None or not await asyncio.to_thread(self._store.claim_print, op_id, expected):
            return
        copy = expected is PrintState.DOUBTFUL
        try:
            await asyncio.to_thread(self._printer.print_sale, answer, copy=copy)
        except PlayParkError as failed:
            doubtful = copy or (isinstance(failed, PrinterError) and failed.maybe_printed)
            outcome = PrintState.DOUBTFUL if doubtful else PrintState.DUE
            self.error = failed.message
            await self._finish(op_id, outcome)
            receipt = answer.sale.receipt_no
            self._tell(f"{receipt} is sold but not printed. {failed.message} Then Ctrl+R.", True)
        else:
            self.error = None
            await self._finish(op_id, PrintState.PRINTED)

    async def _finish(self, op_id: str, outcome: PrintState) -> None:
        await asyncio.to_thread(self._store.finish_print, op_id, outcome)
        if outcome is PrintState.PRINTED:
            self._forget(op_id)
        else:
            self._waiting[op_id] = outcome
        self._moved(op_id, outcome)

    def _forget(self, op_id: str) -> None:
        self._waiting.pop(op_id, None)
        self._answers.pop(op_id, None)
        self._receipts.pop(op_id, None)
