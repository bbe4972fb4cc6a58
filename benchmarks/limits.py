"""What counting a request costs: one hit of the limits, with few and with many counters."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from api.platform.envelope import Client, client
from api.platform.jwt import Claims, TokenType
from api.platform.limits import Limits
from api.platform.scope import Actor, server_scope
from api.platform.settings import Settings

HITS = 20_000
DEVICES = 20_000
PLENTY: dict[str, Any] = {
    name: "1000000/second" for name in Settings.model_fields if name.startswith("limit_")
}


def run() -> list[tuple[str, str]]:
    """Microseconds a request."""
    return asyncio.run(_run())


async def _run() -> list[tuple[str, str]]:
    counted = Limits(Settings(**PLENTY))
    devices = [
        Claims(TokenType.DEVICE, "tenant", "store", f"device{number}", None, "1", "j")
        for number in range(DEVICES)
    ]
    scope = server_scope("tenant", "store", "Asia/Bangkok")
    person = scope.acting_as(Actor(employee_id="somchai", name="Somchai"))
    client.set(Client(ip="203.0.113.7"))
    return [
        ("Limit of a device", await _cost(lambda _: counted.device(devices[0]))),
        (
            f"Limit of a device, {DEVICES:,} of them",
            await _cost(lambda number: counted.device(devices[number % DEVICES])),
        ),
        (
            "Limits of a refund on an ADMIN device",
            await _cost(lambda _: counted.employee(person, "POST /refunds")),
        ),
        ("Limit of a login's address", await _cost(lambda _: counted.login_from_address())),
    ]


async def _cost(work: Callable[[int], Awaitable[None]]) -> str:
    await work(0)
    began = time.perf_counter()
    for number in range(HITS):
        await work(number)
    return f"{(time.perf_counter() - began) / HITS * 1_000_000:.1f} µs"
