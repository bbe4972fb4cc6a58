"""Any outage, any order, any restart: afterwards the books are as if it had never happened."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import playpark.device.line
import terminal.drawer
import terminal.selling
from playpark.device.safe import SECRET_VARIABLE
from tests.offline.model_machine import HAPPENS, OUTCOMES, ParkLife, asking, drawn
from tests.offline.park import PATIENCE, world

FULL = bool(os.environ.get("PLAYPARK_FULL"))
DAYS = int(os.environ.get("PLAYPARK_MODEL_DAYS", "5"))
RUNS = int(os.environ.get("PLAYPARK_MODEL_RUNS", "200"))
FIRST_DAY = int(os.environ.get("PLAYPARK_MODEL_FIRST", "178"))
"""Days on which, together, everything happens four times or more."""
STEPS = int(os.environ.get("PLAYPARK_MODEL_STEPS", "50"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits as long as in a park: an outage is one all the same."""
    for module, name in (
        (terminal.selling, "SALE_DEADLINE_S"),
        (terminal.drawer, "DEADLINE_S"),
        (terminal.drawer, "CLOSE_DEADLINE_S"),
    ):
        monkeypatch.setattr(module, name, PATIENCE)
    monkeypatch.setattr(playpark.device.line, "HOLD_S", PATIENCE)
    monkeypatch.setattr(playpark.device.line, "LONGEST_HOLD_S", 4 * PATIENCE)
    monkeypatch.setenv(SECRET_VARIABLE, "a secret of this test, long enough for a key")


@pytest.fixture
def park(mongo_uri: str, database: str, tmp_path: Path, impatient: None) -> Iterator[None]:
    """The world that all runs share."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            ParkLife.runner = runner
            name = f"{database}_model"
            ParkLife.world = runner.run(stack.enter_async_context(world(mongo_uri, name, tmp_path)))
            ParkLife.passed = 0.0
            ParkLife.met.clear()
            http, ParkLife.gate = runner.run(asking(ParkLife.world.url))
            stack.push_async_callback(http.aclose)
            yield
        finally:
            runner.run(stack.aclose())


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("park")
def test_R35_after_an_outage_the_books_are_what_happened() -> None:
    """The same few days every time."""
    for day in range(FIRST_DAY, FIRST_DAY + DAYS):
        life, chance = ParkLife(), Random(day)
        said = [drawn(chance) for _ in range(STEPS)]
        life.open()
        try:
            for step in said:
                life.happens(step)
        finally:
            life.teardown()
    assert {*HAPPENS, *OUTCOMES} <= {name for name, count in ParkLife.met.items() if count}


@pytest.mark.skipif(not FULL, reason="make nightly")
@pytest.mark.timeout(7_200)
@pytest.mark.usefixtures("park")
def test_R35_after_any_outage_the_books_are_what_happened() -> None:
    """Hypothesis looks for the shortest day that is wrong."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        ParkLife,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
            deadline=None,
            print_blob=True,
        ),
    )
