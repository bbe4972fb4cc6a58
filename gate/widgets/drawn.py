"""A widget that is asked four times a second and draws only what has changed."""

from rich.text import Text
from textual.widget import Widget


class Drawn(Widget):
    """Subclasses tell their text. On a slow line every needless row costs."""

    _shown: Text | None = None

    def draw(self) -> Text:
        """What stands here now."""
        raise NotImplementedError

    def renew(self) -> None:
        """Draw again where something has changed."""
        if self.draw() != self._shown:
            self.refresh()

    def render(self) -> Text:
        self._shown = self.draw()
        return self._shown.copy()
