"""What the first row of till and gate says of the line (SCREENS; R36, R37)."""

from datetime import timedelta
from typing import Any

import pytest

from playpark.device import LineMode, Progress, SyncState
from playpark.tui import connection_text
from tests.terminal.park import NOW


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"online": True, "mode": LineMode.ONLINE}, "● ONLINE"),
        ({"online": True, "mode": LineMode.ONLINE, "queued": 1}, "● ONLINE 1 queued"),
        (
            {"online": False, "mode": LineMode.SLOW, "queued": 280, "progress": Progress(120, 400)},
            "▲ SENDING 120/400",
        ),
        (
            {"online": False, "mode": LineMode.SLOW, "queued": 2, "back_in": 3.2},
            "◐ SLOW 2 queued ↻4s",
        ),
        ({"online": False, "mode": LineMode.SLOW}, "◐ SLOW"),
        ({"online": False, "mode": LineMode.CONNECTING}, "○ CONNECTING"),
        (
            {
                "online": False,
                "mode": LineMode.OFFLINE,
                "queued": 3,
                "last_error": "The server does not answer.",
                "back_in": 0.0,
            },
            "○ OFFLINE 3 queued 00:42 ↻1s",
        ),
    ],
)
def test_each_state_of_the_line_is_a_sign_a_word_and_a_count(facts: dict[str, Any], words: str):
    state = SyncState(**({"queued": 0, "since": NOW} | facts))
    assert connection_text(state, NOW + timedelta(seconds=42)).plain == words


def test_a_long_outage_has_hours():
    state = SyncState(False, 0, NOW, "gone", LineMode.OFFLINE)
    assert connection_text(state, NOW + timedelta(hours=2)).plain == "○ OFFLINE 2:00:00"
