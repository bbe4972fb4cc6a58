"""What the entry line makes of what was typed, and how packages are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.ids import short_code
from terminal.entry import Amount, Nothing, Scanned, Search, find, quantity, read
from tests.terminal.conftest import CATALOG

TOKEN = "PP1.01.01J9Z3NDEKTSV4RRFFQ69G5FAV.ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", Nothing()),
        ("   ", Nothing()),
        ("1000", Amount(100000)),
        ("1,000.5", Amount(100050)),
        ("420.", Amount(42000)),
        ("ad", Search("ad")),
        ("ผู้ใหญ่", Search("ผู้ใหญ่")),
        ("2-hour", Search("2-hour")),
        ("10 e", Search("10 e")),
        (TOKEN, Scanned()),
        (TOKEN.lower(), Scanned()),
        ("PP2.SOMETHING", Scanned()),
        ("PPT.SOMETHING", Scanned()),
    ],
)
def test_the_shape_decides(text, meaning):
    assert read(text) == meaning


@given(st.integers(0, 8191), st.integers(0, 4_000_000))
def test_a_short_code_is_never_a_tender(device, counter):
    code = short_code(b"k" * 32, device, counter)

    assert read(code) == Scanned()
    assert read(f"{code[:4]}-{code[4:]}") == Scanned()


def test_a_barcode_typed_by_a_scanner_is_never_a_tender():
    assert read("8851234567890") == Scanned()
    assert read("1234567", seconds=0.05) == Scanned()
    assert read("1234567", seconds=3.0) == Amount(123456700)
    assert read("1000", seconds=0.01) == Amount(100000)


@given(st.text(max_size=30))
def test_whatever_is_typed_has_a_meaning(text):
    assert read(text) is not None


@pytest.mark.parametrize(
    ("text", "expected"), [("", 1), ("3", 3), ("0", None), ("1000", None), ("2.5", None)]
)
def test_the_number_before_a_ticket_key(text, expected):
    assert quantity(text) == expected


def names(text):
    return [package.name for package in find(text, CATALOG.packages)]


def test_names_are_found_in_both_languages_beginnings_first():
    assert names("pa") == ["Adult day pass", "Child day pass", "2-hour pass"]
    assert names("ca")[0] == "Carousel ride"
    assert names("เด็ก") == ["Child day pass"]
    assert names("zzz") == []
