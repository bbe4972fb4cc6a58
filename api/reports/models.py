"""What a reconciliation found (R49)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


class StoredReconciliation(Model):
    """The last result of a trading day. `id` is tenant:store:date; `result` the contents of a
    Reconciliation in JSON."""

    model_config = ODMConfigDict(
        collection="reconciliations",
        indexes=lambda: [ascending("tenant_id", "store_id", "business_date", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    business_date: str
    checked_at: StoredTime
    whole: bool
    result: dict[str, Any]
    runs: int = 1
    """How often this day was checked."""
