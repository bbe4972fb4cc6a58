"""The way of a scan: frame, decoder, presentation, admission (DESIGN).

One pipeline for the screen, for `--headless` and for the demo. Codes from a hand scanner or the
keyboard enter behind the decoder and go the same way.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from weakref import WeakValueDictionary

from gate.admission import Admission, Code
from gate.answers import CHECKING, Answer, Level, Scan, code_name, late
from gate.decoders import Decoder
from gate.frames import Frame, SourceError
from gate.presentation import Presentations
from gate.sources import FrameSource, Newest

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
            self._expect(op_id, code, partial(self._tell, self._number, 0, code))
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
                    self._begin([Code(text) for text in begun], frame.at)
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
                self._begin([code], at)

    def _begin(self, codes: list[Code], at: float) -> None:
        if not codes:
            return
        if at - self._began_at >= TOGETHER:
            self._together += 1
        self._began_at = at
        for code in codes:
            self._number += 1
            self._group.create_task(self._ask(self._number, self._together, code))

    async def _ask(self, number: int, together: int, code: Code) -> None:
        tell = partial(self._tell, number, together, code)
        tell(CHECKING)
        async with self._turns.setdefault(code, asyncio.Lock()):
            # One showing speaks for an operation: the newest, which takes it over.
            if (unanswered := self._admission.unanswered_op(code)) in self._late:
                self._late.pop(unanswered).cancel()
            verdict = await self._admission.admit(code)
        tell(verdict.answer)
        if verdict.pending is not None:
            self._expect(verdict.pending, code, tell)

    def _expect(self, op_id: str, code: Code, tell: Callable[[Answer], None]) -> None:
        coming = self._admission.answered(op_id)
        self._late[op_id] = asyncio.create_task(self._wait_for(coming, op_id, code, tell))

    async def _wait_for(
        self,
        coming: asyncio.Future[Answer],
        op_id: str,
        code: Code,
        tell: Callable[[Answer], None],
    ) -> None:
        answer = await asyncio.shield(coming)
        self._late.pop(op_id, None)
        if self._presentations.shown(code.text, self._clock()):
            tell(answer)
            return
        tell(late(answer))
        if answer.level is Level.PASS:
            await self._admission.not_admitted(op_id)

    def _tell(self, number: int, together: int, code: Code, answer: Answer) -> None:
        at = self._admission.now()
        self.scans.put_nowait(Scan(number, together, code_name(code.text), at, answer))
