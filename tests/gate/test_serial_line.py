"""Serial hand scanners: lines out of bytes, and a real pair of terminals to plug and unplug."""

import asyncio
import errno
import os
import pty
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.admission import Code
from gate.frames import SourceError
from gate.pipeline import listener
from gate.sources import open_inputs
from gate.sources.serial_line import FORGET, QUIET, Lines, SerialScanner, scanner_at, ticket_in
from playpark.offline_tickets import parse_pp2
from tests.gate.pictures import token

TICKET = token(1)
PP2 = "PP2." + " A1" * 58


def lines(*parts: bytes) -> list[str]:
    reader = Lines()
    return [text for part in parts for text in reader.feed(part, 0.0)]


# --- bytes into codes -------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\t", b"\x03", b"\x00"])
def test_each_end_of_line_ends_one_code(end: bytes) -> None:
    assert lines(b"%s%s%s%s" % (TICKET.encode(), end, b"HELLO", end)) == [TICKET, "HELLO"]


def test_a_line_may_come_in_pieces_and_two_at_once() -> None:
    data = f"{token(1)}\r\n{token(2)}\r\n".encode()

    assert lines(*(data[n : n + 1] for n in range(len(data)))) == [token(1), token(2)]
    assert lines(data) == [token(1), token(2)]


@pytest.mark.parametrize("before", [b"]Q3", b"\x02", b"QR:", b"\x02]Q1gate7-", b"PP1.", b"PP2.x"])
@pytest.mark.parametrize("after", [b"", b"\x1d", b" *", b"#00"])
def test_what_a_scanner_is_set_to_send_around_a_ticket_does_not_matter(
    before: bytes, after: bytes
) -> None:
    assert lines(before + TICKET.encode() + after + b"\r") == [TICKET]


def test_a_scanner_that_writes_small_letters_is_understood() -> None:
    assert lines(TICKET.lower().encode() + b"\r") == [TICKET]


def test_an_offline_ticket_keeps_its_blanks() -> None:
    assert parse_pp2(PP2)
    assert lines(b"]Q1" + PP2.encode() + b" \r") == [PP2]


def test_a_ticket_of_training_is_told_as_one() -> None:
    assert ticket_in("]Q1PPT.A1.X") == "PPT.A1.X"


def test_a_strange_code_is_passed_on_without_what_steers_a_terminal() -> None:
    assert lines(b"]Q1https://example.com/\x1b[2J\xff\r") == [r"https://example.com/[2J\xff"]


def test_empty_lines_are_no_codes() -> None:
    assert lines(b"\r\n\r\n\x02\x03\r\n \r") == []


def test_a_line_without_an_end_is_dropped_and_counted_and_the_next_is_read() -> None:
    reader = Lines()

    noise = [text for _ in range(1000) for text in reader.feed(b"x" * 100, 0.0)]

    assert noise == []
    assert reader.too_long == 1
    assert len(reader._held) == 0
    assert reader.feed(b"rest\r" + TICKET.encode() + b"\r", 0.0) == ["", TICKET][1:]


def test_a_whole_ticket_counts_without_an_end_after_silence() -> None:
    reader = Lines()
    reader.feed(TICKET[:30].encode(), 0.0)
    assert reader.feed(b"", QUIET) == []  # half a ticket is none

    reader.feed(TICKET[30:].encode(), QUIET)

    assert reader.feed(b"", QUIET * 1.5) == []
    assert reader.feed(b"", QUIET * 2) == [TICKET]
    assert reader.feed(b"\r\n", QUIET * 3) == []  # its late end is no second code


def test_the_half_of_a_line_that_was_unplugged_does_not_spoil_the_next() -> None:
    reader = Lines()
    reader.feed(b"PP1.A1.01K9", 0.0)

    assert reader.feed(b"", FORGET) == []
    assert reader.feed(TICKET.encode() + b"\r", FORGET) == [TICKET]


@given(st.lists(st.binary(max_size=700), max_size=8))
def test_no_bytes_break_the_reader_or_make_a_control_character(parts: list[bytes]) -> None:
    found = lines(*parts)

    assert all(text and not re.search(r"[\x00-\x1f\x7f]", text) for text in found)
    assert all(len(text) <= 4 * 500 for text in found)


# --- what stands after --source ---------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    ["serial:", "serial:/dev/x?speed=1", "serial:/dev/x?baud=fast", "serial:/dev/x?baud=1"],
)
def test_a_scanner_that_is_badly_named_is_refused_with_examples(spec: str) -> None:
    with pytest.raises(SourceError, match=re.escape("serial:/dev/ttyUSB0?baud=9600")):
        scanner_at(spec)


def test_the_speed_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, int]] = []

    class Serial(Wire):
        def __init__(self, port: str, baud: int, **_: object) -> None:
            opened.append((port, baud))

    monkeypatch.setattr("serial.Serial", Serial)
    scanner_at("serial:COM3").close()
    scanner_at("serial:/dev/ttyUSB0?baud=115200").close()

    assert opened == [("COM3", 9600), ("/dev/ttyUSB0", 115200)]


