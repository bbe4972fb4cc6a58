"""Where printed bytes go: a network printer (TCP 9100), a file, or nowhere (R23, R42).

TCP 9100 gives no acknowledgement, so the printer's status is asked before and after; one that
answers nothing is accepted. A failure says whether paper may already be out, so that nobody
prints a ticket twice by retrying blindly. A send lasts as long as the printer goes on taking
data, and ends 3 s after it stops: call it in a thread.
"""

import errno
import fcntl
import os
import socket
import sys
import termios
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playpark.errors import ErrorCode, PlayParkError

TIMEOUT_S = 3.0
STATUS_TIMEOUT_S = 0.3
DEADLINE_S = 4.0
STATUS_QUERY = b"\x10\x04\x01\x10\x04\x02\x10\x04\x04"
"""DLE EOT 1 (printer), 2 (why it is offline), 4 (paper sensor): one byte of answer each."""

_DEFAULT_PORT = 9100
_CHUNK = 16_384
_BROKEN = "broke the connection: check its cable, or whether another till is printing."
_HOW = "use tcp://host:9100, file:/path/to/file or none"


class TargetKind(StrEnum):
    TCP = "tcp"
    FILE = "file"
    NONE = "none"


class PrinterError(PlayParkError):
    """Nothing, or not everything, was printed; `message` says what to do.

    `maybe_printed` is true where bytes had left before the failure: look at the paper before
    printing again.
    """

    def __init__(self, message: str, *, maybe_printed: bool = False) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, message, details={"maybe_printed": maybe_printed})
        self.maybe_printed = maybe_printed


@dataclass(frozen=True, slots=True)
class PrinterTarget:
    """A printer as a till's settings name it: `tcp://host:9100`, `file:/path`, `none`."""

    kind: TargetKind
    host: str = ""
    port: int = _DEFAULT_PORT
    path: Path = Path()

    @classmethod
    def parse(cls, text: str) -> "PrinterTarget":
        """Raises ValueError with a sentence that says what to write instead."""
        text = text.strip()
        if text.lower() == "none":
            return cls(TargetKind.NONE)
        scheme = text.partition(":")[0].lower()
        if scheme == "file":
            return cls(TargetKind.FILE, path=_parse_path(text))
        if scheme == "tcp":
            host, port = _parse_address(text)
            return cls(TargetKind.TCP, host, port)
        msg = f"{text[:60]!r} is no printer: {_HOW}"
        raise ValueError(msg)

    def __str__(self) -> str:
        match self.kind:
            case TargetKind.TCP:
                return f"tcp://{self.address}"
            case TargetKind.FILE:
                return f"file:{self.path}"
            case TargetKind.NONE:
                return "none"

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def send(self, data: bytes) -> None:
        """Hand `data` over whole, within 4 s (the look-up of a host name not counted).

        Raises PrinterError: refused, unreachable, too slow, out of paper, offline; or a file
        that cannot be written.
        """
        match self.kind:
            case TargetKind.TCP:
                _TcpJob(self).send(data)
            case TargetKind.FILE:
                _append(self.path, data)
            case TargetKind.NONE:
                pass


def _parse_path(text: str) -> Path:
    rest = text[len("file:") :]
    parts = urlsplit(text)
    path = Path(unquote(parts.path)) if rest.startswith("//") else Path(rest)
    if not rest or parts.netloc not in {"", "localhost"} or path.name in {"", ".", ".."}:
        msg = f"{text[:60]!r} names no file: write file:/path/to/file"
        raise ValueError(msg)
    return path


