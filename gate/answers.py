"""What the gate says about a showing: a word, a colour, a reason, and words for the guest (R53).

No other word of the panel is as long as PASS or as NO: each is known by its shape alone. Texts
of the server and of strangers' QR codes are spelled out here, control characters as escapes, so
that no screen and no log has to think of it.
"""

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from playpark.clock import DEFAULT_ZONE
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason, RedemptionResult, RedemptionView
from playpark.guest_text import guest_message
from playpark.money import format_satang
from playpark.offline_tickets import named_ticket
from playpark.redemption import refuse


class Level(StrEnum):
    """How the gate stands to a showing. LATE: answered after the guest had gone. ANNULLED: an
    entry was taken back (R50)."""

    READY = "ready"
    CHECKING = "checking"
    PASS = "pass"  # noqa: S105 - a word of the contract, no password
    FAIL = "fail"
    OFFLINE = "offline"
    LATE = "late"
    ANNULLED = "annulled"


@dataclass(frozen=True, slots=True)
class Answer:
    """`word` in seven rows, `headline` in three, the details in plain text. `local`: the gate
    decided by itself, without the server, and the screen says so (R33). `going_out`: an exit.
    `cause`: why it was a NO, where the headline says something else."""

    level: Level
    word: str
    headline: str
    detail_en: str
    detail_th: str
    remaining: int | None = None
    redemption: RedemptionView | None = None
    local: bool = False
    going_out: bool = False
    cause: str = ""

    @property
    def reason(self) -> str:
        """Why it is a NO, in the words of the panel: also where the answer came late."""
        if self.redemption is not None and self.redemption.reason is not None:
            return REASONS[self.redemption.reason]
        return self.cause or self.headline


@dataclass(frozen=True, slots=True)
class Scan:
    """One showing and how it stands. `number` is the showing's, so that a later answer replaces
    an earlier one, negative for those of an earlier run; `together` is the same for all codes of
    one picture. `op_id` names what was recorded of it: a person may annul it (R50). `source` is
    what read it, `latency` the seconds from its picture to this answer."""

    number: int
    together: int
    code: str
    at: datetime
    answer: Answer
    op_id: str | None = None
    annulled: bool = False
    source: str | None = None
    latency: float | None = None


REASONS = {
    FailReason.INVALID_SIG: "NOT A TICKET",
    FailReason.UNKNOWN_TICKET: "UNKNOWN",
    FailReason.TRAINING: "TRAINING",
    FailReason.NOT_STARTED: "NOT YET",
    FailReason.EXPIRED: "EXPIRED",
    FailReason.CANCELLED: "CANCELLED",
    FailReason.REFUNDED: "REFUNDED",
    FailReason.WRONG_DEVICE: "WRONG ZONE",
    FailReason.DUPLICATE_USE: "ALREADY USED",
    FailReason.EXHAUSTED: "NOTHING LEFT",
    FailReason.ZONE_FULL: "ZONE FULL",
}

SCAN = Answer(
    Level.READY,
    "SCAN…",
    "SHOW TICKET",
    "Hold the QR code of the ticket before the camera.",
    "แสดง QR ของตั๋วต่อหน้ากล้อง",
)
BY_HAND = Answer(
    Level.READY,
    "SCAN…",
    "SHOW TICKET",
    "Scan the QR code with the hand scanner, or type the code below it.",
    "สแกน QR ของตั๋ว หรือพิมพ์รหัสใต้ QR",
)
CHECKING = Answer(Level.CHECKING, "CHECKING", "ONE MOMENT", "Keep the ticket there.", "กรุณารอสักครู่")
_GUEST_WAITS = "The guest waits; call the supervisor."
OFFLINE = Answer(
    Level.OFFLINE,
    "OFFLINE",
    "PLEASE WAIT",
    f"The server does not answer: check the network. {_GUEST_WAITS}",
    "เซิร์ฟเวอร์ไม่ตอบ กรุณารอสักครู่ และเรียกหัวหน้างาน",
)
WAIT = Answer(
    Level.OFFLINE,
    "MOMENT",
    "SHOW AGAIN",
    "The server is busy: it is asked again. Keep the ticket before the camera.",
    "ระบบกำลังทำงาน กรุณาถือตั๋วไว้หน้ากล้อง",
)
NO_ZONE = Answer(
    Level.OFFLINE,
    "NO ZONE",
    "PRESS F2",
    "The zone of this gate is not in the store any more: choose another.",
    "ไม่พบโซนของประตูนี้ กรุณาเลือกโซนใหม่",
)
MISTYPED = Answer(
    Level.FAIL,
    "NO",
    "CHECK CODE",
    "This code has a mistake: type the 8 characters below the QR code again.",
    "รหัสไม่ถูกต้อง กรุณาพิมพ์รหัส 8 ตัวใต้ QR อีกครั้ง",
)
THAI_KEYS = Answer(
    Level.FAIL,
    "NO",
    "KEYBOARD",
    "The hand scanner types Thai letters: switch the keyboard to English and scan again.",
    "แป้นพิมพ์เป็นภาษาไทย กรุณาเปลี่ยนเป็นภาษาอังกฤษแล้วสแกนใหม่",
)
_NO_TICKET = guest_message(refuse(FailReason.INVALID_SIG), None, zone=ZoneInfo(DEFAULT_ZONE))
FOREIGN = Answer(Level.FAIL, "NO", REASONS[FailReason.INVALID_SIG], *_NO_TICKET)
"""What a text that is no ticket by shape gets where the server cannot be asked."""


