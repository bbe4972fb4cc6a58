"""The receipt ledger and the server's own counters as stored (R29)."""

from enum import StrEnum

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


class LedgerState(StrEnum):
    """What became of a number."""

    APPLIED = "applied"
    ABANDONED = "abandoned"
    DEAD_LETTERED = "dead_lettered"


class LedgerEntry(Model):
    """A receipt number and what became of it; `id` is tenant:store:receipt_no (R29)."""

    model_config = ODMConfigDict(
        collection="receipt_ledger",
        indexes=lambda: [
            # Only strings are greater than "": hardly any number is given up.
            ascending(
                "tenant_id",
                "store_id",
                "abandoned_by",
                name="numbers_given_up",
                partialFilterExpression={"abandoned_by": {"$gt": ""}},
            )
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    receipt_no: str
    device_id: str
    op_id: str
    """The operation that took it; of another state than applied the one that was refused."""
    state: LedgerState = LedgerState.APPLIED
    abandoned_by: list[str] = []
    """Result ids of the operations that gave it up."""


class Counter(Model):
    """The last number that the server gave to a device, in one series. `id` is compound."""

    model_config = ODMConfigDict(collection="counters")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    value: int = 0
