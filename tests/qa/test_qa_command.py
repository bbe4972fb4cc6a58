"""`playpark qa`: what QA people type, and what the exit code tells (docs/qa.md)."""

import json
import os
from datetime import date
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest
from typer.testing import CliRunner, Result

from playpark.cli import build_app
from playpark.errors import PlayParkError
from qa.scenarios import ALL
from qa.server import reconciled
from qa.stage import Scenario, Stage

SUPERVISOR = "supervisor@demo.playpark"


def qa(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(build_app("qa"), ["qa", *words], env=environment)


class Till:
    """A paired till, over plain HTTP."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/v1", timeout=30)
        body = {"site_key": "DEMO-MAIN-GATE", "type": "POS", "name": "QA test"}
        device = self.http.post("/auth/device/register", json=body).json()["data"]
        self.device_id = device["device_id"]
        login = {key: device[key] for key in ("device_id", "device_token")}
        session = self.http.post("/auth/device/login", json=login).json()["data"]
        self.tenant = session["store"]["tenant_id"]
        self.http.headers["Authorization"] = f"Bearer {session['access_token']}"

    @property
    def heard(self) -> object:
        return self.http.post("/provider/heartbeats", json={}).json()["data"]["qa"]


@pytest.fixture
def till(api_url: str) -> Till:
    return Till(api_url)


def setting(till: Till, *switches: str, pin: str = "9999", email: str = SUPERVISOR) -> Result:
    url = str(till.http.base_url).removesuffix("/v1/")
    who = ("--email", email, "--tenant", till.tenant, "--api", url)
    return qa("set", till.device_id, *who, *switches, PLAYPARK_QA_PIN=pin)


def refusal(result: Result) -> str:
    assert isinstance(result.exception, PlayParkError), result.output
    return result.exception.message


def test_the_list_names_every_scenario_and_says_what_it_does() -> None:
    told = " ".join(qa("list", COLUMNS="200").output.split())
    for each in ALL:
        assert f"{each.name} {each.what}" in told


def test_switches_are_set_and_ended_by_a_person_with_the_right(till: Till) -> None:
    done = setting(till, "--delay-ms", "1500", "--lost-answers", "10", "--skew-s", "-60")
    assert done.exit_code == 0, done.output
    assert isinstance(till.heard, dict)
    assert (till.heard["delay_ms"], till.heard["lost_answers"]) == (1500, 10)
    assert (till.heard["skew_s"], till.heard["offline"]) == (-60, False)
    assert setting(till, "--off").exit_code == 0
    assert till.heard is None


def test_a_pin_that_is_not_in_the_environment_is_asked_for_and_not_shown(till: Till) -> None:
    url = str(till.http.base_url).removesuffix("/v1/")
    who = ("--email", SUPERVISOR, "--tenant", till.tenant, "--api", url)
    words = ["qa", "set", till.device_id, *who, "--offline"]
    done = CliRunner().invoke(build_app("qa"), words, input="9999\n")
    assert done.exit_code == 0, done.output
    assert "9999" not in done.output
    assert isinstance(till.heard, dict)


def test_who_may_not_manage_devices_is_refused(till: Till) -> None:
    refused = setting(till, "--offline", pin="1111", email="cashier@demo.playpark")
    assert refused.exit_code == 1
    assert till.heard is None


def test_a_wrong_pin_and_nonsense_are_sentences(till: Till) -> None:
    assert refusal(setting(till, "--offline", pin="4711"))
    assert "PIN of 4 to 8 digits" in refusal(setting(till, "--offline", pin="x"))
    assert till.heard is None


@pytest.mark.parametrize("switches", [(), ("--off", "--offline")], ids=["nothing", "both"])
def test_nothing_and_off_with_something_are_no_wish(till: Till, switches: tuple[str, ...]) -> None:
    assert "--off to end it" in refusal(setting(till, *switches))


def test_a_scenario_that_is_not_there_plays_nothing() -> None:
    result = qa("run", "no-such-thing", "--api", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "There is no scenario 'no-such-thing'" in result.output


def test_a_park_that_is_not_there_plays_nothing() -> None:
    result = qa("run", "replayed-outbox", "--api", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "does not answer" in result.output


def test_the_exit_code_and_the_report_tell_what_passed(
    api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sells_once(stage: Stage) -> None:
        desk = await stage.till()
        await desk.sell()
        await desk.sent()
        await stage.expect_books(desk)

    async def miscounts(stage: Stage) -> None:
        desk = await stage.till()
        await desk.sell()
        await desk.sent()
        desk.paid.append(desk.paid[0])
        await stage.expect_books(desk)

    good, bad = Scenario("good", "One sale.", sells_once), Scenario("bad", "Two.", miscounts)
    monkeypatch.setattr("qa.cli.ALL", (good, bad))
    run = ("run", "--api", api_url, "--seed", "3", "--report", str(tmp_path))

    assert qa(*run, "good").exit_code == 0
    failed = qa(*run, COLUMNS="200")

    assert failed.exit_code == 1
    assert "1 of 2 scenarios passed (seed 3)." in failed.output
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    wrong = [each["what"] for each in told["scenarios"][1]["findings"] if not each["passed"]]
    assert "every sale stands in the books once, for what the guest paid" in wrong
    assert "every payment stands in the books once" in wrong
    assert "receipts on paper, each once" in wrong


@pytest.mark.skipif(not os.environ.get("PLAYPARK_FULL"), reason="starts a park: make nightly")
def test_R49_a_park_of_its_own_is_reconciled_at_the_end(tmp_path: Path) -> None:
    done = qa("run", "replayed-outbox", "--report", str(tmp_path), "--seed", "3")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in told["scenarios"]] == ["replayed-outbox", "reconcile"]
    assert any("Main Gate" in each["what"] for each in told["scenarios"][1]["findings"])


def test_books_that_cannot_be_reconciled_have_not_passed(tmp_path: Path) -> None:
    (tmp_path / "mongo").write_text("no folder")
    verdict = reconciled(tmp_path, {date(2026, 11, 21)})
    assert verdict.fault
    assert not verdict.passed


def test_R49_one_broken_book_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"check": "sale_payments", "why": "a payment is missing"}
    stores = [{"store_name": "Main Gate", "breaks": []}, {"store_name": "Lake", "breaks": [found]}]

    def told(*_: object, **__: object) -> CompletedProcess[str]:
        return CompletedProcess([], 1, json.dumps(stores), "")

    monkeypatch.setattr("qa.server.subprocess.run", told)
    verdict = reconciled(tmp_path, {date(2026, 11, 21)})
    assert not verdict.passed
    assert [each.found for each in verdict.failures] == ["sale_payments: a payment is missing"]


def test_a_report_that_cannot_be_written_is_a_sentence(
    api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(stage: Stage) -> None:
        stage.expect("one", 1, 1)

    monkeypatch.setattr("qa.cli.ALL", (Scenario("nothing", "Nothing.", nothing),))
    (tmp_path / "file").touch()
    result = qa("run", "--api", api_url, "--report", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "the report cannot be written" in result.output
