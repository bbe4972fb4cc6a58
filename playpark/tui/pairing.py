"""Pairing: where the server is, the store's site key, and what this device is called."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.widgets import Static

from playpark.tui.field import Field
from playpark.tui.form import Form


@dataclass(frozen=True, slots=True)
class PairingDetails:
    """What a person types to pair a device."""

    api_url: str
    site_key: str
    name: str


class PairingScreen(Form):
    """Asks for the details and hands them to `pair`; what is known stands there already.

    With a site key among the known details it begins by itself.
    """

    HEADING = "Pair this device with a store"

    def __init__(
        self,
        pair: Callable[[PairingDetails], Awaitable[None]],
        known: PairingDetails,
        *,
        notice: str = "The supervisor has the site key. It is needed this once.",
    ) -> None:
        super().__init__()
        self._pair = pair
        self._known = known
        self._notice = notice

    def fields(self) -> ComposeResult:
        asked = (
            ("api", "Address of the server", self._known.api_url),
            ("site-key", "Site key", self._known.site_key),
            ("name", "Name of this device", self._known.name),
        )
        for name, label, value in asked:
            yield Static(label, classes="label")
            yield Field(value, id=name)

    def on_mount(self) -> None:
        self.say(self._notice)
        self.after_refusal()
        if self._known.site_key:
            self.start()

    async def attempt(self) -> None:
        values = [self.query_one(f"#{name}", Field).value for name in ("api", "site-key", "name")]
        await self._pair(PairingDetails(*(value.strip() for value in values)))

    def after_refusal(self) -> None:
        """The first empty field, else the site key."""
        fields = list(self.query(Field))
        empty = [field for field in fields if not field.value]
        (empty or [self.query_one("#site-key", Field)])[0].focus()
