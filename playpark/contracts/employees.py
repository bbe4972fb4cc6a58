"""Employees: PIN login and who is acting (API.md: employees; R40, R41)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from playpark.contracts.base import IdStr, Request, View


class Permission(StrEnum):
    """Everything that can be allowed to a role (R40)."""

    SELL = "sell"
    REDEEM = "redeem"
    REFUND = "refund"
    REFUND_USED = "refund_used"
    REPRINT = "reprint"
    APPROVE = "approve"
    MANUAL_DISCOUNT = "manual_discount"
    CASH_MOVEMENT = "cash_movement"
    SHIFT_OPEN = "shift_open"
    SHIFT_CLOSE = "shift_close"
    SETTINGS_WRITE = "settings_write"
    CATALOG_WRITE = "catalog_write"
    EMPLOYEE_MANAGE = "employee_manage"
    DEVICE_MANAGE = "device_manage"
    REPORTS_VIEW = "reports_view"
    AUDIT_VIEW = "audit_view"
    WEBHOOK_MANAGE = "webhook_manage"
    INTEGRATION_MANAGE = "integration_manage"
    PROVIDER_VIEW = "provider_view"


Email = Annotated[
    str, StringConstraints(pattern=r"^[^@\s\x00-\x1f$]{1,64}@[A-Za-z0-9.-]{1,120}$", to_lower=True)
]
Pin = Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$"), Field(repr=False)]


class EmployeeLoginIn(Request):
    """One of employee_id and email, and the PIN."""

    employee_id: IdStr | None = None
    email: Email | None = None
    pin: Pin

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if (self.employee_id is None) == (self.email is None):
            msg = "send either employee_id or email"
            raise ValueError(msg)
        return self


class EmployeeView(View):
    employee_id: str
    name: str
    roles: list[str]
    permissions: list[Permission]


class EmployeeSession(View):
    access_token: str
    refresh_token: str
    expires_in: int
    employee: EmployeeView