class Wire:
    in_waiting = 0

    def read(self, _: int = 1) -> bytes:
        return b""

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, "usermod -aG dialout"),
        (errno.EAGAIN, "used by another program"),
        (errno.ENOENT, "not there: plug it in"),
    ],
)
def test_a_port_that_cannot_be_opened_says_what_to_do(number: int, says: str) -> None:
    def refuse(port: str, baud: int) -> Wire:
        raise OSError(number, os.strerror(number))

    with pytest.raises(SourceError, match=says) as refused:
        SerialScanner("/dev/ttyACM7", opener=refuse)

    assert str(refused.value).startswith("Scanner ttyACM7")
    assert "\n" not in str(refused.value)


def test_a_file_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("hello")

    with pytest.raises(SourceError, match="is no serial port"):
        scanner_at(f"serial:{tmp_path / 'port'}")


# --- a real pair of terminals -----------------------------------------------------------


class Cable:
    """A scanner's end of a pair of terminals, and the path under which the gate finds the other.
    Unplugged, the path leads nowhere, as with a USB port."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ttyACM0"
        self._ours = -1
        self.plug()

    def plug(self) -> None:
        self._ours, theirs = pty.openpty()
        self.path.symlink_to(os.ttyname(theirs))
        os.close(theirs)

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self._ours)
        self._ours = -1

    def send(self, data: bytes) -> None:
        os.write(self._ours, data)

    def close(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    made = Cable(tmp_path)
    yield made
    made.close()


def until(done: Callable[[], bool], seconds: float = 8.0) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def test_codes_come_over_a_real_line_as_they_were_sent(cable: Cable) -> None:
    codes: list[str] = []
    scanner = scanner_at(f"serial:{cable.path}?baud=9600")
    try:
        scanner.start(codes.append)
        # CR must not become LF, nothing is echoed, and XON/XOFF are no flow control.
        cable.send(b"\x11" + token(1).encode() + b"\r" + token(2).encode() + b"\r\n\x13")

        assert until(lambda: len(codes) == 2)
        assert codes == [token(1), token(2)]
        assert scanner.fault is None
    finally:
        scanner.close()


def test_an_unplugged_scanner_is_said_and_comes_back_by_itself(cable: Cable) -> None:
    codes: list[str] = []
    scanner = scanner_at(f"serial:{cable.path}")
    try:
        scanner.start(codes.append)
        cable.send(b"PP1.A1.01K9")  # the beginning of a ticket
        cable.unplug()

        assert until(lambda: scanner.fault is not None)
        assert "Scanner ttyACM0 is not there: plug it in" in str(scanner.fault)

        cable.plug()
        assert until(lambda: scanner.fault is None)
        cable.send(token(3).encode() + b"\r")
        assert until(lambda: codes == [token(3)])
    finally:
        scanner.close()


def test_two_gates_cannot_share_a_scanner(cable: Cable) -> None:
    first = scanner_at(f"serial:{cable.path}")
    try:
        with pytest.raises(SourceError, match="used by another program: close that one"):
            scanner_at(f"serial:{cable.path}")
    finally:
        first.close()


def test_a_scanner_that_never_ends_its_lines_is_told(cable: Cable) -> None:
    scanner = scanner_at(f"serial:{cable.path}")
    try:
        scanner.start(lambda _: None)
        for _ in range(4):
            cable.send(b"7" * 200)

        assert until(lambda: scanner.note is not None)
        assert "set it to send Enter (CR)" in str(scanner.note)
    finally:
        scanner.close()


def test_a_missing_scanner_beside_one_that_works_is_a_fault_and_no_refusal(
    cable: Cable, tmp_path: Path
) -> None:
    inputs = open_inputs([f"serial:{cable.path}", f"serial:{tmp_path / 'ttyUSB9'}"])
    try:
        assert [scanner.fault is None for scanner in inputs.scanners] == [True, False]
        assert "Scanner ttyUSB9 is not there" in str(inputs.scanners[1].fault)
    finally:
        for scanner in inputs.scanners:
            scanner.close()


async def test_codes_reach_the_gate_s_queue_with_their_scanner_s_name(cable: Cable) -> None:
    keyed: asyncio.Queue[Code] = asyncio.Queue()
    scanner = scanner_at(f"serial:{cable.path}")
    try:
        scanner.start(listener(scanner, keyed))
        cable.send(TICKET.encode() + b"\r0000-0000\r")
        async with asyncio.timeout(5):
            scanned, short = await keyed.get(), await keyed.get()
    finally:
        await asyncio.to_thread(scanner.close)

    assert (scanned.text, scanned.typed, scanned.source) == (TICKET, False, "scanner ttyACM0")
    assert short.typed  # a short code that was printed as a barcode
