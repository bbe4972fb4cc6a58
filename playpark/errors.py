"""The one table of errors: code, HTTP status, and an exception that carries both (API.md).

A message tells the person what to do next; `details` holds machine-readable facts and never
a secret or a value that the client sent.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self


class ErrorCode(StrEnum):
    """An error's public name. `.status` is its HTTP status."""

    status: int

    def __new__(cls, status: int, name: str) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.status = status
        return member

    VALIDATION = 422, "E_VALIDATION"
    UNAUTHENTICATED = 401, "E_UNAUTHENTICATED"
    TOKEN_EXPIRED = 401, "E_TOKEN_EXPIRED"
    PERMISSION = 403, "E_PERMISSION"
    DEVICE_SUSPENDED = 403, "E_DEVICE_SUSPENDED"
    DEVICE_REVOKED = 403, "E_DEVICE_REVOKED"
    DEVICE_PENDING = 403, "E_DEVICE_PENDING"
    EMPLOYEE_SUSPENDED = 403, "E_EMPLOYEE_SUSPENDED"
    TENANT_SUSPENDED = 403, "E_TENANT_SUSPENDED"
    PIN_LOCKED = 429, "E_PIN_LOCKED"
    NOT_FOUND = 404, "E_NOT_FOUND"
    METHOD_NOT_ALLOWED = 405, "E_METHOD_NOT_ALLOWED"
    CONFLICT = 409, "E_CONFLICT"
    SHIFT_CLOSED = 409, "E_SHIFT_CLOSED"
    SHIFT_ALREADY_OPEN = 409, "E_SHIFT_ALREADY_OPEN"
    TIMECARD_OVERLAP = 409, "E_TIMECARD_OVERLAP"
    RULE_CONFLICT = 409, "E_RULE_CONFLICT"
    PRICE_CHANGED = 409, "E_PRICE_CHANGED"
    INACTIVE_PACKAGE = 409, "E_INACTIVE_PACKAGE"
    INSUFFICIENT_TENDER = 422, "E_INSUFFICIENT_TENDER"
    REFUND_EXCEEDS = 409, "E_REFUND_EXCEEDS"
    REPRINT_LIMIT = 429, "E_REPRINT_LIMIT"
    IDEMPOTENCY_KEY_REQUIRED = 400, "E_IDEMPOTENCY_KEY_REQUIRED"
    IDEMPOTENCY_MISMATCH = 422, "E_IDEMPOTENCY_MISMATCH"
    OUTBOX_REWOUND = 409, "E_OUTBOX_REWOUND"
    BATCH_TOO_LARGE = 413, "E_BATCH_TOO_LARGE"
    BODY_TOO_LARGE = 413, "E_BODY_TOO_LARGE"
    RATE_LIMITED = 429, "E_RATE_LIMITED"
    WEBHOOK_TARGET = 422, "E_WEBHOOK_TARGET"
    UNAVAILABLE = 503, "E_UNAVAILABLE"
    INTERNAL = 500, "E_INTERNAL"
    # Where an error is asked for a redemption's reason (R19):
    INVALID_SIG = 422, "E_INVALID_SIG"
    EXPIRED = 409, "E_EXPIRED"
    NOT_STARTED = 409, "E_NOT_STARTED"
    DUPLICATE_USE = 409, "E_DUPLICATE_USE"
    EXHAUSTED = 409, "E_EXHAUSTED"
    WRONG_DEVICE = 409, "E_WRONG_DEVICE"
    CANCELLED = 409, "E_CANCELLED"
    REFUNDED = 409, "E_REFUNDED"
    UNKNOWN_TICKET = 404, "E_UNKNOWN_TICKET"


class PlayParkError(Exception):
    """A refusal with a code of the table, a sentence for the person, facts for the program.

    `retry_after` (seconds) goes into the Retry-After header of 429 and 503 answers.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details) if details else None
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
