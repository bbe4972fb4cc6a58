"""The scenarios of `playpark qa run` on a real API: the quick ones always, all of them nightly."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from playpark.device.safe import SECRET_VARIABLE
from qa.office import Office
from qa.scenarios import ALL
from qa.stage import OWNER, Park, Scenario, Stage, play

SITE_KEY = "DEMO-MAIN-GATE"
QUICK = (
    *("force-offline", "duplicate-answers", "cloned-store"),
    *("poison-op", "revoked-offline", "double-pass"),
)
"""What proves most in the least time."""
SEED = 7

by_name = {each.name: each for each in ALL}
chosen = list(by_name) if os.environ.get("PLAYPARK_FULL") else QUICK


@pytest.fixture(autouse=True)
def tills_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a secret of these scenarios, long enough")


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


@pytest.mark.parametrize(("ahead_ms", "flagged"), [(1_500, False), (3_000, True)])
async def test_a_time_that_was_moved_by_next_to_nothing_is_no_fault(
    park: Park, tmp_path: Path, *, ahead_ms: int, flagged: bool
) -> None:
    """On a busy machine the first round trip may tell the time a little late (R36)."""

    async def sell(stage: Stage) -> None:
        desk = await stage.till()
        ahead = desk.clock.now() + timedelta(milliseconds=ahead_ms)
        desk.clock.learn(ahead, 0.0)
        await desk.sell()
        await desk.sent()
        await stage.expect_books(desk)

    verdict = await play(Scenario("ahead", "Sells.", sell), park, tmp_path, SEED)
    assert verdict.fault is None
    assert [each.what for each in verdict.failures if "flags" in each.what] == (
        ["flags on the sales"] if flagged else []
    )
