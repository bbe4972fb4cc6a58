"""Tickets and their redemption at gates (API.md: tickets; R18–R21)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import StrictBool, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Request, View
from playpark.contracts.catalog import PackageKind
from playpark.money import Satang


class TicketStatus(StrEnum):
    ACTIVE = "active"
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
