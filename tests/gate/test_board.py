"""What stands on the screen at a moment: the answer, for how long, the counters, the list."""

from dataclasses import replace

from gate.answers import CHECKING, FOREIGN, OFFLINE, Answer, Level, Scan, code_name, late, plain
from gate.bigtext import small, tall
from gate.board import Board, idle
from tests.gate.park import NOW
from tests.gate.pictures import token

PASS = Answer(Level.PASS, "PASS", "WELCOME", "Welcome!", "ยินดีต้อนรับ")


def scan(number: int, answer: Answer, *, together: int | None = None) -> Scan:
    return Scan(number, number if together is None else together, f"code {number}", NOW, answer)


def test_an_answer_holds_for_four_seconds() -> None:
    board = Board()
    board.take(scan(1, CHECKING), 10.0)
    board.take(scan(1, PASS), 10.2)

    assert board.answer(14.19) == PASS
    assert board.answer(14.2) is None


def test_an_answer_holds_until_the_next_showing() -> None:
    board = Board()
    board.take(scan(1, PASS), 10.0)
    board.take(scan(2, CHECKING), 10.5)

    assert board.answer(10.6) == CHECKING


def test_a_showing_that_is_being_checked_stays() -> None:
    board = Board()
    board.take(scan(1, CHECKING), 10.0)

    assert board.answer(99.0) == CHECKING


def test_one_refusal_in_a_family_is_a_refusal() -> None:
    board = Board()
    for number in (1, 2, 3):
        board.take(scan(number, PASS, together=1), 10.0)
    board.take(scan(4, FOREIGN, together=1), 10.1)

    answer = board.answer(10.2)

    assert answer is not None
    assert (answer.level, answer.word) == (Level.FAIL, "NO")
    assert answer.headline == "3 OF 4 PASS"
    assert answer.detail_en == FOREIGN.detail_en


def test_a_late_answer_to_an_earlier_guest_leaves_the_panel_to_this_one() -> None:
    board = Board()
    board.take(scan(1, OFFLINE), 10.0)
    board.take(scan(2, CHECKING), 11.0)
    board.take(scan(1, PASS), 11.1)

    assert board.answer(11.2) == CHECKING


def test_late_is_in_the_list_in_words_and_counts_as_nothing() -> None:
    board = Board()
    board.take(scan(1, OFFLINE), 10.0)
    board.take(scan(2, PASS), 20.0)
    board.take(scan(1, late(PASS)), 30.0)

    newest, *older = board.rows()

    assert newest.answer.word == "LATE"
    assert "Call the supervisor" in newest.answer.detail_en
    assert [row.answer.word for row in older] == ["PASS", "OFFLINE"]
    assert board.counters(30.0).admitted == 1
    assert board.answer(30.0) is None


def test_an_answer_that_comes_while_the_ticket_is_shown_replaces_offline() -> None:
    board = Board()
    board.take(scan(1, OFFLINE), 10.0)
    board.take(scan(1, PASS), 15.0)

    assert board.answer(15.1) == PASS
    assert [row.answer.word for row in board.rows()] == ["PASS"]
    assert board.counters(15.1).admitted == 1


def test_the_list_holds_the_last_twelve_newest_first() -> None:
    board = Board()
    for number in range(20):
        board.take(scan(number, PASS), float(number))

    assert [row.number for row in board.rows()] == list(range(19, 7, -1))


def test_the_counters_count_guests_and_the_last_minute() -> None:
    board = Board()
    for number, at in enumerate((0.0, 50.0, 70.0)):
        board.take(scan(number, CHECKING), at)
        board.take(scan(number, PASS), at)
    board.take(scan(9, FOREIGN), 71.0)

    counters = board.counters(80.0)

    assert (counters.admitted, counters.refused, counters.per_minute) == (3, 1, 2)


def test_offline_comes_before_no_camera_and_no_camera_before_scan() -> None:
    assert idle(online=False, fault="Camera 0 is not there.").word == "OFFLINE"
    assert idle(online=True, error="This device is suspended.").word == "WAIT"
    assert idle(online=True, fault="Camera 0 is not there.").word == "NO CAMERA"
    assert idle(online=True).word == "SCAN…"
    assert "hand scanner" in idle(online=True, camera=False).detail_en


# --- letters and names ------------------------------------------------------------------


def test_every_word_fits_in_seven_rows_of_eighty_columns() -> None:
    words = ("PASS", "NO", "SCAN…", "WAIT", "CHECKING", "NO CAMERA", "OFFLINE")

    for word in words:
        rows = tall(word, 76)
        assert len(rows) == 7
        assert max(map(len, rows)) <= 76


def test_every_reason_fits_in_three_rows() -> None:
    for text in ("ALREADY USED", "NOTHING LEFT", "NOT ACCEPTED", "1,250.00 LEFT"[:12], "2 LEFT"):
        rows = small(text, 76)
        assert len(rows) == 3
        assert max(map(len, rows)) <= 76


def test_what_is_too_long_for_large_letters_is_written_small() -> None:
    assert small("THIS IS FAR TOO LONG FOR LARGE LETTERS", 76) == [
        "THIS IS FAR TOO LONG FOR LARGE LETTERS"
    ]


def test_all_letters_differ() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

    assert len({tuple(tall(char, 76)) for char in letters}) == len(letters)
    assert len({tuple(small(char, 76)) for char in letters}) == len(letters)


def test_a_code_s_name_never_holds_its_signature() -> None:
    name = code_name(token(1))

    assert name == "…ZZZZ0001"
    assert token(1)[-26:] not in name


def test_a_stranger_s_code_is_named_without_control_characters() -> None:
    assert code_name("\x1b[31mevil\n") == "\\x1b[31mevil…"
    assert plain("ตั๋ว ✓ [b]") == "ตั๋ว ✓ [b]"


def test_an_answer_is_not_changed_by_being_late() -> None:
    assert late(replace(PASS, remaining=3)).remaining == 3
