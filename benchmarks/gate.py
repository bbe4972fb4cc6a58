"""A gate at work: how fast a frame is read, how soon a guest sees the answer, what worn tickets
lose, and what the process takes."""

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import httpx
import numpy as np
import PIL.Image
import zxingcpp

from benchmarks.limits import PLENTY
from benchmarks.server import api_process, call, till
from demo.damage import DAMAGES, clutter, damaged, printed
from demo.film import film
from gate.answers import Level
from gate.decoders import Decoder
from gate.frames import Frame, Image
from gate.sources import open_source
from gate.station import Station
from playpark.clock import SystemClock
from playpark.contracts.tickets import Direction
from playpark.device import DeviceStore
from playpark.ids import new_ulid

FRAMES = 300
WORN = 60
TICKETS = 40
SITE_KEY = "DEMO-MAIN-GATE"
_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


async def run(uri: str) -> list[tuple[str, str]]:
    """Milliseconds, rates and megabytes of one run."""
    plenty = {name.upper(): rate for name, rate in PLENTY.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with api_process(uri, "bench_gate", plenty) as http:
            tickets = await _sell(http, TICKETS)
            path = folder / "film.avi"
            film([_paper(text) for text in tickets], path, seed=1, seconds_per_ticket=0.4)
            shown = await _shown(http, folder, path)
            alone = await _process(http, folder, path)
        return [*_decoding(path), *_worn(), *shown, *alone]


# --- reading ----------------------------------------------------------------------------


def _decoding(path: Path) -> list[tuple[str, str]]:
    """Milliseconds of one core: what else runs on the machine does not count."""
    frames = [frame.image for frame in open_source(str(path)).frames()][:FRAMES]
    rough = [np.dstack([cv2.resize(each, (1280, 720))] * 3) for each in clutter(80)]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        decoder = Decoder()
        film = [_timed(decoder, image, number) for number, image in enumerate(frames)]
        clutters = [_timed(decoder, image, number)[0] for number, image in enumerate(rough)]
    finally:
        cv2.setNumThreads(threads)
    readable = [took for took, texts in film if texts]
    nothing = [took for took, texts in film if not texts]
    return [
        ("Decode a 720p frame with a ticket, p95 (goal 10 ms)", _p95(readable)),
        ("Decode a 720p frame with nothing, p95 (goal 33 ms)", _p95(nothing)),
        ("Decode a 720p frame of noise, checks and broken codes, p95", _p95(clutters)),
    ]


def _timed(decoder: Decoder, image: Image, number: int) -> tuple[float, list[str]]:
    frame = Frame(number, float(number), image)
    began = time.thread_time()
    texts = decoder.read(frame)
    return (time.thread_time() - began) * 1000, texts


def _worn() -> list[tuple[str, str]]:
    """Rates on damaged prints: zxing-cpp alone, PLATFORM's policy, this gate in two frames."""
    found = []
    for kind in DAMAGES:
        alone = policy = ours = 0
        for number in range(WORN):
            _, picture = damaged(kind, number)
            grey: Image = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]
            looks = [_any(grey), _any(_smooth(grey)), _any(_twice(grey))]
            alone, policy = alone + looks[0], policy + any(looks)
            decoder = Decoder()
            ours += any(decoder.read(Frame(n, float(n), picture)) for n in range(2))
        others = f"zxing-cpp alone {alone / WORN:.0%}, σ 1 and 2× {policy / WORN:.0%}"
        rates = f"{ours / WORN:.0%}; {others}"
        found.append((f"Read of {WORN} worn tickets: {kind.replace('_', ' ')}", rates))
    return found


def _any(grey: Image) -> bool:
    return bool(zxingcpp.read_barcodes(grey, formats=_QR))


def _smooth(grey: Image) -> Image:
    return cv2.GaussianBlur(grey, (0, 0), 1.0)  # type: ignore[return-value]


def _twice(grey: Image) -> Image:
    return cv2.resize(grey[180:540, 320:960], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


# --- deciding ---------------------------------------------------------------------------


async def _shown(http: httpx.AsyncClient, folder: Path, path: Path) -> list[tuple[str, str]]:
    """From the picture to the answer on the board, the film played at its own rate."""
    clock = SystemClock()
    store = DeviceStore.open(folder / "shown" / "device.db", clock)
    source = open_source(str(path))
    waited, passed, began = [], 0, time.perf_counter()
    async with Station(store, clock, source, api_url=str(http.base_url)) as station:
        await station.connect(site_key=SITE_KEY, name="bench")
        station.admission.direction = Direction.ENTRY
        async for scan in station.scans(live=True):
            if scan.answer.level not in {Level.CHECKING, Level.LATE} and scan.latency is not None:
                waited.append(scan.latency * 1000)
                passed += scan.answer.level is Level.PASS
            if passed >= TICKETS or time.perf_counter() - began > 3 * TICKETS:
                break
    return [
        (
            "Frame to decision online, p95 (goal 150 ms)",
            f"{_p95(waited)}, median {statistics.median(waited):.0f} ms, {passed} × PASS",
        )
    ]


async def _process(http: httpx.AsyncClient, folder: Path, path: Path) -> list[tuple[str, str]]:
    """A gate's process on one core, every frame as fast as it is read."""
    command = [sys.executable, "-m", "playpark.cli", "gate", "--headless", "--loop"]
    where = ["--data", str(folder / "alone"), "--source", str(path), "--site-key", SITE_KEY]
    pinned = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    process = await asyncio.create_subprocess_exec(
        *pinned, *command, *where, "--api", str(http.base_url), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    count = 0
    try:
        json.loads(await process.stdout.readline())
        began = time.perf_counter()
        while count < TICKETS:
            json.loads(await process.stdout.readline())
            count += 1
        rate = count / (time.perf_counter() - began)
        megabytes = _megabytes(process.pid)
    finally:
        process.kill()
        await process.wait()
    return [
        ("Scans of a gate on one core, film at full speed", f"{rate:.1f}/s"),
        ("Memory of a gate without its screen (goal 250 MB)", f"{megabytes:.0f} MB"),
    ]


async def _sell(http: httpx.AsyncClient, count: int) -> list[str]:
    seller = await till(http)
    packages = (await call(http, seller, "GET", "/v1/catalog/packages"))["items"]
    adult = next(package for package in packages if package["kind"] == "single")
    body = {
        "lines": [{"package_id": adult["package_id"], "qty": count}],
        "payments": [{"method": "cash", "amount": adult["price"] * count}],
    }
    answer = await call(http, seller, "POST", "/v1/sales", body, new_ulid())
    return [ticket["qr_token"] for ticket in answer["tickets"]]


def _paper(text: str) -> PIL.Image.Image:
    return PIL.Image.fromarray((printed(text) * 255).astype(np.uint8))


def _megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _p95(values: list[float]) -> str:
    return f"{statistics.quantiles(values, n=20)[-1]:.1f} ms"
