"""Approvals and reason codes as stored (R42)."""

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.employees import Permission


class Approval(Model):
    """A supervisor's yes to one action. The token is not stored, only its SHA-256."""

    model_config = ODMConfigDict(
        collection="approvals",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "token_hash", unique=True),
            ascending("tenant_id", "store_id", "_id"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    token_hash: str
    action: ApprovalAction
    entity_id: str
    amount: int | None = None
    approver_id: str
    approver_name: str
    permissions: list[Permission]
    """The approver's in this store, at the moment of the PIN."""
    requester_id: str | None = None
    requester_name: str | None = None
    device_id: str
    granted_at: StoredTime
    expires_at: StoredTime
    received_with: list[str] = []
    """device:op_id of the operations that brought it in time: they may come again later."""
    used_at: StoredTime | None = None
    used_by_op: str | None = None
    """device:op_id too."""


class ReasonCode(Model):
    """A reason that people of the store choose from."""

    model_config = ODMConfigDict(
        collection="reason_codes",
        indexes=lambda: [ascending("tenant_id", "store_id", "code", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    code: str
    kind: ReasonKind
    label: str
    label_th: str
    text_required: bool = False
    active: bool = True
