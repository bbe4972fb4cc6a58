"""The scenarios of `playpark qa run` on a real API: the quick ones always, all of them nightly."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qa.devices import let_tills_sign
from qa.office import Office
from qa.scenarios import ALL
from qa.stage import OWNER, Park, Scenario, play

SITE_KEY = "DEMO-MAIN-GATE"
QUICK = (
    *("force-offline", "duplicate-answers", "cloned-store"),
    *("poison-op", "revoked-offline", "double-pass"),
)
"""What proves most in the least time."""
SEED = 7

let_tills_sign()
by_name = {each.name: each for each in ALL}
chosen = list(by_name) if os.environ.get("PLAYPARK_FULL") else QUICK


@pytest.fixture
async def park(api_url: str) -> AsyncIterator[Park]:
    async with Office(api_url) as office:
        await office.log_in(*OWNER, site_key=SITE_KEY)
        yield Park(api_url, SITE_KEY, office)


@pytest.mark.parametrize("name", chosen)
async def test_scenario(park: Park, tmp_path: Path, name: str) -> None:
    verdict = await play(by_name[name], park, tmp_path, SEED)
    assert verdict.fault is None, verdict
    assert verdict.failures == []
    assert verdict.passed


def test_names_are_unique_and_each_says_what_it_does() -> None:
    assert len(by_name) == len(ALL)
    assert all(isinstance(each, Scenario) and each.what.endswith(".") for each in ALL)
