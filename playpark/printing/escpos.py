"""Documents as ESC/POS bytes, through python-escpos.

Dots, not code pages: Thai and QR codes travel as images (GS v 0), ASCII as text. The profile
only tells python-escpos the width of the paper; without one it writes warnings to stdout.
"""

from escpos.printer import Dummy

from playpark.printing.document import Cut, Document, Feed, KickDrawer, Paper
from playpark.printing.fonts import LINE_DOTS
from playpark.printing.layout import NativeLine, Picture, Strip, strips

_PROFILES = {Paper.MM58: "POS-5890", Paper.MM80: "TM-T20II"}
_DRAWER_PIN = 2


def to_escpos(document: Document) -> bytes:
    """The bytes that print `document` on a printer with 203 dpi.

    Raises DocumentError for a QR code that does not fit on the paper.
    """
    printer = Dummy(profile=_PROFILES[document.paper])
    printer.hw("INIT")
    for strip in strips(document):
        _send(printer, strip)
    output: bytes = printer.output
    return output


def _send(printer: Dummy, strip: Strip) -> None:
    match strip:
        case NativeLine():
            _send_line(printer, strip)
        case Picture():
            printer.set(align="left")
            printer.image(strip.image)
        case Feed():
            printer.line_spacing(LINE_DOTS)
            printer.print_and_feed(strip.lines)
        case Cut():
            printer.cut(mode="PART", feed=False)  # GS V 66 feeds to the knife by itself
        case KickDrawer():
            printer.cashdraw(_DRAWER_PIN)


def _send_line(printer: Dummy, line: NativeLine) -> None:
    printer.line_spacing(line.pitch)
    printer.set(
        align=line.align.value,
        bold=line.bold,
        custom_size=True,
        width=line.size,
        height=line.size,
    )
    printer.text(f"{line.text}\n")
