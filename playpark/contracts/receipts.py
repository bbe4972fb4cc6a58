"""What a store puts on its papers: receipt templates (API.md: settings; 001 §8)."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StringConstraints

from playpark.contracts.base import Name, Request, View

MAX_LINES = 12
PrintedLine = Annotated[str, StringConstraints(max_length=80)]
PrintedLines = Annotated[list[PrintedLine], Field(max_length=MAX_LINES)]
PaperWidth = Literal[58, 80]


class ReceiptTemplateView(View):
    """The lines above and below what a till prints, and how wide the paper is (null: as the store
    says). Of several active templates the newest is used; without one, the store's own lines."""

    receipt_template_id: str
    name: str
    header: list[str]
    footer: list[str]
    tax_registration: bool = True
    """Whether the store's tax registration is printed."""
    paper_width_mm: PaperWidth | None = None
    active: bool = True


class ReceiptTemplateIn(Request):
    name: Name
    header: PrintedLines = []
    footer: PrintedLines = []
    tax_registration: StrictBool = True
    paper_width_mm: PaperWidth | None = None
    active: StrictBool = True


class ReceiptTemplatePatch(Request):
    name: Name | None = None
    header: PrintedLines | None = None
    footer: PrintedLines | None = None
    tax_registration: StrictBool | None = None
    paper_width_mm: PaperWidth | None = None
    active: StrictBool | None = None
