"""What a gate tells the guest, in English and Thai: what happened and what to do (R53)."""

from datetime import datetime
from zoneinfo import ZoneInfo

from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason
from playpark.money import format_satang
from playpark.redemption import Decision

_REFUSALS: dict[FailReason, tuple[str, str]] = {
    FailReason.INVALID_SIG: (
        "This is not a ticket of this park. Please ask at the ticket counter.",
        "ไม่ใช่ตั๋วของสวนสนุกนี้ กรุณาสอบถามที่เคาน์เตอร์",
    ),
    FailReason.UNKNOWN_TICKET: (
        "This ticket is not known here. Please ask at the ticket counter.",
        "ไม่พบตั๋วนี้ในระบบ กรุณาสอบถามที่เคาน์เตอร์",
    ),
    FailReason.TRAINING: (
        "This is a training ticket. It does not admit.",
        "ตั๋วสำหรับฝึกอบรม ใช้เข้าไม่ได้",
    ),
    FailReason.NOT_STARTED: (
        "This ticket is not valid yet. Please look at its date.",
        "ตั๋วยังไม่ถึงวันใช้งาน กรุณาดูวันที่บนตั๋ว",
    ),
    FailReason.EXPIRED: (
        "This ticket has expired. Please buy a new one at the counter.",
        "ตั๋วหมดอายุแล้ว กรุณาซื้อใหม่ที่เคาน์เตอร์",
    ),
    FailReason.CANCELLED: (
        "This ticket was cancelled. Please ask at the ticket counter.",
        "ตั๋วถูกยกเลิกแล้ว กรุณาสอบถามที่เคาน์เตอร์",
    ),
    FailReason.REFUNDED: (
        "This ticket was refunded. Please buy a new one at the counter.",
        "ตั๋วถูกคืนเงินแล้ว กรุณาซื้อใหม่ที่เคาน์เตอร์",
    ),
    FailReason.WRONG_DEVICE: (
        "This ticket is for another zone. Please look at the zones on it.",
        "ตั๋วใช้กับโซนอื่น กรุณาดูโซนบนตั๋ว",
    ),
    FailReason.DUPLICATE_USE: (
        "Ticket already used{when}. Ask the supervisor if the guest did not enter.",
        "ตั๋วถูกใช้แล้ว{when} หากยังไม่ได้เข้า กรุณาแจ้งหัวหน้างาน",
    ),
    FailReason.EXHAUSTED: (
        "Nothing is left on this ticket. Please buy a new one at the counter.",
        "ตั๋วใช้ครบแล้ว กรุณาซื้อใหม่ที่เคาน์เตอร์",
    ),
    FailReason.ZONE_FULL: (
        "The zone is full. Please wait a moment.",
        "โซนเต็ม กรุณารอสักครู่",
    ),
}

_SALE_MISSING = (
    "The sale of this ticket has not arrived yet. Please ask at the ticket counter.",
    "ยังไม่ได้รับข้อมูลการขายของตั๋วนี้ กรุณาสอบถามที่เคาน์เตอร์",
)
"""A till's own ticket, while its zone waits for the sale or the sale is late (R22)."""


def guest_message(
    decision: Decision,
    kind: PackageKind | None,
    *,
    zone: ZoneInfo,
    used_at: datetime | None = None,
    direction: Direction = Direction.ENTRY,
    sale_missing: bool = False,
) -> tuple[str, str]:
    """(English, Thai). `used_at` is the ticket's last PASS, shown in park time; `sale_missing`: the
    ticket is its till's own, and its sale has not arrived (R22)."""
    if decision.reason is not None:
        english, thai = _REFUSALS[decision.reason]
        if sale_missing and decision.reason is FailReason.UNKNOWN_TICKET:
            english, thai = _SALE_MISSING
        clock = f"{used_at.astimezone(zone):%H:%M}" if used_at else None
        return (
            english.format(when=f" at {clock}" if clock else ""),
            thai.format(when=f"เมื่อ {clock} น." if clock else ""),
        )
    if direction is Direction.EXIT:
        return "Goodbye, see you again!", "ขอบคุณค่ะ แล้วพบกันใหม่"
    left = decision.remaining
    if left is None or kind is None or kind is PackageKind.SINGLE:
        return "Welcome!", "ยินดีต้อนรับ"
    if kind is PackageKind.TIMEPASS:
        return f"Welcome! {left} minutes left.", f"ยินดีต้อนรับ เหลือเวลา {left} นาที"
    if kind is PackageKind.CREDIT:
        credit = format_satang(left)
        return f"Welcome! ฿{credit} left.", f"ยินดีต้อนรับ เหลือเครดิต ฿{credit}"
    return f"Welcome! {left} left.", f"ยินดีต้อนรับ เหลืออีก {left} ครั้ง"
