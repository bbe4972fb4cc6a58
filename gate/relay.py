"""Opens the turnstile: runs a command for each PASS, one at a time, beside the decisions.

No shell: the command is a program and its words, and what it may know stands in its environment.
A relay that fails is told and never turns a PASS into anything else.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from gate.answers import Level, Scan, plain
from playpark.errors import ErrorCode, PlayParkError

LIMIT = 5.0
"""Seconds that one command may take; then it is ended."""
STALE = 10.0
"""Seconds after which a PASS opens nothing any more: another guest stands there by now."""
WAITING = 20
OWN = "PLAYPARK_"
SHOWN = 200
"""Characters of a command's complaint that are told."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """What a command is told, and when its PASS was, monotonic seconds."""

    environment: dict[str, str]
    at: float


class Relay:
    """`open` with each scan; `run_forever` beside it. `fault` is the last failure, in words, until
    the next success; `tell` gets each failure as it happens.

    Raises PlayParkError where `command` names no program.
    """

    def __init__(
        self,
        command: str,
        *,
        tell: Callable[[str], None] = lambda _: None,
        limit: float = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fault: str | None = None
        self.tell = tell
        self._command = _words(command)
        self._limit = limit
        self._clock = clock
        self._waiting: asyncio.Queue[_Opening] = asyncio.Queue(WAITING)

    def open(self, scan: Scan, *, zone_id: str | None, direction: str) -> None:
        """Ask for the turnstile where `scan` is a PASS; returns at once."""
        if scan.answer.level is not Level.PASS:
            return
        redemption = scan.answer.redemption
        known = {
            "OP_ID": scan.op_id,
            "TICKET_ID": redemption.ticket_id if redemption else None,
            "REDEMPTION_ID": redemption.redemption_id if redemption else None,
            "ZONE_ID": zone_id,
            "DIRECTION": direction,
            "SOURCE": scan.source,
        }
        environment = {f"{OWN}{name}": value or "" for name, value in known.items()}
        if self._waiting.full():
            self._waiting.get_nowait()
            self._waiting.task_done()
            self._failed(f"over {WAITING} openings wait: the oldest is given up")
        self._waiting.put_nowait(_Opening(environment, self._clock()))

    async def run_forever(self) -> None:
        """Run the commands, one after the other; cancel it to end."""
        while True:
            opening = await self._waiting.get()
            try:
                await self._turn(opening)
            finally:
                self._waiting.task_done()

    async def settle(self) -> None:
        """Wait until what was asked for is done, as long as one command may take."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limit):
                await self._waiting.join()

    async def _turn(self, opening: _Opening) -> None:
        waited = self._clock() - opening.at
        if waited > STALE:
            self._failed(f"a PASS of {waited:.0f} s ago was not opened: the command is too slow")
            return
        # A file and no pipe: what the command leaves behind may hold a pipe open, and a command
        # that talks without end is not listened to.
        with tempfile.TemporaryFile() as complaint:
            try:
                code = await self._run(opening, complaint)
            except TimeoutError:
                self._failed(f"the command took over {self._limit:g} s and was ended")
                return
            except (OSError, ValueError) as failed:  # ValueError: what no environment can hold
                self._failed(f"the command cannot be started ({failed})")
                return
            complaint.seek(0)
            said = plain(complaint.read(4 * SHOWN).decode("utf-8", "replace").strip())[:SHOWN]
        if code == 0:
            self.fault = None
        else:
            self._failed(f"the command ended with {code}{f': {said}' if said else ''}")

    async def _run(self, opening: _Opening, complaint: IO[bytes]) -> int:
        """The command's exit code. Raises OSError, TimeoutError; it has ended in any case."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=complaint,
            env=_inherited() | opening.environment,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._limit):
                return await process.wait()
        finally:
            if process.returncode is None:
                _end(process)

    def _failed(self, why: str) -> None:
        self.fault = f"Relay: {why}. Open the gate by hand and look at the --relay command."
        self.tell(self.fault)


def _words(command: str) -> tuple[str, ...]:
    try:
        words = shlex.split(command)
    except ValueError:  # a quote without its end
        words = []
    if not words or shutil.which(words[0]) is None:
        message = (
            "--relay needs a program that exists and its words, such as "
            '"/usr/local/bin/open-gate 3": no shell reads it.'
        )
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return tuple(words)


def _inherited() -> dict[str, str]:
    """What the command gets of this program's environment: not its own keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN)}


def _end(process: asyncio.subprocess.Process) -> None:
    """End the command and what it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
