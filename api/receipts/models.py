"""The receipt ledger and the server's own counters as stored (R29)."""

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime


class LedgerEntry(Model):
    """A receipt number and what became of it; `id` is tenant:store:receipt_no (R29)."""

    model_config = ODMConfigDict(collection="receipt_ledger")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    receipt_no: str
    device_id: str
    op_id: str
    state: str = "applied"


class Counter(Model):
    """The number of the last `W` receipt of a device. `id` is compound."""

    model_config = ODMConfigDict(collection="counters")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    value: int = 0
