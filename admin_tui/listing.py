"""How a page of rows is described: columns, detail, and what it says when it is empty.

The pages are data; one widget draws them all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from admin_tui.office import Office
from admin_tui.park import Park

M = TypeVar("M", bound=BaseModel)
Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a detail: its heading, and rows of (what, value)."""

    heading: str
    rows: Rows


@dataclass(frozen=True, slots=True)
class Detail:
    title: str
    sections: tuple[Section, ...]


def plain(_: Any) -> str:
    """No style of its own."""
    return ""


@dataclass(frozen=True, slots=True)
class Column(Generic[M]):
    """`width` in terminal columns; the one that `grows` takes what is left, `wide` ones show
    only where there is room. `style` tells the row's colour in this column."""

    title: str
    width: int
    text: Callable[[M, Park], str]
    style: Callable[[M], str] = plain
    right: bool = False
    wide: bool = False
    grows: bool = False


@dataclass(frozen=True, slots=True)
class ListPage(Generic[M]):
    """A list route as a page. `readers` names who may see it: "people who may view reports"."""

    name: str
    title: str
    group: str
    path: str
    model: type[M]
    columns: tuple[Column[M], ...]
    detail: Callable[[Office, M], Awaitable[Detail]]
    empty: str
    readers: str
    device_of: Callable[[M], str | None] = lambda _: None
    """The device whose name a row shows."""
    waits: Callable[[M], bool] = lambda _: False
    """Whether a row waits for somebody to settle it."""

    def cells(self, row: M, park: Park) -> list[str]:
        """All of the row's texts, also of columns that have no room: the filter looks at them."""
        return [column.text(row, park) for column in self.columns]


def refusal_words(title: str, readers: str, name: str, roles: list[str]) -> str:
    """Who may see a page, for somebody who may not."""
    mine = f" ({', '.join(roles)})" if roles else ""
    return (
        f"{title}: for {readers}. The roles of {name}{mine} do not include that. "
        "Ask somebody whose roles do to log in here (Ctrl+L)."
    )
