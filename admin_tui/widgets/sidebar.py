"""The pages in their groups, each with its key."""

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from admin_tui.pages import PLACES
from playpark.tui.theme import ACCENT, MUTED


class Sidebar(OptionList):
    """An option for each page; headings cannot be chosen."""

    def __init__(self) -> None:
        options: list[Option] = []
        group = ""
        for place in PLACES:
            if place.group != group:
                group = place.group
                options.append(Option(Text(group.upper(), style=MUTED), disabled=True))
            line = Text.assemble((place.key, f"bold {ACCENT}"), f" {place.title}")
            options.append(Option(line, id=place.name))
        super().__init__(*options, id="sidebar", markup=False, compact=True)

    def mark(self, name: str) -> None:
        """Put the cursor on the page that is shown."""
        self.highlighted = self.get_option_index(name)
