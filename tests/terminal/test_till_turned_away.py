"""R38: what the server says of the till is heard, whoever asked."""

import asyncio

import pytest

from playpark.device import LineMode
from playpark.errors import ErrorCode, PlayParkError


@pytest.mark.parametrize(
    ("code", "away"),
    [
        (ErrorCode.DEVICE_SUSPENDED, True),
        (ErrorCode.DEVICE_REVOKED, True),
        (ErrorCode.TENANT_SUSPENDED, True),
        (ErrorCode.PERMISSION, False),  # that is about the person
        (ErrorCode.NOT_FOUND, False),
    ],
)
async def test_R38_a_question_of_the_cashier_that_the_till_is_refused_for_is_heard(
    till, code, away
):
    async def ask(_client):
        raise PlayParkError(code, "not this")

    with pytest.raises(PlayParkError, match="not this"):
        await till.counter.ask(ask)

    assert till.engine.turned_away is away


async def test_R37_a_question_that_takes_too_long_makes_the_line_slow(till, monkeypatch):
    monkeypatch.setattr("terminal.counter.ASK_DEADLINE_S", 0.01)
    till.engine.note(None)

    async def ask(_client):
        await asyncio.Event().wait()

    with pytest.raises(PlayParkError, match="takes too long"):
        await till.counter.ask(ask)

    assert till.engine.mode is LineMode.SLOW
