"""Timecards as stored (R30)."""

from enum import StrEnum

from odmantic import EmbeddedModel

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.timecards import TimecardEvent


class CardState(StrEnum):
    """Working and on_break are the open ones."""

    WORKING = "working"
    ON_BREAK = "on_break"
    CLOSED = "closed"


class Entry(EmbeddedModel):
    """One event of a card, written once. `counted` is false for what only stands there because it
    may not be refused: it changes neither state nor hours."""

    op_key: str
    """device:op_id: what a repeated operation is answered from."""
    event: TimecardEvent
    at: StoredTime
    counted: bool = True
    flags: list[str] = []


class Timecard(Model):
    """Its `entries` only grow and say everything; the other fields are there for queries."""

    model_config = ODMConfigDict(
        collection="timecards",
        indexes=lambda: [
            ascending(
                "tenant_id",
                "store_id",
                "employee_id",
                unique=True,
                name="one_open_card_per_employee",
                partialFilterExpression={"open": True},
            ),
            ascending("tenant_id", "store_id", "business_date"),
            ascending("tenant_id", "store_id", "employee_id", "clock_in_at"),
            ascending("tenant_id", "store_id", "entries.op_key"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    employee_id: str
    employee_name: str
    device_id: str
    business_date: str
    """Of the clock-in, fixed then (R30)."""
    state: CardState
    open: bool
    clock_in_at: StoredTime
    last_at: StoredTime
    """Of the latest entry that counted: the clock-out of a closed card."""
    entries: list[Entry]
