"""The register: what a cashier looks at all day (SCREENS; R8, R12, R23).

The screen reads the till and draws it; what a key does is decided here, done by the till.
"""

from collections.abc import Coroutine
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from playpark.clock import park_zone
from playpark.contracts.catalog import PackageView
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.timecards import TimecardEvent
from playpark.device import StoredOp
from playpark.errors import PlayParkError
from playpark.money import format_satang
from playpark.tui import Confirm, StatusBar, keys_text, safe
from playpark.tui.status_bar import REFRESH_S
from playpark.tui.theme import MUTED
from terminal.actions import PACKAGE_KEYS, Action, action_of, available, named, waiting
from terminal.counter import OFFLINE, TillState
from terminal.entry import Amount, Nothing, Scanned, Search, find, quantity, read
from terminal.finding import RECEIPT
from terminal.screens.dialogs import WhyThisPrice
from terminal.till import Till
from terminal.widgets.basket_view import BasketView
from terminal.widgets.entry_line import CLEARING, ENTER, EntryLine
from terminal.widgets.last_sales import LastSales, standing
from terminal.widgets.tickets_panel import TicketsPanel
from terminal.widgets.totals import Figure, Totals

RING_FIRST = "That is a ticket or a barcode, and no amount: finish this sale first."
BARCODE = "That is a barcode: the till sells by keys and names, and finds tickets by their QR code."
REAL_SALES = "This is training: leave it before you look up a real sale."
EVERYTHING = ("^P", "all")
_BESIDE = {"print", "close_shift", "log_out", "quit", *TimecardEvent}
"""Actions of the app that leave the register free."""
PACKAGE_OF_KEY = {f"f{number}": number - 1 for number in range(1, PACKAGE_KEYS + 1)}


