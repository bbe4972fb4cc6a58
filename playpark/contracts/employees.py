"""Employees, their roles, and who is acting (API.md: employees; R40, R41)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Name, Request, View


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
TotpCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
"""Six digits of an authenticator app."""
_RUNS = "0123456789" * 2, "9876543210" * 2
_COLUMNS = "2580", "0852", "1470", "0741", "3690", "0963"


def is_weak(pin: str) -> bool:
    """Whether a PIN is among the first that a thief would try: fewer than three different
    digits, a run, a repetition, a column of the keypad."""
    half = pin[: len(pin) // 2]
    return (
        len(set(pin)) < 3 or any(pin in run for run in _RUNS) or pin == half * 2 or pin in _COLUMNS
    )


def _hard_to_guess(pin: str) -> str:
    if is_weak(pin):
        msg = "this PIN is easily guessed: take three different digits or more, and no row of them"
        raise ValueError(msg)
    return pin


_GoodPin = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4,8}$"), AfterValidator(_hard_to_guess)
]
NewPin = Annotated[_GoodPin, Field(repr=False)]
"""A PIN that is being set. Those that exist already are not judged again."""


class EmployeeLoginIn(Request):
    """One of employee_id and email, and the PIN; `totp` of who has an authenticator app. Without a
    device's token: `tenant`, email and PIN (R41)."""

    tenant: IdStr | None = Field(default=None, description="tenant_id; for logins without a device")
    employee_id: IdStr | None = None
    email: Email | None = None
    pin: Pin
    totp: TotpCode | None = Field(default=None, repr=False)

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


# --- managing people --------------------------------------------------------------------


class EmployeeStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class MembershipIn(Request):
    """What an employee is to do in one store; without `active` the roles rest."""

    store_id: IdStr
    role_ids: Annotated[list[IdStr], Field(max_length=20)]
    active: StrictBool = True


def _each_store_once(memberships: list[MembershipIn]) -> list[MembershipIn]:
    if len({each.store_id for each in memberships}) < len(memberships):
        msg = "name each store once, with all roles of it"
        raise ValueError(msg)
    return memberships


Memberships = Annotated[list[MembershipIn], Field(max_length=200), AfterValidator(_each_store_once)]


class EmployeeIn(Request):
    """A new employee. Without a PIN the server makes one up."""

    name: Name
    email: Email
    pin: _GoodPin | None = Field(default=None, repr=False)
    memberships: Memberships = []


class EmployeePatch(Request):
    name: Name | None = None
    email: Email | None = None
    status: EmployeeStatus | None = None


class MembershipsIn(Request):
    """All memberships in the stores where the caller manages employees: one that is left out
    there ends, those elsewhere stay."""

    memberships: Memberships


class PinResetIn(Request):
    pin: _GoodPin | None = Field(
        default=None, repr=False, description="without one the server makes one up"
    )


class MembershipView(View):
    store_id: str
    role_ids: list[str]
    roles: list[str]
    active: bool


class EmployeeDetail(View):
    """An employee with their memberships in the stores where the caller manages employees."""

    employee_id: str
    name: str
    email: str
    status: EmployeeStatus
    memberships: list[MembershipView]
    created_at: UtcDatetime
    last_login_at: UtcDatetime | None


class EmployeeCreated(EmployeeDetail):
    generated_pin: str | None = Field(
        default=None, repr=False, description="shown this once, where no PIN was sent"
    )


class PinReset(View):
    employee_id: str
    generated_pin: str | None = Field(
        default=None, repr=False, description="shown this once, where no PIN was sent"
    )


Permissions = Annotated[list[Permission], Field(max_length=len(Permission))]


class RoleIn(Request):
    name: Name
    permissions: Permissions


class RolePatch(Request):
    name: Name | None = None
    permissions: Permissions | None = None


class RoleView(View):
    role_id: str
    name: str
    permissions: list[Permission]


class MatrixRow(View):
    """Who has a permission, and for which routes one needs it (alone, or as one of several)."""

    permission: Permission
    role_ids: list[str]
    routes: list[str]


class PermissionMatrix(View):
    roles: list[RoleView]
    rows: list[MatrixRow]


class AccessLogRow(View):
    """One login, or one that failed. `subject` is whom it was about: an employee's id, the e-mail
    address that was tried, or a device's id."""

    at: UtcDatetime
    event: str
    subject: str
    employee_id: str | None
    employee_name: str | None
    device_id: str | None
    device_name: str | None
    store_id: str
    ip: str | None
    fingerprint: str | None
