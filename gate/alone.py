"""What the gate says where it has decided by itself, and where the server then says otherwise
(R33, R50, R53)."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from gate.answers import Answer, Level, of_redemption, plain
from gate.deciding import Judgement
from playpark.contracts.sync import LocalOutcome
from playpark.contracts.tickets import (
    Direction,
    RedemptionResult,
    RedemptionView,
    TicketStatus,
)
from playpark.guest_text import guest_message


def of_judgement(judgement: Judgement, direction: Direction, zone: ZoneInfo) -> Answer:
    """The gate's own decision as the guest sees it. `zone`: park time."""
    decision, known = judgement.decision, judgement.known
    english, thai = guest_message(
        decision,
        judgement.kind,
        zone=zone,
        used_at=judgement.used_at,
        direction=direction,
        sale_missing=known.state is not None and known.state.status is TicketStatus.PENDING,
    )
    view = RedemptionView(
        redemption_id=None,
        result=decision.result,
        reason=decision.reason,
        remaining=decision.remaining,
        kind=judgement.kind,
        ticket_id=known.ticket_id,
        message=english,
        message_th=thai,
        inside=judgement.inside if decision.passed else None,
    )
    answer = of_redemption(view, direction, local=True)
    if known.denied:
        return _denied(answer)
    return _missing(answer, judgement.age) if known.missing else answer


def otherwise(local: LocalOutcome, answer: Answer) -> Answer | None:
    """What to say, and to do, where the server's answer is not what the gate did; None where it
    is."""
    admitted = local.result is RedemptionResult.PASS
    if answer.level is (Level.PASS if admitted else Level.FAIL):
        return None
    if admitted:
        english = (
            f"Let in without the server, which says: {plain(answer.reason)}. The guest is inside: "
            "tell the supervisor."
        )
        thai = f"ให้เข้าแล้วระหว่างระบบล่ม แต่ระบบไม่รับตั๋วนี้ กรุณาแจ้งหัวหน้างาน: {answer.detail_th}"
    else:
        english = (
            "Refused without the server, which would have let the guest in. Nothing was taken from "
            "the ticket: show it again."
        )
        thai = "ปฏิเสธไประหว่างระบบล่ม แต่ตั๋วใช้ได้และยังไม่ถูกตัด กรุณาแสดงตั๋วอีกครั้ง"
    return Answer(
        Level.LATE, "LATE", answer.word, english, thai, answer.remaining, answer.redemption
    )


def _denied(answer: Answer) -> Answer:
    return replace(
        answer,
        headline="NOT VALID",
        detail_en="This ticket is used up, cancelled or refunded. Please ask at the counter.",
        detail_th="ตั๋วนี้ใช้ครบ ถูกยกเลิก หรือคืนเงินแล้ว กรุณาสอบถามที่เคาน์เตอร์",
    )


def _missing(answer: Answer, age: timedelta) -> Answer:
    old = _told(age)
    return replace(
        answer,
        headline="NOT ON LIST",
        detail_en=(
            f"Not on this gate's list, which is {old} old: the ticket may be newer. "
            "Try again when the server is back, or call the supervisor."
        ),
        detail_th=(
            f"ไม่อยู่ในรายการของประตูนี้ (อัปเดตเมื่อ {old} ที่แล้ว) ตั๋วอาจเพิ่งขาย "
            "ลองใหม่เมื่อระบบกลับมา หรือเรียกหัวหน้างาน"
        ),
    )


def _told(age: timedelta) -> str:
    """An age as `h:mm`."""
    minutes = age // timedelta(minutes=1)
    return f"{minutes // 60}:{minutes % 60:02d} h"
