"""A gate without a screen: one line of JSON for each answer, for turnstiles and other programs.

The lines are written by a thread of their own: a reader that has gone, or does not read, must not
stand between a guest and the decision.
"""

import asyncio
import contextlib
import json
import os
import queue
import sys
import threading

from gate.answers import Level, Scan
from gate.frames import SourceError
from gate.station import Station
from playpark.errors import ErrorCode, PlayParkError

WAITING = 1000
"""Lines that wait for a slow reader; then the oldest are dropped."""
LOOK = 0.5
GOODBYE = 5.0
"""Seconds that a slow reader has for the last lines when the gate ends."""


async def print_scans(station: Station, *, site_key: str | None, name: str) -> None:
    """Run a gate until its frames end, without end for cameras and scanners; what is wrong with
    its parts goes to stderr. Raises PlayParkError."""
    lines = Lines()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(lines.close)
        await stack.enter_async_context(station)
        complain(station.decoder.note)
        await station.connect(site_key=site_key, name=name)
        watch = asyncio.create_task(_watch(station))
        stack.callback(watch.cancel)
        scans = await stack.enter_async_context(contextlib.aclosing(station.scans(live=False)))
        try:
            async for scan in scans:
                if scan.answer.level is not Level.CHECKING:
                    lines.write(json.dumps(line(scan, station), ensure_ascii=False))
        except SourceError as damaged:
            raise PlayParkError(ErrorCode.VALIDATION, str(damaged)) from damaged


def line(scan: Scan, station: Station) -> dict[str, object]:
    """What is told of an answer (docs/gate.md lists the fields)."""
    answer, redemption = scan.answer, scan.answer.redemption
    age = station.allow_list_age
    return {
        "number": scan.number,
        "at": scan.at.isoformat(timespec="milliseconds"),
        "op_id": scan.op_id,
        "code": scan.code,
        "source": scan.source,
        "zone": station.zone_name,
        "zone_id": station.admission.zone_id,
        "direction": station.admission.direction.value,
        "result": answer.level.value,
        "decided_by": decided_by(scan),
        "word": answer.word,
        "headline": answer.headline,
        "reason": redemption.reason if redemption else None,
        "remaining": answer.remaining,
        "ticket_id": redemption.ticket_id if redemption else None,
        "redemption_id": redemption.redemption_id if redemption else None,
        "latency_ms": None if scan.latency is None else round(scan.latency * 1000, 1),
        "allow_list_age_s": None if age is None else round(age.total_seconds()),
        "message": answer.detail_en,
        "message_th": answer.detail_th,
    }


def decided_by(scan: Scan) -> str | None:
    """`server` or `gate`; None where nothing is decided yet."""
    if scan.answer.level in {Level.CHECKING, Level.OFFLINE}:
        return None
    answer = scan.answer
    return "gate" if answer.local or answer.redemption is None else "server"


def complain(trouble: str | None) -> None:
    """A sentence to stderr, if there is one and anybody reads."""
    if trouble:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"playpark: {trouble}\n")
            sys.stderr.flush()


async def _watch(station: Station) -> None:
    """Tell each trouble when it comes, and again when it comes back."""
    told: set[str] = set()
    while True:
        now = set(station.troubles)
        for trouble in sorted(now - told):
            complain(trouble)
        told = now
        await asyncio.sleep(LOOK)


class Lines:
    """Writes lines to stdout, each at once, and goes on without it where nobody reads any more."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="gate-lines", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Returns at once."""
        if self._waiting.qsize() >= WAITING:
            with contextlib.suppress(queue.Empty):
                self._waiting.get_nowait()
        self._waiting.put(text)

    def close(self) -> None:
        """Write what waits, for a bounded time."""
        self._waiting.put(None)
        self._thread.join(GOODBYE)

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            try:
                sys.stdout.write(f"{text}\n")
                sys.stdout.flush()
            except (OSError, ValueError):  # nobody reads, or it was closed in this program
                _silence()
                complain("Nobody reads stdout any more: the gate goes on without it.")
                return


def _silence() -> None:
    """Let stdout lead nowhere, so that what Python still holds for it harms nobody at the end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
