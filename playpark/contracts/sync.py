"""Operations of tills and gates, in batches (API.md: sync; R14, R35).

An operation is an envelope, which says who acted and what physically happened, and a body,
which is the request body of the direct route, frozen before the first send.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StrictBool, StringConstraints

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Request, ShortText, View
from playpark.contracts.pricing import MAX_LINES, MAX_TICKETS
from playpark.contracts.tickets import PrintedToken, RedemptionResult
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


PrintedTokens = Annotated[
    list[Annotated[list[PrintedToken], Field(max_length=MAX_TICKETS)]],
    Field(min_length=1, max_length=MAX_LINES),
]


class LocalOutcome(Request):
    """What physically happened at the device, whatever the server says later (R14).

    `tokens`: the tickets that a till has signed and printed by itself, in the order of the sale's
    `ticket_ids` (R22, R23). They may come after the server has answered: then they are the tickets.
    """

    result: RedemptionResult | None = None
    reason: ShortText | None = None
    printed: StrictBool = False
    at: UtcDatetime | None = None
    tokens: PrintedTokens | None = Field(default=None, repr=False)


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
    """`result` holds the direct route's answer where the status is applied or duplicate.

    `dead_letter_id`: where the server keeps a refused operation that had happened already (R35).
    """

    op_id: str
    status: OpStatus
    code: str | None = None
    message: str | None = None
    result: dict[str, Any] | None = None
    retry_after: float | None = None
    blocked_on: str | None = None
    dead_letter_id: str | None = None


class BatchOut(View):
    results: list[OpResult]


# --- rewound stores (R38) -----------------------------------------------------------------


class Counters(View):
    """`details` of E_OUTBOX_REWOUND: the highest that the server knows of this device. The store
    goes on in a new epoch, above all of them."""

    epoch: int
    seq: int
    receipts: dict[str, int] = {}
    """The highest number of each receipt series, `{"S": 128}`."""
    short_codes: int = 0
    """The highest counter of its short codes (R24)."""
    serials: dict[str, int] = {}
    """The highest serial under each certificate (R22)."""


# --- what waits for a person (R35, R37, R38) ----------------------------------------------


class DeadLetterKind(StrEnum):
    """`rejected`: it had happened and could not be booked; `review`: of a revoked device, or of an
    export that somebody handed in."""

    REJECTED = "rejected"
    REVIEW = "review"


class DeadLetterStatus(StrEnum):
    OPEN = "open"
    APPLIED = "applied"
    DISMISSED = "dismissed"


class DeadLetterView(View):
    """An operation that the server keeps without its effect. `body` is null in lists; tokens are
    never shown."""

    dead_letter_id: str
    kind: DeadLetterKind
    status: DeadLetterStatus
    device_id: str
    device_code: str
    op_id: str
    op_kind: OpKind | None
    """Null where not even that could be read."""
    epoch: int
    seq: int | None
    receipt_no: str | None
    amount: int | None
    """What the guest paid or got, satang, where the operation is about money."""
    employee_id: str | None
    occurred_at: UtcDatetime | None
    arrived_at: UtcDatetime
    code: str | None
    message: str | None
    resolved_by: str | None = None
    resolved_at: UtcDatetime | None = None
    resolution: str | None = None
    """The reason code of who resolved it."""
    result: dict[str, Any] | None = None
    """Of one that was applied: what came of it, without tokens."""
    body: dict[str, Any] | None = None


class Resolve(StrEnum):
    """`apply` books it under its device as it stands, `dismiss` says that it is settled by hand."""

    APPLY = "apply"
    DISMISS = "dismiss"


class ResolveIn(Request):
    action: Resolve
    reason_code: IdStr
    reason_text: ShortText | None = None


class BundleIn(Request):
    """Operations of another device, from its export (R37): they wait for a review under it."""

    device_id: IdStr
    epoch: Counter
    ops: Annotated[list[OpIn], Field(min_length=1)]


class BundleOut(View):
    """`kept`: they wait for a review; `known`: they are booked or wait already."""

    kept: int
    known: int
