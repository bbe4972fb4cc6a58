"""Tickets and their redemption at gates (API.md: tickets; R18–R21)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import StrictBool, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Request, ShortText, View
from playpark.contracts.catalog import PackageKind
from playpark.ids import UlidStr
from playpark.money import Satang

PrintedToken = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""Any text: one that does not hold is flagged, for the money was taken (R17)."""


class TicketStatus(StrEnum):
    """`pending`: an offline till's ticket whose sale has not arrived yet (R22)."""

    ACTIVE = "active"
    PENDING = "pending"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class RedemptionResult(StrEnum):
    PASS = "pass"  # noqa: S105 - a word of the contract, no password
    FAIL = "fail"


class FailReason(StrEnum):
    """Why a guest is not admitted, in the order in which it is checked (R19)."""

    INVALID_SIG = "invalid_sig"
    UNKNOWN_TICKET = "unknown_ticket"
    TRAINING = "training"
    NOT_STARTED = "not_started"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    WRONG_DEVICE = "wrong_device"
    DUPLICATE_USE = "duplicate_use"
    EXHAUSTED = "exhausted"
    ZONE_FULL = "zone_full"


class Direction(StrEnum):
    ENTRY = "entry"
    EXIT = "exit"


class TicketView(View):
    """`qr_token` is there in the answer to the sale and to a reprint, and null everywhere else."""

    ticket_id: str
    short_code: str
    qr_token: str | None
    kind: PackageKind
    package_id: str
    package_name: str
    package_name_th: str
    quota_or_minutes: int
    valid_from: UtcDatetime
    valid_to: UtcDatetime
    payable: Satang
    zones: list[str] = []
    used: int = 0
    status: TicketStatus = TicketStatus.ACTIVE
    sale_id: str | None = None
    """The sale it is of, where tickets are looked up."""
    refunded: Satang | None = None
    """What it gave back so far, satang; where tickets are looked up."""
    printed_count: int | None = None
    """How often it was printed again; where tickets are looked up."""
    replaced_by: str | None = None
    """The ticket that it was exchanged for (R25)."""
    replaces: str | None = None
    """The lost ticket that this one was given for."""
    message: str | None = None
    """What to tell the guest, in English; where tickets are looked up (R53)."""
    message_th: str | None = None


class RedeemIn(Request):
    """One of qr_token (any text that a scanner read) and short_code."""

    qr_token: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    short_code: Annotated[str, StringConstraints(min_length=1, max_length=20)] | None = None
    device_id: IdStr | None = None
    zone_id: IdStr | None = None
    direction: Direction = Direction.ENTRY
    occurred_at: UtcDatetime | None = None
    simulate: StrictBool = False

    @model_validator(mode="after")
    def _one_code(self) -> Self:
        if (self.qr_token is None) == (self.short_code is None):
            msg = "send either qr_token or short_code"
            raise ValueError(msg)
        return self


class RedemptionView(View):
    """`remaining`: uses of a multi, minutes of a timepass, satang of a credit; null if unknown."""

    redemption_id: str | None
    result: RedemptionResult
    reason: FailReason | None
    remaining: int | None
    kind: PackageKind | None
    ticket_id: str | None
    message: str
    message_th: str
    package_name: str | None = None
    package_name_th: str | None = None
    inside: int | None = None
    """How many guests are in the zone now, after a PASS (R51)."""


class RedemptionSummary(View):
    """A redemption in a list."""

    redemption_id: str
    occurred_at: UtcDatetime
    device_id: str
    zone_id: str | None
    direction: Direction
    result: RedemptionResult
    reason: FailReason | None
    ticket_id: str | None
    package_name: str | None
    remaining: int | None
    annulled_at: UtcDatetime | None = None
    gate_result: RedemptionResult | None = None
    """What happened at the gate, where that is known to differ or came first (R33)."""


class AnnulRequest(Request):
    """The body of `POST /redemptions/{id}/annul`: why, in words, where somebody knows."""

    reason_text: ShortText | None = None
    occurred_at: UtcDatetime | None = None


class AnnulIn(AnnulRequest):
    """The operation: the route's body and its redemption. A gate that has no answer yet names the
    operation that it made instead (R14, R50)."""

    redemption_id: IdStr | None = None
    op_id: UlidStr | None = None

    @model_validator(mode="after")
    def _one_redemption(self) -> Self:
        if (self.redemption_id is None) == (self.op_id is None):
            msg = "send either redemption_id or op_id"
            raise ValueError(msg)
        return self


class AnnulView(View):
    """The entry that did not happen: its use, its clock and its place in the zone are back."""

    redemption_id: str
    ticket_id: str
    annulled_at: UtcDatetime
    remaining: int


class OccupancyView(View):
    """Guests in a zone today; `zone_id` null is the park as a whole, at gates without a zone."""

    zone_id: str | None
    name: str
    inside: int
    capacity: int | None
    entries: int
    exits: int
