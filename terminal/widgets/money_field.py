"""A field for an amount in baht: letters, huge figures and a scanner's burst are no money."""

from textual import events

from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang
from playpark.tui import Field
from terminal.entry import Amount, Scanned, read

NO_AMOUNT = "Type an amount in baht, such as 420 or 420.50."
SCANNED = "That is a ticket or a barcode, and no amount: type the amount."


def amount_of(text: str, seconds: float | None = None) -> int:
    """Satang. `seconds` is how long it took to type. Raises E_VALIDATION with what to type."""
    entry = read(text, seconds=seconds)
    if isinstance(entry, Amount):
        return entry.satang
    message = SCANNED if isinstance(entry, Scanned) else NO_AMOUNT
    raise PlayParkError(ErrorCode.VALIDATION, message)


class MoneyField(Field):
    """Knows how fast it was typed."""

    def __init__(self, satang: int | None = None, *, id: str) -> None:  # noqa: A002 - as Textual
        value = "" if satang is None else format_satang(satang, grouping=False)
        super().__init__(value, id=id, max_length=100)
        self._first_key = 0.0
        self._last_key = 0.0

    async def take(self, event: events.Key) -> None:
        if event.is_printable:
            self._first_key = event.time if not self.value else self._first_key
            self._last_key = event.time
        await super().take(event)

    @property
    def satang(self) -> int:
        """The amount. Raises E_VALIDATION, and empties the field of what a scanner left there."""
        try:
            return amount_of(self.value, self._last_key - self._first_key or None)
        except PlayParkError as refused:
            if refused.message == SCANNED:
                self.value = ""
            raise
