"""Scans of an earlier run, read back from the gate's own operations (R20, R50)."""

from datetime import datetime, timedelta

from pydantic import ValidationError

from gate.answers import (
    FOREIGN,
    Answer,
    Level,
    Scan,
    code_name,
    exit_unanswered,
    late,
    not_accepted,
    of_redemption,
    unanswered,
)
from playpark.contracts.tickets import Direction, FailReason, RedemptionResult, RedemptionView
from playpark.device.gate_record import Passage

ANNUL_WITHIN = timedelta(minutes=15)
"""R50."""
TOO_LATE = "answer_too_late"
"""What the gate tells the server of a PASS that came when the guest had gone."""

_ENTERED = Answer(Level.PASS, "PASS", "WELCOME", "Welcome!", "ยินดีต้อนรับ", local=True)


def scan_of(passage: Passage, number: int) -> Scan:
    """The scan as its row would stand now; `number` below 1 marks it as an earlier run's."""
    code = passage.body.get("qr_token") or passage.body.get("short_code", "")
    return Scan(
        number,
        0,
        code_name(code),
        passage.at,
        _answer(passage),
        passage.op_id,
        annulled=passage.annulled,
    )


def may_be_annulled(scan: Scan, now: datetime) -> bool:
    """Whether a person may say that this guest did not go in: an entry of the last 15 minutes."""
    entry = scan.answer.level is Level.PASS and not scan.answer.going_out
    fresh = now - scan.at <= ANNUL_WITHIN
    return entry and fresh and scan.op_id is not None and not scan.annulled


def _answer(passage: Passage) -> Answer:
    """What happened at the gate where that is written, else what the server said."""
    direction = Direction(passage.body.get("direction", Direction.ENTRY))
    said = _said(passage, direction)
    local = passage.local
    if local is None or local.result is None:
        return said or unanswered(online=False, error=None)
    if local.reason == TOO_LATE:
        return late(said or _ENTERED)
    if local.result is RedemptionResult.PASS and direction is Direction.EXIT:
        return said or exit_unanswered()
    return said if said is not None and not _differs(said, local.result) else _own(passage)


def _differs(said: Answer, happened: RedemptionResult) -> bool:
    return (said.level is Level.PASS) != (happened is RedemptionResult.PASS)


def _said(passage: Passage, direction: Direction) -> Answer | None:
    if passage.refusal is not None:
        return not_accepted(passage.refusal)
    if passage.result is None:
        return None
    try:
        return of_redemption(RedemptionView.model_validate(passage.result), direction)
    except ValidationError:
        return not_accepted("The server's answer is not understood: update this gate.")


def _own(passage: Passage) -> Answer:
    """A decision of the gate alone: only its result and its reason are kept."""
    local = passage.local
    if local is None or local.result is RedemptionResult.PASS:
        return _ENTERED
    reasons = {reason.value: reason for reason in FailReason}
    reason = reasons.get(local.reason or "")
    if reason is None:
        return FOREIGN
    view = RedemptionView(
        redemption_id=None,
        result=RedemptionResult.FAIL,
        reason=reason,
        remaining=None,
        kind=None,
        ticket_id=None,
        message="",
        message_th="",
    )
    return of_redemption(view, Direction.ENTRY, local=True)