def _parse_address(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, None
    if parts is None or not host or port == 0 or any(char.isspace() for char in text):
        msg = f"{text[:60]!r} is no printer address: write tcp://host:9100"
        raise ValueError(msg)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        msg = f"{text[:60]!r} has more than a host and a port: write tcp://{host}:9100"
        raise ValueError(msg)
    return host, port or _DEFAULT_PORT


def _append(path: Path, data: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(data)
    except FileNotFoundError as exc:
        msg = f"The folder {path.parent} does not exist: create it or choose another printer file."
        raise PrinterError(msg) from exc
    except OSError as exc:
        msg = f"The printer file {path} cannot be written ({_reason(exc)}): choose another file."
        # A full disk may hold a part; a file that could not be opened holds nothing.
        raise PrinterError(msg, maybe_printed=exc.errno in {errno.ENOSPC, errno.EIO}) from exc


class _TcpJob:
    """One connection that prints one document."""

    def __init__(self, target: PrinterTarget) -> None:
        self._target = target
        self._deadline = time.monotonic() + DEADLINE_S
        self._sent = 0

    def send(self, data: bytes) -> None:
        with self._connect() as connection:
            answers = self._ask(connection)
            self._write(connection, data)
            self._deadline = time.monotonic() + DEADLINE_S
            if answers:
                self._ask(connection)
            self._finish(connection)

    def _connect(self) -> socket.socket:
        address = (self._target.host, self._target.port)
        try:
            # A name may stand for several addresses, which share the time.
            found = len(socket.getaddrinfo(*address, type=socket.SOCK_STREAM))
            self._deadline = time.monotonic() + DEADLINE_S
            connection = socket.create_connection(address, TIMEOUT_S / found)
        except socket.gaierror as exc:
            trouble = "is not known by that name: check the printer's address in the settings."
            raise self._error(trouble) from exc
        except TimeoutError as exc:
            trouble = "does not answer: check that it is switched on and on the network."
            raise self._error(trouble) from exc
        except ConnectionRefusedError as exc:
            trouble = "refuses the connection: check its address, or restart it if it hangs."
            raise self._error(trouble) from exc
        except OSError as exc:
            trouble = f"cannot be reached ({_reason(exc)}): check its cable and address."
            raise self._error(trouble) from exc
        return connection

    def _ask(self, connection: socket.socket) -> bytes:
        """The three status bytes, or fewer from a printer that does not know the question."""
        answer = b""
        until = time.monotonic() + self._left(STATUS_TIMEOUT_S)
        try:
            connection.sendall(STATUS_QUERY)
            while len(answer) < 3 and (left := until - time.monotonic()) > 0:
                connection.settimeout(left)
                received = connection.recv(3 - len(answer))
                if not received:
                    raise self._error(_BROKEN)
                answer += received
        except TimeoutError:
            pass
        except OSError as exc:
            raise self._error(_BROKEN) from exc
        if trouble := _trouble(answer):
            raise self._error(trouble)
        return answer

    def _write(self, connection: socket.socket, data: bytes) -> None:
        view = memoryview(data)
        try:
            # A long job may take its time, as long as the printer goes on taking data.
            connection.settimeout(TIMEOUT_S)
            while self._sent < len(data):
                self._sent += connection.send(view[self._sent : self._sent + _CHUNK])
            self._wait_until_taken(connection)
        except TimeoutError as exc:
            raise self._error("stopped taking data: switch it off and on.") from exc
        except OSError as exc:
            raise self._error(_BROKEN) from exc

    def _wait_until_taken(self, connection: socket.socket) -> None:
        """Wait until the other side has acknowledged all bytes, where the system tells.

        Raises TimeoutError after TIMEOUT_S without progress, OSError for a broken connection.
        """
        waiting, moved_at = _unacknowledged(connection), time.monotonic()
        while True:
            # A reset empties the queue too: ask for it first.
            if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error))
            if not waiting:
                return
            if time.monotonic() - moved_at > TIMEOUT_S:
                raise TimeoutError
            time.sleep(0.005)
            left = _unacknowledged(connection)
            if left < waiting:
                waiting, moved_at = left, time.monotonic()

    def _finish(self, connection: socket.socket) -> None:
        """Say that all is sent and read what the printer still says.

        Closing over unread bytes would reset the connection and could lose the end of the paper.
        """
        until = time.monotonic() + self._left(STATUS_TIMEOUT_S)
        try:
            connection.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                connection.settimeout(left)
                if not connection.recv(64):
                    return
        except TimeoutError:
            return
        except OSError as exc:
            raise self._error(_BROKEN) from exc

    def _left(self, at_most: float) -> float:
        return min(at_most, max(self._deadline - time.monotonic(), 0.01))

    def _error(self, trouble: str) -> PrinterError:
        message = f"The printer at {self._target.address} {trouble}"
        if self._sent:
            message += " Part of it may be printed: look at the paper before printing again."
        return PrinterError(message, maybe_printed=self._sent > 0)


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the other side has not acknowledged; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    count = bytearray(4)
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, count)
    return int.from_bytes(count, sys.byteorder)


def _trouble(answer: bytes) -> str | None:
    """What three DLE EOT answers (1, 2, 4) complain about; None where nothing does.

    Bytes without the fixed bits (xxx1xx10) are no status and say nothing.
    """
    if len(answer) < 3 or any(byte & 0b1001_0011 != 0b0001_0010 for byte in answer):
        return None
    printer, cause, sensor = answer
    if sensor & 0b0110_0000 or cause & 0b0010_0000:
        return "is out of paper: put in a new roll, then print again."
    if cause & 0b0000_0100:
        return "has its cover open: close it, then print again."
    if cause & 0b0100_0000:
        return "reports an error: check the knife and the paper, switch it off and on."
    if printer & 0b0000_1000:
        return "is offline: press its FEED or ONLINE button, then print again."
    return None


def _reason(exc: OSError) -> str:
    return exc.strerror or type(exc).__name__
