"""Bytes on their way: real sockets, a printer that answers, one that is silent, one that hangs."""

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from playpark.errors import ErrorCode
from playpark.printing import transport
from playpark.printing.document import Cut, Document, Text
from playpark.printing.escpos import to_escpos
from playpark.printing.interpreter import interpret
from playpark.printing.transport import STATUS_QUERY, PrinterError, PrinterTarget

READY = b"\x16\x12\x12"
DATA = to_escpos(Document((Text("Hello"), Text("สวัสดี"), Cut())))


class FakePrinter(threading.Thread):
    """A listener on a real port. `answers`: the status bytes given to each query, in turn."""

    def __init__(self, *answers: bytes, reads: bool = True) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.answers = list(answers)
        self.reads = reads
        self.received = b""
        self.stopped = threading.Event()

    @property
    def target(self) -> PrinterTarget:
        return PrinterTarget.parse(f"tcp://127.0.0.1:{self.port}")

    def run(self) -> None:
        with suppress(OSError):
            connection, _ = self.listener.accept()
            with connection:
                if not self.reads:
                    self.stopped.wait(10)
                    return
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        answered = 0
        while chunk := connection.recv(65_536):
            self.received += chunk
            if self.received.count(STATUS_QUERY) > answered < len(self.answers):
                connection.sendall(self.answers[answered])
                answered += 1

    def finish(self) -> bytes:
        """What arrived, once the sender has closed."""
        self.join(5)
        return self.received


@pytest.fixture
def printer() -> Iterator[Callable[..., FakePrinter]]:
    printers: list[FakePrinter] = []

    def start(*answers: bytes, reads: bool = True) -> FakePrinter:
        printers.append(FakePrinter(*answers, reads=reads))
        printers[-1].start()
        return printers[-1]

    yield start
    for one in printers:
        one.stopped.set()
        one.listener.close()
        one.join(5)


def refused(target: PrinterTarget, data: bytes = DATA) -> PrinterError:
    with pytest.raises(PrinterError) as caught:
        target.send(data)
    assert caught.value.code is ErrorCode.UNAVAILABLE
    return caught.value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tcp://10.0.0.5:9100", "tcp://10.0.0.5:9100"),
        ("tcp://printer.local", "tcp://printer.local:9100"),
        (" TCP://Kitchen:9101/ ", "tcp://kitchen:9101"),
        ("tcp://[fe80::1]:9100", "tcp://[fe80::1]:9100"),
        ("file:///var/spool/paper.bin", "file:/var/spool/paper.bin"),
        ("file:out/paper.bin", "file:out/paper.bin"),
        ("file:///a%20b/c.bin", "file:/a b/c.bin"),
        ("none", "none"),
    ],
)
def test_a_target_is_read_from_settings(text: str, shown: str) -> None:
    assert str(PrinterTarget.parse(text)) == shown


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "printer",
        "http://10.0.0.5",
        "10.0.0.5:9100",
        "tcp://",
        "tcp://:9100",
        "tcp://host:99999",
        "tcp://host:0",
        "tcp://host:abc",
        "tcp://ho st:9100",
        "tcp://user@host:9100",
        "tcp://host:9100/queue",
        "file:",
        "file:///",
        "file://server/share/x",
    ],
)
def test_nonsense_says_what_to_write_instead(nonsense: str) -> None:
    with pytest.raises(ValueError, match=r"tcp://.+:9100|file:/path"):
        PrinterTarget.parse(nonsense)


def test_a_silent_stand_in_gets_every_byte_after_one_status_query(
    printer: Callable[..., FakePrinter],
) -> None:
    stand_in = printer()
    started = time.monotonic()
    stand_in.target.send(DATA)
    assert time.monotonic() - started < 1
    assert stand_in.finish() == STATUS_QUERY + DATA
    printed = interpret(stand_in.received)
    assert (len(printed.pages), printed.unknown, printed.status_queries) == (1, (), 3)


def test_a_printer_that_answers_is_asked_before_and_after(
    printer: Callable[..., FakePrinter],
) -> None:
    real = printer(READY, READY)
    started = time.monotonic()
    real.target.send(DATA)
    assert time.monotonic() - started < 0.25  # it sees the end of the data and need not wait
    assert real.finish() == STATUS_QUERY + DATA + STATUS_QUERY


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (b"\x16\x12\x72", "is out of paper: put in a new roll"),
        (b"\x1e\x32\x12", "is out of paper"),
        (b"\x1e\x16\x12", "has its cover open: close it"),
        (b"\x1e\x52\x12", "reports an error"),
        (b"\x1e\x12\x12", "is offline"),
    ],
)
def test_a_printer_in_trouble_gets_no_data_and_says_what_to_do(
    printer: Callable[..., FakePrinter], status: bytes, sentence: str
) -> None:
    troubled = printer(status)
    error = refused(troubled.target)
    assert error.message.startswith(f"The printer at 127.0.0.1:{troubled.port} {sentence}")
    assert error.maybe_printed is False
    assert troubled.finish() == STATUS_QUERY


