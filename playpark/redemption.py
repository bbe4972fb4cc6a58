"""Whether a ticket admits: one pure decision for the server and every gate (R18–R22, R51).

The caller has verified the token's signature; `ticket` is None where no ticket has that id.
docs/redemption.md shows as a table what comes out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason, RedemptionResult, TicketStatus

ANTI_PASSBACK = timedelta(seconds=5)
PENDING_LASTS = timedelta(hours=72)
"""How long after its issue a ticket admits whose sale has not arrived (R22)."""
NO_ZONE = ""
"""Stands among a ticket's zones for a gate that has none: the park as a whole (R51)."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key of a token: its kid, and since when it signs nothing any more (R21)."""

    kid: str
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class TicketState:
    """What the decision needs of a ticket. `quota`: uses, minutes or satang by kind (R18)."""

    kind: PackageKind
    quota: int
    used: int
    valid_from: datetime
    valid_to: datetime
    status: TicketStatus = TicketStatus.ACTIVE
    zones: tuple[str, ...] = ()
    allowed_devices: tuple[str, ...] = ()
    last_pass_at: datetime | None = None
    ends_at: datetime | None = None
    """When a timepass that has started runs out."""
    training: bool = False
    kid: str = ""
    """Of the key that it was issued with."""
    issued_at: datetime | None = None
    """By the server's clock; of a pending ticket by its till's."""
    inside: tuple[str, ...] = ()
    """The zones that its guest has entered and not left, on the day of `last_pass_at` (R51)."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One showing of a ticket at a place and a moment.

    `key` is the token's, None where a short code was typed. `binding`: whether tickets are held
    to their zones and devices here (R40). The zone says `reentry_needs_exit` (R51) and
    `pending_admits` (R22), `full` whether another guest would be one too many for it.
    """

    at: datetime
    direction: Direction = Direction.ENTRY
    zone_id: str | None = None
    device_id: str | None = None
    credit_price: int | None = None
    """What this zone takes from a credit ticket, satang."""
    anti_passback: timedelta = ANTI_PASSBACK
    key: SigningKey | None = None
    binding: bool = True
    reentry_needs_exit: bool = False
    pending_admits: bool = True
    full: bool = False
    day_start: datetime | None = None
    """When the trading day began: who was inside before is outside now (R30, R51)."""

    @property
    def place(self) -> str:
        """The zone as tickets name it: `NO_ZONE` at a gate without one."""
        return self.zone_id or NO_ZONE


@dataclass(frozen=True, slots=True)
class Decision:
    """`spend` is added to the ticket's `used`; `ends_at` is set where a timepass starts."""

    result: RedemptionResult
    reason: FailReason | None
    remaining: int | None
    spend: int = 0
    ends_at: datetime | None = None

    @property
    def passed(self) -> bool:
        return self.result is RedemptionResult.PASS


def refuse(reason: FailReason, remaining: int | None = None) -> Decision:
    """A FAIL for `reason`."""
    return Decision(RedemptionResult.FAIL, reason, remaining)


def decide(ticket: TicketState | None, scan: Scan) -> Decision:
    """PASS, or the first reason of R19 that speaks against it.

    `remaining` is what is left after this decision; exits are never refused (R51).
    """
    if ticket is None:
        return refuse(FailReason.UNKNOWN_TICKET)
    if not authentic(ticket, scan.key):
        return refuse(FailReason.INVALID_SIG)
    if scan.direction is Direction.EXIT:
        return Decision(RedemptionResult.PASS, None, remaining(ticket, scan.at))
    if ticket.kind is PackageKind.BUNDLE or not _arrived(ticket, scan):
        # A bundle is sold; what admits are the tickets of its components (R18).
        return refuse(FailReason.UNKNOWN_TICKET)
    for reason in _objections(ticket, scan):
        return refuse(reason, remaining(ticket, scan.at))
    if ticket.kind is PackageKind.TIMEPASS:
        ends_at = ticket.ends_at or scan.at + timedelta(minutes=ticket.quota)
        minutes = _minutes_until(ends_at, scan.at)
        return Decision(RedemptionResult.PASS, None, minutes, ends_at=ends_at)
    spend = cost(ticket, scan)
    return Decision(RedemptionResult.PASS, None, ticket.quota - ticket.used - spend, spend=spend)


