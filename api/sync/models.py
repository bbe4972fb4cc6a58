"""What the server keeps of operations that left no record of their own (R35, R37, R38)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.sync import DeadLetterKind, DeadLetterStatus, OpKind

MARKS_KEPT_S = 90 * 24 * 3600


class DeadLetter(Model):
    """An operation without its effect, until a person decides. `id` is the server's own.

    One for each (device, op_id, hash), however often it comes. `sealed` holds body and `local` as
    they came, which may name tokens; nothing else of it is a secret.
    """

    model_config = ODMConfigDict(
        collection="dead_letters",
        indexes=lambda: [
            ascending(
                *("tenant_id", "store_id", "device_id", "op_id", "body_hash"),
                name="once_each",
                unique=True,
            ),
            ascending(
                *("tenant_id", "store_id", "device_id", "epoch", "seq"),
                name="places_of_letters",
                partialFilterExpression={"seq": {"$gte": 0}},
            ),
            ascending("tenant_id", "store_id", "status", "_id"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    kind: DeadLetterKind
    status: DeadLetterStatus = DeadLetterStatus.OPEN
    device_id: str
    device_code: str
    op_id: str
    op_kind: OpKind
    body_hash: str
    epoch: int
    seq: int
    prev_hash: str | None
    committed: bool
    employee_id: str | None
    shift_id: str | None
    receipt_no: str | None
    amount: int | None
    occurred_at: StoredTime
    arrived_at: StoredTime
    code: str | None
    message: str | None
    sealed: str
    handed_in_by: str | None = None
    """Who handed in the export that it was in (R37)."""
    resolved_by: str | None = None
    resolved_at: StoredTime | None = None
    resolution: str | None = None
    resolution_text: str | None = None
    approved_by: str | None = None
    result: dict[str, Any] | None = None


class SequenceMark(Model):
    """A place of a device's sequence whose operation has neither record nor letter there: refused
    before it happened, blocked, or booked under another place. `id` is tenant:store:device:op_id.
    """

    model_config = ODMConfigDict(
        collection="sequence_marks",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "device_id", "epoch", "seq"),
            ascending("created_at", expireAfterSeconds=MARKS_KEPT_S),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    device_id: str
    op_id: str
    body_hash: str
    epoch: int
    seq: int
    prev_hash: str | None
    code: str


DOCUMENTS: tuple[type[Model], ...] = (DeadLetter, SequenceMark)
