"""The audit trail: rows, anchors, whether they are whole, and a ticket's story (API.md: audit)."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import StringConstraints, computed_field

from playpark.clock import BusinessDate, UtcDatetime
from playpark.contracts.base import View
from playpark.contracts.tickets import TicketStatus

EventType = Annotated[str, StringConstraints(max_length=60, pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]
"""`sale.created`, or what stands before a dot: `sale` is all that happens to sales."""

EntityId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_:.-]{1,200}$")]
"""What a row is about: an id, a key of ids, a name of ours."""


class AuditMark(View):
    """A row of a chain as somebody else remembers it."""

    seq: int
    hash: str


class AuditView(View):
    """One row (R45). `hash` covers everything before `prev_hash`, and `prev_hash`; without a
    request behind it `ip`, `fingerprint` and `request_id` are null."""

    audit_id: str
    chain: str
    seq: int
    ts: UtcDatetime
    event_type: str
    entity_id: str
    actor_id: str | None
    device_id: str | None
    ip: str | None
    fingerprint: str | None
    request_id: str | None
    payload: dict[str, Any]
    prev_hash: str
    hash: str


class AnchoredHead(AuditMark):
    """The last row of a device's chain at the end of an anchored day."""

    device_id: str


class AnchorView(View):
    """What the trail was at the end of a trading day in the tenant's time zone (R45). `hash`
    covers the last rows of all `chains` of the tenant and the anchor before it; `heads` are those
    of the store that asks. Rows that the anchor numbered `removes` holds may be gone (0: none)."""

    number: int
    day: BusinessDate
    ends_at: UtcDatetime
    made_at: UtcDatetime
    removes: int
    chains: int
    heads: list[AnchoredHead]
    prev_hash: str
    hash: str


class BreakKind(StrEnum):
    """What is wrong with a document of the trail."""

    EDITED = "edited"
    MISSING = "missing"
    INSERTED = "inserted"
    OUT_OF_ORDER = "out_of_order"
    TRUNCATED = "truncated"
    """The rows from this number on are gone."""
    HEAD_CHANGED = "head_changed"
    CHECKPOINT_CHANGED = "checkpoint_changed"
    ANCHOR_CHANGED = "anchor_changed"


class AuditBreak(View):
    """The first thing wrong with a chain, or with the anchors (`chain` is null then).

    `document_id` is the row's, or that which a missing one had; `seq` its number.
    """

    kind: BreakKind
    collection: str
    document_id: str
    chain: str | None
    seq: int | None
    why: str


class AuditVerification(View):
    """Whether a tenant's trail is whole: all of it, or with `store_id` one store's chains.

    `removed` rows are gone by retention; checkpoints and anchors vouch for them.
    """

    tenant_id: str
    store_id: str | None
    checked_at: UtcDatetime
    chains: int
    rows: int
    removed: int
    anchors: int
    anchored_until: UtcDatetime | None
    breaks: list[AuditBreak]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def whole(self) -> bool:
        return not self.breaks


# --- a ticket's story ---------------------------------------------------------------------


class StoryKind(StrEnum):
    """What an entry of a ticket's story tells of."""

    SOLD = "sold"
    ISSUED = "issued"
    REPRINTED = "reprinted"
    EXCHANGED = "exchanged"
    PASS = "pass"  # noqa: S105 - a word of the contract, no password
    FAIL = "fail"
    ANNULLED = "annulled"
    REFUNDED = "refunded"
    VOIDED = "voided"
    CANCELLED = "cancelled"
    NOTED = "noted"
    """A row of the audit trail that has no document of its own."""


class Who(View):
    id: str
    name: str | None


class StoryEntry(View):
    """One moment: `ids` are those of the documents that tell of it, by kind of document; times
    are when it happened, which offline is before it was known here."""

    at: UtcDatetime
    kind: StoryKind
    what: str
    who: Who | None
    device: Who | None
    ids: dict[str, str]
    details: dict[str, Any]


class TicketTimeline(View):
    """A ticket's whole story in the order of time, with that of the lost tickets that it was given
    for and of those that were given for it (R25); `left_out` counts the oldest redemptions where
    there are too many for one answer."""

    ticket_id: str
    short_code: str
    sale_id: str
    receipt_no: str | None
    """Null as long as the sale of an offline ticket has not arrived."""
    status: TicketStatus
    left_out: int = 0
    entries: list[StoryEntry]
