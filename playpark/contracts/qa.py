"""What QA does to the line and the clock of a device (API.md: PUT /devices/{id}/qa).

They are delivered by heartbeat and refused in production.
"""

from typing import Annotated

from pydantic import Field, StrictBool

from playpark.clock import UtcDatetime
from playpark.contracts.base import Request, View
from playpark.contracts.catalog import Count

Percent = Annotated[int, Field(strict=True, ge=0, le=100)]
MAX_DELAY_MS = 120_000
MAX_SKEW_S = 10 * 365 * 24 * 3600


class QaSwitches(Request):
    """What is done to each request of a device. Nothing is switched on by default."""

    offline: StrictBool = False
    """No request leaves."""
    delay_ms: Annotated[int, Field(strict=True, ge=0, le=MAX_DELAY_MS)] = 0
    """How long each answer is held back."""
    lost_requests: Percent = 0
    """Of 100 requests so many never arrive."""
    lost_answers: Percent = 0
    """Of 100 answers so many are lost after the server has done its work."""
    duplicates: Percent = 0
    """Of 100 requests so many arrive twice."""
    skew_s: Annotated[int, Field(strict=True, ge=-MAX_SKEW_S, le=MAX_SKEW_S)] = 0
    """How far the device's own clock is ahead, seconds."""

    @property
    def quiet(self) -> bool:
        """Nothing is switched on."""
        return self == QaSwitches()


class QaView(View):
    """What is set for a device, and when it was; it is heard with the next heartbeat."""

    device_id: str
    switches: QaSwitches
    set_at: UtcDatetime | None = None
    version: Count = 0
