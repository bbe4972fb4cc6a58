"""Everything that can be done in the back office: one entry gives the key, the word in the row of
keys and the line of the palette."""

from dataclasses import dataclass

from admin_tui.pages import PLACES


@dataclass(frozen=True, slots=True)
class Command:
    """`action` is a Textual action of the office screen; `shown` the key as the row names it,
    empty where the sidebar names it already."""

    key: str
    action: str
    title: str
    help: str
    shown: str = ""
    label: str = ""


COMMANDS = (
    Command("enter", "open_detail", "Show detail", "All about the selected row", "Enter", "detail"),
    Command("escape", "close_detail", "Close the detail", "Back to the rows", "Esc", "back"),
    Command("slash", "filter", "Filter this page", "Show the rows with a word", "/", "filter"),
    Command("n", "next_page", "Next page", "Older rows", "n", "next"),
    Command("p", "previous_page", "Previous page", "Newer rows", "p", "previous"),
    Command("b", "settle('apply')", "Book it", "Book what waits, as it happened", "b", "book"),
    Command("c", "settle('dismiss')", "Close it", "Say it is settled by hand", "c", "close"),
    Command("r", "refresh", "Refresh", "Read this page again", "r", "refresh"),
    *(
        Command(
            place.key,
            f"go('{place.name}')",
            f"Go to {place.title}",
            f"{place.group}: key {place.key}",
        )
        for place in PLACES
    ),
    Command("ctrl+l", "log_out", "Log out", "Let somebody else log in", "Ctrl+L", "log out"),
    Command("ctrl+q", "app.quit", "Quit", "Leave the back office"),
)
PAGES_KEY = ("Tab", "pages")
CHOOSE_KEY = ("↑↓ Enter", "go")
"""What works in the sidebar."""
PALETTE_KEY = ("Ctrl+P", "all")
FILTER_KEYS = (("Enter", "to the rows"), ("Esc", "show all rows"))
"""What works while a filter is typed: letters belong to it."""
