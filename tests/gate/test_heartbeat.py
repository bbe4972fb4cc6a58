"""R36, R44: a gate tells how it and its camera are while it scans, and is not disturbed by it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gate.sources import Camera
from gate.station import Station
from playpark.device import DeviceStore
from tests.gate.park import IDENTITY, URL, Park
from tests.gate.pictures import Plug


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the park has no event for it
            await asyncio.sleep(0.005)


@asynccontextmanager
async def scanning(park: Park, store: DeviceStore, source: Camera | None) -> AsyncIterator[Station]:
    async with Station(store, park.clock, source, api_url=URL, transport=park.transport) as station:
        await station.connect(site_key=None, name="Gate")
        scans = station.scans(live=True)
        first = asyncio.ensure_future(anext(scans))
        try:
            yield station
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await scans.aclose()


@pytest.fixture
def store(tmp_path: Path, park: Park) -> DeviceStore:
    opened = DeviceStore.open(tmp_path / "gate.db", park.clock)
    opened.save_identity(IDENTITY)
    return opened


async def test_a_gate_without_a_camera_beats_while_it_waits_for_scans(
    park: Park, store: DeviceStore
) -> None:
    async with scanning(park, store, None):
        await until(lambda: park.beats)
    assert park.beats[0]["camera"] == "none"
    assert "printer" not in park.beats[0]


async def test_a_camera_that_is_unplugged_is_told(park: Park, store: DeviceStore) -> None:
    plug = Plug(pause=0.01)
    async with scanning(park, store, Camera(0, opener=plug.open)) as station:
        plug.plugged = False
        await until(lambda: station.fault)
        assert station._camera() == "failed"


async def test_a_camera_that_sees_is_ok(park: Park, store: DeviceStore) -> None:
    plug = Plug(pause=0.01)
    async with scanning(park, store, Camera(0, opener=plug.open)) as station:
        await until(lambda: park.beats)
        await until(lambda: station.fault is None)
        assert station._camera() == "ok"


async def test_a_gate_scans_on_where_heartbeats_are_refused(park: Park, store: DeviceStore) -> None:
    park.error = (403, "E_DEVICE_SUSPENDED", "This device is suspended.")
    async with scanning(park, store, None) as station:
        await until(lambda: station.engine.state.last_error)
        assert not any(task.done() for task in station._beside)
