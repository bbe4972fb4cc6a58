"""A storm of wrong PINs on other devices, and what the gates notice of it (R41).

The gates admit guests at their pace, the attackers send as fast as they may, from a process of
their own. The budgets that would end the storm within seconds are lifted: it goes on at its worst.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from benchmarks.server import api_process, call, pair, till
from playpark.ids import new_ulid

GATES, ADMITTED, PACE_S, ROUNDS = 4, 60, 0.1, 5
ATTACKERS, AT_ONCE = 8, 4
WARM_UP_S = 0.5
UNBOUNDED = {f"PIN_FAILURES_PER_{name}": "1000000" for name in ("DEVICE", "IP")}


async def run(uri: str) -> list[tuple[str, str]]:
    """p95 of a redemption in quiet and in the storm, in alternating rounds of one run."""
    quiet: list[float] = []
    stormy: list[float] = []
    counted = Counted()
    async with api_process(uri, "bench_storm", UNBOUNDED) as http:
        gates = [await pair(http, "GATE") for _ in range(GATES)]
        attackers = [await pair(http, "POS") for _ in range(ATTACKERS)]
        await _shift(http, gates)
        for _ in range(ROUNDS):
            quiet += await _shift(http, gates)
            async with _storm(str(http.base_url), attackers, counted):
                stormy += await _shift(http, gates)
    before, during = _p95(quiet), _p95(stormy)
    told = f"{before:.1f} ms quiet, {during:.1f} ms in the storm: {during / before:.2f}×"
    return [("Redemption during a storm of wrong PINs, p95", f"{told} ({counted.told()})")]


def _p95(milliseconds: Sequence[float]) -> float:
    return statistics.quantiles(milliseconds, n=20)[-1]


async def _shift(http: httpx.AsyncClient, gates: list[str]) -> list[float]:
    """The milliseconds of each redemption, of gates that admit one guest after the other."""
    sold = await till(http)
    packages = (await call(http, sold, "GET", "/v1/catalog/packages"))["items"]
    ride = next(package for package in packages if package["kind"] == "single")
    tokens: list[str] = []
    for _ in range(GATES * ADMITTED // 20):
        body = {
            "lines": [{"package_id": ride["package_id"], "qty": 20}],
            "payments": [{"method": "cash", "amount": ride["price"] * 20}],
        }
        answer = await call(http, sold, "POST", "/v1/sales", body, new_ulid())
        tokens += [ticket["qr_token"] for ticket in answer["tickets"]]
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


# --- the storm --------------------------------------------------------------------------


@dataclass
class Counted:
    """How many wrong PINs were judged, and how many turned away, in how many seconds."""

    seconds: float = 0.0
    answers: dict[int, int] = field(default_factory=dict)

    def add(self, line: str, seconds: float) -> None:
        self.seconds += seconds
        for pair_of in line.split():
            status, _, times = pair_of.partition(":")
            self.answers[int(status)] = self.answers.get(int(status), 0) + int(times)

    def told(self) -> str:
        judged, sent = self.answers.get(401, 0), sum(self.answers.values())
        return f"{sent / self.seconds:.0f} tries/s, {judged / self.seconds:.0f} hashed"


@asynccontextmanager
async def _storm(url: str, tokens: list[str], counted: Counted) -> AsyncIterator[None]:
    """The attackers at work for as long as the block lasts."""
    attackers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.pin_storm", url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert attackers.stdin is not None
    attackers.stdin.write("\n".join([*tokens, "", ""]).encode())
    await attackers.stdin.drain()
    await asyncio.sleep(WARM_UP_S)
    began = time.perf_counter()
    yield
    seconds = time.perf_counter() - began + WARM_UP_S
    told, _ = await attackers.communicate(b"enough\n")
    counted.add(told.decode(), seconds)


async def _attack(url: str, tokens: list[str]) -> dict[int, int]:
    """One PIN after the other at people who do not exist, until a line says that it is enough."""
    answers: dict[int, int] = {}
    enough = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:

        async def guess(token: str, number: int) -> None:
            while not enough.done():
                body = {"email": f"{new_ulid().lower()}.{number}@demo.playpark", "pin": "0000"}
                headers = {"Authorization": f"Bearer {token}"}
                response = await http.post("/v1/employees/login", json=body, headers=headers)
                answers[response.status_code] = answers.get(response.status_code, 0) + 1
                if response.status_code == 429:
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(guess(token, n) for token in tokens for n in range(AT_ONCE)))
    return answers


def _main() -> None:
    tokens = list(iter(lambda: sys.stdin.readline().strip(), ""))
    answers = asyncio.run(_attack(sys.argv[1], tokens))
    sys.stdout.write(" ".join(f"{status}:{times}" for status, times in answers.items()))


if __name__ == "__main__":
    _main()
