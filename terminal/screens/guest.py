"""Whose sale it is: a member looked up by name or telephone number, or written down anew."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from playpark.contracts.customers import CustomerView
from playpark.errors import PlayParkError
from playpark.tui import Dialog, Field, Rows

Find = Callable[[str], Awaitable[list[CustomerView]]]
Create = Callable[[str, str], Awaitable[CustomerView]]


@dataclass(frozen=True, slots=True)
class NewGuest:
    """A new member is to be written down; `wanted` is what was typed."""

    wanted: str


class GuestDialog(Dialog[CustomerView | NewGuest]):
    """Type and Enter to find, arrows and Enter to take."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Enter", "find, take"),
        ("↑↓", "choose"),
        ("F2", "new member"),
        ("Esc", "back"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [("f2", "create", "New")]

    def __init__(self, find: Find, wanted: str = "") -> None:
        super().__init__("Member")
        self._find = find
        self._wanted = wanted
        self._found: Sequence[CustomerView] = ()
        self._found_by: str | None = None
        self._busy = False

    def fields(self) -> ComposeResult:
        yield Static("Name or telephone number", classes="label")
        yield Field(self._wanted, id="wanted", max_length=100)
        yield Static("")
        yield Rows(empty="Nobody looked up yet.")

    def on_mount(self) -> None:
        self.query_one(Rows).can_focus = False
        self.query_one(Field).focus()
        if self._wanted:
            self._search()

    @property
    def typed(self) -> str:
        return self.query_one(Field).value

    def on_key(self, event: events.Key) -> None:
        if event.key in {"up", "down"}:
            event.stop()
            self.query_one(Rows).move(-1 if event.key == "up" else 1)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._found and self._found_by == event.value:
            self.dismiss(self._found[self.query_one(Rows).marked])
        else:
            self._search()

    def action_create(self) -> None:
        self.dismiss(NewGuest(self.typed))

    def _search(self) -> None:
        if not self._busy:
            self._busy = True
            self.refuse("")
            self.run_worker(self._try(self.typed), group="find")

    async def _try(self, wanted: str) -> None:
        try:
            found = await self._find(wanted)
        except PlayParkError as refused:
            self.refuse(refused.message)
        else:
            self._found, self._found_by = found, wanted
            rows = self.query_one(Rows)
            rows.marked = 0
            rows.rows = [
                (f"{each.name}  {each.phone or ''}  {each.group}", f"{each.points:,} points")
                for each in found
            ]
            if not found:
                self.refuse("Nobody by that name or number. F2 writes a new member down.")
        finally:
            self._busy = False


class NewGuestDialog(Dialog[CustomerView]):
    """A name, and a telephone number where there is one."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Enter", "next, save"),
        ("Tab", "other field"),
        ("Esc", "back"),
    )

    def __init__(self, create: Create, wanted: str = "") -> None:
        super().__init__("New member")
        self._create = create
        self._given_number = wanted if wanted[:1].isdecimal() or wanted[:1] == "+" else ""
        self._given_name = "" if self._given_number else wanted
        self._busy = False

    def fields(self) -> ComposeResult:
        yield Static("Name", classes="label")
        yield Field(self._given_name, id="name", max_length=120)
        yield Static("Telephone number", classes="label")
        yield Field(self._given_number, id="phone", max_length=40)

    def on_mount(self) -> None:
        name, phone = self.query_one("#name", Field), self.query_one("#phone", Field)
        name.successor = phone
        (phone if name.value else name).focus()

    def action_cancel(self) -> None:
        if not self._busy:
            self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self._busy:
            self._busy = True
            self.refuse("")
            self.run_worker(self._try(), group="create")

    async def _try(self) -> None:
        name, phone = self.query_one("#name", Field), self.query_one("#phone", Field)
        try:
            made = await self._create(name.value, phone.value)
        except PlayParkError as refused:
            self.refuse(refused.message)
        else:
            self.dismiss(made)
        finally:
            self._busy = False
