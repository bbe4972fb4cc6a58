"""Which zone this gate lets people into, and which way they go (R51)."""

from collections.abc import Iterable

from gate.desk import Desk
from gate.entry import Entry
from gate.screens.overlay import Lines, Question, line
from playpark.contracts.tickets import Direction

Choice = tuple[str | None, Direction]


class ZoneQuestion(Question[Choice]):
    """The chosen zone's id (None: the park as a whole) and direction; None where nothing was."""

    TAKE = ("enter", "f2")

    def __init__(self, desk: Desk, entry: Entry) -> None:
        super().__init__(desk, entry, "Where does this gate stand, and which way do guests go?")
        admission = desk.station.admission
        self._zones = [None, *desk.zones]
        self._direction = admission.direction
        ids = [zone.zone_id if zone else None for zone in self._zones]
        self._begin = ids.index(admission.zone_id) if admission.zone_id in ids else 0

    def keys(self) -> Iterable[tuple[str, str]]:
        other = Direction.EXIT if self._direction is Direction.ENTRY else Direction.ENTRY
        return (("↑↓", "zone"), ("F3", other.value), ("Enter F2", "take it"), ("Esc", "back"))

    def on_mount(self) -> None:
        self._show()
        lines = self.query_one(Lines)
        lines.marked = self._begin
        lines.refresh()

    def pressed(self, key: str) -> bool:
        if key == "f3":
            entry = self._direction is Direction.ENTRY
            self._direction = Direction.EXIT if entry else Direction.ENTRY
            self._show()
            return True
        return super().pressed(key)

    def take(self, marked: int) -> None:
        zone = self._zones[marked]
        self.dismiss((zone.zone_id if zone else None, self._direction))

    def _show(self) -> None:
        names = [
            f"{zone.name} / {zone.name_th}" if zone else "Every zone (park entrance)"
            for zone in self._zones
        ]
        self.query_one(Lines).show([line(f"{self._direction.value:<5} · {n}") for n in names])
        self.say_keys()
