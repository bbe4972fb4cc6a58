"""A paired gate on a real file, before a park that can fail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gate.admission import Admission
from playpark.client import ApiClient
from playpark.device import DeviceStore, SyncEngine
from tests.gate.park import IDENTITY, URL, Park


@pytest.fixture
def park() -> Park:
    return Park()


@pytest.fixture
def store(tmp_path: Path, park: Park) -> Iterator[DeviceStore]:
    with DeviceStore.open(tmp_path / "device.db", park.clock) as opened:
        opened.save_identity(IDENTITY)
        yield opened


@dataclass
class Desk:
    """An admission with its engine at work in the background."""

    park: Park
    store: DeviceStore
    engine: SyncEngine
    admission: Admission

    async def online(self) -> None:
        """Wait until the engine has reached the park."""
        while not self.engine.online:  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def working(park: Park, store: DeviceStore, *, deadline: float = 0.3) -> AsyncIterator[Desk]:
    async with ApiClient(URL, transport=park.transport) as client:
        engine = SyncEngine(store, client, park.clock, idle=0.02, jitter=lambda: 0.02)
        admission = Admission(store, engine, park.clock, zone_id="z-ball", deadline=deadline)
        task = asyncio.create_task(engine.run_forever())
        try:
            yield Desk(park, store, engine, admission)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def desk(park: Park, store: DeviceStore) -> AsyncIterator[Desk]:
    async with working(park, store) as running:
        await running.online()
        yield running
