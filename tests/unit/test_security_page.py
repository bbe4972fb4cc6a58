"""docs/security.md names the test of each promise: the tests it names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ELSEWHERE = {30, 31, 32, 33}
"""Webhooks (30-33) are not built yet: the page says so."""


def suite() -> set[str]:
    """Every test function of the suite."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found.update(re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    return found


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - suite() == set()


def test_every_attack_on_the_server_has_its_test() -> None:
    named = (re.match(r"test_attack_((?:\d+_)+)", name) for name in suite())
    numbered = {int(number) for match in named if match for number in match[1][:-1].split("_")}
    assert set(range(1, 43)) - numbered == ELSEWHERE
