"""The slip that a gate prints after a PASS: where and when a guest went in (R54).

It admits nobody: it has no QR code, and of the ticket only the end of its id.
"""

from dataclasses import dataclass
from datetime import datetime

from playpark.contracts.catalog import PackageKind
from playpark.money import format_satang
from playpark.printing.document import Align, Block, Columns, Cut, Document, Feed, Rule, Text
from playpark.printing.layout import fitting_size
from playpark.printing.letterhead import Letterhead, format_moment

TICKET_END = 8
"""Characters of the ticket's id that the slip shows."""


@dataclass(frozen=True, slots=True)
class Admission:
    """One entry. `zone` and `zone_th` are None at a gate of the park as a whole; `remaining` is
    what is left on the ticket: uses, minutes or satang, None where nothing is to be said."""

    at: datetime
    ticket_id: str
    zone: str | None = None
    zone_th: str | None = None
    package: str | None = None
    package_th: str | None = None
    kind: PackageKind | None = None
    remaining: int | None = None


def admission_document(head: Letterhead, admission: Admission, *, gate: str) -> Document:
    """The slip, ending in a cut. `gate` is what the device is called."""
    blocks: list[Block] = [Text(head.park, Align.CENTER, bold=True, drawn=True)]
    if head.store != head.park:
        blocks.append(Text(head.store, Align.CENTER, drawn=True))
    blocks += [Rule(), Text("เข้าแล้ว · ADMITTED", Align.CENTER, bold=True, inverse=True)]
    place = _names(admission.zone_th, admission.zone) or ["สวนสนุก", "Park entrance"]
    for name in (*place, format_moment(admission.at, head.zone)):
        size = fitting_size(name, head.paper)
        blocks.append(Text(name, Align.CENTER, bold=True, size=size, drawn=True))
    blocks.append(Rule())
    blocks += [Text(name, drawn=True) for name in _names(admission.package_th, admission.package)]
    blocks.append(Columns("ตั๋ว Ticket", f"...{admission.ticket_id[-TICKET_END:]}"))
    if left := remaining_words(admission.kind, admission.remaining):
        blocks.append(Columns("คงเหลือ Left", left, bold=True))
    blocks += [Text(f"ประตู Gate: {gate}"), Feed(), Cut()]
    return Document(tuple(blocks), head.paper)


def remaining_words(kind: PackageKind | None, remaining: int | None) -> str:
    """What is left, in the kind's own unit; nothing for a ticket of one entry."""
    if remaining is None:
        return ""
    match kind:
        case PackageKind.MULTI:
            return f"{remaining:,} ครั้ง · {remaining:,} {_plural(remaining, 'entry', 'entries')}"
        case PackageKind.TIMEPASS:
            return f"{remaining:,} นาที · {remaining:,} min"
        case PackageKind.CREDIT:
            return f"฿{format_satang(remaining)}"
        case _:
            return ""


def _names(*names: str | None) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
