"""Fields of a form under a burst of keys: none is lost, none overtakes another."""

import asyncio
from itertools import pairwise

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from playpark.tui import Field
from tests.terminal.conftest import until

PIN = "13579246"


class SlowField(Field):
    """Its terminal line is slow: keys for it pile up while the next field is quick."""

    async def take(self, event):
        await asyncio.sleep(0.01)
        await super().take(event)


class Form(App[None]):
    """Two or three fields in a row; `typed` is what they held when the last was submitted."""

    def __init__(self, slow: int) -> None:
        super().__init__()
        self._slow = slow
        self.typed: list[str] = []

    def compose(self) -> ComposeResult:
        for number in range(self._slow):
            yield SlowField(id=f"slow-{number}")
        yield Field(id="pin", password=True)

    def on_mount(self) -> None:
        fields = list(self.query(Field))
        for field, successor in pairwise(fields):
            field.successor = successor
        fields[0].focus()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.typed = [field.value for field in self.query(Field)]


@pytest.mark.parametrize("slow", [1, 2])
async def test_a_pin_that_is_typed_ahead_arrives_whole_and_in_its_field(slow):
    app = Form(slow)
    async with app.run_test():
        for number in range(slow):
            for key in (*f"nok{number}", "enter"):
                app.simulate_key(key)
        for key in PIN[:4]:
            app.simulate_key(key)
        # The focus moves while keys are still on their way to the field in front.
        await until(lambda: app.focused is app.query_one("#pin"))
        for key in (*PIN[4:], "enter"):
            app.simulate_key(key)
        await until(lambda: app.typed)

    assert app.typed == [*(f"nok{number}" for number in range(slow)), PIN]


async def test_enter_does_not_leave_an_empty_field_that_has_to_be_filled():
    class Required(Form):
        def compose(self) -> ComposeResult:
            yield Field(id="who", required=True)
            yield Field(id="pin", password=True, restrict="[0-9]*")

    app = Required(0)
    async with app.run_test() as pilot:
        await pilot.press("enter", *"nok", "enter", *"1111", "enter")
        await until(lambda: app.typed)

    assert app.typed == ["nok", "1111"]
