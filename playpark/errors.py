"""The one table of errors: code, HTTP status, and an exception that carries both (API.md).

A message tells the person what to do next; `details` holds machine-readable facts and never
a secret or a value that the client sent.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """An error's public name. `.status` is its HTTP status."""

    VALIDATION = "E_VALIDATION"
    UNAUTHENTICATED = "E_UNAUTHENTICATED"
    TOKEN_EXPIRED = "E_TOKEN_EXPIRED"  # noqa: S105 - the name of an error
    PERMISSION = "E_PERMISSION"
    DEVICE_SUSPENDED = "E_DEVICE_SUSPENDED"
    DEVICE_REVOKED = "E_DEVICE_REVOKED"
    DEVICE_PENDING = "E_DEVICE_PENDING"
    EMPLOYEE_SUSPENDED = "E_EMPLOYEE_SUSPENDED"
    TENANT_SUSPENDED = "E_TENANT_SUSPENDED"
    PIN_LOCKED = "E_PIN_LOCKED"
    NOT_FOUND = "E_NOT_FOUND"
    CONFLICT = "E_CONFLICT"
    SHIFT_CLOSED = "E_SHIFT_CLOSED"
    SHIFT_ALREADY_OPEN = "E_SHIFT_ALREADY_OPEN"
    TIMECARD_OVERLAP = "E_TIMECARD_OVERLAP"
    RULE_CONFLICT = "E_RULE_CONFLICT"
    PRICE_CHANGED = "E_PRICE_CHANGED"
    INACTIVE_PACKAGE = "E_INACTIVE_PACKAGE"
    INSUFFICIENT_TENDER = "E_INSUFFICIENT_TENDER"
    REFUND_EXCEEDS = "E_REFUND_EXCEEDS"
    REPRINT_LIMIT = "E_REPRINT_LIMIT"
    IDEMPOTENCY_KEY_REQUIRED = "E_IDEMPOTENCY_KEY_REQUIRED"
    IDEMPOTENCY_MISMATCH = "E_IDEMPOTENCY_MISMATCH"
    OUTBOX_REWOUND = "E_OUTBOX_REWOUND"
    BATCH_TOO_LARGE = "E_BATCH_TOO_LARGE"
    BODY_TOO_LARGE = "E_BODY_TOO_LARGE"
    RATE_LIMITED = "E_RATE_LIMITED"
    WEBHOOK_TARGET = "E_WEBHOOK_TARGET"
    UNAVAILABLE = "E_UNAVAILABLE"
    INTERNAL = "E_INTERNAL"
    # Where an error is asked for a redemption's reason (R19):
    INVALID_SIG = "E_INVALID_SIG"
    EXPIRED = "E_EXPIRED"
    NOT_STARTED = "E_NOT_STARTED"
    DUPLICATE_USE = "E_DUPLICATE_USE"
    EXHAUSTED = "E_EXHAUSTED"
    WRONG_DEVICE = "E_WRONG_DEVICE"
    CANCELLED = "E_CANCELLED"
    REFUNDED = "E_REFUNDED"
    UNKNOWN_TICKET = "E_UNKNOWN_TICKET"

    @property
    def status(self) -> int:
        """The HTTP status of an answer with this code."""
        return _STATUS[self]


_STATUS = {
    ErrorCode.VALIDATION: 422,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.PERMISSION: 403,
    ErrorCode.DEVICE_SUSPENDED: 403,
    ErrorCode.DEVICE_REVOKED: 403,
    ErrorCode.DEVICE_PENDING: 403,
    ErrorCode.EMPLOYEE_SUSPENDED: 403,
    ErrorCode.TENANT_SUSPENDED: 403,
    ErrorCode.PIN_LOCKED: 429,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.SHIFT_CLOSED: 409,
    ErrorCode.SHIFT_ALREADY_OPEN: 409,
    ErrorCode.TIMECARD_OVERLAP: 409,
    ErrorCode.RULE_CONFLICT: 409,
    ErrorCode.PRICE_CHANGED: 409,
    ErrorCode.INACTIVE_PACKAGE: 409,
    ErrorCode.INSUFFICIENT_TENDER: 422,
    ErrorCode.REFUND_EXCEEDS: 409,
    ErrorCode.REPRINT_LIMIT: 429,
    ErrorCode.IDEMPOTENCY_KEY_REQUIRED: 400,
    ErrorCode.IDEMPOTENCY_MISMATCH: 422,
    ErrorCode.OUTBOX_REWOUND: 409,
    ErrorCode.BATCH_TOO_LARGE: 413,
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.WEBHOOK_TARGET: 422,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
    ErrorCode.INVALID_SIG: 422,
    ErrorCode.EXPIRED: 409,
    ErrorCode.NOT_STARTED: 409,
    ErrorCode.DUPLICATE_USE: 409,
    ErrorCode.EXHAUSTED: 409,
    ErrorCode.WRONG_DEVICE: 409,
    ErrorCode.CANCELLED: 409,
    ErrorCode.REFUNDED: 409,
    ErrorCode.UNKNOWN_TICKET: 404,
}


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
