"""R33, R50: a whole gate before a real server whose wire is cut, and stalled, and whole again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gate.admission import Code
from gate.answers import Level, Scan
from gate.station import Station
from playpark.clock import SystemClock
from playpark.device import DeviceStore
from playpark.ids import new_ulid
from tests.api.own_park import OwnPark, own_park
from tests.gate.wire import Fault, Wire, wire
from tests.outside import Outsider


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_alone") as opened:
        yield opened


@pytest.fixture
async def line(park: OwnPark) -> AsyncIterator[Wire]:
    async with wire(park.url) as between:
        yield between


@pytest.fixture
async def tickets(park: OwnPark) -> list[dict[str, Any]]:
    """Three day passes and a book of ten entries."""
    async with park.connect("POS", email="cashier@demo.playpark", pin="1111") as pos:
        await pos.open_shift()
        sale = await pos.sell(("Adult day pass", 3), ("10 entries", 1))
        return list(sale["tickets"])


@dataclass
class Gate:
    """A gate with a hand scanner."""

    station: Station
    scans: AsyncGenerator[Scan]

    async def show(self, ticket: dict[str, Any]) -> Scan:
        """The answer to a showing."""
        before = self.station.clock.now()
        self.station.keyed.put_nowait(Code(ticket["qr_token"], keyed=True))
        return await self.next(lambda scan: scan.at >= before and scan.answer.level is not LATE)

    async def next(self, wanted: Any) -> Scan:
        async with asyncio.timeout(20):
            async for scan in self.scans:
                if scan.answer.level is not Level.CHECKING and wanted(scan):
                    return scan
        pytest.fail("the gate has ended")

    async def listed(self, *tickets: dict[str, Any]) -> None:
        """Wait until the gate has a list with these tickets."""
        async with asyncio.timeout(20):
            while not all(self.station.allow_list.by_id(each["ticket_id"]) for each in tickets):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def online(self) -> None:
        """Wait until the line is good: on a busy machine a first answer may have been late."""
        async with asyncio.timeout(60):
            while not self.station.engine.online:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)

    async def sent(self) -> None:
        async with asyncio.timeout(20):
            while self.station.store.queued_count():
                self.station.engine.wake()
                await asyncio.sleep(0.01)


LATE = Level.LATE


@contextlib.asynccontextmanager
async def working(folder: Path, line: Wire) -> AsyncIterator[Gate]:
    clock, seconds = SystemClock(), iter(range(0, 100_000, 10))
    store = DeviceStore.open(folder / "device.db", clock)
    station = Station(
        # Whatever is shown was out of sight before.
        store, clock, None, api_url=line.url, zone="Ball Pit", monotonic=lambda: next(seconds)
    )  # fmt: skip
    async with station:
        await station.connect(site_key="DEMO-MAIN-GATE", name="Gate")
        async with contextlib.aclosing(station.scans(live=True)) as scans:
            starting = asyncio.create_task(anext(scans))
            await asyncio.sleep(0)
            gate = Gate(station, _with(starting, scans))
            yield gate
            starting.cancel()


async def _with(first: "asyncio.Task[Scan]", rest: AsyncGenerator[Scan]) -> AsyncGenerator[Scan]:
    """A scan that is waited for already, and all others."""
    yield await first
    async for scan in rest:
        yield scan


def rows(park: OwnPark, ticket: dict[str, Any]) -> list[dict[str, Any]]:
    found = park.mongo.redemptions.find({"ticket_id": ticket["ticket_id"]})
    return list(found.sort("occurred_at", 1))


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.STALL])
async def test_R33_the_queue_goes_on_without_the_server_and_all_of_it_is_there_afterwards(
    park: OwnPark, line: Wire, tickets: list[dict[str, Any]], tmp_path: Path, fault: Fault
) -> None:
    first, second, third, book = tickets
    async with working(tmp_path, line) as gate:
        await gate.listed(*tickets)
        assert gate.station.allow_list_age is not None
        assert gate.station.allow_list_age < timedelta(minutes=1)
        await gate.online()
        assert (await gate.show(first)).answer.local is False
        line.set(fault)

        passed, left = await gate.show(second), await gate.show(book)
        again, used = await gate.show(second), await gate.show(first)

        assert [scan.answer.word for scan in (passed, left, again, used)] == [
            *("PASS", "PASS", "NO", "NO")
        ]
        assert left.answer.headline == "9 LEFT"
        assert all(scan.answer.local for scan in (passed, left, again, used))
    # Switched off and on again, still without the server.
    line.set(Fault.REFUSE)
    async with working(tmp_path, line) as gate:
        assert (await gate.show(second)).answer.headline == "ALREADY USED"
        assert (await gate.show(third)).answer.word == "PASS"
        # Within five seconds nobody else goes in with it.
        assert (await gate.show(book)).answer.headline == "ALREADY USED"
        line.set(Fault.NONE)
        await gate.sent()

    results = {
        name: [row["result"] for row in rows(park, ticket)]
        for name, ticket in {"second": second, "third": third, "book": book}.items()
    }
    assert results == {
        "second": ["pass", "fail", "fail"],
        "third": ["pass"],
        "book": ["pass", "fail"],
    }
    assert rows(park, second)[0]["op_id"] == passed.op_id
    for each in tickets:
        assert park.mongo.tickets.find_one({"ticket_id": each["ticket_id"]})["used"] == 1


async def test_R33_a_ticket_that_was_used_elsewhere_meanwhile_is_told_as_late(
    park: OwnPark, line: Wire, tickets: list[dict[str, Any]], tmp_path: Path
) -> None:
    ticket = tickets[0]
    async with working(tmp_path, line) as gate:
        await gate.listed(ticket)
        line.set(Fault.REFUSE)
        async with park.connect("GATE") as other:
            await redeem(other, ticket)
        passed = await gate.show(ticket)
        assert passed.answer.word == "PASS"
        line.set(Fault.NONE)
        gate.station.engine.wake()

        late = await gate.next(lambda scan: scan.answer.level is LATE)

    assert (late.op_id, late.number) == (passed.op_id, passed.number)
    assert "ALREADY USED" in late.answer.detail_en
    assert [(row["result"], row["gate_result"]) for row in rows(park, ticket)] == [
        ("pass", None),
        ("fail", "pass"),
    ]


async def test_R50_an_entry_of_an_outage_is_annulled_in_it(
    park: OwnPark, line: Wire, tickets: list[dict[str, Any]], tmp_path: Path
) -> None:
    ticket = tickets[0]
    async with working(tmp_path, line) as gate:
        await gate.listed(ticket)
        line.set(Fault.REFUSE)
        jammed = await gate.show(ticket)
        answer = await gate.station.admission.annul(str(jammed.op_id))
        assert answer.headline == "SENT LATER"
        entered = await gate.show(ticket)
        assert entered.answer.word == "PASS"
        line.set(Fault.NONE)
        await gate.sent()

    first, second = rows(park, ticket)
    assert (first["op_id"], first["annulled_because"]) == (jammed.op_id, "at_the_gate")
    assert (second["op_id"], second["result"], second["annulled_at"]) == (
        entered.op_id,
        "pass",
        None,
    )
    assert park.mongo.tickets.find_one({"ticket_id": ticket["ticket_id"]})["used"] == 1


async def redeem(gate: Outsider, ticket: dict[str, Any]) -> None:
    body = {"qr_token": ticket["qr_token"]}
    answer = await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())
    assert answer["result"] == "pass"
