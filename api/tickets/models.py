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
            ascending("tenant_id", "store_id", "valid_to"),
            ascending("tenant_id", "store_id", "updated_at"),
            # A till's certificate covers each serial number once (R22).
            ascending(
                "tenant_id",
                "store_id",
                "kid",
                "serial",
                name="serials",
                unique=True,
                partialFilterExpression={"serial": {"$gt": 0}},
            ),
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
    op_id: str | None = None
    """Of its sale, where a till sent that in a batch: until the till has told what it printed, its
    paper may bear another token than the answer (R23)."""
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
    issued_at: StoredTime | None = None
    """By its till's clock, of a ticket that the till signed while it was offline (R22)."""
    serial: int | None = None
    """Of such a ticket, under the certificate that `kid` names then."""
    sealed_signature: str | None = None
    """What its token is made again of, for a reprint: nobody but the till can sign it."""
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
    inside: list[str] = []
    """The zones where its guest is, "" for none in particular; of the day of last_pass_at (R51)."""
    printed_count: int = 0
    replaced_by: str | None = None
    """The ticket that a guest got for this lost one (R25)."""
    replaces: str | None = None

    @property
    def redeemed(self) -> bool:
        """Whether a gate let somebody in with it: a timepass spends a clock and no uses."""
        return self.used > 0 or self.ends_at is not None

    @property
    def untouched(self) -> bool:
        """Whether it is as it was sold, under the server's own key, and nothing was printed or done
        with it since."""
        nothing = (self.used, self.refunded, self.printed_count) == (0, 0, 0)
        never = (self.serial, self.last_pass_at, self.ends_at, self.replaced_by, self.replaces)
        active = self.status is TicketStatus.ACTIVE
        return active and nothing and all(each is None for each in never)

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
            issued_at=self.issued_at or self.created_at,
            inside=tuple(self.inside),
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
    came_in: bool = False
    """This PASS put its zone among those where the guest is (R51)."""
    counted_on: str | None = None
    """The trading day whose occupancy counts it, null where none does (R51)."""
    inside: int | None = None
    """How many were in the zone after it."""
    ends_at: StoredTime | None = None
    """When the timepass runs out, as this PASS had it."""
    credit_shortfall: int = 0
    """What the balance did not cover of an entry that a gate let through by itself, satang."""
    gate_result: RedemptionResult | None = None
    """What happened at the gate, written once, where it decided by itself or `result` was judged
    anew; null where the guest got the answer (R33)."""
    answered: dict[str, Any] | None = None
    """{result, reason, remaining} of the first answer, once they were judged anew (R33)."""
    annulled_at: StoredTime | None = None
    annulled_because: str | None = None
    flags: list[str] = []

    @property
    def walked_in(self) -> bool:
        """Whether the guest went through the gate, whatever the server holds of it."""
        happened = self.gate_result or self.result
        entry = self.direction is Direction.ENTRY
        return entry and self.annulled_at is None and happened is RedemptionResult.PASS

    @property
    def as_answered(self) -> "Redemption":
        """As it was told the first time, and is told again (R15)."""
        if self.answered is None:
            return self
        reason = self.answered["reason"]
        told = {
            "result": RedemptionResult(self.answered["result"]),
            "reason": reason and FailReason(reason),
            "remaining": self.answered["remaining"],
        }
        return self.model_copy(update=told)


class Annulment(Model):
    """An entry that did not happen after all, as it was answered (R50)."""

    model_config = ODMConfigDict(
        collection="annulments",
        indexes=lambda: [ascending("tenant_id", "store_id", "redemption_id", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    redemption_id: str
    ticket_id: str
    device_id: str
    employee_id: str | None
    because: str
    reason_text: str | None
    occurred_at: StoredTime
    annulled_at: StoredTime
    remaining: int
    flags: list[str] = []


class Cancellation(Model):
    """A ticket taken out of use, with no money moved: why, and by whom."""

    model_config = ODMConfigDict(
        collection="cancellations",
        indexes=lambda: [ascending("tenant_id", "store_id", "ticket_id", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    ticket_id: str
    sale_id: str
    reason_code: str
    reason_text: str | None
    business_date: str
    occurred_at: StoredTime
    device_id: str
    employee_id: str | None
    employee_name: str | None
    approver_id: str | None
    approved_by: str | None
    flags: list[str] = []


class Occupancy(Model):
    """Entries and exits of one trading day through one device into one zone: a document for each
    device, so that no two gates wait for each other (R51).

    `zone_id` "" is the park as a whole. `device_id` "" is the zone's own mark, which counts
    nothing: whoever may take the last place holds it.
    """

    model_config = ODMConfigDict(
        collection="occupancy",
        indexes=lambda: [ascending("tenant_id", "store_id", "day", "zone_id")],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    day: str
    zone_id: str
    device_id: str
    entries: int = 0
    exits: int = 0
