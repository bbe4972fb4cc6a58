"""Several sources as one: what fails does not stop the others, and is told by its name."""

import heapq
from collections.abc import Iterator, Sequence

from gate.frames import Frame, SourceError
from gate.sources.base import FrameSource


class Several:
    """Sources of one gate. Their codes go into the same presentations: a ticket that two of them
    see is shown once."""

    def __init__(self, sources: Sequence[FrameSource]) -> None:
        self.sources = tuple(sources)
        self.label = " + ".join(source.label for source in self.sources)
        self._broken: list[SourceError] = []

    @property
    def stills(self) -> bool:
        return any(source.stills for source in self.sources)

    @property
    def fps(self) -> float | None:
        rates = [source.fps for source in self.sources]
        return None if None in rates else max(rate for rate in rates if rate is not None)

    @property
    def fault(self) -> str | None:
        faults = [source.fault for source in self.sources if source.fault]
        return " ".join(faults) or None

    @property
    def note(self) -> str | None:
        notes = [source.note for source in self.sources if source.note]
        return " ".join(notes) or None

    def frames(self) -> Iterator[Frame]:
        """Every frame of all of them by their time. What breaks ends alone; the first error is
        raised when the others are at their ends."""
        yield from heapq.merge(*map(self._of, self.sources), key=lambda frame: frame.at)
        if self._broken:
            raise self._broken[0]

    def close(self) -> None:
        for source in self.sources:
            source.close()

    def _of(self, source: FrameSource) -> Iterator[Frame]:
        try:
            yield from source.frames()
        except SourceError as broken:
            self._broken.append(broken)
