"""One operation for one showing; no answer is never an admission (R14, R20, R50, R51)."""

import asyncio

import pytest

from gate.admission import Code
from gate.answers import Level
from playpark.contracts.tickets import Direction
from playpark.device import DeviceStore
from playpark.errors import ErrorCode, PlayParkError
from tests.gate.conftest import Desk, working
from tests.gate.park import Park
from tests.gate.pictures import token

TICKET = Code(token(1))


async def test_R20_a_showing_is_one_redemption_operation(desk: Desk) -> None:
    verdict = await desk.admission.admit(TICKET)

    assert verdict.answer.level is Level.PASS
    assert verdict.answer.word == "PASS"
    (op,) = desk.park.ops
    assert op["kind"] == "redemption"
    assert op["committed"] is False
    assert "local" not in op
    assert op["body"] == {
        "qr_token": token(1),
        "zone_id": "z-ball",
        "direction": "entry",
        "occurred_at": "2026-11-21T08:42:00.000Z",
    }


async def test_a_second_showing_is_a_second_operation_with_its_reason_in_words(
    desk: Desk,
) -> None:
    await desk.admission.admit(TICKET)

    answer = (await desk.admission.admit(TICKET)).answer

    assert (answer.level, answer.word, answer.headline) == (Level.FAIL, "NO", "ALREADY USED")
    assert "already used at 15:42" in answer.detail_en
    assert "ตั๋วถูกใช้แล้ว" in answer.detail_th
    assert len(desk.park.ops) == 2


async def test_what_is_left_is_said_large(desk: Desk) -> None:
    desk.park.remaining = 2

    assert (await desk.admission.admit(TICKET)).answer.headline == "2 LEFT"


@pytest.mark.parametrize(
    "text",
    ["https://example.com", "x" * 4000, "\x1b[2J\x00", "PPT.X"],
    ids=["address", "endless", "controls", "training"],
)
async def test_R20_a_foreign_code_is_sent_too(desk: Desk, text: str) -> None:
    verdict = await desk.admission.admit(Code(text))

    assert verdict.answer.headline == "NOT A TICKET"
    assert [op["body"]["qr_token"] for op in desk.park.ops] == [text[:500]]


async def test_R24_a_typed_code_is_sent_as_a_short_code(desk: Desk) -> None:
    verdict = await desk.admission.admit(Code("0000-0000", typed=True))

    assert verdict.answer.level is Level.PASS
    assert desk.park.ops[0]["body"]["short_code"] == "00000000"


async def test_a_mistyped_code_is_refused_here_and_not_sent(desk: Desk) -> None:
    verdict = await desk.admission.admit(Code("0000-0001", typed=True))

    assert verdict.answer.headline == "CHECK CODE"
    assert desk.park.ops == []


async def test_a_scanner_under_a_thai_keyboard_is_explained(desk: Desk) -> None:
    verdict = await desk.admission.admit(Code("ยย๑ใฟ๑ใ", keyed=True))

    assert "switch the keyboard to English" in verdict.answer.detail_en
    assert desk.park.ops == []


# --- faults -----------------------------------------------------------------------------


async def test_without_an_answer_nobody_is_admitted_and_nothing_is_lost(desk: Desk) -> None:
    desk.park.away = True

    verdict = await desk.admission.admit(TICKET)

    assert (verdict.answer.level, verdict.answer.word) == (Level.OFFLINE, "OFFLINE")
    assert "check the network" in verdict.answer.detail_en
    assert verdict.pending is not None
    assert desk.store.queued_count() == 1


async def test_a_slow_server_is_given_up_after_the_deadline(desk: Desk) -> None:
    desk.park.slow = asyncio.Event()
    loop = asyncio.get_running_loop()
    started = loop.time()

    verdict = await desk.admission.admit(TICKET)

    assert 0.25 <= loop.time() - started <= 0.6
    assert verdict.answer.level is Level.OFFLINE
    desk.park.slow.set()


async def test_a_lost_answer_is_asked_for_again_with_the_same_operation(desk: Desk) -> None:
    desk.park.lose = True
    first = await desk.admission.admit(TICKET)
    assert first.answer.level is Level.OFFLINE
    assert desk.park.spent == {token(1)}

    desk.park.lose = False
    again = await desk.admission.admit(TICKET)

    assert again.answer.level is Level.PASS
    assert len({op["op_id"] for op in desk.park.ops}) == 1
    assert desk.store.queued_count() == 0


