"""A domain event that waits for its dispatcher (R47)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


class Event(Model):
    """`pos` is stamped after the commit by the dispatcher, in the order of delivery."""

    model_config = ODMConfigDict(
        collection="events",
        indexes=lambda: [ascending("tenant_id", "store_id", "pos")],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    type: str
    occurred_at: StoredTime
    data: dict[str, Any]
    pos: int | None = None
