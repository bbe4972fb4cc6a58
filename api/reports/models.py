"""What a reconciliation found, and who is at it (R49)."""

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


class JobLease(Model):
    """Which process does a job for a store, and until when nobody else may: a process that dies
    lets go of it by then. `id` is tenant:store:job."""

    model_config = ODMConfigDict(collection="job_leases")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    holder: str
    expires_at: StoredTime
