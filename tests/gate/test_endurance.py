"""A gate left on a video loop stays what it was: memory, time a scan, one core (DESIGN).

Time is the processor's, not the clock's: other work on the machine does not count. `make nightly`
runs ten minutes, `make test` a few loops.
"""

import asyncio
import contextlib
import json
import os
import pty
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from demo.film import film
from playpark.ids import new_ulid
from tests.gate.pictures import slip
from tests.outside import Outsider

LIMIT_MB = 250
FULL = bool(os.environ.get("PLAYPARK_FULL"))
SECONDS = 600.0 if FULL else 0.0
LEAST_SCANS = 24
"""So many at least, however slow the machine is."""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory is read from /proc"
)


@dataclass(frozen=True)
class Sample:
    """What a process has taken when it had answered a scan."""

    megabytes: float
    cpu_seconds: float


def sample(pid: int) -> Sample:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(times[11]) + int(times[12])
    return Sample(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, ticks / os.sysconf("SC_CLK_TCK"))


@pytest.fixture
async def loop_film(api_url: str, tmp_path: Path) -> Path:
    """Four real tickets before a cluttered counter, with time to forget each of them."""
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        pos = await Outsider(http).pair("POS")
        await pos.staff()
        await pos.open_shift()
        sale = await pos.sell(("Adult day pass", 4), key=new_ulid())
    path = tmp_path / "film.avi"
    film([slip(t["qr_token"]) for t in sale["tickets"]], path, seed=9, seconds_per_ticket=0.6)
    return path


def gate(api_url: str, source: Path, *options: str) -> list[str]:
    common = ["--api", api_url, "--site-key", "DEMO-MAIN-GATE", "--loop", *options]
    where = ["--data", str(source.parent / "gate"), "--source", str(source)]
    pin = ["taskset", "-c", "0"] if Path("/usr/bin/taskset").exists() else []
    return [*pin, sys.executable, "-m", "playpark.cli", "gate", *where, *common]


@contextlib.asynccontextmanager
async def ended(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.subprocess.Process]:
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


@pytest.mark.timeout(900)
async def test_a_gate_on_a_video_loop_neither_leaks_nor_slows(
    api_url: str, loop_film: Path
) -> None:
    started = await asyncio.create_subprocess_exec(
        *gate(api_url, loop_film, "--headless"), stdout=subprocess.PIPE
    )
    samples: list[Sample] = []
    numbers: list[int] = []
    clock = asyncio.get_running_loop().time
    async with ended(started) as process:
        assert process.stdout is not None
        end = clock() + SECONDS
        while len(samples) < LEAST_SCANS or clock() < end:
            line = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
            if line["decided_by"] is not None:  # else the answer is still to come
                numbers.append(line["number"])
                samples.append(sample(process.pid))

    assert len(numbers) == len(set(numbers)), "a showing was decided twice"
    worked = samples[4:]  # the first loop loads what it needs
    third = len(worked) // 3
    first, last = worked[:third], worked[-third:]
    grown = _megabytes(last) - _megabytes(first)
    assert grown < (15 if FULL else 8), f"{grown:.1f} MB more"
    assert _seconds_a_scan(last) < 1.5 * _seconds_a_scan(first)
    assert max(each.megabytes for each in samples) < LIMIT_MB


def _megabytes(samples: list[Sample]) -> float:
    return statistics.median(each.megabytes for each in samples)


def _seconds_a_scan(samples: list[Sample]) -> float:
    return (samples[-1].cpu_seconds - samples[0].cpu_seconds) / (len(samples) - 1)


async def test_a_gate_with_its_screen_keeps_within_its_memory(
    api_url: str, loop_film: Path
) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    started = await asyncio.create_subprocess_exec(
        *gate(api_url, loop_film),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    most, drawn = 0.0, b""
    try:
        async with ended(started) as process, asyncio.timeout(90):
            while b"PASS" not in drawn:  # in the list of the last scans
                drawn += await asyncio.to_thread(os.read, ours, 65536)
                most = max(most, sample(process.pid).megabytes)
    finally:
        os.close(ours)

    assert 50 < most < LIMIT_MB
