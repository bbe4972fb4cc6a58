"""Every answer in any room: nothing runs over, the word is the last to shrink (SCREENS)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.answers import (
    BY_HAND,
    CHECKING,
    FOREIGN,
    MISTYPED,
    NO_ZONE,
    OFFLINE,
    REASONS,
    SCAN,
    THAI_KEYS,
    WAIT,
    Answer,
    Level,
    annul_refused,
    annul_waits,
    annulled,
    exit_unanswered,
    not_accepted,
    unanswered,
)
from gate.bigtext import small, tall
from gate.board import idle
from gate.layout import lay_out
from playpark.printing.wording import display_width

NOT_READY = unanswered(online=True, error="This device is suspended.")
NO_CAMERA = idle(online=True, fault="Camera 0 is not there: plug it in.")
PASS = Answer(Level.PASS, "PASS", "2 LEFT", "Welcome! 2 left.", "ยินดีต้อนรับ เหลืออีก 2 ครั้ง", 2)
STATES = [
    *(SCAN, BY_HAND, CHECKING, OFFLINE, WAIT, NOT_READY, NO_CAMERA, NO_ZONE),
    *(annulled(), annul_waits(), annul_refused("Too late.")),
]
ANSWERS = [PASS, FOREIGN, MISTYPED, THAI_KEYS, exit_unanswered(), not_accepted("No."), *STATES]
words = st.text(max_size=60)


def joined(rows: list[str]) -> str:
    return " ".join(" ".join(rows).split())


def test_no_other_word_is_as_long_as_PASS_or_NO() -> None:
    lengths = [len(answer.word) for answer in STATES]

    assert len("PASS") not in lengths
    assert len("NO") not in lengths
    assert {answer.word for answer in ANSWERS} - {answer.word for answer in STATES} == {
        "PASS",
        "NO",
    }


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer.word} {answer.headline}")
@pytest.mark.parametrize("room", [(78, 14), (118, 23)], ids=["80x24", "120x40"])
def test_the_word_has_seven_rows_and_the_reason_three(
    answer: Answer, room: tuple[int, int]
) -> None:
    rows = lay_out(answer, *room)

    assert [row.strip() for row in rows if row.strip()][:7] == [
        row.strip() for row in tall(answer.word, room[0])
    ]
    for big in small(answer.headline, room[0]):
        assert any(big.strip() in row for row in rows)
    plain = not small(answer.detail_en, room[0])
    assert all(part in joined(rows) for part in answer.detail_en.split() if plain)


@pytest.mark.parametrize("reason", REASONS.values())
def test_R19_every_reason_fits_in_three_rows_of_eighty_columns(reason: str) -> None:
    assert len(small(reason, 78)) == 3


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer.word} {answer.headline}")
def test_a_terminal_of_40x12_shows_word_reason_and_both_languages(answer: Answer) -> None:
    rows = lay_out(answer, 40, 9)
    text = joined(rows)

    large = small(answer.word, 40)
    assert answer.word in text or any(large[0].strip() in row for row in rows)
    assert all(word in text for word in answer.headline.split()) or small(answer.headline, 40)
    assert answer.detail_en.split()[0] in text
    assert answer.detail_th.split()[0][:6] in text


def test_R33_a_decision_of_the_gate_alone_says_so_in_every_size() -> None:
    for room in ((118, 23), (78, 14), (40, 9), (30, 5)):
        assert "decided" in joined(lay_out(exit_unanswered(), *room))


def test_a_long_message_is_cut_before_the_word_gets_smaller() -> None:
    endless = Answer(Level.FAIL, "NO", "EXPIRED", "word " * 400, "ก" * 900, local=True)

    rows = lay_out(endless, 78, 14)

    assert rows[0].strip() == tall("NO", 78)[0].strip()
    assert "…" in joined(rows)


@given(
    st.builds(
        Answer,
        st.sampled_from(Level),
        words,
        words,
        st.text(max_size=400),
        st.text("ก่้าำ็ๆเ ปั๊ม", max_size=300),
        local=st.booleans(),
    ),
    st.integers(1, 130),
    st.integers(1, 30),
)
def test_nothing_runs_over_in_any_room(answer: Answer, width: int, height: int) -> None:
    rows = lay_out(answer, width, height)

    assert len(rows) == height
    assert all(display_width(row) == width for row in rows)
    assert not any(char in row for row in rows for char in "\n\r\t\x1b")


def test_no_room_is_no_rows() -> None:
    assert lay_out(PASS, 0, 5) == []
    assert lay_out(PASS, 5, 0) == []


# --- letters ----------------------------------------------------------------------------


def test_all_letters_differ() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

    assert len({tuple(tall(char, 76)) for char in letters}) == len(letters)
    assert len({tuple(small(char, 76)) for char in letters}) == len(letters)


def test_what_does_not_fit_has_no_large_letters() -> None:
    assert tall("NO CAMERA", 76)
    assert tall("NO CAMERA", 40) == []
    assert small("THIS IS FAR TOO LONG FOR LARGE LETTERS", 76) == []
    assert small("ตั๋ว", 76) == []
