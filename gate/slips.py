"""Admission slips, printed beside everything else: a dead printer delays nobody (R54).

A slip is tried until it is a minute old, then thrown away: its guest has long gone in. One of
which a part may be on the paper is not tried again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from playpark.contracts.provider import PartState
from playpark.device import DeviceStore
from playpark.errors import ErrorCode, PlayParkError
from playpark.printing.admission_slip import Admission, admission_document
from playpark.printing.escpos import to_escpos
from playpark.printing.letterhead import Letterhead
from playpark.printing.transport import PrinterError, PrinterTarget, TargetKind

KEEP_S = 60.0
AGAIN_S = 5.0
"""Between two tries with a printer that does not take it."""
_SCHEMES = ("tcp:", "file:", "none")


def open_printer(text: str) -> PrinterTarget:
    """`host:9100`, `tcp://host:9100`, `file:PATH` or `none`. Raises ValueError with a sentence
    that says what to write instead."""
    text = text.strip()
    return PrinterTarget.parse(text if text.lower().startswith(_SCHEMES) else f"tcp://{text}")


@dataclass(frozen=True, slots=True)
class _Job:
    admission: Admission
    asked_at: float


class Slips:
    """The printer of a gate. `fault` is its last complaint, None since it printed again; `again`
    the seconds between two tries."""

    def __init__(
        self,
        target: PrinterTarget,
        store: DeviceStore,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        again: float = AGAIN_S,
    ) -> None:
        self.fault: str | None = None
        self._target = target
        self._store = store
        self._monotonic = monotonic
        self._again = again
        self._jobs: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def there(self) -> bool:
        """Whether this gate has a printer."""
        return self._target.kind is not TargetKind.NONE

    @property
    def state(self) -> PartState:
        """For the heartbeat."""
        if not self.there:
            return PartState.NONE
        return PartState.FAILED if self.fault else PartState.OK

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    def print(self, admission: Admission) -> None:
        """Have a slip printed in the background; returns at once."""
        if not self.there:
            return
        self._jobs.append(_Job(admission, self._monotonic()))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Leave what is not printed."""
        self._jobs.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._jobs:
            if self._monotonic() - self._jobs[0].asked_at >= KEEP_S:
                self._jobs.popleft()
                continue
            try:
                await asyncio.to_thread(self._send, self._jobs[0].admission)
            except PrinterError as failed:
                self.fault = failed.message
                if not failed.maybe_printed:
                    await asyncio.sleep(self._again)
                    continue
            except PlayParkError as wrong:
                self.fault = wrong.message
            else:
                self.fault = None
            if self._jobs:
                self._jobs.popleft()

    def _send(self, admission: Admission) -> None:
        identity, catalog = self._store.identity, self._store.catalog()
        if identity is None or identity.store is None:
            raise PlayParkError(ErrorCode.CONFLICT, "This gate has not logged in yet.")
        gate = identity.device.name if identity.device else identity.device_code
        try:
            head = Letterhead.of(identity.store, catalog.receipt_template if catalog else None)
            data = to_escpos(admission_document(head, admission, gate=gate))
        except (ValueError, OSError) as wrong:
            # A paper of a strange width, a font that is not there.
            message = f"The slip cannot be printed: {wrong}."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        self._target.send(data)
