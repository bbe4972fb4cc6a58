"""A sale that was found: its tickets with state and money, and what can be done with it; then
what came of it (R31, R32)."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from zoneinfo import ZoneInfo

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from playpark.contracts.sales import SaleStatus
from playpark.errors import PlayParkError
from playpark.money import format_satang
from playpark.tui import Dialog, fit, keys_text, safe
from playpark.tui.theme import BAD, BRIGHT, GOOD, MUTED, WARN
from terminal.finding import FoundSale, FoundTicket
from terminal.giving_back import GivingBack, Outcome, Standing

CODE, STATE, FIGURE = 10, 11, 11


class Wish(StrEnum):
    REFUND = "refund"
    AMOUNT = "amount"
    VOID = "void"
    REPRINT = "reprint"
    EXCHANGE = "exchange"


WISHES = {
    "r": Wish.REFUND,
    "m": Wish.AMOUNT,
    "v": Wish.VOID,
    "p": Wish.REPRINT,
    "l": Wish.EXCHANGE,
}
"""By key."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a sale; `ticket_ids` None means all of it. A lost ticket is the one that is
    marked, alone: of a bundle one paper is lost."""

    wish: Wish
    ticket_ids: tuple[str, ...] | None = None


class TicketTable(Widget, can_focus=True):
    """The tickets; Space chooses one, or all of a bundle, A all. Keys stay in their order."""

    class Wished(Message):
        """A key that says what is wanted."""

        def __init__(self, wish: Wish) -> None:
            super().__init__()
            self.wish = wish

    def __init__(self, found: FoundSale) -> None:
        super().__init__()
        self._found = found
        self._marked = 0
        self.chosen: set[str] = set()

    @property
    def ticket_ids(self) -> tuple[str, ...] | None:
        """The chosen tickets in their order; None for the whole sale."""
        ids = [each.ticket.ticket_id for each in self._found.tickets]
        chosen = tuple(each for each in ids if each in self.chosen)
        return chosen or None

    @property
    def marked(self) -> FoundTicket:
        return self._found.tickets[self._marked]

    def get_content_height(self, *_: object) -> int:
        return min(len(self._found.tickets), 10) + 2

    def on_key(self, event: events.Key) -> None:
        tickets = self._found.tickets
        match event.key:
            case "up" | "down" if tickets:
                step = -1 if event.key == "up" else 1
                self._marked = (self._marked + step) % len(tickets)
            case "space" if tickets:
                unit = [each.unit == tickets[self._marked].unit for each in tickets]
                self.chosen ^= {
                    each.ticket.ticket_id
                    for each, of_it in zip(tickets, unit, strict=True)
                    if of_it
                }
                last = max(index for index, of_it in enumerate(unit) if of_it)
                self._marked = min(last + 1, len(tickets) - 1)
            case "a":
                everything = {each.ticket.ticket_id for each in tickets}
                self.chosen = set() if self.chosen == everything else everything
            case key if key in WISHES:
                self.post_message(self.Wished(WISHES[key]))
            case _:
                return
        event.stop()
        event.prevent_default()
        self.refresh()

    def render(self) -> Text:
        width, height = self.size
        room = max(height - 2, 1)
        first = max(self._marked - room + 1, 0)
        rows = [
            self._row(index, width)
            for index in range(first, min(first + room, len(self._found.tickets)))
        ]
        chosen = [each for each in self._found.tickets if each.ticket.ticket_id in self.chosen]
        count = f"{len(chosen)} of {len(self._found.tickets)} chosen" if chosen else "whole sale"
        money = sum(each.left for each in chosen) if chosen else self._found.left
        label = fit(f"   {count}, can give back", width - FIGURE - 1)
        rows += [Text(), Text.assemble((label, MUTED), (_money(money), f"bold {BRIGHT}"))]
        return Text("\n", no_wrap=True).join(rows)

    def _row(self, index: int, width: int) -> Text:
        each = self._found.tickets[index]
        box = "[x]" if each.ticket.ticket_id in self.chosen else "[ ]"
        tie = self._tie(index)
        name = fit(f"{tie}{each.ticket.package_name}", width - 5 - CODE - STATE - FIGURE - 1)
        colour = {"not used": GOOD, "used": WARN}.get(each.state, MUTED)
        code = f"{each.ticket.short_code[:4]}-{each.ticket.short_code[4:]}"
        row = Text.assemble(
            "▌" if index == self._marked else " ",
            f"{box} ",
            (name, BRIGHT),
            (f"{code:>{CODE}}", MUTED),
            (f"{each.state:>{STATE}}", colour),
            _money(each.left),
        )
        if index == self._marked:
            row.stylize("on #24405a")
        return row

    def _tie(self, index: int) -> str:
        """Binds the tickets of a bundle: they are chosen together."""
        tickets = self._found.tickets
        above, below = (
            0 <= beside < len(tickets) and tickets[beside].unit == tickets[index].unit
            for beside in (index - 1, index + 1)
        )
        return {(False, True): "┌ ", (True, True): "├ ", (True, False): "└ "}.get(
            (above, below), ""
        )


class FoundSaleDialog(Dialog[Wanted]):
    """What a sale was, and what is wanted of it."""

    DEFAULT_CSS = """
    FoundSaleDialog > #box { width: 76; }
    FoundSaleDialog #keys { height: auto; }
    """
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Space", "choose"),
        ("A", "all"),
        ("R", "refund"),
        ("M", "amount"),
        ("V", "void"),
        ("P", "reprint"),
        ("L", "lost"),
        ("Esc", "back"),
    )

    def __init__(
        self, found: FoundSale, zone: ZoneInfo, why_not_void: str | None, *, by_amount: bool = False
    ) -> None:
        super().__init__(f"Sale {found.sale.receipt_no}")
        self._found = found
        self._zone = zone
        self._why_not_void = why_not_void
        self._by_amount = by_amount
        self._table = TicketTable(found)

    def fields(self) -> ComposeResult:
        sale = self._found.sale
        at = sale.occurred_at.astimezone(self._zone)
        paid = ", ".join(
            f"{format_satang(each.amount)} {each.method.value}" for each in sale.payments
        )
        head = Text.assemble(
            (f"{at:%d %b %H:%M}", BRIGHT),
            (f"  {safe(sale.cashier_name or '')}  paid ", MUTED),
            (paid, BRIGHT),
            ("\n", ""),
        )
        if sale.status is not SaleStatus.COMPLETED:
            word = sale.status.value.replace("_", " ")
            head.append(f"{word}, {format_satang(sale.refunded)} given back\n", style=WARN)
        yield Static(head)
        yield self._table

    def on_mount(self) -> None:
        hidden = {"V"} if self._why_not_void else set()
        hidden |= set() if self._by_amount else {"M"}
        keys = [each for each in self.KEYS if each[0] not in hidden]
        self.query_one("#keys", Static).update(keys_text(keys))
        self._table.focus()

    def on_ticket_table_wished(self, event: TicketTable.Wished) -> None:
        event.stop()
        ids = self._table.ticket_ids
        match event.wish:
            case Wish.VOID if self._why_not_void:
                self.refuse(self._why_not_void)
            case Wish.VOID:
                self.dismiss(Wanted(Wish.VOID))
            case Wish.AMOUNT if not self._by_amount:
                self.refuse("This store gives back tickets, not amounts: choose the tickets.")
            case Wish.AMOUNT if not self._found.left:
                self.refuse("Nothing of that can be given back any more.")
            case Wish.AMOUNT:
                self.dismiss(Wanted(Wish.AMOUNT))
            case Wish.EXCHANGE if not self._found.tickets:
                self.refuse("There is no ticket to exchange.")
            case Wish.EXCHANGE if problem := GivingBack.why_not_exchange(self._table.marked):
                self.refuse(problem)
            case Wish.EXCHANGE:
                self.dismiss(Wanted(Wish.EXCHANGE, (self._table.marked.ticket.ticket_id,)))
            case Wish.REFUND if not self._left(ids):
                self.refuse("Nothing of that can be given back any more.")
            case wish:
                self.dismiss(Wanted(wish, ids))

    def _left(self, ids: tuple[str, ...] | None) -> int:
        """Free tickets can come back too, and cancelled ones: what counts is that they are not
        back already."""
        if ids is None:
            return self._found.left
        chosen = [each for each in self._found.tickets if each.ticket.ticket_id in ids]
        voided = self._found.sale.status is SaleStatus.VOIDED
        return 0 if voided or any(each.state == "refunded" for each in chosen) else 1


class OutcomeDialog(Dialog[None]):
    """Waits for the server's answer: no money leaves before it. Gives way once it is there, or
    once it is late; then the register tells it."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter", "cancel", "Done")]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = ()

    def __init__(self, question: str, ask: Callable[[], Awaitable[Outcome]]) -> None:
        super().__init__(question)
        self._ask = ask
        self.finished = False
        self.outcome: Outcome | None = None

    def fields(self) -> ComposeResult:
        yield Static(
            Text("\nWait: do not give money back yet.\n", style=f"bold {WARN}"), id="outcome"
        )

    def on_mount(self) -> None:
        # A worker of the app: what was asked for goes on whatever becomes of this dialog.
        self.app.run_worker(self._wait(), group="giving_back")

    async def _wait(self) -> None:
        try:
            outcome = await self._ask()
        except PlayParkError as refused:
            self._say(Text(f"\n{safe(refused.message)}\n", style=f"bold {BAD}"))
        else:
            self.outcome = outcome
            mood = {Standing.DONE: GOOD, Standing.REFUSED: BAD, Standing.WAITING: WARN}
            text = Text(f"\n{safe(outcome.sentence)}\n", style=f"bold {mood[outcome.standing]}")
            for method, amount in outcome.parts:
                text.append(f"\n  {method.value:<8}{_money(amount)}", style=f"bold {BRIGHT}")
            self._say(text)

    def _say(self, text: Text) -> None:
        self.finished = True
        if self.is_mounted:
            self.query_one("#outcome", Static).update(text)
            self.query_one("#keys", Static).update(keys_text([("Enter", "close")]))

    def action_cancel(self) -> None:
        if self.finished:
            self.dismiss(None)


def _money(amount: int) -> str:
    return f"{format_satang(amount):>{FIGURE}}"
