"""A storm of wrong PINs on other devices, and what the gates notice of it (R41).

The gates admit guests at their pace, the attackers send as fast as they may, from a process of
their own. The budgets that would end the storm within seconds are lifted: it goes on at its worst.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from benchmarks.server import api_process, call, pair, till
from benchmarks.wrong_pins import READY
from playpark.ids import new_ulid

GATES, ADMITTED, PACE_S, ROUNDS = 4, 20, 0.1, 12
ATTACKERS, GROUP = 8, 20
UNBOUNDED = {f"PIN_FAILURES_PER_{name}": "1000000" for name in ("DEVICE", "IP")}


async def run(uri: str) -> list[tuple[str, str]]:
    """p95 of a redemption in quiet and in the storm, in alternating rounds of one run."""
    quiet: list[float] = []
    stormy: list[float] = []
    answers: Counter[int] = Counter()
    seconds = 0.0
    async with api_process(uri, "bench_storm", UNBOUNDED) as http:
        gates = [await pair(http, "GATE") for _ in range(GATES)]
        attackers = [await pair(http, "POS") for _ in range(ATTACKERS)]
        await _admit(http, gates, await _sell(http))
        for _ in range(ROUNDS):
            quiet += await _admit(http, gates, await _sell(http))
            tickets = await _sell(http)
            began = time.perf_counter()
            async with _storm(str(http.base_url), attackers, answers):
                stormy += await _admit(http, gates, tickets)
            seconds += time.perf_counter() - began
    before, during = _p95(quiet), _p95(stormy)
    tries = f"{answers.total() / seconds:.0f} tries/s, {answers[401] / seconds:.0f} hashed"
    told = f"{before:.1f} ms quiet, {during:.1f} ms in the storm: {during / before:.2f}× ({tries})"
    return [("Redemption during a storm of wrong PINs, p95", told)]


def _p95(milliseconds: Sequence[float]) -> float:
    return statistics.quantiles(milliseconds, n=20)[-1]


async def _sell(http: httpx.AsyncClient) -> list[str]:
    """A ticket's token for every guest of a round."""
    seller, tokens = await till(http), []
    packages = (await call(http, seller, "GET", "/v1/catalog/packages"))["items"]
    ride = next(package for package in packages if package["kind"] == "single")
    body = {
        "lines": [{"package_id": ride["package_id"], "qty": GROUP}],
        "payments": [{"method": "cash", "amount": ride["price"] * GROUP}],
    }
    for _ in range(GATES * ADMITTED // GROUP):
        answer = await call(http, seller, "POST", "/v1/sales", body, new_ulid())
        tokens += [ticket["qr_token"] for ticket in answer["tickets"]]
    return tokens


async def _admit(http: httpx.AsyncClient, gates: list[str], tokens: list[str]) -> list[float]:
    """The milliseconds of each redemption, of gates that admit one guest after the other."""
    taken: list[float] = []

    async def gate(number: int) -> None:
        await asyncio.sleep(PACE_S * number / GATES)
        for token in tokens[number::GATES]:
            began = time.perf_counter()
            body = {"qr_token": token}
            await call(http, gates[number], "POST", "/v1/tickets/redeem", body, new_ulid())
            taken.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(max(0.0, PACE_S - (time.perf_counter() - began)))

    await asyncio.gather(*(gate(number) for number in range(GATES)))
    return taken


@asynccontextmanager
async def _storm(url: str, tokens: list[str], answers: Counter[int]) -> AsyncIterator[None]:
    """The attackers at work for as long as the block lasts."""
    attackers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.wrong_pins", url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert attackers.stdin is not None
    assert attackers.stdout is not None
    attackers.stdin.write("\n".join([*tokens, "", ""]).encode())
    assert (await attackers.stdout.readline()).decode().strip() == READY
    yield
    told, _ = await attackers.communicate(b"enough\n")
    for each in told.decode().split():
        status, _, times = each.partition(":")
        answers[int(status)] += int(times)
