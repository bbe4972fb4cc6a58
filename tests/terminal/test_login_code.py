"""The code of an authenticator app is asked for after the right PIN, and only then (R41)."""

from datetime import UTC, datetime

from playpark.errors import ErrorCode, PlayParkError
from playpark.tui import Field, LoginScreen, ParkApp, Status
from tests.terminal.conftest import until

CODE = "123456"


class Door(ParkApp):
    """A program that lets in who has the PIN 9999 and the code."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str, str | None]] = []
        self.inside = False

    def status(self) -> Status:
        return Status("Door", datetime(2026, 11, 21, 12, 0, tzinfo=UTC))

    def on_mount(self) -> None:
        self.push_screen(LoginScreen(self._log_in))

    async def _log_in(self, email: str, pin: str, code: str | None) -> None:
        self.heard.append((email, pin, code))
        if pin != "9999" or code not in {None, CODE}:
            raise PlayParkError(ErrorCode.UNAUTHENTICATED, "That does not belong together.")
        if code is None:
            asked = {"totp": "required"}
            raise PlayParkError(ErrorCode.UNAUTHENTICATED, "Type the code too.", details=asked)
        self.inside = True

    def shown(self) -> bool:
        return bool(self.screen.query("#code"))


async def _begin(pilot, pin="9999"):
    app = pilot.app
    app.screen.query_one("#who", Field).value = "somchai@demo.playpark"
    app.screen.query_one("#pin", Field).focus()
    await pilot.press(*pin, "enter")


async def test_after_the_right_pin_the_code_is_all_that_is_typed():
    app = Door()
    async with app.run_test() as pilot:
        await _begin(pilot)
        await until(app.shown)
        await until(lambda: app.focused is app.screen.query_one("#code"))
        assert "Type the code" in str(app.screen.query_one("#message").content)
        await pilot.press(*CODE, "enter")
        await until(lambda: app.inside)
        assert app.heard[-1] == ("somchai@demo.playpark", "9999", CODE)


async def test_after_a_wrong_pin_no_code_is_asked_for():
    app = Door()
    async with app.run_test() as pilot:
        await _begin(pilot, "0000")
        await until(lambda: app.heard)
        await until(lambda: "belong together" in str(app.screen.query_one("#message").content))
        assert not app.shown()


async def test_half_a_code_is_not_sent_and_after_a_wrong_one_all_begins_anew():
    app = Door()
    async with app.run_test() as pilot:
        await _begin(pilot)
        await until(app.shown)
        await until(lambda: app.focused is app.screen.query_one("#code"))
        await pilot.press(*"123", "enter")
        await until(lambda: "six digits" in str(app.screen.query_one("#message").content))
        assert len(app.heard) == 1
        await pilot.press(*"999", "enter")
        await until(lambda: len(app.heard) == 2)
        await until(lambda: not app.shown())
        await until(lambda: app.focused is app.screen.query_one("#pin"))
        await pilot.press(*"9999", "enter")
        await until(app.shown)
        assert app.heard[-1] == ("somchai@demo.playpark", "9999", None)
