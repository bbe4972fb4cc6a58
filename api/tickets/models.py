"""Tickets and redemptions as stored (R6, R20, R21, R23)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason, RedemptionResult, TicketStatus
from playpark.redemption import TicketState


class Ticket(Model):
    """`id` is tenant:store:ticket_id, for ticket ids are the till's (R16, R23). The token is not
    stored: `kid` mints it again, `token_hash` finds it."""

    model_config = ODMConfigDict(
        collection="tickets",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "short_code", unique=True),
            ascending("tenant_id", "store_id", "token_hash", unique=True),
            ascending("tenant_id", "store_id", "sale_id", "position"),
            ascending("tenant_id", "store_id", "valid_from"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    ticket_id: str
    sale_id: str
    position: int
    unit: str = ""
    """`line:unit` of its sale: a bundle's components share it (R18)."""
    shift_id: str | None
    device_id: str
    issued_by: str | None
    package_id: str
    package_name: str
    package_name_th: str
    kind: PackageKind
    quota_or_minutes: int
    used: int = 0
    short_code: str
    kid: str
    token_hash: str
    status: TicketStatus = TicketStatus.ACTIVE
    valid_from: StoredTime
    valid_to: StoredTime
    zones: list[str]
    allowed_devices: list[str] = []
    slice: dict[str, Any]
    """The frozen share of the sale's money (R6)."""
    refunded: int = 0
    """What of it was given back, satang (R31)."""
    last_pass_at: StoredTime | None = None
    ends_at: StoredTime | None = None
    printed_count: int = 0

    @property
    def redeemed(self) -> bool:
        """Whether a gate let somebody in with it: a timepass spends a clock and no uses."""
        return self.used > 0 or self.ends_at is not None

    @property
    def state(self) -> TicketState:
        """What the decision needs of it."""
        return TicketState(
            kind=self.kind,
            quota=self.quota_or_minutes,
            used=self.used,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            status=self.status,
            zones=tuple(self.zones),
            allowed_devices=tuple(self.allowed_devices),
            last_pass_at=self.last_pass_at,
            ends_at=self.ends_at,
            kid=self.kid,
            issued_at=self.created_at,
        )


class Redemption(Model):
    """One showing of a ticket and its answer, PASS or FAIL, frozen (R20)."""

    model_config = ODMConfigDict(
        collection="redemptions",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "ticket_id", "occurred_at"),
            ascending("tenant_id", "store_id", "occurred_at"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    ticket_id: str | None
    device_id: str
    employee_id: str | None
    zone_id: str | None
    direction: Direction
    occurred_at: StoredTime
    result: RedemptionResult
    reason: FailReason | None
    remaining: int | None
    spend: int
    kind: PackageKind | None
    package_name: str | None
    package_name_th: str | None
    used_at: StoredTime | None
    """The ticket's last PASS before this showing: what the guest is told."""
    started_clock: bool = False
    """This PASS started a timepass: an annulment takes the start back."""
    annulled_at: StoredTime | None = None
    annulled_because: str | None = None
    flags: list[str] = []
