"""Opening and closing a shift as operations, and what is known of the one just closed (R26–R28)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from playpark.contracts.shifts import ShiftClosed, ShiftCloseIn, ShiftOpenIn
from playpark.contracts.sync import OpKind, OpResult, OpStatus
from playpark.device import DeviceStore, StoredOp


@dataclass(frozen=True, slots=True)
class Closing:
    """A shift that was closed here; `closed` is the server's answer, None until it comes.

    The till never computes what was expected: the cashier counts blind.
    """

    op_id: str
    counted: int
    closed: ShiftClosed | None = None
    refusal: str | None = None

    def answered(self, result: OpResult) -> "Closing":
        if result.status is OpStatus.REJECTED:
            return replace(self, refusal=result.message or "The server gave no reason.")
        try:
            return replace(self, closed=ShiftClosed.model_validate(result.result))
        except ValidationError:
            return replace(self, refusal="The server's answer cannot be read: call support.")


def open_on(store: DeviceStore) -> StoredOp | None:
    """The operation that opened the shift of now; None where the last one is closed."""
    last = store.recent([OpKind.SHIFT_OPEN, OpKind.SHIFT_CLOSE], 1)
    return last[0] if last and last[0].kind is OpKind.SHIFT_OPEN else None


def open_body(cash_open: int, at: datetime) -> dict[str, Any]:
    """The body of `shift_open`; `cash_open` is the float, satang."""
    return _frozen(ShiftOpenIn(cash_open=cash_open, occurred_at=at))


def close_body(counted: Mapping[int, int] | int, at: datetime) -> tuple[dict[str, Any], int]:
    """The body of `shift_close` and the sum of the count, satang: {face value: pieces}, or the
    sum itself."""
    if isinstance(counted, int):
        body = ShiftCloseIn(cash_counted=counted, occurred_at=at)
    else:
        pieces = {str(face): number for face, number in counted.items() if number}
        body = ShiftCloseIn(counted=pieces, occurred_at=at)
    return _frozen(body), body.total


def _frozen(body: ShiftOpenIn | ShiftCloseIn) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_unset=True)
