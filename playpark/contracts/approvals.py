"""Approvals by a supervisor's PIN, and the reasons to choose from (API.md: approvals; R42)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Name, Request, View
from playpark.contracts.employees import Email, Pin
from playpark.money import Satang


class ApprovalAction(StrEnum):
    """What can be approved."""

    REFUND = "refund"
    VOID = "void"
    REPRINT = "reprint"
    EXCHANGE = "exchange"
    TICKET_CANCEL = "ticket_cancel"
    MANUAL_DISCOUNT = "manual_discount"
    PRICE_OVERRIDE = "price_override"
    CASH_VARIANCE = "cash_variance"
    SHIFT_ADJUSTMENT = "shift_adjustment"
    X_REPORT = "x_report"
    DEAD_LETTER = "dead_letter"


class VerifyPinIn(Request):
    """The approver, and what is approved: `entity_id` is the sale, shift or ticket, or the op_id
    of the operation to come; `amount` (satang) binds the money too."""

    employee_id: IdStr | None = None
    email: Email | None = None
    pin: Pin
    action: ApprovalAction
    entity_id: IdStr
    amount: Satang | None = None

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if (self.employee_id is None) == (self.email is None):
            msg = "send either employee_id or email"
            raise ValueError(msg)
        return self


class EmployeeRef(View):
    employee_id: str
    name: str


class ApprovalGranted(View):
    """`approval_token` works once, for two minutes, for exactly what was approved."""

    approval_token: str = Field(repr=False)
    expires_in: int
    approved_by: EmployeeRef


class ApprovalView(View):
    """An approval in the list of supervisors."""

    approval_id: str
    action: ApprovalAction
    entity_id: str
    amount: int | None
    approved_by: EmployeeRef
    requested_by: EmployeeRef | None
    device_id: str
    granted_at: UtcDatetime
    expires_at: UtcDatetime
    used_at: UtcDatetime | None


class ReasonKind(StrEnum):
    """What a reason is for; `any` fits everywhere."""

    ANY = "any"
    REFUND = "refund"
    VOID = "void"
    REPRINT = "reprint"
    DISCOUNT = "discount"
    CASH_MOVEMENT = "cash_movement"
    CASH_VARIANCE = "cash_variance"


ReasonText = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class ReasonCodeView(View):
    code: str
    kind: ReasonKind
    label: str
    label_th: str
    text_required: bool = False
    active: bool = True


class ReasonCodeIn(Request):
    code: Code
    kind: ReasonKind
    label: Name
    label_th: Name
    text_required: StrictBool = False
    active: StrictBool = True


class ReasonCodePatch(Request):
    """A reason keeps its code and its kind."""

    label: Name | None = None
    label_th: Name | None = None
    text_required: StrictBool | None = None
    active: StrictBool | None = None
