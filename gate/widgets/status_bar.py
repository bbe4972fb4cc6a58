"""The first row at a gate: where, which way, how old its list is, the line, the printer (SCREENS).

The zone's name alone is cut where there is little room; everything else is always there.
"""

from datetime import timedelta

from rich.text import Text

from gate.desk import Desk
from gate.station import EVERY_ZONE
from gate.widgets.drawn import Drawn
from playpark.contracts.tickets import Direction
from playpark.printing.wording import display_width
from playpark.tui import connection_text, fit
from playpark.tui.theme import BAD, BRIGHT, MUTED, WARN

LIST_FRESH = timedelta(minutes=10)
LEAST_ZONE = 8
EXIT = "#3d5a73"
"""Behind the word EXIT: it lets everybody pass, and must not be taken for an entry."""


def list_text(age: timedelta | None, limit: timedelta, *, short: bool = False) -> Text:
    """`allow-list 00:07 old`; OLD in capitals over the limit, when it admits nobody any more;
    `no list` where there is none."""
    if age is None:
        return Text("no list", style=WARN)
    name = "list" if short else "allow-list"
    if age > limit:
        return Text(f"{name} OLD {_lasted(age)}", style=f"bold {WARN}")
    style = MUTED if age <= LIST_FRESH else WARN
    return Text(f"{name} {_lasted(age)}{'' if short else ' old'}", style=style)


def _lasted(age: timedelta) -> str:
    minutes, seconds = divmod(max(int(age.total_seconds()), 0), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


class GateBar(Drawn):
    """Like the status bar of the other programs, with what a gate has beside."""

    DEFAULT_CSS = """
    GateBar { dock: top; height: 1; background: $panel; color: $foreground; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def draw(self) -> Text:
        width = self.size.width
        for short in (False, True):
            rest = self._rest(short=short)
            room = width - display_width(rest.plain) - 1
            before = "" if short else "GATE "
            if room - len(before) >= LEAST_ZONE or short:
                break
        zone = fit(f"{before}{self._zone()}", max(room, 0))
        # Without blanks behind it, so that what follows the name stands beside it.
        name = Text.assemble((f" {zone.rstrip()}", f"bold {BRIGHT}"), rest, no_wrap=True)
        gap = width - display_width(name.plain) - len(clock := f"{self._desk.now:%H:%M} ")
        if gap >= 1:
            name.append(" " * gap + clock, style=BRIGHT)
        return name

    def _zone(self) -> str:
        zone = self._desk.zone
        if zone is not None:
            return zone.name
        return EVERY_ZONE if self._desk.placed else "ZONE GONE"

    def _rest(self, *, short: bool) -> Text:
        """Everything behind the zone's name but the clock."""
        station = self._desk.station
        between = " " if short else " · "
        sync = station.engine.state
        direction = station.admission.direction
        entering = direction is Direction.ENTRY
        line = connection_text(sync, self._desk.now)
        if short:
            line = Text(" ".join(line.plain.split(" ")[:2]), style=line.style)
        parts = [
            Text(direction.value, style=f"bold {BRIGHT}")
            if entering
            else Text(" EXIT ", style=f"bold {BRIGHT} on {EXIT}"),
            list_text(station.allow_list_age, self._desk.list_limit, short=short),
            line,
        ]
        if banner := station.outages.banner:
            parts.append(Text("QA" if short else banner, style=f"bold {BAD}"))
        if self._desk.slips.fault:
            waiting = f" {self._desk.slips.waiting} wait" if self._desk.slips.waiting else ""
            text = "PRINTER" if short else f"PRINTER FAULT{waiting}"
            parts.append(Text(text, style=f"bold {BAD}"))
        elif station.troubles:
            parts.append(Text("F1!" if short else "see F1", style=WARN))
        row = Text()
        for part in parts:
            row.append(between, style=MUTED)
            row.append_text(part)
        return row
