"""What stands on the screen at a moment: the answer, for how long, the counters, the list."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from gate.alone import otherwise
from gate.answers import (
    CHECKING,
    FOREIGN,
    MISTYPED,
    OFFLINE,
    Answer,
    Level,
    Scan,
    annulled,
    code_name,
    exit_unanswered,
    late,
    not_accepted,
    plain,
)
from gate.board import LAST, Board, idle
from gate.tally import Tally
from playpark.clock import business_date
from playpark.contracts.sync import LocalOutcome
from playpark.contracts.tickets import RedemptionResult
from tests.gate.park import NOW
from tests.gate.pictures import token

BANGKOK = ZoneInfo("Asia/Bangkok")
PASS = Answer(Level.PASS, "PASS", "WELCOME", "Welcome!", "ยินดีต้อนรับ")


def a_board() -> Board:
    return Board(Tally(lambda moment: business_date(moment, BANGKOK)))


def scan(number: int, answer: Answer, *, together: int | None = None) -> Scan:
    group = number if together is None else together
    return Scan(number, group, f"code {number}", NOW, answer, f"op {number}")


def test_an_answer_holds_for_four_seconds() -> None:
    board = a_board()
    board.take(scan(1, CHECKING), 10.0)
    board.take(scan(1, PASS), 10.2)

    assert board.answer(14.19) == PASS
    assert board.answer(14.2) is None


def test_an_answer_holds_until_the_next_showing() -> None:
    board = a_board()
    board.take(scan(1, PASS), 10.0)
    board.take(scan(2, CHECKING), 10.5)

    assert board.answer(10.6) == CHECKING


def test_a_showing_that_is_being_checked_stays() -> None:
    board = a_board()
    board.take(scan(1, CHECKING), 10.0)

    assert board.answer(99.0) == CHECKING


def test_one_refusal_in_a_family_is_a_refusal() -> None:
    board = a_board()
    for number in (1, 2, 3):
        board.take(scan(number, PASS, together=1), 10.0)
    board.take(scan(4, FOREIGN, together=1), 10.1)

    answer = board.answer(10.2)

    assert answer is not None
    assert (answer.level, answer.word) == (Level.FAIL, "NO")
    assert answer.headline == "3 OF 4 PASS"
    assert answer.detail_en == FOREIGN.detail_en


def test_a_late_answer_to_an_earlier_guest_leaves_the_panel_to_this_one() -> None:
    board = a_board()
    board.take(scan(1, OFFLINE), 10.0)
    board.take(scan(2, CHECKING), 11.0)
    board.take(scan(1, PASS), 11.1)

    assert board.answer(11.2) == CHECKING


def test_late_is_in_the_list_in_words_and_counts_as_nothing() -> None:
    board = a_board()
    board.take(scan(1, OFFLINE), 10.0)
    board.take(scan(2, PASS), 20.0)
    board.take(scan(1, late(PASS)), 30.0)

    newest, *older = board.rows()

    assert newest.answer.word == "LATE"
    assert "Call the supervisor" in newest.answer.detail_en
    assert [row.answer.word for row in older] == ["PASS", "OFFLINE"]
    assert board.tally.since_start.admitted == 1
    assert board.answer(30.0) is None


def test_an_answer_that_comes_while_the_ticket_is_shown_replaces_offline() -> None:
    board = a_board()
    board.take(scan(1, OFFLINE), 10.0)
    board.take(scan(1, PASS), 15.0)

    assert board.answer(15.1) == PASS
    assert [row.answer.word for row in board.rows()] == ["PASS"]
    assert board.tally.since_start.admitted == 1


def test_the_list_holds_the_last_twenty_newest_first() -> None:
    board = a_board()
    for number in range(30):
        board.take(scan(number, PASS), float(number))

    assert LAST == 20
    assert [row.number for row in board.rows()] == list(range(29, 9, -1))


# --- figures ----------------------------------------------------------------------------


def test_the_figures_count_guests_refusals_and_the_last_minute() -> None:
    board = a_board()
    for number, at in enumerate((0.0, 50.0, 70.0)):
        board.take(scan(number, CHECKING), at)
        board.take(scan(number, PASS), at)
    board.take(scan(8, exit_unanswered()), 71.0)
    board.take(scan(9, FOREIGN), 71.0)

    figures = board.tally.since_start

    assert (figures.admitted, figures.left, figures.refused) == (3, 1, 1)
    assert board.tally.per_minute(80.0) == 4
    assert board.tally.per_minute(200.0) == 0


def test_the_most_frequent_reasons_come_first_and_a_late_NO_is_one_of_them() -> None:
    board = a_board()
    no = not_accepted("The zone is gone.")
    for number, answer in enumerate((FOREIGN, no, no, late(FOREIGN), late(FOREIGN))):
        board.take(scan(number, answer), 1.0)

    assert board.tally.since_start.top(1) == [("not a ticket", 3)]
    assert board.tally.since_start.top(9) == [("not a ticket", 3), ("not accepted", 2)]


def test_R33_a_guest_whom_the_gate_let_in_by_itself_is_counted_once() -> None:
    board = a_board()
    admitted = LocalOutcome(result=RedemptionResult.PASS, at=NOW)
    board.take(scan(1, replace(PASS, local=True)), 1.0)
    told = otherwise(admitted, FOREIGN)
    assert told is not None
    board.take(scan(1, told), 2.0)

    figures = board.tally.since_start
    assert (figures.admitted, figures.refused) == (1, 0)


def test_what_was_not_recorded_is_not_counted() -> None:
    board = a_board()
    board.take(replace(scan(1, MISTYPED), op_id=None), 1.0)
    board.take(scan(2, OFFLINE), 1.0)

    assert board.tally.since_start.refused == 0
    assert board.tally.per_minute(1.0) == 0


def test_R30_today_is_the_business_day_which_begins_at_four() -> None:
    board = a_board()
    before = NOW.replace(hour=20, minute=59)  # 03:59 in Bangkok, the night after
    board.take(replace(scan(1, PASS), at=NOW), 1.0)
    board.take(replace(scan(2, PASS), at=before), 2.0)

    assert board.tally.today(before).admitted == 2
    assert board.tally.today(before + timedelta(minutes=1)).admitted == 0
    assert board.tally.since_start.admitted == 2


def test_scans_of_an_earlier_run_count_for_today_and_stand_below() -> None:
    board = a_board()
    board.take(scan(1, PASS), 1.0)
    yesterday = replace(scan(-2, PASS), at=NOW - timedelta(days=1))
    board.restore([scan(0, PASS), scan(-1, FOREIGN), yesterday], NOW)

    assert [row.number for row in board.rows()] == [1, 0, -1, -2]
    assert board.tally.today(NOW).admitted == 2
    assert board.tally.today(NOW).refused == 1
    assert board.tally.since_start.admitted == 1


# --- taking back ------------------------------------------------------------------------


def test_R50_an_entry_that_was_taken_back_counts_no_more_and_says_so() -> None:
    board = a_board()
    for number in (1, 2):
        board.take(scan(number, PASS), 1.0)
    board.annulled(board.rows()[0], NOW)

    assert board.tally.today(NOW).admitted == 1
    assert board.tally.since_start.admitted == 1
    assert [row.annulled for row in board.rows()] == [True, False]


def test_R50_only_entries_of_the_last_quarter_of_an_hour_may_be_taken_back() -> None:
    board = a_board()
    board.take(scan(1, PASS), 1.0)
    board.take(scan(2, FOREIGN), 1.0)
    board.take(scan(3, exit_unanswered()), 1.0)
    board.take(replace(scan(4, PASS), op_id=None), 1.0)
    board.take(scan(5, PASS), 1.0)
    board.annulled(board.rows()[0], NOW)

    assert [row.number for row in board.annullable(NOW)] == [1]
    assert [row.number for row in board.annullable(NOW + timedelta(minutes=15))] == [1]
    assert board.annullable(NOW + timedelta(minutes=15, milliseconds=1)) == []


def test_what_came_of_a_key_stands_there_until_the_next_guest() -> None:
    board = a_board()
    board.take(scan(1, PASS), 10.0)
    board.say(annulled(), 11.0, of=board.rows()[0])

    assert board.answer(11.1) == annulled()
    board.take(scan(2, CHECKING), 11.2)
    assert board.answer(11.3) == CHECKING


def test_what_came_of_a_key_never_covers_the_answer_to_another_guest() -> None:
    board = a_board()
    board.take(scan(1, PASS), 10.0)
    first = board.rows()[0]
    board.take(scan(2, FOREIGN), 11.0)
    board.say(annulled(), 11.5, of=first)

    assert board.answer(11.6) == FOREIGN
    assert board.answer(15.1) == annulled()
    assert board.answer(15.5) is None


def test_a_typed_code_that_is_refused_is_the_newest_showing() -> None:
    board = a_board()
    board.take(scan(1, PASS), 10.0)
    board.say(MISTYPED, 11.0)
    assert board.answer(11.1) == MISTYPED

    board.take(scan(2, CHECKING), 12.0)
    board.say(MISTYPED, 12.1)

    assert board.answer(12.2) == CHECKING


# --- nobody there -----------------------------------------------------------------------


def test_offline_comes_before_no_camera_and_no_camera_before_scan() -> None:
    assert idle(online=False, fault="Camera 0 is not there.").word == "OFFLINE"
    assert idle(online=True, error="This device is suspended.").word == "OFF"
    assert idle(online=True, fault="Camera 0 is not there.").word == "NO CAMERA"
    assert idle(online=True, fault="Camera 0 is not there.", placed=False).word == "NO ZONE"
    assert idle(online=True).word == "SCAN…"
    assert "hand scanner" in idle(online=True, camera=False).detail_en


def test_R51_an_exit_is_not_taken_for_an_entry() -> None:
    assert idle(online=True, going_out=True).headline == "WAY OUT"


# --- letters and names ------------------------------------------------------------------


def test_a_code_s_name_never_holds_its_signature() -> None:
    name = code_name(token(1))

    assert name == "…ZZZZ0001"
    assert token(1)[-26:] not in name


def test_a_stranger_s_code_is_named_without_control_characters() -> None:
    assert code_name("\x1b[31mevil\n") == "\\x1b[31mevil…"
    assert plain("ตั๋ว ✓ [b]") == "ตั๋ว ✓ [b]"


def test_an_answer_is_not_changed_by_being_late() -> None:
    assert late(replace(PASS, remaining=3)).remaining == 3