class RegisterScreen(Screen[None]):
    """Keys in, till out. What talks to the network or the printer is left to the app."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as Textual has it

    class Chosen(Message):
        """An action of the palette."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Recorded(Message):
        """A sale is on the disk: the app sends and prints it."""

        def __init__(self, op: StoredOp) -> None:
            super().__init__()
            self.op = op

    class Wanted(Message):
        """Something that the app does, with what stood on the entry line and the marked line."""

        def __init__(self, name: str, text: str = "", line: int = 0, satang: int = 0) -> None:
            super().__init__()
            self.name = name
            self.text = text
            self.line = line
            self.satang = satang

    def __init__(self, till: Till) -> None:
        super().__init__()
        self._till = till
        self._listing = False
        self._line_was_there = False
        self.held = False
        """True from the key that begins a flow to its end: no other key is taken meanwhile."""

    def compose(self) -> ComposeResult:
        identity = self._till.store.identity
        zone = park_zone(identity.store.tz if identity and identity.store else None)
        yield StatusBar()
        yield Static(id="last", markup=False)
        with Horizontal(id="panels"):
            yield BasketView()
            yield TicketsPanel()
            yield LastSales(zone)
        yield Totals()
        yield Static(id="notice", markup=False)
        with Horizontal(id="ask"):
            yield Static("▸", id="prompt")
            yield EntryLine()
        yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(EntryLine).focus()
        self.renew()
        self.set_interval(REFRESH_S, self._follow_the_line)

    def _follow_the_line(self) -> None:
        """The line comes and goes by itself: the keys that need it with it."""
        if self._till.engine.reachable is not self._line_was_there:
            self._show_keys()

    # --- drawing ------------------------------------------------------------------------

    def renew(self) -> None:
        """Draw the till as it is now."""
        till, basket = self._till, self.query_one(BasketView)
        basket.priced = till.priced
        basket.heading, basket.rounded = _heading(till), self._rounding()
        lines = len(till.basket.lines)
        basket.marked = min(basket.marked, max(lines - 1, 0))
        self.query_one(TicketsPanel).packages = till.packages
        self.query_one(LastSales).sales = till.last_sales
        last = self.query_one("#last", Static)
        last.set_class(till.training, "training")
        last.set_class(bool(till.giving_back.unseen), "late")
        last.update(self._last_sale())
        notice = self.query_one("#notice", Static)
        notice.set_class(till.notice.refused, "refused")
        notice.update(Text(safe(till.notice.text), no_wrap=True, overflow="ellipsis"))
        self._show_keys()
        self._show_totals()
        self.query_one(StatusBar).renew()

    def _last_sale(self) -> Text:
        if late := self._till.giving_back.unseen:
            return Text(f" {safe(late[0].sentence)}  ^Y: done.", no_wrap=True)
        if self._till.training:
            return Text(" ฝึกอบรม TRAINING · nothing is real, tickets admit nobody", no_wrap=True)
        sales = self._till.last_sales
        if not sales:
            return Text(" No sale on this till yet.", style=MUTED)
        last = sales[0]
        change = f"  change {format_satang(last.change)}" if last.change else ""
        row = Text(f" Last sale {last.receipt_no}  {format_satang(last.total)}{change}  ")
        word, colour = standing(last)
        row.append(word, style=colour)
        return row

    def _show_keys(self) -> None:
        """The keys that work now, as many as fit: in a list Enter adds, else it takes cash."""
        self._line_was_there = self._till.engine.reachable
        words = [(each.label, each.words) for each in available(self._till) if each.words]
        if self.query_one(TicketsPanel).found is not None:
            words = [("⏎", "add"), ("↑↓", "choose"), ("Esc", "back")]
        elif self._till.basket:
            at = next(index for index, (key, _) in enumerate(words) if key == "⏎")
            words.insert(at + 1, ("1000⏎", "tendered"))
        width = self.size.width - 2
        while words and keys_text([*words, EVERYTHING]).cell_len > width:
            words.pop()
        row = keys_text([*words, EVERYTHING])
        if later := [each.label for each in waiting(self._till)]:
            note = f"   needs the server: {' '.join(later)}"
            row.append(note if row.cell_len + len(note) <= width else "", style=MUTED)
        self.query_one("#keys", Static).update(row)

    def _rounding(self) -> int:
        """What exact cash rounds, satang (R7)."""
        till = self._till
        if till.priced is None or till.state is not TillState.SELLING:
            return 0
        return till.selling.due(PaymentMethod.CASH) - till.priced.grand_total

    def _show_totals(self) -> None:
        till, totals = self._till, self.query_one(Totals)
        if (sold := till.sold) is not None:
            totals.show(
                Figure(f"PAID {sold.method.upper()}", sold.total, "good"),
                Figure("TENDER", sold.tendered),
                Figure("CHANGE", sold.change if sold.tendered is not None else None, "good"),
            )
            return
        total = till.priced.grand_total if till.priced else 0
        rounding = self._rounding()
        entry = read(self.query_one(EntryLine).value)
        if not isinstance(entry, Amount) or not till.basket:
            cash = Figure("CASH", total + rounding) if rounding else Figure("TENDER")
            totals.show(Figure("TOTAL", total), cash, Figure("CHANGE"))
            return
        change = Figure("CHANGE", entry.satang - total - rounding)
        if entry.satang < total + rounding:
            change = Figure("MISSING", total + rounding - entry.satang, "bad")
        totals.show(Figure("TOTAL", total), Figure("TENDER", entry.satang), change)

    # --- typing -------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value:
            self._till.selling.begin()
            self._show_list(self._found(event.value))
        elif not self._listing:
            self._show_list(None)
        self._show_totals()

    async def on_entry_line_pressed(self, event: EntryLine.Pressed) -> None:
        """One key after the other: a sale is recorded before the next key is looked at, and a
        key that was pressed before a dialog came up does nothing."""
        if self.held or not self.is_active or self._till.state is not TillState.SELLING:
            return
        match event.key:
            case key if key in ENTER:
                await self._enter(event)
            case "up" | "down":
                self._move(-1 if event.key == "up" else 1)
            case key if key in PACKAGE_OF_KEY:
                self._package(PACKAGE_OF_KEY[key], event.text)
            case key if action := action_of(key, self._till):
                await self._act(action, event.text)
        if event.key in CLEARING and event.key != "f8":
            self._listing = False
            self._show_list(None)

    async def on_register_screen_chosen(self, event: Chosen) -> None:
        if not self.held:
            await self._act(named(event.name))

    async def _enter(self, event: EntryLine.Pressed) -> None:
        # The line is empty again by now, and with it the list: find once more.
        found, marked = self._found(event.text), self.query_one(TicketsPanel).marked
        match read(event.text, seconds=event.seconds):
            case Scanned():
                self._scanned(event.text)
            case Search(text) if RECEIPT.fullmatch(text.upper()):
                self._scanned(text)
            case Search(text) if not found and self._till.selling.is_promo(text):
                self._want("promo", text)
            case Search() | Nothing() if found:
                self._add(found[min(marked, len(found) - 1)], 1)
            case Search():
                self._say("No ticket by that name.")
            case Amount(satang):
                await self._tender(satang)
            case _ if self._till.basket:
                await self._cash()

    def _scanned(self, text: str) -> None:
        """A ticket or a receipt number finds its sale, but never while something is rung."""
        if self._till.basket:
            self._say(RING_FIRST)
        elif self._till.training:
            self._say(REAL_SALES)
        elif read(text) == Scanned() and text.strip().isdecimal():
            self._say(BARCODE)
        elif self._online("find"):
            self._want("find", text)

    def _move(self, step: int) -> None:
        panel, basket = self.query_one(TicketsPanel), self.query_one(BasketView)
        if panel.found:
            panel.marked = (panel.marked + step) % len(panel.found)
        elif lines := len(self._till.basket.lines):
            basket.marked = (basket.marked + step) % lines

    def _package(self, index: int, text: str) -> None:
        """As many of a package as the number that stood on the entry line."""
        if index >= len(self._till.packages):
            return
        qty = 1 if isinstance(read(text), Search) else quantity(text)
        if qty is None:
            self._say("Type a number from 1 to 999 before a ticket key.")
        else:
            self._add(self._till.packages[index], qty)

    def _add(self, package: PackageView, qty: int) -> None:
        try:
            self._till.add(package.package_id, qty)
        except PlayParkError as refused:
            self._say(refused.message)
            return
        rung = [line.package_id for line in self._till.basket.lines]
        self.query_one(BasketView).marked = rung.index(package.package_id)

    async def _act(self, action: Action, text: str = "") -> None:
        """Do an action if it works now."""
        if not action.when(self._till) or not self._online(action.name):
            return
        till, basket = self._till, self.query_one(BasketView)
        match action.name:
            case "exact":
                await self._cash()
            case "void":
                till.void_line(basket.marked)
            case "undo":
                till.undo()
            case "seen":
                till.giving_back.seen()
            case "train":
                till.train()
            case "why" if till.priced:
                self.app.push_screen(WhyThisPrice(till.priced, basket.marked))
            case "more":
                self._listing = True
                self._show_list(till.packages)
            case name if name in _BESIDE:
                self.post_message(self.Wanted(name))
            case name:
                self._want(name, text)

    def _online(self, name: str) -> bool:
        """Whether an action can be done now; offline its key says what it needs (R39)."""
        action = named(name)
        if action.needs_server and not self._till.engine.reachable:
            self._till.engine.wake()
            self._say(OFFLINE.format(action.needed_for))
            return False
        return True

    def _want(self, name: str, text: str = "", satang: int = 0) -> None:
        """Begin a flow: from this key on the register waits for it."""
        self.held = True
        line = self.query_one(BasketView).marked
        self.post_message(self.Wanted(name, text.strip(), line, satang))

    # --- money --------------------------------------------------------------------------

    async def _cash(self) -> None:
        """Exact cash: at once, unless a supervisor has to see the discount first."""
        if self._till.selling.question() is not None:
            self._want("exact")
        else:
            await self._sell(self._till.pay_exact_cash())

    async def _tender(self, satang: int) -> None:
        till = self._till
        if till.priced is None:
            self._say("The basket is empty: add a ticket first.")
        elif till.is_unusual(satang):
            total = format_satang(till.priced.grand_total)
            reason = f"{format_satang(satang)} is more than ten times the total of {total}."

            async def answered(sure: bool | None) -> None:
                if sure:
                    await self._take_cash(satang)

            self.app.push_screen(Confirm("Is that the amount?", reason), answered)
        else:
            await self._take_cash(satang)

    async def _take_cash(self, satang: int) -> None:
        if self._till.selling.question() is not None:
            self._want("tender", satang=satang)
        else:
            await self._sell(self._till.pay_cash(satang, confirmed=True))

    async def _sell(self, payment: Coroutine[Any, Any, StoredOp]) -> None:
        try:
            op = await payment
        except PlayParkError as refused:
            self._say(refused.message)
        else:
            self.post_message(self.Recorded(op))

    # --- inside -------------------------------------------------------------------------

    def _found(self, text: str) -> list[PackageView] | None:
        """What the list shows for a text; None where there is no list."""
        entry = read(text)
        if isinstance(entry, Search):
            return find(entry.text, self._till.packages)
        return self._till.packages if self._listing and not text else None

    def _show_list(self, found: list[PackageView] | None) -> None:
        panel = self.query_one(TicketsPanel)
        panel.found = found
        if found is not None:
            panel.marked = 0
        self._show_keys()

    def _say(self, sentence: str) -> None:
        self._till.tell(sentence, refused=True)


def _heading(till: Till) -> str:
    """Whose basket it is, where it comes from, which codes were entered."""
    rung = till.basket.rung
    parts = ["Basket"]
    if rung.guest:
        parts.append(f"{rung.guest.name} ({rung.guest.group}, {rung.guest.points:,} points)")
    if rung.parked:
        parts.append(f"parked as {rung.parked.name}")
    return " · ".join([*parts, *rung.promo_codes])
