"""Parked carts as stored (R13)."""

from typing import Any

from pymongo import IndexModel

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.open_tickets import OpenTicketStatus


class OpenTicket(Model):
    """`cart` is the contents of Cart; `grand_total` (satang) what it cost when it was parked,
    `answer` what was told then, for whoever parks it again under the same key (R15).

    `status` never says `expired`: that is a matter of the time at which it is looked at.
    """

    model_config = ODMConfigDict(
        collection="open_tickets",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "status", "_id"),
            # MongoDB takes a document away by itself once this moment has passed.
            IndexModel("purge_at", expireAfterSeconds=0),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    cart: dict[str, Any]
    pieces: int
    grand_total: int
    parked_by: str | None
    device_id: str
    parked_at: StoredTime
    expires_at: StoredTime
    purge_at: StoredTime
    status: OpenTicketStatus = OpenTicketStatus.OPEN
    version: int = 1
    answer: dict[str, Any] = {}
    sale_id: str | None = None
