"""Outages by key, for tests and training: at a gate that was started with `--qa`.

What QA sets at the server comes to every gate by heartbeat; the server refuses it in production.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from playpark.contracts.qa import QaSwitches
from playpark.device.faults import Switches


@dataclass(frozen=True, slots=True)
class QaKey:
    """`change`: what the key switches on, and off again."""

    name: str
    change: QaSwitches


QA_KEYS: Mapping[str, QaKey] = {
    "f10": QaKey("QA: offline", QaSwitches(offline=True)),
    "f11": QaKey("QA: slow", QaSwitches(delay_ms=1_500)),
    "f12": QaKey("QA: answers lost", QaSwitches(lost_answers=50)),
}
"""No scanner sends these. Slow is slower than a guest waits."""


@dataclass(frozen=True, slots=True)
class Outages:
    """The switches of this gate, and its keys for them where they are `enabled`."""

    switches: Switches = field(default_factory=Switches)
    enabled: bool = False

    @property
    def keys(self) -> Mapping[str, QaKey]:
        return QA_KEYS if self.enabled else {}

    @property
    def banner(self) -> str:
        """For the status bar; empty where nothing is simulated or can be."""
        return self.switches.banner(enabled=self.enabled)

    def press(self, key: str) -> None:
        """Switch on what the key is for, or off where it is on; without its key nothing."""
        pressed = self.keys.get(key)
        if pressed is None:
            return
        self.switches.toggle(pressed.change)
