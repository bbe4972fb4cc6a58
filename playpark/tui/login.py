"""Login with a PIN, and a code where one is needed; recent people stand there already (R41)."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from playpark.device.records import RecentEmployee
from playpark.errors import ErrorCode, PlayParkError
from playpark.tui.field import Field
from playpark.tui.form import Form
from playpark.tui.text import safe

CODE_DIGITS = 6


class LoginScreen(Form):
    """Asks for an email address and a PIN and hands both to `log_in`, and a code where the server
    asks for one.

    ↑ and ↓ go through those who logged in on this device before.
    """

    HEADING = "Log in"
    # Not the first field: what is typed while the screen comes up may be a PIN, and no address.
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        ("up", "recent(1)", "Someone else"),
        ("down", "recent(-1)", "Someone else"),
    ]

    def __init__(
        self,
        log_in: Callable[[str, str, str | None], Awaitable[None]],
        recent: Sequence[RecentEmployee] = (),
        *,
        notice: str = "",
    ) -> None:
        super().__init__()
        self._log_in = log_in
        self._recent = [employee for employee in recent if employee.email]
        self._chosen = 0
        self._notice = notice
        self._right_pin = ""
        """Kept while the code is asked for, so that it need not be typed again."""

    def keys(self) -> Iterable[tuple[str, str]]:
        yield ("Enter", "go on")
        if len(self._recent) > 1:
            yield ("↑↓", "someone else")
        yield ("Ctrl+Q", "quit")

    def fields(self) -> ComposeResult:
        yield Static("Email address", classes="label")
        known = self._recent[0].email if self._recent else None
        yield Field(known or "", id="who", max_length=180, required=True)
        yield Static("PIN", classes="label")
        yield Field(id="pin", password=True, restrict=r"[0-9]*", max_length=8)
        names = " · ".join(safe(employee.name) for employee in self._recent)
        if names:
            yield Static(Text(f"Here before: {names}"), id="hint")

    def on_mount(self) -> None:
        self.say(self._notice)
        self._begin()

    def action_recent(self, step: int) -> None:
        if self._recent:
            self._chosen = (self._chosen + step) % len(self._recent)
            self._show_chosen()

    def _show_chosen(self) -> None:
        who = self.query_one("#who", Field)
        who.value = self._recent[self._chosen].email or ""
        self.query_one("#pin", Field).focus()

    async def attempt(self) -> None:
        who, pin = self.query_one("#who", Field), self.query_one("#pin", Field)
        typed, pin.value = pin.value or self._right_pin, ""
        code = self._code()
        try:
            await self._log_in(who.value.strip(), typed, code)
        except PlayParkError as refusal:
            await self._ask_code(typed if _needs_code(refusal) else "")
            raise

    def _code(self) -> str | None:
        """What was typed as code. Raises E_VALIDATION where something is missing."""
        if not self.query("#code"):
            return None
        field = self.query_one("#code", Field)
        if len(field.value) != CODE_DIGITS:
            raise PlayParkError(ErrorCode.VALIDATION, "Type all six digits of the code.")
        typed, field.value = field.value, ""
        return typed

    async def _ask_code(self, right_pin: str) -> None:
        """Show the code's field after the right PIN; begin anew where the code was wrong."""
        self._right_pin = right_pin
        if not right_pin:
            await self.query(".code").remove()
        elif not self.query("#code"):
            label = Static("Code of your authenticator app", classes="label code")
            field = Field(id="code", classes="code", restrict=r"[0-9]*", max_length=CODE_DIGITS)
            await self.query_one("#box", Vertical).mount_all([label, field], before="#message")

    def after_refusal(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """With the code where it is asked for, else the PIN where the address stands there."""
        who = self.query_one("#who", Field)
        after = self.query_one("#code" if self._right_pin else "#pin", Field)
        self.set_focus(after if who.value else who)


def _needs_code(refusal: PlayParkError) -> bool:
    return (refusal.details or {}).get("totp") == "required"