def of_redemption(view: RedemptionView, direction: Direction, *, local: bool = False) -> Answer:
    """The server's decision, or the gate's own where it is `local`, as the guest sees it."""
    english, thai = plain(view.message), plain(view.message_th)
    if view.result is RedemptionResult.PASS:
        headline = _left(view, direction)
        level, word = Level.PASS, "PASS"
    else:
        headline = REASONS[view.reason] if view.reason else "NOT ADMITTED"
        level, word = Level.FAIL, "NO"
    going_out = direction is Direction.EXIT
    return Answer(
        level, word, headline, english, thai, view.remaining, view, local=local, going_out=going_out
    )


def annulled() -> Answer:
    """The entry is taken back, here and on the server (R50)."""
    return Answer(
        Level.ANNULLED,
        "ANNULLED",
        "GIVEN BACK",
        "The entry is taken back: the ticket may be shown again.",
        "ยกเลิกการเข้าแล้ว แสดงตั๋วใหม่ได้",
    )


def annul_waits() -> Answer:
    """The entry is taken back here; the server is told when it is there again (R50)."""
    return Answer(
        Level.ANNULLED,
        "ANNULLED",
        "SENT LATER",
        "The entry is taken back here. The server learns of it when it is reached again.",
        "ยกเลิกการเข้าแล้วที่เครื่องนี้ จะส่งไปยังระบบภายหลัง",
    )


def annul_refused(message: str) -> Answer:
    """The entry stands: too late, or not this gate's (R50). `message` says why."""
    return Answer(
        Level.OFFLINE,
        "NOT DONE",
        "ENTRY STANDS",
        f"{plain(message)} Call the supervisor.",
        "ยกเลิกการเข้าไม่ได้ กรุณาเรียกหัวหน้างาน",
    )


def unanswered(*, online: bool, error: str | None) -> Answer:
    """No answer in time: the server is gone, busy, or does not take this device."""
    if not online:
        return OFFLINE
    if error is None:
        return WAIT
    return replace(
        WAIT,
        word="OFF",
        headline="NOT READY",
        detail_en=f"{plain(error)} {_GUEST_WAITS}",
        detail_th="เครื่องนี้ยังใช้งานไม่ได้ กรุณาเรียกหัวหน้างาน",
    )


def exit_unanswered() -> Answer:
    """An exit is never refused; it is kept and sent later (R51)."""
    return Answer(
        Level.PASS,
        "PASS",
        "GOODBYE",
        "Goodbye, see you again! Recorded here, sent later.",
        "ขอบคุณค่ะ แล้วพบกันใหม่",
        local=True,
        going_out=True,
    )


def mistyped(english: str, thai: str) -> Answer:
    """A typed code that cannot be right, with what is wrong about it (R24)."""
    return replace(MISTYPED, detail_en=english, detail_th=thai)


def not_accepted(message: str) -> Answer:
    """The server refused to decide at all: the device is suspended, the zone is gone …"""
    return Answer(
        Level.FAIL,
        "NO",
        "NOT ACCEPTED",
        f"{plain(message)} Call the supervisor.",
        "ระบบไม่รับรายการนี้ กรุณาเรียกหัวหน้างาน",
    )


def late(answer: Answer) -> Answer:
    """An answer for a guest who had gone. A late PASS has spent a ticket without an entry."""
    if answer.level is Level.PASS:
        english = "Call the supervisor: counted as PASS, but the guest had gone without entry."
        thai = "ตั๋วถูกตัดหลังจากลูกค้าออกไปแล้ว กรุณาเรียกหัวหน้างาน"
    else:
        english = f"Answered after the guest had gone: {answer.headline}."
        thai = answer.detail_th
    return replace(
        answer,
        level=Level.LATE,
        word="LATE",
        headline=answer.word,
        detail_en=english,
        detail_th=thai,
        cause=answer.headline,
    )


def plain(text: str) -> str:
    """`text` in one line without anything that steers a terminal: such characters are spelled
    as escapes (ATTACKS 36), and so are marks that change the direction of writing."""
    return "".join(
        char if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else _escape(char)
        for char in text
    )


def code_name(text: str) -> str:
    """How a code is called on the screen: a ticket by the end of its id, never by its signature;
    anything else by its beginning."""
    if ticket_id := named_ticket(text):
        return f"…{ticket_id[-8:]}"
    shown = plain(text)
    return shown if len(shown) <= 13 else f"{shown[:12]}…"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _left(view: RedemptionView, direction: Direction) -> str:
    if direction is Direction.EXIT:
        return "GOODBYE"
    if view.remaining is None or view.kind in (None, PackageKind.SINGLE):
        return "WELCOME"
    if view.kind is PackageKind.TIMEPASS:
        return f"{view.remaining} MIN LEFT"
    if view.kind is PackageKind.CREDIT:
        return f"{format_satang(view.remaining)} LEFT"
    return f"{view.remaining} LEFT"
