"""A sale's way onto the disk and to paper, with the server and without (R14, R22, R23).

Whichever is on the disk first, the server's answer or the till's own tokens, is what prints.
"""

import asyncio
from typing import Any

from playpark.contracts.sync import LocalOutcome, OpKind
from playpark.device import Allocator, OpState, StoredOp
from playpark.errors import ErrorCode, PlayParkError
from terminal import sale
from terminal.alone import sold_here, tokens_of
from terminal.counter import Counter
from terminal.outage import Outage
from terminal.papers import Papers
from terminal.sale import SaleDraft


class Recording:
    """Records sales, and signs their tickets where the server does not answer."""

    def __init__(self, counter: Counter, papers: Papers, outage: Outage) -> None:
        self._counter = counter
        self._papers = papers
        self._outage = outage
        papers.learn(
            {OpKind.SALE: sale.papers_of_op},
            {OpKind.SALE: lambda op: sale.papers_alone(op, counter.zone)},
            {OpKind.SALE: self._sign_now},
        )

    async def record(
        self, draft: SaleDraft, *, op_id: str, approval: str | None, money_is_taken: bool
    ) -> StoredOp:
        """The sale on the disk, with its tickets signed where the line is not online.

        Raises PlayParkError where it cannot be recorded; E_CONFLICT where its tickets cannot be
        signed, unless the server is only slow or the money is taken: then they wait for it.
        """
        if self._counter.engine.online or draft.training:
            return await self._append(draft, op_id, approval, signed=False)
        try:
            return await self._append(draft, op_id, approval, signed=True)
        except PlayParkError as refused:
            waits = money_is_taken or self._counter.engine.reachable
            if not waits or refused.code is not ErrorCode.CONFLICT:
                raise
        return await self._append(draft, op_id, approval, signed=False)

    async def printed_alone(self, op: StoredOp) -> bool:
        """No answer came in time: whether the till prints it, or the answer came after all."""
        if tokens_of(op) is not None or await self._papers.without_answer(op):
            return True
        known = await asyncio.to_thread(self._counter.store.op, op.op_id)
        return known is not None and known.state is not OpState.PENDING

    async def _append(
        self, draft: SaleDraft, op_id: str, approval: str | None, *, signed: bool
    ) -> StoredOp:
        counter, known = self._counter, draft.sold_here()
        at = counter.clock.now()

        def sign(allocator: Allocator, body: dict[str, Any]) -> LocalOutcome:
            return self._outage.sign(allocator, body, known, at)

        return await counter.append(
            OpKind.SALE,
            draft.body,
            prints=True,
            at=draft.occurred_at,
            op_id=op_id,
            approval=approval,
            memo=draft.memo(),
            local=sign if signed else None,
        )

    async def _sign_now(self, op: StoredOp) -> StoredOp | None:
        """Sign the tickets of a sale that is on the disk and has no answer; None where it has one,
        or where they wait for the server."""
        counter, known = self._counter, sold_here(op)
        if known is None or counter.engine.turned_away:
            return None
        at = counter.clock.now()

        def sign(allocator: Allocator) -> LocalOutcome:
            return self._outage.sign(allocator, op.body, known, at)

        try:
            return await asyncio.to_thread(counter.store.record_printed, op.op_id, sign)
        except PlayParkError as refused:
            if refused.code is not ErrorCode.CONFLICT:
                counter.tell(refused.message, refused=True)
            return None
