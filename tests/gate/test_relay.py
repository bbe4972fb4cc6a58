"""The turnstile's command: for each PASS, one at a time, never in the way of a decision."""

import asyncio
import contextlib
import json
import stat
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gate.answers import CHECKING, Answer, Level, Scan
from gate.relay import STALE, WAITING, Relay
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import RedemptionResult, RedemptionView
from playpark.errors import PlayParkError

VIEW = RedemptionView(
    redemption_id="r1",
    result=RedemptionResult.PASS,
    reason=None,
    remaining=0,
    kind=PackageKind.SINGLE,
    ticket_id="01K9ZZZZZZZZZZZZZZZZZZ0001",
    message="Welcome!",
    message_th="ยินดีต้อนรับ",
)
PASS = Scan(
    1,
    1,
    "…0001",
    datetime(2026, 11, 21, tzinfo=UTC),
    Answer(Level.PASS, "PASS", "WELCOME", "", "", redemption=VIEW),
    "op1",
    source="camera 0",
)
WHERE = {"zone_id": "z-ball", "direction": "entry"}


def script(path: Path, body: str) -> str:
    """A program of its own, as a command."""
    path.write_text(f"#!{sys.executable}\nimport json, os, subprocess, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def keeper(tmp_path: Path, log: Path) -> str:
    """A command that writes down its words and what it knows of the PASS."""
    known = "{k: v for k, v in os.environ.items() if k.startswith('PLAYPARK_')}"
    return script(
        tmp_path / "keep",
        f"open({str(log)!r}, 'a').write(json.dumps([sys.argv[1:], {known}]) + '\\n')",
    )


@contextlib.asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run_forever())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_each_pass_runs_the_command_with_what_it_may_know(
    keeper: str, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYPARK_DEVICE_KEY", "a secret of this program")
    async with running(Relay(f"{keeper} 3 'two words' $HOME;")) as relay:
        relay.open(PASS, **WHERE)
        relay.open(PASS, **WHERE)
        await relay.settle()

    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert first == second
    assert first[0] == ["3", "two words", "$HOME;"]  # no shell reads it
    assert (
        first[1].items()
        >= {
            "PLAYPARK_TICKET_ID": VIEW.ticket_id,
            "PLAYPARK_REDEMPTION_ID": "r1",
            "PLAYPARK_OP_ID": "op1",
            "PLAYPARK_ZONE_ID": "z-ball",
            "PLAYPARK_DIRECTION": "entry",
            "PLAYPARK_SOURCE": "camera 0",
        }.items()
    )
    assert relay.fault is None


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.PASS])
async def test_nothing_but_a_pass_opens(level: Level, keeper: str, log: Path) -> None:
    async with running(Relay(keeper)) as relay:
        relay.open(replace(PASS, answer=replace(CHECKING, level=level, redemption=VIEW)), **WHERE)
        await relay.settle()

    assert not log.exists()


async def test_openings_are_one_at_a_time_and_in_order(tmp_path: Path, log: Path) -> None:
    command = script(
        tmp_path / "slow",
        f"log = open({str(log)!r}, 'a', buffering=1)\n"
        "log.write('begin ' + os.environ['PLAYPARK_OP_ID'] + '\\n')\ntime.sleep(0.05)\n"
        "log.write('end ' + os.environ['PLAYPARK_OP_ID'] + '\\n')",
    )
    async with running(Relay(command)) as relay:
        for op_id in ("a", "b", "c"):
            relay.open(replace(PASS, op_id=op_id), **WHERE)
        await relay.settle()

    assert log.read_text().split("\n")[:-1] == [
        f"{word} {op_id}" for op_id in "abc" for word in ("begin", "end")
    ]


async def test_asking_takes_no_time_however_slow_the_command_is() -> None:
    relay = Relay("sleep 60")
    async with running(relay):
        began = time.perf_counter()
        for _ in range(WAITING):
            relay.open(PASS, **WHERE)
            await asyncio.sleep(0)

        assert time.perf_counter() - began < 2  # not sixty seconds, not even one command


