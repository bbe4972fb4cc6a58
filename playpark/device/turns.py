"""What a device does again and again beside everything else: its heartbeat, a gate's list (R37)."""

import asyncio
from collections.abc import Awaitable, Callable

from playpark.client import ApiClient
from playpark.device.standing import LONGEST_PAUSE_S
from playpark.errors import ErrorCode, PlayParkError

LOOK_S = 1.0
"""How often it looks whether the device is logged in."""


async def take_turns(
    client: ApiClient,
    turn: Callable[[], Awaitable[object]],
    every: float,
    *,
    spread: Callable[[float], float] = lambda _pause: 0.0,
) -> None:
    """Take a `turn` every so many seconds, and `spread(pause)` more, until cancelled.

    The sync engine logs the device in; who is refused comes less and less often, so that its logins
    are left to the engine. What goes wrong is tried again with the next turn.
    """
    pause = every
    while True:
        if client.device_token is None:
            await asyncio.sleep(min(LOOK_S, every))
            continue
        try:
            await turn()
            pause = every
        except PlayParkError as failed:
            refused = failed.code is not ErrorCode.UNAVAILABLE
            pause = min(2 * pause, LONGEST_PAUSE_S) if refused else every
        except OSError:
            pause = every
        await asyncio.sleep(pause + spread(pause))
