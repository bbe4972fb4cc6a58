"""The answer in the middle of the screen, and its short form above an open question (SCREENS)."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from gate.answers import SCAN, Answer
from gate.bigtext import small
from gate.layout import lay_out
from playpark.tui import fit, safe


class Panel(Widget):
    """Draws an answer as large as its place allows; its class is the answer's level."""

    answer: reactive[Answer] = reactive(SCAN)

    def __init__(self) -> None:
        super().__init__(id="panel")

    def on_mount(self) -> None:
        self.set_classes(self.answer.level.value)

    def watch_answer(self, answer: Answer) -> None:
        self.set_classes(answer.level.value)

    def render(self) -> Text:
        width, height = self.size
        rows = lay_out(self.answer, width, height)
        return Text("\n".join(rows), style="bold", no_wrap=True)


class Banner(Widget):
    """Three rows of the answer while a question covers the panel; gone while nobody waits."""

    answer: reactive[Answer | None] = reactive(None)

    def watch_answer(self, answer: Answer | None) -> None:
        self.set_classes(answer.level.value if answer else "")
        self.display = answer is not None

    def render(self) -> Text:
        if self.answer is None:
            return Text()
        width = self.size.width
        words = f"{self.answer.word} {self.answer.headline}"
        rows = small(safe(words), width) or small(safe(self.answer.word), width)
        if not rows:
            rows = ["", fit(words, width), ""]
        return Text("\n".join(row.center(width) for row in rows), style="bold", no_wrap=True)