def test_paper_that_runs_out_while_printing_may_have_printed(
    printer: Callable[..., FakePrinter],
) -> None:
    error = refused(printer(READY, b"\x16\x12\x72").target)
    assert error.maybe_printed is True
    assert "is out of paper" in error.message
    assert "look at the paper before printing again" in error.message


@pytest.mark.parametrize("babble", [b"\x00\x00\x00", b"OK\n", b"\xff"])
def test_an_answer_that_is_no_status_is_accepted(
    printer: Callable[..., FakePrinter], babble: bytes
) -> None:
    other = printer(babble, babble)
    other.target.send(DATA)
    assert DATA in other.finish()


def test_low_paper_is_no_reason_to_stop(printer: Callable[..., FakePrinter]) -> None:
    low = printer(b"\x16\x12\x1e", b"\x16\x12\x1e")
    low.target.send(DATA)
    assert DATA in low.finish()


def test_a_refused_port_says_so_at_once() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    error = refused(PrinterTarget.parse(f"tcp://127.0.0.1:{port}"))
    assert f"127.0.0.1:{port} refuses the connection" in error.message
    assert error.maybe_printed is False


def test_an_unknown_name_says_so() -> None:
    error = refused(PrinterTarget.parse("tcp://no-such-printer.invalid"))
    assert "is not known by that name" in error.message


def test_a_connection_that_nobody_takes_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_S", 0.3)
    # A full backlog of one leaves further connections unanswered, as a printer without power.
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(address)
        started = time.monotonic()
        error = refused(PrinterTarget.parse(f"tcp://127.0.0.1:{address[1]}"))
        assert time.monotonic() - started < 1
        assert "does not answer" in error.message
        for filler in fillers:
            filler.close()


def test_a_printer_that_stops_reading_ends_in_time_and_may_have_printed(
    printer: Callable[..., FakePrinter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_S", 0.5)
    hung = printer(reads=False)
    error = refused(hung.target, bytes(20_000_000))
    assert "stopped taking data" in error.message
    assert error.maybe_printed is True


def test_a_slow_printer_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_S", 0.5)
    taken = bytearray()
    with closing(_listener_with_a_small_buffer()) as listener:

        def read_slowly() -> None:
            connection, _ = listener.accept()
            with connection:
                while chunk := connection.recv(8192):
                    taken.extend(chunk)
                    time.sleep(0.01)

        reader = threading.Thread(target=read_slowly)
        reader.start()
        paper = bytes(800_000)  # a second and more, and never half a second without progress
        PrinterTarget.parse(f"tcp://127.0.0.1:{listener.getsockname()[1]}").send(paper)
        reader.join(20)
    assert paper in bytes(taken)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is unacknowledged")
def test_a_printer_that_resets_in_the_middle_may_have_printed() -> None:
    with closing(_listener_with_a_small_buffer()) as listener:

        def read_some_and_reset() -> None:
            connection, _ = listener.accept()
            connection.recv(4096)
            time.sleep(1.5)  # longer than anybody waits for its status
            no_linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            connection.close()

        reader = threading.Thread(target=read_some_and_reset)
        reader.start()
        target = PrinterTarget.parse(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        error = refused(target, bytes(80_000))  # it fits into the sender's own buffer
        reader.join(20)
    assert error.maybe_printed is True


def _listener_with_a_small_buffer() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def test_a_printer_that_hangs_up_on_us_printed_nothing() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(64)
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.5)
            connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        error = refused(PrinterTarget.parse(f"tcp://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join(5)
    assert "broke the connection" in error.message
    assert error.maybe_printed is False


def test_a_file_collects_papers_one_after_the_other(tmp_path: Path) -> None:
    target = PrinterTarget.parse(f"file:{tmp_path / 'paper.bin'}")
    target.send(DATA)
    target.send(DATA)
    assert (tmp_path / "paper.bin").read_bytes() == DATA * 2


def test_a_missing_folder_says_to_create_it(tmp_path: Path) -> None:
    error = refused(PrinterTarget.parse(f"file:{tmp_path / 'no' / 'paper.bin'}"))
    assert f"The folder {tmp_path / 'no'} does not exist: create it" in error.message
    assert error.maybe_printed is False


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    assert "Is a directory" in refused(PrinterTarget.parse(f"file:{tmp_path}")).message


def test_none_takes_everything_and_does_nothing() -> None:
    PrinterTarget.parse("none").send(DATA)
