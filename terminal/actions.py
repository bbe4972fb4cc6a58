"""Every action of the register, once: its keys, the words in the key row, its palette entry.

Key row, palette and keys are made from this list, so none can promise what another lacks.
"""

from collections.abc import Callable
from dataclasses import dataclass

from playpark.contracts.employees import Permission
from terminal.till import Till

PACKAGE_KEYS = 7
"""F1 to F7 sell the first seven packages."""


def _basket(till: Till) -> bool:
    return bool(till.basket)


def _empty(till: Till) -> bool:
    return not till.basket


def _always(_till: Till) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Action:
    """`keys` as Textual names them; `label` and `words` as the key row does: without words an
    action stands in the palette only."""

    name: str
    keys: tuple[str, ...]
    label: str
    words: str
    title: str
    help: str
    when: Callable[[Till], bool] = _always


ACTIONS: tuple[Action, ...] = (
    Action("exact", (), "⏎", "exact", "Take exact cash", "Sell for exact cash.", _basket),
    Action("void", ("f9",), "F9", "void", "Void a line", "Take out the marked line.", _basket),
    Action("card", ("f10",), "F10", "card", "Pay by card", "On the card terminal.", _basket),
    Action("qr", ("f11", "ctrl+k"), "F11 ^K", "QR", "Pay by QR", "In a bank's app.", _basket),
    Action("why", ("question_mark",), "?", "why", "Why this price?", "How it came about.", _basket),
    Action("undo", ("backspace",), "⌫", "undo", "Undo", "Take the last change back.", _basket),
    Action("more", ("f8",), "F8", "", "All tickets", "Choose from the whole list."),
    Action(
        "print",
        ("ctrl+r",),
        "^R",
        "print waiting",
        "Print waiting tickets",
        "Sold, but not on paper yet.",
        lambda till: bool(till.papers.due or till.papers.doubtful),
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
    Action("quit", (), "^Q", "", "Quit", "Close the program."),
)
BY_KEY = {key: action for action in ACTIONS for key in action.keys}


def available(till: Till) -> list[Action]:
    """The actions that work now."""
    return [action for action in ACTIONS if action.when(till)]
