"""The API as its own process with its own MongoDB, as a park would start it."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from playpark.errors import ErrorCode, PlayParkError

GREETING = "PlayPark API on "


class DemoServer:
    """`playpark api --embedded --demo` on a free port; stopped, with its database, on exit."""

    def __init__(self, data: Path, log: Path) -> None:
        self._data = data
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        arguments = ["api", "--embedded", "--demo", "--port", "0", "--data", str(self._data)]
        # The demo brings its own database, whatever the environment points at.
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"MONGODB_URI", "DB_URI", "MONGODB_URI_FILE", "DB_URI_FILE"}
        }
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, fixed arguments
                [sys.executable, "-m", "playpark.cli", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        assert self._process.stdout is not None  # noqa: S101 - told by PIPE
        greeting = self._process.stdout.readline()
        if not greeting.startswith(GREETING):
            self._process.wait(30)
            reason = self._log.read_text(encoding="utf-8").strip().splitlines()
            message = f"The API did not start: {reason[-1] if reason else 'it said nothing'}"
            raise PlayParkError(ErrorCode.UNAVAILABLE, message)
        self.url = greeting.removeprefix(GREETING).split()[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
