"""Outages by key, for tests and training: in the palette of a till that was started with `--qa`.

What QA sets at the server comes to every till by heartbeat; the server refuses it in production.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from playpark.contracts.qa import QaSwitches
from playpark.device.faults import QUIET, Switches

_LATE_MS, _LOST_PERCENT = 3_000, 50


@dataclass(frozen=True, slots=True)
class QaKey:
    """`change`: the switches that it turns on, or off where they are on already."""

    title: str
    help: str
    change: QaSwitches


_KEYS = (
    QaKey("QA: offline", "No request leaves this till.", QaSwitches(offline=True)),
    QaKey("QA: slow", "Each answer comes 3 s late.", QaSwitches(delay_ms=_LATE_MS)),
    QaKey(
        "QA: lost answers",
        "Half of the answers are lost after the server has done its work.",
        QaSwitches(lost_answers=_LOST_PERCENT),
    ),
    QaKey("QA: all off", "The line and the clock as they are.", QUIET),
)


@dataclass(frozen=True, slots=True)
class QaKeys:
    """The switches of this till, and its keys for them if they are `enabled`."""

    switches: Switches
    enabled: bool

    @property
    def keys(self) -> Sequence[QaKey]:
        return _KEYS if self.enabled else ()

    @property
    def banner(self) -> str:
        """For the status bar; empty on a till where nothing is simulated or can be."""
        return self.switches.banner(enabled=self.enabled)

    def press(self, key: QaKey) -> None:
        """Turn on what the key is for; off again where it is on."""
        if key.change.quiet:
            self.switches.set(QUIET)
            return
        self.switches.toggle(key.change)
