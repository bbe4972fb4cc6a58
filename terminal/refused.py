"""The quarantine: what happened here and the server has refused for good (R35, R37).

Nothing of it is ever deleted. It is sent again, left to the office, or carried there in a file.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from playpark.contracts.sync import OpKind
from playpark.device import StoredOp, bundle
from playpark.money import format_satang
from terminal.counter import Counter
from terminal.papers import Papers

_NAMES = {
    OpKind.SALE: "Sale",
    OpKind.SHIFT_OPEN: "Opening of a shift",
    OpKind.SHIFT_CLOSE: "Closing of a shift",
    OpKind.CASH_MOVEMENT: "Cash movement",
    OpKind.TIMECARD: "Timecard",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One operation of the quarantine. `amount`: what the guest paid, or the cash that moved,
    satang; None where no money is in it. `at_office`: the server says that it keeps it too."""

    op_id: str
    what: str
    occurred_at: datetime
    amount: int | None
    why: str
    at_office: bool

    @classmethod
    def of(cls, op: StoredOp) -> "Refusal":
        kind = _NAMES.get(op.kind, op.kind.value.replace("_", " ").capitalize())
        return cls(
            op_id=op.op_id,
            what=f"{kind} {op.receipt_no}" if op.receipt_no else kind,
            occurred_at=op.occurred_at,
            amount=_amount(op),
            why=op.message or "The server gave no reason.",
            at_office=op.dead_letter_id is not None,
        )


class Refused:
    """What waits for a person. `count` costs nothing to ask."""

    def __init__(self, counter: Counter, papers: Papers) -> None:
        self._counter = counter
        self._papers = papers

    @property
    def count(self) -> int:
        return self._counter.store.quarantined_count()

    async def all(self) -> list[Refusal]:
        """The oldest first."""
        found = await asyncio.to_thread(self._counter.store.quarantine)
        return [Refusal.of(op) for op in found]

    async def retry(self, op_id: str) -> str:
        """Send it again as it stands. Raises E_CONFLICT where it waits here no more."""
        counter = self._counter
        op = await asyncio.to_thread(counter.store.retry, op_id)
        if self._papers.is_due(op):
            self._papers.expect(op)
        counter.engine.wake()
        counter.changed()
        return f"{Refusal.of(op).what} is sent again."

    async def hand_over(self, op_id: str) -> str:
        """Leave it to the office. Raises E_CONFLICT where the server did not say that it has it:
        then it is exported."""
        op = await asyncio.to_thread(self._counter.store.hand_over, op_id)
        self._counter.changed()
        return f"{Refusal.of(op).what} is handed over: the office finds it in its list."

    async def export(self, passphrase: str) -> str:
        """Save what only this till has to a file beside its data, which the passphrase opens.

        Works while the till does, and lets it be unpaired while nothing else comes. Raises
        E_VALIDATION for a passphrase that is too short, E_UNAVAILABLE where the file cannot be
        written.
        """
        target, count = await asyncio.to_thread(self._export, passphrase)
        what = "1 operation is" if count == 1 else f"{count} operations are"
        return f"{what} saved as {target}: give the office the file and the passphrase."

    def _export(self, passphrase: str) -> tuple[Path, int]:
        counter = self._counter
        file, now = counter.store.file, counter.clock.now()
        name = f"till-{counter.device_code}-{now:%Y%m%dT%H%M%S}{bundle.ENDING}"
        target = file.with_name(name)
        return target, len(counter.store.export(target, passphrase).ops)


def _amount(op: StoredOp) -> int | None:
    if op.sold is not None:
        return op.sold
    amount = op.body.get("amount")
    return amount if isinstance(amount, int) else None


def money(amount: int | None) -> str:
    return "" if amount is None else format_satang(amount)
