"""A verdict can fail, and a report says why (docs/qa.md)."""

import io
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from playpark.contracts.sync import OpStatus
from playpark.errors import ErrorCode, PlayParkError
from qa.office import Office
from qa.stage import Park, Scenario, Stage, play
from qa.verdict import Report, Verdict

SAID = "(02-S000001, 100): 2, (02-S000002, 400): 1"


def verdict(*, found: object = 2, fault: str | None = None) -> Verdict:
    made = Verdict("lossy-line", "Some of it is lost | doubled.")
    made.did("Two guests paid [bold]1.00[/bold].")
    made.expect("sales in the books", found, 2)
    made.fault = fault
    return made


def shown(*verdicts: Verdict) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    Report("http://park", 7, verdicts).show(console)
    return console.export_text()


def test_a_verdict_passes_where_all_that_was_compared_is_as_expected() -> None:
    assert verdict().passed
    assert not verdict(found=3).passed


def test_a_scenario_that_compared_nothing_or_could_not_go_on_has_not_passed() -> None:
    assert not Verdict("empty", "Nothing.").passed
    assert not verdict(fault="the server went away").passed
    assert not Report("http://park", 7, []).passed


def test_one_failed_scenario_fails_the_run() -> None:
    assert Report("", 7, [verdict(), verdict()]).passed
    assert not Report("", 7, [verdict(), verdict(found=1)]).passed


def test_the_screen_names_what_was_done_expected_and_found() -> None:
    text = shown(verdict(), verdict(found=3))
    assert "1 of 2 scenarios passed (seed 7)." in text
    assert "1. Two guests paid [bold]1.00[/bold]." in text
    for line in ("✗ sales in the books", "expected 2", "found    3"):
        assert line in text


def test_a_fault_on_the_way_is_told() -> None:
    assert "It could not go on: E_UNAVAILABLE: gone" in shown(verdict(fault="E_UNAVAILABLE: gone"))


def test_json_and_markdown_hold_all_of_it(tmp_path: Path) -> None:
    Report("http://park", 7, [verdict(), verdict(found=3)]).save(tmp_path / "new")
    told = json.loads((tmp_path / "new" / "report.json").read_text(encoding="utf-8"))
    assert (told["passed"], told["seed"], told["api"]) == (False, 7, "http://park")
    assert [each["passed"] for each in told["scenarios"]] == [True, False]
    assert told["scenarios"][1]["findings"] == [
        {"what": "sales in the books", "expected": "2", "found": "3", "passed": False}
    ]
    page = (tmp_path / "new" / "report.md").read_text(encoding="utf-8")
    assert "## lossy-line: FAILED" in page
    assert "| **✗** | sales in the books | 2 | 3 |" in page


async def played(scenario: Scenario, tmp_path: Path) -> Verdict:
    async with Office("http://127.0.0.1:9") as office:
        return await play(
            scenario, Park("http://127.0.0.1:9", "DEMO-MAIN-GATE", office), tmp_path, 7
        )


async def test_whatever_goes_wrong_in_a_scenario_is_its_verdict(tmp_path: Path) -> None:
    async def refused(_stage: Stage) -> None:
        raise PlayParkError(ErrorCode.CONFLICT, "A shift is open here already.")

    async def broken(stage: Stage) -> None:
        stage.expect("one", 1, 1)
        raise ZeroDivisionError("by hand")

    first = await played(Scenario("refused", "", refused), tmp_path)
    second = await played(Scenario("broken", "", broken), tmp_path)

    assert first.fault == "E_CONFLICT: A shift is open here already."
    assert second.fault == "ZeroDivisionError: by hand"
    assert not second.passed


async def test_a_park_that_is_not_there_fails_the_scenario(tmp_path: Path) -> None:
    async def pairs(stage: Stage) -> None:
        await stage.till()

    found = await played(Scenario("pairs", "", pairs), tmp_path)
    assert found.fault is not None
    assert "does not answer" in found.fault


@pytest.mark.parametrize(("seed", "same"), [(7, True), (8, False)])
async def test_the_same_seed_plays_the_same_chances(tmp_path: Path, seed: int, same: bool) -> None:
    drawn: list[float] = []

    async def draws(stage: Stage) -> None:
        drawn.append(stage.rng.random())

    await played(Scenario("draws", "", draws), tmp_path)
    async with Office("http://127.0.0.1:9") as office:
        park = Park("", "", office)
        await play(Scenario("draws", "", draws), park, tmp_path, seed)
        await play(Scenario("draws other", "", draws), park, tmp_path, 7)
    assert (drawn[0] == drawn[1]) is same
    assert drawn[2] != drawn[0]
    assert random.Random("7 draws").random() == drawn[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Counter({("02-S000002", 400): 1, ("02-S000001", 100): 2}), SAID),
        ([OpStatus.APPLIED, OpStatus.RETRY], "applied, retry"),
        ({"b", "a"}, "a, b"),
        ([], "none"),
        (Counter(), "none"),
        (True, "yes"),
        (None, "-"),
        ("as it is", "as it is"),
    ],
    ids=["counted", "list", "set", "empty list", "nothing counted", "yes", "none", "text"],
)
def test_a_report_is_for_people(value: object, text: str) -> None:
    made = Verdict("", "")
    made.expect("", value, value)
    assert (made.findings[0].found, made.findings[0].expected) == (text, text)