async def test_a_command_that_does_not_end_is_ended_with_what_it_started(
    tmp_path: Path, log: Path
) -> None:
    command = script(
        tmp_path / "hangs",
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(log)!r}, 'w').write(str(child.pid))\ntime.sleep(60)",
    )
    told: asyncio.Queue[str] = asyncio.Queue()
    relay = Relay(command, limit=1.0, tell=told.put_nowait)
    async with running(relay), asyncio.timeout(10):
        relay.open(PASS, **WHERE)
        complaint = await told.get()

    assert complaint == relay.fault
    assert "took over 1 s and was ended" in complaint
    async with asyncio.timeout(5):
        while not _ended(int(log.read_text())):  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)


def _ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


async def test_a_failing_command_is_told_in_words_and_forgotten_after_a_success(
    tmp_path: Path, log: Path
) -> None:
    command = script(
        tmp_path / "fails_once",
        f"if not os.path.exists({str(log)!r}):\n"
        f"    open({str(log)!r}, 'w')\n    print('no such pin \\x1b[2J', file=sys.stderr)\n"
        "    sys.exit(3)",
    )
    told: list[str] = []
    async with running(Relay(command, tell=told.append)) as relay:
        relay.open(PASS, **WHERE)
        await relay.settle()
        assert "ended with 3: no such pin \\x1b[2J" in str(relay.fault)
        assert "Open the gate by hand" in told[0]

        relay.open(PASS, **WHERE)
        await relay.settle()

    assert relay.fault is None
    assert len(told) == 1


async def test_a_program_that_was_removed_is_told_and_the_relay_goes_on(
    keeper: str, log: Path
) -> None:
    async with running(Relay(keeper)) as relay:
        Path(keeper).rename(f"{keeper}.gone")
        relay.open(PASS, **WHERE)
        await relay.settle()
        assert "cannot be started" in str(relay.fault)

        Path(f"{keeper}.gone").rename(keeper)
        relay.open(PASS, **WHERE)
        await relay.settle()

    assert len(log.read_text().splitlines()) == 1


async def test_an_id_that_no_program_could_be_told_stops_no_later_opening(
    keeper: str, log: Path
) -> None:
    async with running(Relay(keeper)) as relay:
        relay.open(replace(PASS, op_id="a\x00b"), **WHERE)
        relay.open(PASS, **WHERE)
        await relay.settle()

    assert len(log.read_text().splitlines()) == 1


async def test_an_old_pass_opens_nothing_for_the_next_guest(keeper: str, log: Path) -> None:
    now = 100.0
    relay = Relay(keeper, clock=lambda: now)
    relay.open(PASS, **WHERE)
    now += STALE + 1
    async with running(relay):
        await relay.settle()

    assert not log.exists()
    assert "was not opened" in str(relay.fault)


async def test_openings_that_pile_up_are_bounded_and_the_oldest_are_given_up(
    keeper: str, log: Path
) -> None:
    told: list[str] = []
    relay = Relay(keeper, tell=told.append)
    for number in range(WAITING + 3):
        relay.open(replace(PASS, op_id=str(number)), **WHERE)
    async with running(relay):
        await relay.settle()

    opened = [json.loads(line)[1]["PLAYPARK_OP_ID"] for line in log.read_text().splitlines()]
    assert opened[0] == "3"
    assert len(told) == 3


async def test_what_a_command_leaves_running_does_not_hold_up_the_next(tmp_path: Path) -> None:
    command = script(
        tmp_path / "pulse",
        "child = subprocess.Popen(['sleep', '3'], start_new_session=True)",
    )
    async with running(Relay(command, limit=2.5)) as relay:
        relay.open(PASS, **WHERE)
        relay.open(PASS, **WHERE)
        await relay.settle()
        assert relay.fault is None
        assert relay._waiting.empty()


@pytest.mark.parametrize("command", ["", "  ", "'unfinished", "no-such-program-here 1"])
def test_a_command_that_is_none_is_refused_at_the_start(command: str) -> None:
    with pytest.raises(PlayParkError, match="--relay needs a program that exists"):
        Relay(command)