def authentic(ticket: TicketState, key: SigningKey | None) -> bool:
    """Whether the ticket was issued with the key of the token, while that still signed (R21)."""
    if key is None:
        return True
    in_time = key.not_after is None or (
        ticket.issued_at is not None and ticket.issued_at <= key.not_after
    )
    return ticket.kid == key.kid and in_time


def cost(ticket: TicketState, scan: Scan) -> int:
    """What one entry takes from the quota: one use, or the zone's price in satang (R18)."""
    return scan.credit_price or 0 if ticket.kind is PackageKind.CREDIT else 1


def remaining(ticket: TicketState, at: datetime) -> int:
    """Uses, minutes (rounded up) or satang that are left before this scan."""
    if ticket.kind is PackageKind.TIMEPASS:
        return ticket.quota if ticket.ends_at is None else _minutes_until(ticket.ends_at, at)
    return ticket.quota - ticket.used


def is_inside(ticket: TicketState, scan: Scan) -> bool:
    """Whether the ticket's guest has entered this zone today and not left it (R51)."""
    if scan.place not in ticket.inside or ticket.last_pass_at is None:
        return False
    return scan.day_start is None or ticket.last_pass_at >= scan.day_start


def _arrived(ticket: TicketState, scan: Scan) -> bool:
    """Whether the sale is here, or may still be on its way where the zone waits for it (R22)."""
    if ticket.status is not TicketStatus.PENDING:
        return True
    issued_at = ticket.issued_at
    return scan.pending_admits and issued_at is not None and scan.at < issued_at + PENDING_LASTS


def _objections(ticket: TicketState, scan: Scan) -> Iterator[FailReason]:
    """Everything that speaks against an entry, in the order of R19."""
    if ticket.training:
        yield FailReason.TRAINING
    if scan.at < ticket.valid_from:
        yield FailReason.NOT_STARTED
    if scan.at >= ticket.valid_to:
        yield FailReason.EXPIRED
    if ticket.status is TicketStatus.CANCELLED:
        yield FailReason.CANCELLED
    if ticket.status is TicketStatus.REFUNDED:
        yield FailReason.REFUNDED
    if not _valid_here(ticket, scan):
        yield FailReason.WRONG_DEVICE
    yield from _spent(ticket, scan)


def _valid_here(ticket: TicketState, scan: Scan) -> bool:
    if ticket.kind is PackageKind.CREDIT and scan.credit_price is None:
        return False  # this place takes no credit
    if not scan.binding:
        return True
    if ticket.zones and scan.zone_id is not None and scan.zone_id not in ticket.zones:
        return False
    return not ticket.allowed_devices or scan.device_id in ticket.allowed_devices


def _spent(ticket: TicketState, scan: Scan) -> Iterator[FailReason]:
    if ticket.kind is PackageKind.SINGLE and ticket.used >= ticket.quota:
        yield FailReason.DUPLICATE_USE
    if ticket.last_pass_at is not None and scan.at - ticket.last_pass_at < scan.anti_passback:
        yield FailReason.DUPLICATE_USE
    if scan.reentry_needs_exit and is_inside(ticket, scan):
        yield FailReason.DUPLICATE_USE
    if ticket.kind is PackageKind.TIMEPASS:
        if ticket.ends_at is not None and scan.at >= ticket.ends_at:
            yield FailReason.EXHAUSTED
    elif ticket.used + cost(ticket, scan) > ticket.quota:
        yield FailReason.EXHAUSTED
    if scan.full:
        yield FailReason.ZONE_FULL


def _minutes_until(end: datetime, at: datetime) -> int:
    return max(0, -((at - end) // timedelta(minutes=1)))
