"""The values that a device keeps: who it is, which operations it made (R14, R29, R34)."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from playpark.canonical import operation_hash
from playpark.cash import chain_hash
from playpark.clock import UtcDatetime
from playpark.contracts.sync import LocalOutcome, OpIn, OpKind, OpResult, OpStatus
from playpark.contracts.tenancy import DeviceView, StoreView
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import NewId, ReceiptNumber, ReceiptSeries, short_code


class OpState(StrEnum):
    """Where an operation stands. `rejected`: refused for good; where it had happened it is the
    visible quarantine. `handed_over`: out of it, for the office settles it from the server's
    dead-letter list (R35)."""

    PENDING = "pending"
    APPLIED = "applied"
    REJECTED = "rejected"
    HANDED_OVER = "handed_over"


REFUSED = frozenset({OpState.REJECTED, OpState.HANDED_OVER})
"""The server refused it and it has no effect there."""


class PrintState(StrEnum):
    """Whether a paper, or all papers of an operation, are out. `printing` is a paper on its way,
    `doubtful` one over which the printer or the program died."""

    NONE = "none"
    DUE = "due"
    PRINTING = "printing"
    PRINTED = "printed"
    DOUBTFUL = "doubtful"


class Identity(BaseModel):
    """A paired device. `device`, `store` and the key are null until its first login."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    api_url: str
    device_id: str
    device_token: str = Field(repr=False)
    device_code: str
    device: DeviceView | None = None
    store: StoreView | None = None
    short_code_key: str | None = Field(default=None, repr=False)


class RecentEmployee(BaseModel):
    """Someone who logged in here: offered at the next login."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    employee_id: str
    name: str
    email: str | None = None
    seen_at: UtcDatetime


class ClockNote(BaseModel):
    """How far the server's clock is ahead of this device's, and when that was heard (R36)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    offset_ms: int
    heard_at: UtcDatetime


@dataclass(frozen=True, slots=True)
class Unsynced:
    """Sales that the server has not answered, practice left out: what `offline_cap` limits
    (R39)."""

    count: int = 0
    satang: int = 0


@dataclass(frozen=True, slots=True)
class StoredOp:
    """One operation as it stands on disk; `body` is frozen, `envelope` all else that is sent."""

    op_id: str
    kind: OpKind
    epoch: int
    seq: int
    envelope: dict[str, Any]
    body: dict[str, Any]
    state: OpState
    printing: PrintState
    receipt_no: str | None
    code: str | None
    message: str | None
    result: dict[str, Any] | None
    """What is kept of the server's answer: never a ticket's token (R15)."""
    memo: dict[str, Any] | None
    """What the device keeps for its papers and screens beside the body; never sent."""
    dead_letter_id: str | None
    """Where the server keeps it, if it was refused although it had happened."""
    size: int
    """Bytes of the body as JSON."""

    @classmethod
    def of_row(cls, row: sqlite3.Row) -> "StoredOp":
        return cls(
            op_id=row["op_id"],
            kind=OpKind(row["kind"]),
            epoch=row["epoch"],
            seq=row["seq"],
            envelope=json.loads(row["envelope"]),
            body=json.loads(row["body"]),
            state=OpState(row["state"]),
            printing=PrintState(row["printing"]),
            receipt_no=row["receipt_no"],
            code=row["code"],
            message=row["message"],
            result=json.loads(row["result"]) if row["result"] else None,
            memo=json.loads(row["memo"]) if row["memo"] else None,
            dead_letter_id=row["dead_letter_id"],
            size=len(row["body"]),
        )

    @property
    def occurred_at(self) -> datetime:
        return self.to_op_in().occurred_at

    @property
    def committed(self) -> bool:
        """True where it had happened when it was recorded; else the server may refuse it (R17)."""
        return bool(self.envelope["committed"])

    @property
    def quarantined(self) -> bool:
        """Refused for good although it had happened, and nobody has seen to it (R35)."""
        return self.state is OpState.REJECTED and self.committed

    @property
    def sold(self) -> int | None:
        """Satang of a sale that is no practice; None for all else."""
        if self.kind is not OpKind.SALE or self.body.get("training"):
            return None
        rung = self.body.get("rung") or {}
        return int(rung.get("grand_total") or 0)

    @property
    def shift_id(self) -> str | None:
        return self.envelope.get("shift_id")

    @property
    def employee_id(self) -> str | None:
        return self.envelope.get("employee_id")

    @property
    def local(self) -> LocalOutcome | None:
        return self.to_op_in().local

    def refusal(self) -> OpResult:
        """The answer of a rejected operation, from the disk."""
        return OpResult(
            op_id=self.op_id, status=OpStatus.REJECTED, code=self.code, message=self.message
        )

    def to_op_in(self) -> OpIn:
        """The operation as it is sent: what was absent when it was frozen stays absent (R15)."""
        return OpIn.model_validate({**self.envelope, "body": self.body})


def link(op_id: str, kind: OpKind, seq: int, prev_hash: str, body: dict[str, Any]) -> str:
    """The hash that the next operation of the epoch carries as its `prev_hash` (R34)."""
    content = {"op_id": op_id, "seq": seq, "hash": operation_hash(kind, body)}
    return chain_hash(prev_hash, content)


def kept(kind: OpKind, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """What of an answer goes to the disk: of a sale its ids and flags, of a reprint or an exchange
    all but its tickets, and never a ticket's token."""
    if result is None or kind not in {OpKind.SALE, OpKind.REPRINT, OpKind.EXCHANGE}:
        return result
    if kind is not OpKind.SALE:
        papers = {"sale", "tickets", "ticket"}
        return {name: value for name, value in result.items() if name not in papers}
    sale = result.get("sale")
    if not isinstance(sale, dict):
        return None
    return {name: sale[name] for name in ("sale_id", "receipt_no", "flags") if name in sale}


class Allocator:
    """Numbers of one operation, taken in its transaction: failing leaves no gap (R23, R29)."""

    def __init__(
        self, identity: Identity | None, take: Callable[[str], int], new_id: NewId
    ) -> None:
        self._identity = identity
        self._take = take
        self._new_id = new_id
        self.receipts: list[ReceiptNumber] = []

    def receipt_no(self, series: ReceiptSeries) -> str:
        """The next number of this device in `series`. Raises E_CONFLICT where it is not paired."""
        number = ReceiptNumber(self._paired.device_code, series, self._take(f"receipt:{series}"))
        self.receipts.append(number)
        return str(number)

    def short_code(self) -> str:
        """A code that a guest can read out (R24). Raises E_CONFLICT before the first login."""
        paired = self._paired
        if paired.short_code_key is None or paired.device is None:
            message = "This device has not logged in yet: connect it to the server once."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        key = bytes.fromhex(paired.short_code_key)
        return short_code(key, paired.device.device_number, self._take("short_code"))

    def serial(self, key_id: str) -> int:
        """The next number of a ticket that the till signs under this certificate (R22)."""
        return self._take(f"serial:{key_id}")

    def ticket_id(self) -> str:
        return self._new_id()

    @property
    def _paired(self) -> Identity:
        if self._identity is None:
            message = "This device is not paired: pair it with the store's site key first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        return self._identity
