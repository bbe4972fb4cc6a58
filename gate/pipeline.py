"""The way of a scan: frame, decoder, presentation, admission (DESIGN).

One pipeline for the screen, for `--headless` and for the demo. Codes from a hand scanner or the
keyboard enter behind the decoder and go the same way.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from gate.admission import Admission, Code
from gate.answers import CHECKING, Answer, Level, Scan, code_name, late
from gate.decoders import Decoder
from gate.frames import Frame, SourceError
from gate.presentation import Presentations
from gate.sources import FrameSource, Newest
from gate.sources.serial_line import SerialScanner
from playpark.ids import normalise_short_code

TOGETHER = 0.5
"""Codes that begin within so many seconds of each other are one group: a family's tickets are
seldom all read from the same frame."""
LOOK = 0.25


async def every_frame(source: FrameSource) -> AsyncIterator[Frame]:
    """Every frame of a file in order, as fast as it is read."""
    frames = source.frames()
    with ThreadPoolExecutor(1, "gate-frames") as reader:
        loop = asyncio.get_running_loop()
        try:
            while (frame := await loop.run_in_executor(reader, next, frames, None)) is not None:
                yield frame
        finally:
            source.close()


async def newest_frames(newest: Newest) -> AsyncIterator[Frame]:
    """The present of a camera, or of a film that plays at its own rate."""
    while True:
        frame = await asyncio.to_thread(newest.latest, LOOK)
        if frame is not None:
            yield frame
        elif newest.ended:
            return


def listener(scanner: SerialScanner, keyed: asyncio.Queue[Code]) -> Callable[[str], None]:
    """What takes a serial scanner's codes, in the scanner's thread, into the queue of this loop."""
    loop = asyncio.get_running_loop()

    def take(text: str) -> None:
        # A short code that is scanned was printed as a barcode.
        code = Code(text, typed=normalise_short_code(text) is not None, source=scanner.label)
        with contextlib.suppress(RuntimeError):  # the gate has ended
            loop.call_soon_threadsafe(keyed.put_nowait, code)

    return take


async def run(
    frames: AsyncIterator[Frame],
    decoder: Decoder,
    presentations: Presentations,
    admission: Admission,
    *,
    keyed: asyncio.Queue[Code] | None = None,
    clock: Callable[[], float] | None = None,
) -> AsyncGenerator[Scan]:
    """Each showing as it begins (CHECKING), is answered, and is answered late.

    `clock` is the frames' time line where it runs on without frames (a camera's); without one
    the last frame's position counts. Ends with the frames, unless codes are also `keyed`; raises
    SourceError where the frames do.
    """
    running = _Run(decoder, presentations, admission, clock)
    producer = asyncio.create_task(running.produce(frames, keyed))
    try:
        while (scan := await running.scans.get()) is not None:
            yield scan
        await producer  # raises what ended it
    finally:
        producer.cancel()
        await asyncio.wait([producer])


@dataclass(frozen=True, slots=True)
class _Begun:
    """A showing that began: `taken` is when its picture was, seconds of time.monotonic; None for
    one of an earlier run."""

    number: int
    together: int
    code: Code
    taken: float | None = None


class _Run:
    """The tasks of one run; all of them put their scans into one queue, None at the end."""

    def __init__(
        self,
        decoder: Decoder,
        presentations: Presentations,
        admission: Admission,
        clock: Callable[[], float] | None,
    ) -> None:
        self.scans: asyncio.Queue[Scan | None] = asyncio.Queue()
        self._decoder = decoder
        self._presentations = presentations
        self._admission = admission
        self._film_time = 0.0
        self._clock = clock or (lambda: self._film_time)
        self._late: dict[str, asyncio.Task[None]] = {}
        self._turns: WeakValueDictionary[Code, asyncio.Lock] = WeakValueDictionary()
        self._number = 0
        self._together = 0
        self._began_at = -TOGETHER

    async def produce(
        self, frames: AsyncIterator[Frame], keyed: asyncio.Queue[Code] | None
    ) -> None:
        for op_id, code in self._admission.left_over():
            self._number += 1
            self._expect(op_id, code, partial(self._tell, _Begun(self._number, 0, code)))
        try:
            async with asyncio.TaskGroup() as self._group:
                if keyed is not None:
                    self._group.create_task(self._listen(keyed))
                fault = await self._watch(frames)
        finally:
            for task in self._late.values():
                task.cancel()
            self.scans.put_nowait(None)
        if fault is not None:
            raise fault

    async def _watch(self, frames: AsyncIterator[Frame]) -> SourceError | None:
        """Read the frames to their end. An error is handed back, so that what was shown before
        it is still answered."""
        with ThreadPoolExecutor(1, "gate-decoder") as worker:
            loop = asyncio.get_running_loop()
            try:
                async for frame in frames:
                    texts = await loop.run_in_executor(worker, self._decoder.read, frame)
                    self._film_time = frame.at
                    begun = self._presentations.seen(texts, frame.at)
                    codes = [Code(text, source=frame.source) for text in begun]
                    self._begin(codes, frame.at, frame.taken)
            except SourceError as damaged:
                return damaged
        return None

    async def _listen(self, keyed: asyncio.Queue[Code]) -> None:
        """A scanner that sends on while a ticket lies before it redeems once; a person who
        types a code again means it."""
        while True:
            code = await keyed.get()
            at = self._clock()
            if self._presentations.seen([code.text], at) or code.typed:
                self._begin([code], at, time.monotonic())

    def _begin(self, codes: list[Code], at: float, taken: float) -> None:
        if not codes:
            return
        if at - self._began_at >= TOGETHER:
            self._together += 1
        self._began_at = at
        for code in codes:
            self._number += 1
            self._group.create_task(self._ask(_Begun(self._number, self._together, code, taken)))

    async def _ask(self, begun: _Begun) -> None:
        code = begun.code
        tell = partial(self._tell, begun)
        tell(CHECKING, None)
        async with self._turns.setdefault(code, asyncio.Lock()):
            # One showing speaks for an operation: the newest, which takes it over.
            if (unanswered := self._admission.unanswered_op(code)) in self._late:
                self._late.pop(unanswered).cancel()
            verdict = await self._admission.admit(code)
        tell(verdict.answer, verdict.op_id)
        if verdict.pending is not None:
            self._expect(verdict.pending, code, tell)

    def _expect(self, op_id: str, code: Code, tell: Callable[[Answer, str | None], None]) -> None:
        coming = self._admission.answered(op_id)
        self._late[op_id] = asyncio.create_task(self._wait_for(coming, op_id, code, tell))

    async def _wait_for(
        self,
        coming: asyncio.Future[Answer | None],
        op_id: str,
        code: Code,
        tell: Callable[[Answer, str | None], None],
    ) -> None:
        answer = await asyncio.shield(coming)
        self._late.pop(op_id, None)
        if answer is None:
            return  # the gate has decided by itself, and the server says the same
        if answer.level is Level.LATE:
            tell(answer, op_id)
            return
        if self._presentations.shown(code.text, self._clock()):
            tell(answer, op_id)
            return
        tell(late(answer), op_id)
        if answer.level is Level.PASS:
            await self._admission.not_admitted(op_id)

    def _tell(self, begun: _Begun, answer: Answer, op_id: str | None = None) -> None:
        scan = Scan(
            begun.number,
            begun.together,
            code_name(begun.code.text),
            self._admission.now(),
            answer,
            op_id,
            source=begun.code.source if begun.taken is not None else None,
            latency=time.monotonic() - begun.taken if begun.taken is not None else None,
        )
        self.scans.put_nowait(scan)
