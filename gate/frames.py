"""A picture with its number, its moment and where it is from, and why there is none.

The only thing that sources, decoders and the pipeline share.
"""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """`number` counts from 0 in its source; `at` is in seconds on the source's time line
    (position in a film, monotonic clock for a camera); `source` is the source's label; `taken`
    is when it was read, in seconds of time.monotonic: what a guest has waited counts from there.
    """

    number: int
    at: float
    image: Image
    source: str = ""
    taken: float = field(default_factory=time.monotonic)


class SourceError(Exception):
    """Why there are no pictures: one sentence that says what to do."""
