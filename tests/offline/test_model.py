"""Any outage, any order, any restart: afterwards the books are as if it had never happened."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import playpark.device.line
import terminal.drawer
import terminal.selling
from playpark.device.safe import SECRET_VARIABLE
from tests.offline.model_machine import HAPPENS, OUTCOMES, ParkLife, Step, asking, drawn
from tests.offline.park import PATIENCE, world

RIDE = [("Carousel ride", 2)]
FULL = bool(os.environ.get("PLAYPARK_FULL"))
DAYS = int(os.environ.get("PLAYPARK_MODEL_DAYS", "4"))
RUNS = int(os.environ.get("PLAYPARK_MODEL_RUNS", "200"))
FIRST_DAY = int(os.environ.get("PLAYPARK_MODEL_FIRST", "140"))
"""Days on which, together, everything happens four times or more."""
STEPS = int(os.environ.get("PLAYPARK_MODEL_STEPS", "50"))

KNOWN_AGAIN = [
    Step("the_gates_are_cut_off", {"numbers": [0, 1, 2], "fault": "refuse"}),
    Step("show", {"numbers": [0, 1, 2], "guest": 3}),
    Step("time_goes_by", {"seconds": 6}),
    Step("show_again", {"number": 0}),
    Step("restart", {"number": 2, "sending": False}),
    Step("time_goes_by", {"seconds": 6}),
    Step("show_again", {"number": 0}),
    Step("annul", {"entry": 0}),
    Step("the_lines_fail", {"numbers": [0], "fault": "drop-answers"}),
    Step("the_printer_fails", {"number": 0, "how": ["", "before"]}),
    Step("sell", {"number": 0, "basket": RIDE, "cash": True, "extra": 0, "promo": False}),
    Step("restart", {"number": 0, "sending": True}),
    Step("the_line_is_whole", {"number": 0}),
    Step("log_in", {"number": 0}),
    Step("the_printer_fails", {"number": 0, "how": ["", "after"]}),
    Step("sell", {"number": 0, "basket": RIDE, "cash": False, "extra": 0, "promo": True}),
    Step("see_to_papers", {"number": 0}),
]
"""Two uses at three gates without a server, one of which is started anew; a printer that stops
between two papers, on a till that dies before it has its answer."""


def _impatient(patch: pytest.MonkeyPatch) -> None:
    """Nobody waits as long as in a park: an outage is one all the same."""
    for module, name in (
        (terminal.selling, "SALE_DEADLINE_S"),
        (terminal.drawer, "DEADLINE_S"),
        (terminal.drawer, "CLOSE_DEADLINE_S"),
    ):
        patch.setattr(module, name, PATIENCE)
    patch.setattr(playpark.device.line, "HOLD_S", PATIENCE)
    patch.setattr(playpark.device.line, "LONGEST_HOLD_S", 4 * PATIENCE)
    patch.setenv(SECRET_VARIABLE, "a secret of this test, long enough for a key")


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The world that all runs share."""
    folder, name = tmp_path_factory.mktemp("model"), f"{database}_model"
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        _impatient(patch)
        stack = AsyncExitStack()
        try:
            ParkLife.runner = runner
            ParkLife.world = runner.run(stack.enter_async_context(world(mongo_uri, name, folder)))
            ParkLife.passed = 0.0
            http, ParkLife.gate = runner.run(asking(ParkLife.world.url))
            stack.push_async_callback(http.aclose)
            yield
        finally:
            runner.run(stack.aclose())


def _play(steps: Sequence[Step]) -> None:
    life = ParkLife()
    life.open()
    try:
        for step in steps:
            life.happens(step)
    finally:
        life.teardown()


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("park")
def test_R33_a_gate_and_a_till_know_after_a_restart_what_they_did() -> None:
    _play(KNOWN_AGAIN)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("park")
def test_R35_after_an_outage_the_books_are_what_happened() -> None:
    """The same few days every time."""
    ParkLife.met.clear()
    for day in range(FIRST_DAY, FIRST_DAY + DAYS):
        chance = Random(day)
        _play([drawn(chance) for _ in range(STEPS)])
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
