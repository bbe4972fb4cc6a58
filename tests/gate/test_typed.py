"""What is said about a code while it is typed, and which code is meant (R24)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.typed import _fixes, look_at
from playpark.ids import CROCKFORD, normalise_short_code, short_code

KEY = b"k" * 32
codes = st.integers(0, 2**22 - 1).map(lambda counter: short_code(KEY, 7, counter))


@given(codes)
def test_R24_a_right_code_is_grouped_and_recognised_however_it_is_written(code: str) -> None:
    for text in (code, code.lower(), f"{code[:4]}-{code[4:]}", f" {code[:4]} {code[4:]} "):
        typed = look_at(text)

        assert typed.code == code
        assert typed.shown == f"{code[:4]}-{code[4:]}"


@given(codes, st.integers(0, 7), st.sampled_from(CROCKFORD))
def test_R24_a_wrong_character_is_always_noticed(code: str, place: int, char: str) -> None:
    wrong = code[:place] + char + code[place + 1 :]

    assert (look_at(wrong).code is None) == (wrong != code)


@given(codes, st.integers(0, 7), st.sampled_from(["8B", "5S", "2Z", "6G", "4A", "MN", "VY"]))
def test_R24_a_place_is_named_only_with_a_fix_that_makes_the_code_right(
    code: str, place: int, pair: str
) -> None:
    char = code[place]
    if char not in pair:
        return
    wrong = code[:place] + pair.replace(char, "") + code[place + 1 :]

    sentence = look_at(wrong).english

    if sentence.startswith("Character "):
        number, new = int(sentence.split()[1]) - 1, sentence.split()[4]
        assert normalise_short_code(wrong[:number] + new + wrong[number + 1 :])
    elif sentence.startswith("Characters "):
        number = int(sentence.split()[1]) - 1
        swapped = wrong[:number] + wrong[number + 1] + wrong[number] + wrong[number + 2 :]
        assert normalise_short_code(swapped)
    else:
        assert sentence == "One of the 8 characters is wrong: compare them with the paper."


def test_R24_the_character_that_is_read_wrong_most_often_is_named() -> None:
    named = 0
    for counter in range(200):
        code = short_code(KEY, 7, counter)
        if (place := code.find("8")) >= 0:
            typed = look_at(code.replace("8", "B", 1))
            named += typed.english == f"Character {place + 1} is wrong: 8 instead of B?"

    assert named > 20


def test_R24_no_place_is_named_where_two_would_make_it_right() -> None:
    """8 for B, or 5 for S: either could be what stands on the paper."""
    codes = (first + "B" + "S" * 5 + check for first in CROCKFORD for check in CROCKFORD)
    ambiguous = [code for code in codes if len(list(_fixes(code))) > 1]

    assert ambiguous
    for code in ambiguous:
        assert look_at(code).english.startswith("One of the 8 characters is wrong")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "8 more characters."),
        ("7K3X9QB", "1 more character."),
        ("7K3X-9QB2A", "9 characters: a code has 8. Backspace takes the last away."),
        ("7K3U", "Character 4 is 'U': no code has it. Perhaps V?"),
        ("7K*", "Character 3 is '*': no code has it."),
        ("ๅ/-ภ", "The keyboard types Thai letters: switch it to English (Alt+Shift, or the key "),
    ],
    ids=["empty", "one more", "too long", "U", "sign", "Thai"],
)
def test_R24_what_is_wrong_is_said_while_it_is_typed(text: str, says: str) -> None:
    typed = look_at(text)

    assert typed.code is None
    assert typed.english.startswith(says)
    assert typed.thai


def test_only_a_text_that_may_still_become_right_is_unfinished() -> None:
    assert look_at("7K3").unfinished
    assert not look_at("7U3").unfinished
    assert not look_at("00000001").unfinished
