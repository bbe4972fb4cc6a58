"""Cameras, serial scanners and the relay in one gate: one way for every code."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gate.answers import Scan
from gate.relay import Relay
from gate.sources import Camera, Several
from gate.sources.cameras import Format
from gate.sources.serial_line import SerialScanner, scanner_at
from gate.station import Station
from playpark.contracts.provider import PartState
from playpark.device import DeviceStore
from tests.gate.park import IDENTITY, URL, Park
from tests.gate.pictures import Plug, token
from tests.gate.test_serial_line import Cable


@pytest.fixture
def store(tmp_path: Path, park: Park) -> DeviceStore:
    """Closed by the station."""
    opened = DeviceStore.open(tmp_path / "device.db", park.clock)
    opened.save_identity(IDENTITY)
    return opened


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    made = Cable(tmp_path)
    yield made
    made.close()


def opener(path: Path, log: Path) -> str:
    path.write_text(f'#!/bin/sh\necho "$PLAYPARK_SOURCE $PLAYPARK_OP_ID" >> {log}\n')
    path.chmod(0o755)
    return str(path)


@contextlib.asynccontextmanager
async def at_work(station: Station) -> AsyncIterator[asyncio.Queue[Scan]]:
    """The station's scans as they come."""
    found: asyncio.Queue[Scan] = asyncio.Queue()

    async def follow() -> None:
        async with contextlib.aclosing(station.scans(live=False)) as scans:
            async for scan in scans:
                found.put_nowait(scan)

    async with station, asyncio.timeout(20):
        await station.connect(site_key=None, name="Gate")
        task = asyncio.create_task(follow())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_serial_scanner_alone_is_a_gate_and_sends_a_held_ticket_once(
    park: Park, store: DeviceStore, cable: Cable, tmp_path: Path
) -> None:
    log = tmp_path / "opened"
    relay = Relay(opener(tmp_path / "open-gate", log))
    scanner = scanner_at(f"serial:{cable.path}")
    station = Station(
        store,
        park.clock,
        None,
        api_url=URL,
        scanners=[scanner],
        relay=relay,
        deadline=5.0,
        transport=park.transport,
    )
    async with at_work(station) as scans:
        for _ in range(3):  # it sends on while the ticket lies before it
            cable.send(token(1).encode() + b"\r")
        cable.send(token(2).encode() + b"\r\n")
        answers = [await scans.get() for _ in range(4)]
        await relay.settle()

    passed = [scan for scan in answers if scan.answer.word == "PASS"]
    assert [scan.source for scan in passed] == ["scanner ttyACM0"] * 2
    assert len(park.ops) == 2
    assert sorted(log.read_text().splitlines()) == sorted(
        f"scanner ttyACM0 {scan.op_id}" for scan in passed
    )


async def test_what_is_wrong_with_a_part_is_told_while_the_others_work(
    park: Park, store: DeviceStore, tmp_path: Path
) -> None:
    good, poor, gone = Plug(), Plug(gives=Format(640, 480, "YUYV", 15)), Plug()
    gone.plugged = False
    plugs = (good, poor, gone)
    cameras = [Camera(n, opener=plug.open, required=False) for n, plug in enumerate(plugs)]
    scanner = SerialScanner(str(tmp_path / "ttyUSB3"), required=False)
    station = Station(
        store,
        park.clock,
        Several(cameras),
        api_url=URL,
        scanners=[scanner],
        transport=park.transport,
    )
    async with at_work(station):
        while good.reads < 5:  # noqa: ASYNC110 - a thread reads
            await asyncio.sleep(0.01)
        troubles, fault, state = station.troubles, station.fault, station._camera()

    assert len(troubles) == 3
    assert troubles[0].startswith("Camera 2 is not there")
    assert troubles[1].startswith("Scanner ttyUSB3 is not there")
    assert troubles[2].startswith("The camera 1 gives 640x480 YUYV")
    assert fault is None  # guests can be read
    assert state is PartState.FAILED  # and the office knows


async def test_a_relay_that_fails_is_a_trouble_on_the_screen(
    park: Park, store: DeviceStore, cable: Cable
) -> None:
    relay = Relay("false")
    station = Station(
        store,
        park.clock,
        None,
        api_url=URL,
        scanners=[scanner_at(f"serial:{cable.path}")],
        relay=relay,
        deadline=5.0,
        transport=park.transport,
    )
    async with at_work(station) as scans:
        cable.send(token(1).encode() + b"\r")
        words = [(await scans.get()).answer.word for _ in range(2)]
        await relay.settle()
        troubles = station.troubles

    assert words == ["CHECKING", "PASS"]
    assert [each.startswith("Relay: the command ended with 1") for each in troubles] == [True]
