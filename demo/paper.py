"""A printer's TCP port that keeps what it is sent: paper for the demo and for tests."""

import socket
import threading
from types import TracebackType
from typing import Self

READY = b"\x12"
"""DLE EOT n: on-line, paper in, no error."""


class PaperRoll:
    """Listens like an ESC/POS printer on a free port; `jobs` holds the bytes of each job."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="paper", daemon=True)
        self.jobs: list[bytes] = []

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"tcp://{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing alone does not wake a thread that waits in accept().
        with socket.create_connection(self._listener.getsockname()):
            self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                if job := self._receive(connection):
                    self.jobs.append(job)

    def _receive(self, connection: socket.socket) -> bytes:
        received = bytearray()
        asked = 0
        while chunk := connection.recv(65_536):
            received += chunk
            # Answer every status query, as a real printer does while it prints.
            queries = received.count(b"\x10\x04")
            for _ in range(queries - asked):
                connection.sendall(READY)
            asked = queries
        return bytes(received)
