"""A ticket's life under concurrent gates, against a model of it: whatever is done in any order, no
use is spent twice, nothing goes below zero, and a replay answers as the first time (R15, R20, R25,
R33, R50, R51)."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from playpark.ids import new_ulid
from tests.api.drawers import sync
from tests.api.giving_back import approve, ask, told
from tests.api.selling import OWNER
from tests.api.ticket_lives import WHY, Life, life
from tests.outside import Outsider

GATES = 3
IN_TIME = 15 * 60
LONG_ENOUGH = 4 * 3_600
CREDIT = (50_000, 15_000)
"""What the ticket holds and what the water park takes of it, satang."""
PACKAGES = ["Adult day pass", "10 entries", "2-hour pass", "Play credit 500"]
SOME_GATES = st.lists(st.integers(0, GATES - 1), min_size=1, max_size=GATES, unique=True)


@dataclass
class Passed:
    """An entry that a gate has let in, as its operation and its first answer."""

    gate: Outsider
    redemption_id: str
    ticket_id: str
    at: float
    annulled: bool = False


@dataclass
class World:
    """A park that all examples share; each has a ticket of its own."""

    park: Life
    water: str
    yes: str
    """An owner's approval: those of the examples are made of it, without the quarter of a second
    that a PIN takes."""

    async def grant(self, action: str, entity_id: str) -> str:
        expires_at = self.park.inside.clock.now() + timedelta(minutes=2)
        told_ = {"action": action, "entity_id": entity_id, "expires_at": expires_at}
        _, granted = await self.park.approvals(self.yes, 2, **told_)
        return granted


class TicketLife(RuleBasedStateMachine):
    runner: asyncio.Runner
    world: World

    @initialize(package=st.sampled_from(PACKAGES))
    def sell(self, package: str) -> None:
        self.park = self.world.park
        self.ticket = self.runner.run(self.park.ticket(package))
        self.package, self.sale_id = package, self.ticket["sale_id"]
        self.where = {"zone_id": self.world.water} if package == "Play credit 500" else {}
        self.status = "active"
        self.carried = 0
        self.passed: list[Passed] = []
        self.done: list[tuple[Outsider, dict[str, Any], Any]] = []
        self.seconds = 0.0

    # --- at the gates -----------------------------------------------------------------------

    @rule(gates=SOME_GATES)
    def scan_at_several_gates_at_once(self, gates: list[int]) -> None:
        """At one moment a ticket lets in one guest at most: the others are within its window."""
        self._wait(6)
        admits = self._admits()
        ops = [self.park.asked(self.ticket, **self.where) for _ in gates]
        answers = self._send(gates, ops)
        passed = [answer for answer in answers if answer["result"] == "pass"]
        assert len(passed) == (1 if admits else 0), (self.status, answers)
        self._remember(gates, answers)

    @rule(gates=SOME_GATES, back=st.integers(0, 600))
    def come_back_from_an_outage(self, gates: list[int], back: int) -> None:
        """Gates that have let somebody in by themselves tell it all at once."""
        self._wait(6)
        at = -min(back, self.seconds)
        ops = [self.park.shown(self.ticket, at, **self.where) for _ in gates]
        self._remember(gates, self._send(gates, ops), let_in=True)

    @rule(gate=st.integers(0, GATES - 1))
    def let_in_though_the_server_refused(self, gate: int) -> None:
        """The answer did not come in time, and the gate's own list let the guest in."""
        self._wait(6)
        asked = self.park.asked(self.ticket, **self.where)
        (answer,) = self._send([gate], [asked])
        settled = asked | {"committed": True, "local": {"result": "pass"}}
        (again,) = self.runner.run(sync(self.park.gates[gate], settled))
        assert (again["status"], again["result"]) == ("duplicate", answer)
        self._remember([gate], [answer], let_in=True)

    @rule(gate=st.integers(0, GATES - 1))
    def leave(self, gate: int) -> None:
        self._wait(6)
        asked = self.park.asked(self.ticket, direction="exit", **self.where)
        (answer,) = self._send([gate], [asked])
        assert answer["result"] == "pass"

    @precondition(lambda self: self.done)
    @rule(which=st.integers(0, 1_000), times=st.integers(1, 3))
    def send_again(self, which: int, times: int) -> None:
        gate, sent, first = self.done[which % len(self.done)]

        async def again() -> list[Any]:
            return await asyncio.gather(*(sync(gate, sent) for _ in range(times)))

        for (result,) in self.runner.run(again()):
            assert (result["status"], result["result"]) == ("duplicate", first)

    @precondition(lambda self: self.passed)
    @rule(which=st.integers(0, 1_000), elsewhere=st.booleans())
    def annul(self, which: int, elsewhere: bool) -> None:
        entry = self.passed[which % len(self.passed)]
        gates = self.park.gates
        gate = gates[(gates.index(entry.gate) + elsewhere) % GATES]
        status, _ = self.runner.run(self.park.annul(entry.redemption_id, gate))
        if elsewhere:
            assert status == 404
            return
        good = not entry.annulled and self.seconds - entry.at <= IN_TIME
        assert status == (200 if good else 409)
        entry.annulled |= good
        if good and entry.ticket_id != self.ticket["ticket_id"]:
            # The use that the new ticket had taken over came back.
            self.carried -= self.runner.run(self._spend(entry))

    # --- at the till ------------------------------------------------------------------------

    @rule(at_once=st.integers(1, 2))
    def exchange(self, at_once: int) -> None:
        good = self.status == "active"
        answers = self._ask("exchange", "exchange", at_once)
        assert sorted(answer[0] for answer in answers) == (
            [200] + [409] * (at_once - 1) if good else [409] * at_once
        )
        for status, given in answers:
            if status == 200:
                self.ticket = given["ticket"]
                self.carried = self.ticket["used"]

    @rule()
    def cancel(self) -> None:
        stored = self._stored()
        good = self.status == "active" and not stored["used"] and stored["ends_at"] is None
        ((status, _),) = self._ask("cancel", "ticket_cancel", 1)
        assert status == (200 if good else 409)
        self.status = "cancelled" if good else self.status

    @precondition(lambda self: self.seconds > 60)
    @rule()
    def refund(self) -> None:
        ((status, back),) = self._ask("refund", "refund", 1)
        assert status == (409 if self.status == "refunded" else 200), back
        self.status = "refunded"

    @precondition(lambda self: self.seconds < LONG_ENOUGH)
    @rule(seconds=st.sampled_from([1, 5, 30, 300, 901, 2_400]))
    def time_goes_by(self, seconds: int) -> None:
        self._wait(seconds)

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def no_use_is_spent_twice(self) -> None:
        stored, rows = self._stored(), self.runner.run(self.park.rows(self.ticket))
        assert stored["status"] == self.status
        assert 0 <= stored["used"] <= stored["quota_or_minutes"]
        taken = self._taken()
        assert stored["used"] == self.carried + sum(row["spend"] for row in taken)
        if self.package in {"Adult day pass", "10 entries"}:
            assert stored["used"] == self.carried + len(taken)
        assert all(row["spend"] == 0 for row in rows if row["result"] == "fail")

    @invariant()
    def who_is_inside_came_in_and_has_not_left(self) -> None:
        entries, exits = self.runner.run(self._counted())
        came, left = self.runner.run(self._shown())
        assert (entries, exits) == (came, left)

    # --- how it is done -----------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        self.park.later(seconds)
        self.seconds += seconds

    def _stored(self) -> dict[str, Any]:
        return self.runner.run(self.park.state(self.ticket))

    def _send(self, gates: list[int], ops: list[dict[str, Any]]) -> list[dict[str, Any]]:
        async def send() -> list[Any]:
            devices = [self.park.gates[number] for number in gates]
            return await asyncio.gather(
                *(sync(device, each) for device, each in zip(devices, ops, strict=True))
            )

        results = [result for (result,) in self.runner.run(send())]
        assert {result["status"] for result in results} == {"applied"}, results
        for number, each, result in zip(gates, ops, results, strict=True):
            self.done.append((self.park.gates[number], each, result["result"]))
        return [result["result"] for result in results]

    def _remember(
        self, gates: list[int], answers: list[dict[str, Any]], *, let_in: bool = False
    ) -> None:
        for number, answer in zip(gates, answers, strict=True):
            if let_in or answer["result"] == "pass":
                ids = (answer["redemption_id"], self.ticket["ticket_id"])
                self.passed.append(Passed(self.park.gates[number], *ids, self.seconds))

    def _admits(self) -> bool:
        """Whether the ticket is good now, by the rows of who is in: it is not asked itself."""
        if self.status != "active" or self._stored()["valid_to"] <= self.park.inside.clock.now():
            return False
        if self.package == "2-hour pass":
            end = self._stored()["ends_at"]
            return end is None or bool(end > self.park.inside.clock.now())
        costs = {"Adult day pass": (1, 1), "10 entries": (10, 1), "Play credit 500": CREDIT}
        quota, cost = costs[self.package]
        return self.carried + sum(row["spend"] for row in self._taken()) + cost <= quota

    def _taken(self) -> list[dict[str, Any]]:
        """The entries that the server stands behind."""
        return [
            row
            for row in self.runner.run(self.park.rows(self.ticket))
            if (row["direction"], row["result"], row["annulled_at"]) == ("entry", "pass", None)
        ]

    async def _spend(self, entry: Passed) -> int:
        row = await self.park.db.redemptions.find_one({"_id": entry.redemption_id})
        return int(row["spend"])

    def _ask(self, route: str, action: str, at_once: int) -> list[tuple[int, Any]]:
        async def asking() -> list[tuple[int, Any]]:
            ticket_id = self.ticket["ticket_id"]
            body = {"ticket_id": ticket_id, **WHY}
            if route == "refund":
                body = {"sale_id": self.sale_id, **WHY}
            tokens = [
                await self.world.grant(action, self.sale_id if route == "refund" else ticket_id)
                for _ in range(at_once)
            ]
            path, till = f"/v1/tickets/{route}", self.park.till
            answers = await asyncio.gather(
                *(ask(till, path, body, approval=token) for token in tokens)
            )
            return [told(each) for each in answers]

        return self.runner.run(asking())

    async def _counted(self) -> tuple[int, int]:
        rows = await self.park.db.occupancy.find({}).to_list(None)
        return sum(row["entries"] for row in rows), sum(row["exits"] for row in rows)

    async def _shown(self) -> tuple[int, int]:
        """Everybody who went in and was not annulled, and everybody who left, in the whole park."""
        known = {"ticket_id": {"$ne": None}, "annulled_at": None}
        went_in = {"$or": [{"gate_result": "pass"}, {"gate_result": None, "result": "pass"}]}
        rows = self.park.db.redemptions
        entries = await rows.count_documents({**known, **went_in, "direction": "entry"})
        exits = await rows.count_documents({**known, "direction": "exit", "result": "pass"})
        return entries, exits


async def world(stack: AsyncExitStack, mongo_uri: str, name: str) -> World:
    park = await stack.enter_async_context(life(mongo_uri, name, gates=GATES))
    zones = (await park.office.data("GET", "/v1/catalog/snapshot"))["zones"]
    water = next(each["zone_id"] for each in zones if each["name"] == "Water Park")
    office = await (await park.inside.device("ADMIN")).staff(**OWNER)
    many = {"reprints": {"per_device": 10_000, "per_employee": 10_000}}
    await office.data("PUT", "/v1/settings", {"sections": many})
    token = await approve(park.till, "exchange", new_ulid(), **OWNER)
    return World(park, str(water), token)


@pytest.mark.timeout(600)
def test_R20_a_tickets_life_agrees_with_its_model(mongo_uri: str, database: str) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        made = runner.run(world(stack, mongo_uri, f"{database}_lives"))
        TicketLife.runner, TicketLife.world = runner, made
        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                TicketLife,
                settings=settings(
                    max_examples=150 if os.environ.get("PLAYPARK_FULL") else 10,
                    stateful_step_count=30 if os.environ.get("PLAYPARK_FULL") else 18,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(stack.aclose())
