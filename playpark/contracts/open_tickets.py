"""Parked carts: put aside, found again on any till, priced anew, settled once (R13)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from playpark.clock import BusinessDate, UtcDatetime
from playpark.contracts.base import IdStr, Name, Request, View
from playpark.contracts.pricing import MAX_PAYMENTS, Cart, PaymentIn, PricedCart
from playpark.money import Satang, SatangSum


class OpenTicketStatus(StrEnum):
    OPEN = "open"
    CHECKED_OUT = "checked_out"
    DELETED = "deleted"
    EXPIRED = "expired"


class OpenTicketIn(Request):
    """A cart under a name that another cashier recognises: "family in red"."""

    name: Name
    cart: Cart


class OpenTicketPatch(Request):
    """What is to change. `version` is the one that was read: another one is E_CONFLICT."""

    version: Annotated[int, Field(strict=True, ge=1)]
    name: Name | None = None
    cart: Cart | None = None


class OpenTicketSummary(View):
    """A parked cart in a list; `grand_total` is the one it was parked with."""

    open_ticket_id: str
    name: str
    pieces: int
    grand_total: SatangSum
    parked_by: str | None
    device_id: str
    parked_at: UtcDatetime
    expires_at: UtcDatetime
    status: OpenTicketStatus
    version: int


class OpenTicketView(OpenTicketSummary):
    """`priced` is what it costs now, null where it cannot be sold any more (`problem` says why);
    `difference` is now minus then, satang (R13)."""

    cart: Cart
    priced: PricedCart | None
    difference: SatangSum | None
    problem: str | None
    sale_id: str | None = None


class CheckoutRequest(Request):
    """The body of `POST /open_tickets/{id}/checkout`; the cart is the parked one."""

    payments: Annotated[list[PaymentIn], Field(max_length=MAX_PAYMENTS)]
    expected_total: Satang | None = None
    business_date: BusinessDate | None = None
    occurred_at: UtcDatetime | None = None


class CheckoutIn(CheckoutRequest):
    open_ticket_id: IdStr
