"""Operations of tills and gates, in batches (API.md: sync; R14, R35).

An operation is an envelope, which says who acted and what physically happened, and a body,
which is the request body of the direct route, frozen before the first send.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StrictBool, StringConstraints

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Request, ShortText, View
from playpark.contracts.tickets import RedemptionResult
from playpark.ids import UlidStr

MAX_OPS = 50
OP_SCHEMA_VERSION = 1


class OpKind(StrEnum):
    SALE = "sale"
    REDEMPTION = "redemption"
    ANNUL = "annul"
    SHIFT_OPEN = "shift_open"
    SHIFT_CLOSE = "shift_close"
    SHIFT_ADJUSTMENT = "shift_adjustment"
    CASH_MOVEMENT = "cash_movement"
    TIMECARD = "timecard"
    VOID = "void"
    REFUND = "refund"
    REPRINT = "reprint"
    EXCHANGE = "exchange"
    TICKET_CANCEL = "ticket_cancel"
    PARK = "park"
    CHECKOUT = "checkout"
    POINTS = "points"
    ABANDON = "abandon"


class LocalOutcome(Request):
    """What physically happened at the device, whatever the server says later."""

    result: RedemptionResult | None = None
    reason: ShortText | None = None
    printed: StrictBool = False
    at: UtcDatetime | None = None


Counter = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]


class OpIn(Request):
    op_id: UlidStr
    kind: OpKind
    seq: Counter
    prev_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    schema_version: Annotated[int, Field(strict=True, ge=1, le=OP_SCHEMA_VERSION)]
    employee_id: IdStr | None = None
    shift_id: UlidStr | None = None
    committed: StrictBool = False
    approval: Annotated[str, StringConstraints(max_length=200)] | None = None
    local: LocalOutcome | None = None
    occurred_at: UtcDatetime
    depends_on: Annotated[list[UlidStr], Field(max_length=50)] = []
    body: dict[str, Any]


class BatchIn(Request):
    """At most 50 operations (R35): more are E_BATCH_TOO_LARGE."""

    epoch: Counter
    ops: Annotated[list[OpIn], Field(min_length=1)]


class OpStatus(StrEnum):
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    RETRY = "retry"
    BLOCKED = "blocked"


class OpResult(View):
    """`result` holds the direct route's answer where the status is applied or duplicate."""

    op_id: str
    status: OpStatus
    code: str | None = None
    message: str | None = None
    result: dict[str, Any] | None = None
    retry_after: float | None = None
    blocked_on: str | None = None


class BatchOut(View):
    results: list[OpResult]
