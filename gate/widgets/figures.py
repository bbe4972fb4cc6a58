"""The row of figures under the panel: guests today, refusals, scans a minute, guests inside."""

from rich.text import Text

from gate.desk import Desk
from gate.tally import Figures
from gate.widgets.drawn import Drawn
from playpark.printing.wording import display_width
from playpark.tui.theme import MUTED, WARN

WIDE = 110
REASONS = 3


def number(count: int) -> str:
    """`1 204`: a blank between thousands."""
    return f"{count:,}".replace(",", " ")


def passes(figures: Figures) -> str:
    """`1 204 in`, and `12 out` where anybody went out."""
    out = f" {number(figures.left)} out" if figures.left else ""
    return f"{number(figures.admitted)} in{out}"


def inside(desk: Desk) -> str | None:
    """`inside 642 of 800`; None where nobody knows."""
    count, zone = desk.station.occupancy, desk.zone
    if count is None:
        return None
    capacity = f" of {number(zone.capacity)}" if zone and zone.capacity is not None else ""
    return f"inside {number(count)}{capacity}"


class FiguresRow(Drawn):
    """One row where it is wide enough, else two; a third of what they say is in every row."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="figures")
        self._desk = desk

    def draw(self) -> Text:
        width, height = self.size
        first, second = self._parts()
        if width >= WIDE:
            return self._row([*first, *second], width)
        rows = [self._row(first, width), self._row(second, width)]
        return Text("\n", no_wrap=True).join(rows[: max(height, 1)])

    def _parts(self) -> tuple[list[str], list[str]]:
        desk = self._desk
        tally = desk.board.tally
        today, start = tally.today(desk.now), tally.since_start
        first = [f"today {passes(today)}", f"{number(today.refused)} refused"]
        first.append(f"{tally.per_minute(desk.at)}/min")
        if (guests := inside(desk)) is not None:
            first.append(guests)
        if waiting := desk.station.engine.queued:
            first.append(f"{waiting} waiting for the server")
        reasons = ", ".join(f"{reason} {count}" for reason, count in today.top(REASONS))
        second = [reasons] if reasons else []
        second.append(f"since start {passes(start)}, {number(start.refused)} refused")
        return first, second

    @staticmethod
    def _row(parts: list[str], width: int) -> Text:
        """As many of the parts as fit, the first ones first."""
        kept = parts[:1]
        for part in parts[1:]:
            if display_width(f" {' · '.join([*kept, part])} ") <= width:
                kept.append(part)
        row = Text(no_wrap=True)
        for place, part in enumerate(kept):
            row.append(" · " if place else " ", style=MUTED)
            row.append(part, style=WARN if part.endswith("server") else "")
        row.truncate(width, overflow="ellipsis")
        return row
