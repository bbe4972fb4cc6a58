"""Admission slips in the background: printed, tried again, dropped, and in nobody's way (R54)."""

import asyncio
import threading
from pathlib import Path

import pytest

from gate.cli import gate
from gate.slips import KEEP_S, Slips, open_printer
from playpark.contracts.catalog import PackageKind
from playpark.contracts.provider import PartState
from playpark.device import DeviceStore
from playpark.errors import PlayParkError
from playpark.printing.admission_slip import Admission
from playpark.printing.interpreter import interpret
from playpark.printing.transport import PrinterError, PrinterTarget, TargetKind
from tests.gate.park import NOW

ENTRY = Admission(
    at=NOW,
    ticket_id="01K9ZZZZZZZZZZZZZZZZZZ0001",
    zone="Water Park",
    zone_th="สวนน้ำ",
    package="10 entries",
    kind=PackageKind.MULTI,
    remaining=2,
)


class Times:
    """A monotonic clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Printer:
    """Takes the place of a target: fails as often as it is told to."""

    def __init__(self, *failures: PrinterError) -> None:
        self.failures = list(failures)
        self.tried = 0
        self.printed: list[bytes] = []
        self.kind = TargetKind.TCP

    def send(self, data: bytes) -> None:
        self.tried += 1
        if self.failures:
            raise self.failures.pop(0)
        self.printed.append(data)


def off(*, maybe_printed: bool = False) -> PrinterError:
    return PrinterError("The printer is off: switch it on.", maybe_printed=maybe_printed)


@pytest.fixture
def times() -> Times:
    return Times()


async def rest(slips: Slips) -> None:
    if slips._task is not None:
        await slips._task


def slips_on(printer: object, store: DeviceStore, times: Times, *, again: float = 0.0) -> Slips:
    return Slips(printer, store, monotonic=times, again=again)  # type: ignore[arg-type]


async def test_R54_a_slip_is_a_paper_of_this_gate(
    store: DeviceStore, times: Times, tmp_path: Path
) -> None:
    paper = tmp_path / "paper.bin"
    slips = slips_on(open_printer(f"file:{paper}"), store, times)

    slips.print(ENTRY)
    await rest(slips)

    (page,) = interpret(paper.read_bytes()).pages
    assert page.height > 200
    assert slips.state is PartState.OK


async def test_a_printer_that_comes_back_prints_what_waited_in_order(
    store: DeviceStore, times: Times
) -> None:
    printer = Printer(off(), off())
    slips = slips_on(printer, store, times)

    slips.print(ENTRY)
    slips.print(ENTRY)
    assert slips.waiting == 2
    await rest(slips)

    assert len(printer.printed) == 2
    assert slips.fault is None


async def test_R54_a_slip_older_than_a_minute_is_dropped(store: DeviceStore, times: Times) -> None:
    printer = Printer(*(off() for _ in range(1000)))
    slips = slips_on(printer, store, times, again=0.01)

    slips.print(ENTRY)
    while not printer.tried:  # noqa: ASYNC110 - a thread counts
        await asyncio.sleep(0.005)
    times.now += KEEP_S - 1
    slips.print(ENTRY)
    times.now += 1
    while slips.waiting > 1:  # noqa: ASYNC110 - the worker drops it
        await asyncio.sleep(0.005)
    assert slips.fault == "The printer is off: switch it on."
    assert slips.state is PartState.FAILED

    printer.failures.clear()
    await rest(slips)

    assert len(printer.printed) == 1
    assert slips.fault is None


async def test_a_slip_of_which_a_part_may_be_out_is_not_printed_twice(
    store: DeviceStore, times: Times
) -> None:
    printer = Printer(off(maybe_printed=True))
    slips = slips_on(printer, store, times)

    slips.print(ENTRY)
    await rest(slips)

    assert (printer.tried, printer.printed) == (1, [])
    assert slips.fault is not None


async def test_a_gate_without_its_store_says_so_and_goes_on(
    tmp_path: Path, times: Times, park: object
) -> None:
    with DeviceStore.open(tmp_path / "other.db", park.clock) as bare:  # type: ignore[attr-defined]
        printer = Printer()
        slips = slips_on(printer, bare, times)
        slips.print(ENTRY)
        await rest(slips)

    assert slips.fault == "This gate has not logged in yet."
    assert slips.waiting == 0


async def test_without_a_printer_nothing_is_printed(store: DeviceStore, times: Times) -> None:
    slips = slips_on(PrinterTarget(TargetKind.NONE), store, times)
    slips.print(ENTRY)

    assert not slips.there
    assert slips.waiting == 0
    assert slips.state is PartState.NONE


class Hanging(Printer):
    """A printer that takes a slip and does not let go of it."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def send(self, data: bytes) -> None:
        self.let_go.wait(20)
        super().send(data)


async def test_R54_a_printer_that_hangs_delays_nobody(store: DeviceStore, times: Times) -> None:
    printer = Hanging()
    slips = slips_on(printer, store, times)

    slips.print(ENTRY)
    slips.print(ENTRY)
    answers = [await asyncio.to_thread(store.queued_count) for _ in range(5)]

    assert answers == [0] * 5  # others get their turn, on the disk too
    assert printer.printed == []
    printer.let_go.set()
    await rest(slips)
    assert len(printer.printed) == 2


async def test_closing_leaves_what_is_not_printed(store: DeviceStore, times: Times) -> None:
    slips = slips_on(Printer(*(off() for _ in range(99))), store, times, again=60.0)
    slips.print(ENTRY)
    await asyncio.sleep(0.05)

    await slips.close()

    assert slips.waiting == 0


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("10.0.0.9:9100", "tcp://10.0.0.9:9100"),
        ("printer.local", "tcp://printer.local:9100"),
        ("tcp://10.0.0.9", "tcp://10.0.0.9:9100"),
        ("file:/tmp/paper", "file:/tmp/paper"),
        (" none ", "none"),
    ],
)
def test_a_printer_is_named_as_people_write_it(text: str, target: str) -> None:
    assert str(open_printer(text)) == target


@pytest.mark.parametrize("text", ["", "file:", "tcp://", "10.0.0.9:0", "host name:9100"])
def test_what_names_no_printer_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|use"):
        open_printer(text)


def test_a_wrong_printer_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlayParkError, match=r"is no printer address: write tcp://host:9100\.$"):
        gate(source=["none"], data=tmp_path, printer="tcp://")

    assert list(tmp_path.iterdir()) == []
