"""Hand scanners on a serial port: a stream of lines, and back by themselves after unplugging.

A scanner that types through the keyboard depends on the keyboard's language and the terminal's
focus; one that is set to serial (CDC-ACM) depends on neither.
"""

import contextlib
import errno
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

import serial

from gate.frames import SourceError
from gate.sources.base import Backoff, at_start
from playpark.offline_tickets import PP2_LENGTH, parse_pp2
from playpark.tokens import TOKEN_LENGTH, parse_pp1

PREFIX = "serial:"
BAUD = 9600
LONGEST_LINE = 500
QUIET = 0.2
"""Seconds of silence after which a whole ticket counts without an end of line."""
FORGET = 2.0
"""Seconds of silence after which the beginning of a line is forgotten: its end was unplugged."""
LOOK = 0.1
_ENDS = re.compile(rb"[\r\n\t\x00\x03\x04]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_SYMBOLOGY = re.compile(r"\][A-Za-z][0-9]")
"""What scanners put before a code to say which kind it was (AIM), as in `]Q3`."""
_MARKS = re.compile(r"PP[12T]\.")

_FAILURES: tuple[type[Exception], ...] = (OSError,)
with contextlib.suppress(ImportError):  # there is none on Windows
    from termios import error as _terminal_error  # no OSError, and not caught by pyserial

    _FAILURES = (OSError, _terminal_error)


class Port(Protocol):
    """What a scanner needs of serial.Serial."""

    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def close(self) -> None: ...


class Lines:
    """Bytes as they come, into the texts of codes. Times are monotonic seconds, passed in.

    Any of CR, LF, TAB, NUL, ETX and EOT ends a line. A line over LONGEST_LINE is dropped to its
    end: `too_long` counts them.
    """

    def __init__(self) -> None:
        self.too_long = 0
        self._held = bytearray()
        self._dropping = False
        self._last_at = 0.0

    def feed(self, data: bytes, at: float) -> list[str]:
        """The codes that these bytes end; no bytes let time pass."""
        if not data:
            return self._silence(at)
        self._last_at = at
        *ended, rest = _ENDS.split(data)
        found = []
        for part in ended:
            self._hold(part)
            if text := self._take():
                found.append(text)
        self._hold(rest)
        return found

    def _silence(self, at: float) -> list[str]:
        silent = at - self._last_at
        if silent >= QUIET and (text := ticket_in(_text(self._held))):
            self._take()
            return [text]
        if silent >= FORGET:
            self._take()
        return []

    def _hold(self, part: bytes) -> None:
        if self._dropping:
            return
        self._held += part
        if len(self._held) > LONGEST_LINE:
            self._held.clear()
            self._dropping = True
            self.too_long += 1

    def _take(self) -> str:
        text = _text(self._held)
        self._held.clear()
        self._dropping = False
        return ticket_in(text) or _SYMBOLOGY.sub("", text, count=1).strip()


def ticket_in(text: str) -> str | None:
    """The ticket's token in a line, whatever the scanner was set to send before and after it, and
    in whatever case; None where there is none by shape."""
    for each in (text, text.upper()):
        for mark in _MARKS.finditer(each):
            rest = each[mark.start() :]
            if parse_pp1(rest[:TOKEN_LENGTH]):
                return rest[:TOKEN_LENGTH]
            if parse_pp2(rest[:PP2_LENGTH]):
                return rest[:PP2_LENGTH]
            if rest.startswith("PPT."):  # of training: refused as such, not as a stranger's
                return rest
    return None


def scanner_at(spec: str, *, required: bool = True) -> "SerialScanner":
    """The scanner that `serial:PORT` or `serial:PORT?baud=RATE` names. Raises SourceError."""
    port, _, query = spec.removeprefix(PREFIX).partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    baud = options.pop("baud", str(BAUD))
    if not port or options or not baud.isdecimal() or not 300 <= int(baud) <= 4_000_000:
        msg = (
            "--source serial: needs a port and may name its speed: serial:/dev/ttyACM0, "
            "serial:COM3 or serial:/dev/ttyUSB0?baud=9600."
        )
        raise SourceError(msg)
    return SerialScanner(port, int(baud), required=required)


def open_port(port: str, baud: int) -> Port:
    """The port for this program alone. Raises OSError (serial.SerialException is one)."""
    opened: Port = serial.Serial(port, baud, timeout=LOOK, exclusive=True)
    return opened


class SerialScanner:
    """Reads lines in a thread of its own once it is started.

    `fault` says why nothing comes, `note` what is wrong with what comes. Raises SourceError where
    the port cannot be opened, unless it is not `required` (other sources may be enough).
    """

    def __init__(
        self,
        port: str,
        baud: int = BAUD,
        *,
        required: bool = True,
        opener: Callable[[str, int], Port] = open_port,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = f"scanner {Path(port).name}"
        self.fault: str | None = None
        self.note: str | None = None
        self._name = port
        self._baud = baud
        self._opener = opener
        self._clock = clock
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._port = self._open()
        if self._port is None and required:
            raise SourceError(self.fault or "")

    def start(self, take: Callable[[str], None]) -> None:
        """Give each code to `take`, called in the scanner's thread."""
        self._thread = threading.Thread(
            target=self._run, args=(take,), name=f"gate-{self.label}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Let go of the port."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=3)
        else:
            self._release()

    def _run(self, take: Callable[[str], None]) -> None:
        backoff = Backoff(self._closing)
        while not self._closing.is_set():
            if self._port is not None:
                backoff.reset()
                self._listen(self._port, take)
                self._release()
            if not backoff.wait():
                break
            self._port = self._open()
        self._release()

    def _listen(self, port: Port, take: Callable[[str], None]) -> None:
        """Until the port fails or the scanner is closed."""
        lines = Lines()
        while not self._closing.is_set():
            try:
                # At least one byte, which waits; then whatever came with it.
                data = port.read(max(1, port.in_waiting))
            except _FAILURES as lost:
                self.fault = self._words(lost)
                return
            for text in lines.feed(data, self._clock()):
                take(text)
            if lines.too_long:
                self.note = (
                    f"The {self.label} sent over {LONGEST_LINE} characters without an end: "
                    "set it to send Enter (CR) after each code, and check its speed (baud)."
                )

    def _open(self) -> Port | None:
        try:
            port = self._opener(self._name, self._baud)
        except _FAILURES as failed:
            self.fault = self._words(failed)
            return None
        self.fault = None
        return port

    def _words(self, error: Exception) -> str:
        name = at_start(self.label)
        code = error.errno if isinstance(error, OSError) else None
        if code in {errno.EACCES, errno.EPERM}:
            return (
                f"{name} may not be used by this account: add it to the group dialout "
                "(sudo usermod -aG dialout NAME) and log in again."
            )
        if code in {errno.EAGAIN, errno.EBUSY}:
            return f"{name} is used by another program: close that one."
        if Path(self._name).exists():  # what is unplugged loses its name
            return f"{name} is no serial port: check the name after --source serial:."
        return f"{name} is not there: plug it in, or check the name after --source serial:."

    def _release(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


def _text(data: bytes | bytearray) -> str:
    return _CONTROLS.sub("", bytes(data).decode("utf-8", "backslashreplace"))
