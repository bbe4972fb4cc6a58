"""The dashboard: the figures of this business day as tiles."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Grid, VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from admin_tui.today.figures import Tile, read_tiles
from admin_tui.widgets.pane import Pane
from playpark.errors import PlayParkError
from playpark.tui.text import safe
from playpark.tui.theme import MUTED

THREE_COLUMNS = 90


class TileCard(Static):
    """A title, a figure, a line about it."""

    def __init__(self, tile: Tile) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{tile.title}\n", MUTED)
        text.append(f"{tile.figure}\n", f"bold {tile.colour}")
        text.append(safe(tile.note), MUTED)
        super().__init__(text, classes="tile", markup=False)


class Dashboard(Pane):
    """Reads its figures when it is shown and on refresh."""

    def compose(self) -> ComposeResult:
        yield Static(id="heading", markup=False)
        yield Static(id="notice", markup=False)
        with VerticalScroll(id="tiles"):
            yield Grid()

    def on_mount(self) -> None:
        self._head("")

    def on_resize(self, event: Resize) -> None:
        self.query_one(Grid).set_class(event.size.width >= THREE_COLUMNS, "three")

    def take_focus(self) -> None:
        self.query_one("#tiles").focus()

    def refresh_rows(self) -> None:
        if not self.query(TileCard):
            self.notice("Reading …")
        self.run_worker(self._read(), group="dashboard", exclusive=True)

    async def _read(self) -> None:
        try:
            tiles = await read_tiles(self.office)
        except PlayParkError as refusal:
            sentence = self.refused(refusal, has_content=bool(self.query(TileCard)))
            self.notice(sentence, warn=True)
        else:
            self.failed = False
            await self._show(tiles)
        self.post_message(self.Changed())

    async def _show(self, tiles: tuple[Tile, ...]) -> None:
        self.notice()
        now = self.office.park.local(self.office.now())
        self._head(f"business day {self.office.today():%d %b} · read at {now:%H:%M}")
        grid = self.query_one(Grid)
        async with self.batch():
            await grid.remove_children()
            await grid.mount_all(TileCard(tile) for tile in tiles)

    def _head(self, about: str) -> None:
        text = Text.assemble(("Dashboard", "bold"), "   ", (about, MUTED))
        self.query_one("#heading", Static).update(text)
