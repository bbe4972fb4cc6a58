"""Customers and the rows of their points ledger as stored. Both belong to the whole tenant."""

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.customers import MEMBER, PointsReason


class Customer(Model):
    """`points` is the balance: every change of it writes a row of the ledger."""

    model_config = ODMConfigDict(
        collection="customers",
        indexes=lambda: [
            # Only strings are greater than "": a customer without a number is not in the index.
            ascending(
                "tenant_id",
                "phone",
                unique=True,
                name="one_customer_per_phone",
                partialFilterExpression={"phone": {"$gt": ""}},
            ),
            ascending("tenant_id", "words"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    words: list[str]
    """The words of the name as they are searched."""
    phone: str | None = None
    email: str | None = None
    group: str = MEMBER
    note: str | None = None
    points: int = 0
    active: bool = True


class PointsEntry(Model):
    """One change of a customer's points, never changed itself."""

    model_config = ODMConfigDict(
        collection="customer_points",
        indexes=lambda: [ascending("tenant_id", "customer_id", "_id")],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    customer_id: str
    points: int
    balance: int
    """After this row."""
    reason: PointsReason
    reason_text: str | None = None
    sale_id: str | None = None
    at: StoredTime
    employee_id: str | None = None
    employee_name: str | None = None
    flags: list[str] = []
