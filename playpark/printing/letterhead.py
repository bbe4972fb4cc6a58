"""Whose paper it is: the park's letterhead, the marks of copies and training, words and figures.

Times are printed in park time (R30), money with two decimals; training papers carry a banner (R32).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from playpark.clock import park_zone
from playpark.contracts.receipts import ReceiptTemplateView
from playpark.contracts.tenancy import StoreView
from playpark.money import format_satang
from playpark.printing.document import Align, Block, Paper, Text
from playpark.printing.layout import fitting_size

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COPY = Text("COPY · สำเนา", Align.CENTER, bold=True, inverse=True)
_TRAINING = Text("ฝึกอบรม · TRAINING – ใช้ไม่ได้ · NOT VALID", Align.CENTER, bold=True, inverse=True)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Whose paper it is, and how wide; `zone` is park time (R30)."""

    park: str
    store: str
    zone: ZoneInfo
    header: Sequence[str] = ()
    footer: Sequence[str] = ()
    tax_registration: str | None = None
    paper: Paper = Paper.MM80

    @classmethod
    def of(cls, store: StoreView, template: ReceiptTemplateView | None = None) -> "Letterhead":
        """The store's own lines, or its template's. Raises ValueError for a paper width other
        than 58 and 80 mm."""
        if template is not None:
            own = cls.of(store)
            return replace(
                own,
                header=tuple(template.header),
                footer=tuple(template.footer),
                tax_registration=own.tax_registration if template.tax_registration else None,
                paper=Paper(template.paper_width_mm) if template.paper_width_mm else own.paper,
            )
        return cls(
            park=store.tenant_name,
            store=store.name,
            zone=park_zone(store.tz),
            header=tuple(store.receipt_header),
            footer=tuple(store.receipt_footer),
            tax_registration=store.tax_registration,
            paper=Paper(store.paper_width_mm),
        )


def marks(*, copy: bool, training: bool) -> list[Block]:
    """The bars that say what a paper is not: printed at its head and again at its foot."""
    return [mark for mark, wanted in ((_TRAINING, training), (_COPY, copy)) if wanted]


def letterhead(head: Letterhead) -> Iterator[Block]:
    """Park, store, the lines that the store put in its settings, tax registration."""
    size = fitting_size(head.park, head.paper)
    yield Text(head.park, Align.CENTER, bold=True, size=size, drawn=True)
    if head.store != head.park:
        yield Text(head.store, Align.CENTER, bold=True, drawn=True)
    for line in head.header:
        yield Text(line, Align.CENTER, drawn=True)
    if head.tax_registration:
        yield Text(f"เลขประจำตัวผู้เสียภาษี TAX ID {head.tax_registration}", Align.CENTER)


def format_moment(moment: datetime, zone: ZoneInfo) -> str:
    """`21 Nov 2026 15:42` in `zone`."""
    local = moment.astimezone(zone)
    return f"{format_day(local)} {local:%H:%M}"


def format_day(day: date) -> str:
    """`21 Nov 2026`: the same to guests who write the month first."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def format_percent(rate: int) -> str:
    """700 basis points → `7%`."""
    whole, hundredths = divmod(rate, 100)
    return f"{whole}.{hundredths:02d}".rstrip("0").rstrip(".") + "%"


def format_signed(amount: int) -> str:
    """Satang with their sign: `+0.25`, `-0.25`."""
    return f"{'+' if amount > 0 else ''}{format_satang(amount)}"
