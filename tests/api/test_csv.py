"""Cells of CSV lists: safe in a spreadsheet, and still numbers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api.platform.csv import cell


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\tx", "\rx", "\nx", "\uff1d1"])
def test_formulas_are_guarded(text: str) -> None:
    assert cell(text) == "'" + text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (-5, -5),
        (0, 0),
        (None, ""),
        (True, "true"),
        ("1=1", "1=1"),
        (datetime(2026, 11, 21, 1, tzinfo=UTC), "2026-11-21T01:00:00.000Z"),
    ],
)
def test_numbers_stay_numbers_in_csv(value: Any, told: Any) -> None:
    assert cell(value) == told
