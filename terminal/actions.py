"""Every action of the register, once: its keys, the words in the key row, its palette entry.

Key row, palette and keys are made from this list, so none can promise what another lacks. The key
row shows as many as fit, in this order; the palette all. What needs the server stands behind them
while it is away, and says so (R39).
"""

from collections.abc import Callable
from dataclasses import dataclass

from playpark.contracts.employees import Permission
from playpark.contracts.timecards import TimecardEvent
from terminal.till import Till

PACKAGE_KEYS = 7
"""F1 to F7 sell the first seven packages."""


def _basket(till: Till) -> bool:
    return bool(till.basket)


def _empty(till: Till) -> bool:
    return not till.basket


def _always(_till: Till) -> bool:
    return True


def _online(till: Till) -> bool:
    return till.engine.reachable


def _real(till: Till) -> bool:
    return _empty(till) and not till.training


@dataclass(frozen=True, slots=True)
class Action:
    """`keys` as Textual names them; `label` and `words` as the key row does: without words an
    action stands in the palette only. `needs_server`: offline its key says so (R39); `needed_for`
    is how that sentence begins."""

    name: str
    keys: tuple[str, ...]
    label: str
    words: str
    title: str
    help: str
    when: Callable[[Till], bool] = _always
    needs_server: bool = False
    needed_for: str = "This"


def _clock(event: TimecardEvent, title: str) -> Action:
    return Action(event.value, (), "timecard", "", title, "Your timecard, as of now.", _empty)


ACTIONS: tuple[Action, ...] = (
    Action(
        "seen",
        ("ctrl+y",),
        "^Y",
        "done",
        "Confirm what came late",
        "The money is given back, or was refused.",
        lambda till: bool(till.giving_back.unseen),
    ),
    Action(
        "difference",
        ("ctrl+t",),
        "^T",
        "difference",
        "Settle the difference of the last shift",
        "A supervisor accepts it, or it is counted again.",
        lambda till: _real(till) and till.drawer.unsettled is not None,
        needs_server=True,
        needed_for="Settling a difference",
    ),
    Action("exact", (), "⏎", "exact", "Take exact cash", "Sell for exact cash.", _basket),
    Action("void", ("f9",), "F9", "void", "Void a line", "Take out the marked line.", _basket),
    Action("card", ("f10",), "F10", "card", "Pay by card", "On the card terminal.", _basket),
    Action("qr", ("f11", "ctrl+k"), "F11", "QR", "Pay by QR", "In a bank's app.", _basket),
    Action("split", ("ctrl+s",), "^S", "split", "Pay in parts", "Several ways at once.", _basket),
    Action(
        "park",
        ("f12",),
        "F12",
        "park",
        "Park the sale",
        "Put the basket aside under a name.",
        lambda till: _basket(till) and not till.training,
        needs_server=True,
        needed_for="Parking a sale",
    ),
    Action(
        "discount",
        ("ctrl+d",),
        "^D",
        "discount",
        "Discount",
        "On the marked line or the sale: chosen or by hand.",
        _basket,
    ),
    Action("why", ("question_mark",), "?", "why", "Why this price?", "How it came about.", _basket),
    Action(
        "guest",
        ("ctrl+u",),
        "^U",
        "member",
        "Member",
        "Whose sale it is: member prices and points.",
        _basket,
        needs_server=True,
        needed_for="Looking up a member",
    ),
    Action("promo", ("ctrl+o",), "^O", "code", "Promotion code", "Enter or take off.", _basket),
    Action("undo", ("backspace",), "⌫", "undo", "Undo", "Take the last change back.", _basket),
    Action("more", ("f8",), "F8", "", "All tickets", "Choose from the whole list."),
    Action(
        "print",
        ("ctrl+r",),
        "^R",
        "print waiting",
        "Print waiting papers",
        "Done, but not on paper yet.",
        lambda till: bool(till.papers.due or till.papers.doubtful),
    ),
    Action(
        "quarantine",
        ("ctrl+k",),
        "^K",
        "refused",
        "Refused by the server",
        "What it did not take: send it again, hand it over, export it.",
        lambda till: _empty(till) and till.store.quarantined_count() > 0,
    ),
    Action(
        "find",
        ("ctrl+f", "insert"),
        "^F",
        "refund",
        "Find a sale: refund, void, print again",
        "By receipt number, code or a scanned ticket.",
        _real,
        needs_server=True,
        needed_for="Finding a sale",
    ),
    Action(
        "resume",
        ("f12",),
        "F12",
        "resume",
        "Resume a parked sale",
        "Priced as of now.",
        _real,
        needs_server=True,
        needed_for="Resuming a parked sale",
    ),
    Action(
        "move_cash",
        ("ctrl+g",),
        "^G",
        "cash",
        "Cash in, out, to the safe",
        "Recorded with a slip.",
        lambda till: _real(till) and till.may(Permission.CASH_MOVEMENT),
    ),
    Action(
        "x_report",
        ("ctrl+x",),
        "^X",
        "X",
        "X report",
        "The open shift on screen and paper.",
        _real,
        needs_server=True,
        needed_for="The X report",
    ),
    Action(
        "close_shift",
        ("ctrl+e",),
        "^E",
        "close shift",
        "Close the shift",
        "Count the drawer and close.",
        lambda till: _empty(till) and till.may(Permission.SHIFT_CLOSE),
    ),
    Action("log_out", ("ctrl+l",), "^L", "log out", "Log out", "Hand the till over.", _empty),
    Action(
        "export",
        (),
        "export",
        "",
        "Export what the server has not seen",
        "To a file, for the office: where the network stays dead.",
        lambda till: _empty(till) and till.engine.queued > 0,
    ),
    _clock(TimecardEvent.CLOCK_IN, "Clock in"),
    _clock(TimecardEvent.CLOCK_OUT, "Clock out"),
    _clock(TimecardEvent.BREAK_START, "Begin a break"),
    _clock(TimecardEvent.BREAK_END, "End the break"),
    Action(
        "train",
        (),
        "training",
        "",
        "Training on or off",
        "Practice: nothing that is sold then is real.",
        _empty,
    ),
    Action("quit", (), "^Q", "", "Quit", "Close the program."),
)
KEYS = frozenset(key for action in ACTIONS for key in action.keys)


def available(till: Till) -> list[Action]:
    """The actions that work now; offline without those that need the server."""
    return [
        each for each in ACTIONS if each.when(till) and (_online(till) or not each.needs_server)
    ]


def waiting(till: Till) -> list[Action]:
    """The actions that would work now, were the server there."""
    if _online(till):
        return []
    return [each for each in ACTIONS if each.needs_server and each.when(till)]


def action_of(key: str, till: Till) -> Action | None:
    """What a key does now, also where it can only say that the server is needed."""
    return next((each for each in ACTIONS if key in each.keys and each.when(till)), None)


def of_server(name: str) -> Action | None:
    """The action of this name, if it needs the server."""
    return next((each for each in ACTIONS if each.name == name and each.needs_server), None)


def named(name: str) -> Action:
    return next(action for action in ACTIONS if action.name == name)
