"""Clocks of devices that are wrong (R30, R36)."""

from datetime import UTC, datetime, timedelta

from qa.stage import Scenario, Stage

HOURS = 3
DAYS = 2
CLOSE_ENOUGH = timedelta(minutes=2)


async def _skewed(stage: Stage, sign: int) -> None:
    desk = await stage.till()
    await desk.beat()
    desk.switch(skew_s=sign * HOURS * 3600)
    beat = await desk.beat()
    stage.expect("the server is told that the clock is wrong", beat.clock_skewed, expected=True)
    await desk.sell()
    desk.switch(skew_s=sign * HOURS * 3600, offline=True)
    await desk.sell("Adult day pass")
    desk.switch(skew_s=sign * HOURS * 3600)
    await desk.sent()
    way = "ahead" if sign > 0 else "behind"
    stage.did(f"A till whose clock is {HOURS} hours {way} sold a ticket online and one offline.")
    now = datetime.now(UTC)
    sales = await stage.office.sales(desk.device_id)
    stage.expect(
        "sales whose time in the books is right to two minutes",
        sum(abs(each.occurred_at - now) < CLOSE_ENOUGH for each in sales),
        2,
    )
    desk.switch(skew_s=sign * DAYS * 24 * 3600)
    await desk.beat()
    stage.expect("selling with a clock that is wrong by days", await desk.sells(), "refused")
    desk.switch()
    await desk.beat()
    await desk.sell()
    stage.did("Two days out it sold nothing; set right, it sold again.")
    await desk.sent()
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk)


async def clock_ahead(stage: Stage) -> None:
    """A clock in the future."""
    await _skewed(stage, 1)


async def clock_behind(stage: Stage) -> None:
    """A clock in the past."""
    await _skewed(stage, -1)


SCENARIOS = (
    Scenario(
        "clock-ahead",
        "A till's clock is three hours ahead; its sales have the park's time, two days stop it.",
        clock_ahead,
    ),
    Scenario(
        "clock-behind",
        "A till's clock is three hours behind; its sales have the park's time, two days stop it.",
        clock_behind,
    ),
)
