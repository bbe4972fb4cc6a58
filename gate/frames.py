"""A picture with its number and its moment, and why there is none.

The only thing that sources, decoders and the pipeline share.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """`number` counts from 0 in its source; `at` is in seconds on the source's time line
    (position in a film, monotonic clock for a camera)."""

    number: int
    at: float
    image: Image


class SourceError(Exception):
    """Why there are no pictures: one sentence that says what to do."""
