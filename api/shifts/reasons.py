"""The reason that comes with a count or a movement: checked, or flagged where it is too late."""

from collections.abc import Sequence
from typing import Any

from api.approvals import service as approvals
from api.platform.operations import Operation
from playpark.contracts.approvals import ReasonCodeView, ReasonKind
from playpark.errors import PlayParkError

REASON_UNKNOWN = "reason_unknown"


def check(op: Operation[Any], known: Sequence[ReasonCodeView], kind: ReasonKind) -> list[str]:
    """Flags of the body's reason, if it has one. Raises E_VALIDATION for a reason that the
    store does not have for this, unless it is committed (R17)."""
    if op.body.reason_code is None:
        return []
    try:
        approvals.check_reason(known, kind, op.body.reason_code, op.body.reason_text)
    except PlayParkError:
        if not op.committed:
            raise
        return [REASON_UNKNOWN]
    return []
