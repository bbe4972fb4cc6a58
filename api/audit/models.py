"""Stored audit rows and the head of each chain (R45)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


class AuditRow(Model):
    """One link. `hash` covers everything but `_id` and the bookkeeping times."""

    model_config = ODMConfigDict(
        collection="audits",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "chain", "seq", unique=True),
            ascending("tenant_id", "store_id", "ts"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    chain: str
    seq: int
    ts: StoredTime
    actor_id: str | None
    device_id: str | None
    event_type: str
    entity_id: str
    payload: dict[str, Any]
    prev_hash: str
    hash: str


class AuditHead(Model):
    """The last link of a chain; changed as the last statement of a transaction."""

    model_config = ODMConfigDict(collection="audit_heads")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    seq: int
    hash: str
