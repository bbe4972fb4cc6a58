"""From an operation to paper: each paper comes out once, whatever dies in between (R23).

A paper is claimed on disk before its bytes leave. Where nothing left it is due again; where
something may have left, a person looks at the printer first, and only that paper repeats, as a
copy (docs/decisions/0008).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError

from playpark.contracts.provider import PartState
from playpark.contracts.sync import OpKind, OpResult, OpStatus
from playpark.device import DeviceStore, OpState, PrintState, StoredOp, SyncEngine
from playpark.errors import PlayParkError
from playpark.printing.transport import PrinterError
from terminal.printer import NO_PRINTER, Paper, ReceiptPrinter

Draw = Callable[[StoredOp, dict[str, Any]], list[Paper]]
"""The papers of an applied operation, from the server's answer."""
DrawAtOnce = Callable[[StoredOp], list[Paper] | None]
"""The papers that need no answer: they come out as soon as the operation is on the disk. None where
this one needs it."""
DoAlone = Callable[[StoredOp], Awaitable[StoredOp | None]]
"""What the till does where no answer comes: the operation with what its papers need, or None where
they wait for the server."""


class Papers:
    """Prints papers, one after the other.

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
        self._draw: dict[OpKind, Draw] = {}
        self._draw_at_once: dict[OpKind, DrawAtOnce] = {}
        self._do_alone: dict[OpKind, DoAlone] = {}
        self._papers: dict[str, list[Paper]] = {}
        """Papers at hand that are not all out. Tickets have tokens: they live here only."""
        self._queue: asyncio.Queue[tuple[str, PrintState]] = asyncio.Queue()
        self._waiting: dict[str, PrintState] = {}
        self._ops: dict[str, StoredOp] = {}
        self._printing = asyncio.Lock()
        """A printer takes one paper after the other: reports print beside the queue."""
        for op in store.unprinted():
            # What this till has signed is in a guest's hand, whatever the server says of it.
            if op.state in {OpState.PENDING, OpState.APPLIED} or op.local is not None:
                self._waiting[op.op_id], self._ops[op.op_id] = op.printing, op
        self.error: str | None = None
        """Why the printer does not print; None while it does."""
        engine.listen(self._heard)

    def learn(
        self,
        draw: Mapping[OpKind, Draw],
        at_once: Mapping[OpKind, DrawAtOnce] | None = None,
        alone: Mapping[OpKind, DoAlone] | None = None,
    ) -> None:
        """How the papers of these kinds of operations are made."""
        self._draw |= draw
        self._draw_at_once |= at_once or {}
        self._do_alone |= alone or {}

    @property
    def printer_state(self) -> str:
        """The printer in a few words, for the status bar."""
        if self.error:
            return "PRINTER FAILED"
        return f"{len(self._waiting)} to print" if self._waiting else self._printer.name

    @property
    def printer_part(self) -> PartState:
        """The printer as the heartbeat tells it."""
        if self.error:
            return PartState.FAILED
        return PartState.NONE if self._printer.name == NO_PRINTER else PartState.OK

    @property
    def doubtful(self) -> list[str]:
        """Operations of which a paper may be out already."""
        return [op for op, state in self._waiting.items() if state is PrintState.DOUBTFUL]

    @property
    def due(self) -> list[str]:
        """Operations whose paper is due: not answered yet, or the printer failed."""
        return [op for op, state in self._waiting.items() if state is PrintState.DUE]

    def describe(self, op_ids: list[str]) -> list[str]:
        """Each operation of these with the papers of it that are in doubt, in words."""
        return [self._words(self._ops[op_id]) for op_id in op_ids if op_id in self._ops]

    def is_due(self, op: StoredOp) -> bool:
        """Whether papers of an operation are to come that nobody waits for at this moment."""
        return op.printing in {PrintState.DUE, PrintState.DOUBTFUL} and (
            op.op_id not in self._waiting
        )

    def expect(self, op: StoredOp) -> None:
        """An operation was recorded: its papers are due, at once or with the server's answer."""
        self._waiting[op.op_id], self._ops[op.op_id] = op.printing, op
        if self._at_hand(op):
            self._queue.put_nowait((op.op_id, PrintState.DUE))

    async def without_answer(self, op: StoredOp) -> bool:
        """No answer came in time: print what the till can by itself. False where the papers wait
        for the server, or came from it after all."""
        if op.op_id not in self._waiting or op.kind not in self._do_alone:
            return False
        done = await self._do_alone[op.kind](op)
        if done is None or op.op_id not in self._waiting:
            return False
        # What may be out already waits for a person still.
        self._ops[op.op_id] = done
        if ready := self._at_hand(done):
            self._queue.put_nowait((op.op_id, PrintState.DUE))
        return ready

    def _at_hand(self, op: StoredOp) -> bool:
        """Whether the papers of an operation are there, made by the till where it can."""
        if op.op_id not in self._papers and (at_once := self._draw_at_once.get(op.kind)):
            papers = at_once(op)
            if papers is not None:
                self._papers[op.op_id] = papers
        return op.op_id in self._papers

    async def run(self) -> None:
        """Print what is there, until cancelled."""
        while True:
            op_id, expected = await self._queue.get()
            await self._print(op_id, expected)

    async def print_alone(self, paper: Paper) -> None:
        """A paper that no operation waits for, such as an X report; told where it fails."""
        try:
            await self._put_out(paper)
        except PlayParkError as failed:
            self.error = failed.message
            self._tell(f"Not printed. {failed.message}", True)
        else:
            self.error = None

    async def _put_out(self, paper: Paper, *, copy: bool = False) -> None:
        async with self._printing:
            await asyncio.to_thread(self._printer.put_out, paper, copy=copy)

    async def resume(self, op_ids: list[str], deadline: float) -> int:
        """Try these papers again, asking the server for the tokens where they are not at hand.

        Returns how many still wait for the server.
        """
        missing = 0
        for op_id in op_ids:
            state = self._waiting.get(op_id)
            if state is None:
                continue
            op = self._ops[op_id]
            if self._at_hand(op):
                self._queue.put_nowait((op_id, state))
            elif await self._engine.submit(op_id, deadline) is None:
                missing += not await self.without_answer(op)
            elif state is PrintState.DOUBTFUL:
                self._queue.put_nowait((op_id, state))
        return missing

    async def are_on_paper(self, op_ids: list[str], deadline: float) -> None:
        """The cashier holds the papers in doubt in hand; what else is due comes out now."""
        for op_id in op_ids:
            if op_id in self._waiting:
                await asyncio.to_thread(self._store.papers.confirm, op_id)
                self._waiting[op_id] = PrintState.DUE
        if not await self.resume(op_ids, deadline):
            return
        for op_id in op_ids:
            self._moved(op_id, PrintState.DUE)

    def _heard(self, op: StoredOp, result: OpResult) -> None:
        if op.op_id not in self._waiting or op.kind not in self._draw:
            return
        if (at_once := self._draw_at_once.get(op.kind)) and at_once(op) is not None:
            return  # these tickets are the till's own: those of a late answer are none (R23)
        if op.state is OpState.APPLIED and result.status is OpStatus.REJECTED:
            self._tell(f"{op.receipt_no} is sold; its tickets cannot be had now. Ctrl+R.", True)
            return
        if result.status is OpStatus.REJECTED:
            self._forget(op.op_id)
            return
        try:
            self._papers[op.op_id] = self._draw[op.kind](op, result.result or {})
        except (ValidationError, ValueError):
            self._tell(f"The answer to {self._words(op)} cannot be read: call support.", True)
            return
        # What may be out already is not claimed as due: it waits for a person.
        self._queue.put_nowait((op.op_id, PrintState.DUE))

    async def _print(self, op_id: str, expected: PrintState) -> None:
        """Put out what is not out yet; in doubt only where a person asked for a copy."""
        papers, state = self._papers.get(op_id), self._waiting.get(op_id)
        if papers is None or state is None or (state, expected) == _IN_DOUBT:
            return
        claims = self._store.papers
        before = await asyncio.to_thread(claims.of, op_id)
        for paper in papers:
            claim = before.get(paper.name, PrintState.DUE)
            if claim not in {PrintState.DUE, PrintState.DOUBTFUL}:
                continue
            if not await asyncio.to_thread(claims.claim, op_id, paper.name, claim):
                continue
            copy = claim is PrintState.DOUBTFUL
            try:
                await self._put_out(paper, copy=copy)
            except PlayParkError as failed:
                doubtful = copy or (isinstance(failed, PrinterError) and failed.maybe_printed)
                outcome = PrintState.DOUBTFUL if doubtful else PrintState.DUE
                await asyncio.to_thread(claims.finish, op_id, paper.name, outcome)
                self.error = failed.message
                await self._settle(op_id, outcome)
                op = self._ops[op_id]
                done = "sold" if op.kind is OpKind.SALE else "done"
                sentence = f"{self._words(op)} is {done} but not printed."
                self._tell(f"{sentence} {failed.message} Then Ctrl+R.", True)
                return
            await asyncio.to_thread(claims.finish, op_id, paper.name, PrintState.PRINTED)
        self.error = None
        await self._settle(op_id, PrintState.PRINTED)

    async def _settle(self, op_id: str, outcome: PrintState) -> None:
        await asyncio.to_thread(self._store.papers.settle, op_id, outcome)
        if outcome is PrintState.PRINTED:
            self._forget(op_id)
        else:
            self._waiting[op_id] = outcome
        self._moved(op_id, outcome)

    def _words(self, op: StoredOp) -> str:
        return op.receipt_no or op.kind.value.replace("_", " ")

    def _forget(self, op_id: str) -> None:
        for known in (self._waiting, self._papers, self._ops):
            known.pop(op_id, None)


_IN_DOUBT = (PrintState.DOUBTFUL, PrintState.DUE)
"""(how it stands, what is asked for): a person has to look first."""
