"""Outages by key at a gate that was started with `--qa`, and those that QA sets at the server."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import gate.cli
from gate.outages import QA_KEYS, Outages
from playpark.cli import build_app
from playpark.contracts.qa import QaSwitches
from playpark.device.faults import QUIET
from tests.gate.lists import allowed, fill, told
from tests.gate.pictures import token
from tests.gate.screen import Gate, burst, read, row, says, until


@pytest.fixture
def qa_gate(tmp_path: Path) -> Gate:
    found = Gate(tmp_path)
    found.outages = Outages(enabled=True)
    return found


@pytest.mark.parametrize("key", QA_KEYS)
def test_a_key_switches_on_and_off_and_leaves_the_others_alone(key: str) -> None:
    outages = Outages(enabled=True)
    outages.switches.set(QaSwitches(skew_s=5))
    outages.press(key)
    assert outages.switches.now != QaSwitches(skew_s=5)
    assert outages.switches.now.skew_s == 5
    outages.press(key)
    assert outages.switches.now == QaSwitches(skew_s=5)


def test_without_qa_no_key_does_anything_and_what_the_server_has_set_is_said() -> None:
    outages = Outages()
    for key in (*QA_KEYS, "f1"):
        outages.press(key)
    assert (outages.switches.now, outages.banner) == (QUIET, "")
    outages.switches.set(QaSwitches(offline=True))
    assert outages.banner == "QA offline"
    assert Outages(enabled=True).banner == "QA"


async def test_the_gate_goes_on_by_its_list_while_a_key_keeps_it_off_the_line(
    qa_gate: Gate,
) -> None:
    app = qa_gate.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, says(pilot, "ready"))
        fill(qa_gate.station.allow_list, told(allowed(token(1))), qa_gate.park.clock)
        assert "QA" in row(pilot, 0)
        assert "F10" in read(pilot)
        await pilot.press("f10")
        await until(pilot, lambda: "QA offline" in row(pilot, 0))

        await burst(pilot, token(1))
        await until(pilot, says(pilot, "pass"))

        assert qa_gate.park.ops == []
        await pilot.press("f10")
        await until(pilot, lambda: qa_gate.park.ops)
    (op,) = qa_gate.park.ops[:1]
    assert (op["committed"], op["local"]["result"]) == (True, "pass")


async def test_a_gate_at_work_has_no_such_keys(tmp_path: Path) -> None:
    quiet = Gate(tmp_path)
    async with quiet.app().run_test(size=(120, 40)) as pilot:
        await until(pilot, says(pilot, "ready"))
        for key in QA_KEYS:
            await pilot.press(key)
        assert "QA" not in read(pilot)
        assert "F10" not in read(pilot)
        assert quiet.outages.switches.now == QUIET


@pytest.mark.parametrize(
    ("words", "environment", "enabled"),
    [([], {}, False), (["--qa"], {}, True), ([], {"PLAYPARK_QA": "1"}, True)],
    ids=["no word of it", "--qa", "PLAYPARK_QA=1"],
)
def test_only_an_option_or_the_environment_gives_the_keys(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    environment: dict[str, str],
    *,
    enabled: bool,
) -> None:
    seen: list[Outages] = []

    class App:
        return_code = 0

        def __init__(self, station: object, **_: object) -> None:
            seen.append(station.outages)  # type: ignore[attr-defined]

        def run(self) -> None:
            pass

    monkeypatch.setattr(gate.cli, "GateApp", App)
    told_ = ["gate", "--source", "none", "--data", str(tmp_path), *words]
    result = CliRunner().invoke(build_app("gate"), told_, env=environment)
    assert result.exit_code == 0, result.output
    assert [each.enabled for each in seen] == [enabled]