async def test_an_unanswered_showing_of_another_zone_is_another_operation(desk: Desk) -> None:
    desk.park.away = True
    first = await desk.admission.admit(TICKET)
    desk.admission.zone_id = "z-water"

    second = await desk.admission.admit(TICKET)

    assert second.pending not in {None, first.pending}


async def test_the_answer_comes_when_the_line_is_back(desk: Desk) -> None:
    desk.park.away = True
    pending = (await desk.admission.admit(TICKET)).pending
    assert pending is not None
    coming = desk.admission.answered(pending)

    desk.park.away = False

    assert (await asyncio.wait_for(coming, 3)).level is Level.PASS
    assert desk.admission.unanswered_op(TICKET) is None


async def test_R50_a_late_pass_that_let_nobody_in_is_told_to_the_server(desk: Desk) -> None:
    desk.park.lose = True
    pending = (await desk.admission.admit(TICKET)).pending
    assert pending is not None
    coming = desk.admission.answered(pending)
    desk.park.lose = False
    await asyncio.wait_for(coming, 3)

    await desk.admission.not_admitted(pending)
    second = await desk.admission.admit(TICKET)

    assert desk.park.not_admitted == [pending]
    assert second.answer.level is Level.FAIL
    told = next(n for n, op in enumerate(desk.park.ops) if op.get("local"))
    asked = next(n for n, op in enumerate(desk.park.ops) if op["op_id"] != pending)
    assert told < asked, "the annulment must arrive before the next showing"


async def test_a_foreign_code_is_refused_without_the_server(desk: Desk) -> None:
    desk.park.away = True

    verdict = await desk.admission.admit(Code("https://example.com"))

    assert verdict.answer.headline == "NOT A TICKET"
    assert "ticket counter" in verdict.answer.detail_en
    assert verdict.pending is None
    assert desk.store.queued_count() == 1  # its row is written later


async def test_R51_an_exit_is_never_refused(desk: Desk) -> None:
    desk.park.away = True
    desk.admission.direction = Direction.EXIT

    verdict = await desk.admission.admit(TICKET)

    assert (verdict.answer.level, verdict.answer.headline) == (Level.PASS, "GOODBYE")
    (op,) = desk.store.pending()
    assert op.local is not None
    assert op.local.result == "pass"
    assert op.to_op_in().committed


async def test_a_suspended_gate_says_so(desk: Desk) -> None:
    desk.park.error = (403, "E_DEVICE_SUSPENDED", "This device is suspended.")

    answer = (await desk.admission.admit(TICKET)).answer

    assert answer.level is Level.OFFLINE
    assert answer.detail_en.startswith("This device is suspended.")


async def test_an_operation_that_the_server_rejects_is_no_admission(desk: Desk) -> None:
    desk.park.rejects = "There is no such zone: see the catalogue."

    answer = (await desk.admission.admit(TICKET)).answer

    assert (answer.level, answer.headline) == (Level.FAIL, "NOT ACCEPTED")
    assert "no such zone" in answer.detail_en


async def test_an_answer_that_is_not_understood_is_no_admission(desk: Desk) -> None:
    desk.park._decide = lambda *_: {"surprise": True}  # type: ignore[method-assign]

    answer = (await desk.admission.admit(TICKET)).answer

    assert answer.level is Level.FAIL
    assert "update this gate" in answer.detail_en


async def test_a_full_disk_admits_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise PlayParkError(ErrorCode.UNAVAILABLE, "The disk is full: nothing was recorded.")

    monkeypatch.setattr(desk.store, "append", full)

    answer = (await desk.admission.admit(TICKET)).answer

    assert answer.level is Level.FAIL
    assert "disk is full" in answer.detail_en
    assert desk.park.ops == []


async def test_text_of_the_server_cannot_steer_the_terminal(desk: Desk) -> None:
    desk.park.message = "\x1b[2J[/red]Welcome\r\n\u202e!"

    answer = (await desk.admission.admit(TICKET)).answer

    assert answer.detail_en == "\\x1b[2J[/red]Welcome\\r\\n\\u202e!"


async def test_a_new_run_finds_what_the_last_one_left(park: Park, store: DeviceStore) -> None:
    park.away = True
    async with working(park, store) as before:
        pending = (await before.admission.admit(TICKET)).pending
    park.away = False

    async with working(park, store) as after:
        assert after.admission.left_over() == [(pending, TICKET)]
        assert pending is not None
        answer = await asyncio.wait_for(after.admission.answered(pending), 3)

    assert answer.level is Level.PASS
