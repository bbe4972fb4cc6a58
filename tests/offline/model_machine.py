"""Everything that people and lines do in a park, in any order, told to the model as it happens.

After each run the lines are whole again, all queues are sent, and the server's books are compared
with what happened (R14–R17, R22–R24, R29, R33–R38, R50, R51).
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gate.answers import Level, Scan
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.shifts import MovementType
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import Direction
from playpark.contracts.timecards import TimecardEvent
from playpark.device import StoredOp
from playpark.errors import PlayParkError
from playpark.offline_tickets import named_ticket
from qa.proxy import FAULTS, Fault, Way
from terminal.counter import TillState
from terminal.till import Till
from tests.offline.books import Books, issued
from tests.offline.model import Facts, Fate, Issued, Judged, Sale, Shift, Showing
from tests.offline.park import SETTLES, Park, Register, Turnstile, World, opened
from tests.outside import Outsider

T = TypeVar("T")
PACKAGES = (
    *("Carousel ride", "Adult day pass", "2 entries", "10 minutes", "Credit 150"),
    *("Family bundle", "10 entries"),
)
PRICES = {"Ball Pit": 6_000, "Trampoline A": 8_000, "Water Park": 15_000}
"""What an entry takes of a credit ticket, satang."""
EARLY = ("Carousel ride", "2 entries"), ("Credit 150", "10 minutes")
"""What the first guests of a day buy, at each till."""
LINES = (
    *("refuse", "drop-requests", "drop-answers", "close-requests", "close-answers"),
    *("reset-requests", "reset-answers", "late", "lossy", "duplicates", "blackhole", "half-open"),
)
LATE = Fault("late", answers=Way(delay=0.4))
"""Answers come, but the guest does not wait so long."""
TRIES = 60
LONGEST_DAY = 8 * 3_600
"""Seconds that may be let pass in a world: then it is night, and day tickets end."""
BREAKS = ["", "before"], ["", "after"], ["before"], ["after"], ["", "", "before"]
"""Before or after a paper is out, at once or after some that come out well."""
FORGERIES = ("wrong signature", "unknown ticket", "no ticket")

REGISTERS, TURNSTILES = 2, 3
_Draw = Callable[[Random], Any]


def _among(values: Sequence[Any]) -> _Draw:
    return lambda chance: chance.choice(values)


def _several(values: Sequence[Any], most: int) -> _Draw:
    """Different ones, in some order."""
    return lambda chance: chance.sample(values, chance.randint(1, most))


def _basket(chance: Random) -> list[tuple[str, int]]:
    return [(chance.choice(PACKAGES), chance.randint(1, 2)) for _ in range(chance.randint(1, 2))]


_register, _gate = _among(range(REGISTERS)), _among(range(TURNSTILES))
_device, _which = _among(range(REGISTERS + TURNSTILES)), _among(range(1_000))
_guest = _among([*range(1, 5), *range(1, 20)])
"""Counted from the last; tickets that were sold just now are shown the most."""
HAPPENS: dict[str, tuple[int, dict[str, _Draw]]] = {
    "sell": (
        7,
        {
            "number": _register,
            "basket": _basket,
            "cash": _among([True, False]),
            "extra": _among([0, 5_000]),
            "promo": _among([False, False, True]),
        },
    ),
    "show": (16, {"numbers": _several(range(TURNSTILES), TURNSTILES), "guest": _guest}),
    "show_the_newest": (5, {"numbers": _several(range(TURNSTILES), TURNSTILES)}),
    "show_again": (4, {"number": _gate}),
    "leave": (2, {"number": _gate, "guest": _guest}),
    "show_a_forgery": (1, {"number": _gate, "guest": _guest, "how": _among(FORGERIES)}),
    "annul": (3, {"entry": _which}),
    "the_lines_fail": (
        3,
        {"numbers": _several(range(REGISTERS + TURNSTILES), 4), "fault": _among(LINES)},
    ),
    "the_gates_are_cut_off": (
        3,
        {"numbers": _several(range(TURNSTILES), TURNSTILES), "fault": _among(LINES)},
    ),
    "the_next_exchanges_fail": (3, {"number": _device, "faults": _several(LINES[1:], 3)}),
    "the_line_is_whole": (5, {"number": _device}),
    "drain": (4, {"number": _device}),
    "refresh_the_list": (5, {"number": _gate}),
    "restart": (3, {"number": _device, "sending": _among([False, True])}),
    "log_in": (2, {"number": _register}),
    "time_goes_by": (3, {"seconds": _among([6, 1, 61, 700])}),
    "move_cash": (
        1,
        {"number": _register, "kind": _among(list(MovementType)), "baht": _among(range(1, 50))},
    ),
    "punch": (1, {"number": _register, "event": _among(list(TimecardEvent))}),
    "close_or_open_the_shift": (2, {"number": _register, "off": _among([0, -100, 2_500])}),
    "the_printer_fails": (2, {"number": _register, "how": _among(BREAKS)}),
    "see_to_papers": (1, {"number": _register}),
}
"""How often, and with what. One rule for all: Hypothesis switches rules off for whole runs, and a
park where nobody sells has nothing to show."""


OUTCOMES = ("pass told", "pass alone", "fail told", "fail alone", "conflict")
"""What guests heard, from the server or from the gate alone; and who was let in too often."""


@dataclass(frozen=True)
class Step:
    """Something that happens; it reads as a call where a run is told."""

    name: str
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({told})"


_NAMES = [name for name, (weight, _) in HAPPENS.items() for _ in range(weight)]


def step(name: str, chance: Random) -> Step:
    """This happens, with what comes by chance."""
    return Step(name, {each: draw(chance) for each, draw in HAPPENS[name][1].items()})


def drawn(chance: Random) -> Step:
    """Something happens."""
    return step(chance.choice(_NAMES), chance)


steps = st.tuples(st.sampled_from(_NAMES), st.integers(0, 10_000)).map(
    lambda found: step(found[0], Random(found[1]))
)
"""A number stands for all that a step is done with: Hypothesis likes its own floats to be round,
and chooses the first of everything by them."""


class ParkLife(RuleBasedStateMachine):
    """`runner` and `world` are shared by all runs; devices, lines and facts are of one run."""

    runner: ClassVar[asyncio.Runner]
    world: ClassVar[World]
    gate: ClassVar[Outsider]
    """Somebody who only asks what a ticket is worth."""
    passed: ClassVar[float] = 0.0
    met: ClassVar[Counter[str]] = Counter()
    """What has happened in all runs of a world: a proof of nothing is none."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="playpark-model-")
        self.stack = AsyncExitStack()
        self.facts = Facts()
        self.told: list[str] = []
        """What happened, and what came of it, for whoever has to find out why."""
        self.broken = False
        self.park: Park = self._run(
            self.stack.enter_async_context(opened(self.world, Path(self.folder.name)))
        )
        for number, register in enumerate(self.park.registers):
            self._open_shift(register, 100_000)
            for name in EARLY[number]:
                self.sell(number, [(name, 1)], cash=True, extra=0, promo=False)
        for turnstile in self.park.turnstiles:
            self._run(turnstile.refresh(SETTLES))

    @rule(step=steps)
    def happens(self, step: Step) -> None:
        type(self).met[step.name] += 1
        self.told.append(repr(step))
        try:
            getattr(self, step.name)(**step.arguments)
        except BaseException:
            self.broken = True
            self._tell()
            raise

    # --- at the till --------------------------------------------------------------------------

    def sell(
        self, number: int, basket: Sequence[tuple[str, int]], *, cash: bool, extra: int, promo: bool
    ) -> None:
        register = self.park.registers[number]
        till = register.till
        if till.state is not TillState.SELLING:
            return
        try:
            op = self._run(self._ring(register, basket, cash, extra, promo))
        except PlayParkError as refused:
            # Nothing was sold: such as a till that may not print this without the server.
            self.told.append(f"  {register.name} did not sell: {refused.message}")
            till.selling.empty()
            return
        self._run(till.deliver(op))
        self._run(register.printed())

    async def _ring(
        self,
        register: Register,
        basket: Sequence[tuple[str, int]],
        cash: bool,
        extra: int,
        promo: bool,
    ) -> StoredOp:
        """Ring and take the money; the model notes what the screen showed then."""
        till = register.till
        for name, qty in basket:
            till.add(_package(till, name), qty)
        if promo:
            till.selling.enter_promo("FAMILY10")
        assert till.priced is not None
        when = self.world.time.now()
        total, promos = till.priced.grand_total, till.basket.rung.promo_codes
        if cash:
            op = await till.pay_cash(total + extra, confirmed=True)
        else:
            op = await till.pay(PaymentMethod.CARD)
        shift = till.shift
        assert shift is not None
        self.facts.sales[op.op_id] = Sale(
            op_id=op.op_id,
            device=register.device_id,
            receipt_no=op.receipt_no or "",
            shift=shift.op_id,
            total=total,
            methods=[("cash" if cash else "card", total)] if total else [],
            tickets=issued(register, op.body, op.op_id),
            day=op.body["business_date"],
            when=when,
            promo=tuple(promos),
        )
        return op

    def move_cash(self, number: int, kind: MovementType, baht: int) -> None:
        register = self.park.registers[number]
        till = register.till
        if till.state is not TillState.SELLING or till.shift is None:
            return
        shift = self.facts.shifts[till.shift.op_id]
        self._run(till.drawer.move_cash(kind, baht * 100, None))
        [op] = register.store.recent([OpKind.CASH_MOVEMENT], 1)
        name = {"pay_in": "in", "pay_out": "out", "drop": "drop"}[kind.value]
        shift.movements[name] += baht * 100
        self.facts.movements[op.op_id] = (shift.op_id, name, baht * 100)
        self._run(register.printed())

    def punch(self, number: int, event: TimecardEvent) -> None:
        register = self.park.registers[number]
        if register.till.employee is None:
            return
        self._run(register.till.drawer.clock(event))
        [op] = register.store.recent([OpKind.TIMECARD], 1)
        self.facts.punches[op.op_id] = register.device_id

    def close_or_open_the_shift(self, number: int, off: int) -> None:
        register = self.park.registers[number]
        till = register.till
        if till.state is TillState.NO_SHIFT:
            self._open_shift(register, 50_000)
        elif till.state is TillState.SELLING and till.shift is not None:
            shift = self.facts.shifts[till.shift.op_id]
            counted = max(0, self.facts.in_drawer(shift.op_id) + off)
            self._run(till.close_shift(counted))
            [op] = register.store.recent([OpKind.SHIFT_CLOSE], 1)
            shift.counted, shift.close, shift.z_number = counted, op.op_id, op.receipt_no
            self._run(register.printed())

    def _open_shift(self, register: Register, cash: int) -> None:
        self._run(register.till.open_shift(cash))
        opened_by = register.till.shift
        assert opened_by is not None
        self.facts.shifts[opened_by.op_id] = Shift(opened_by.op_id, register.device_id, cash)

    def the_printer_fails(self, number: int, how: list[str]) -> None:
        self.park.registers[number].tray.breaks = [*how]

    def see_to_papers(self, number: int) -> None:
        register = self.park.registers[number]
        register.tray.breaks = []
        self._run(register.see_to_papers())
        self._run(register.printed())

    # --- at the gates -------------------------------------------------------------------------

    def show(self, numbers: list[int], guest: int) -> None:
        """One ticket at one gate, or at several at once."""
        if tokens := self._guests():
            self._show(numbers, tokens[-guest % len(tokens)])

    def show_the_newest(self, numbers: list[int]) -> None:
        if tokens := self._guests():
            self._show(numbers, tokens[-1])

    def show_again(self, number: int) -> None:
        """Whoever went in here last hands the ticket back over the fence."""
        gate = self.park.turnstiles[number]
        here = [each for each in self._entries() if each.device == gate.device_id]
        tokens = {named_ticket(token): token for token in self._guests()}
        if here and (token := tokens.get(here[-1].ticket)):
            self._show([number], token)

    def leave(self, number: int, guest: int) -> None:
        if tokens := self._guests():
            self._show([number], tokens[-guest % len(tokens)], Direction.EXIT)

    def show_a_forgery(self, number: int, guest: int, how: str) -> None:
        if not (tokens := self._guests()):
            return
        token = tokens[-guest % len(tokens)]
        forged = {
            "wrong signature": token[:-1] + ("A" if token[-1] != "A" else "B"),
            "unknown ticket": token[:8] + ("0" if token[8] != "0" else "1") + token[9:],
            "no ticket": "https://example.org/" + token[:9],
        }[how]
        [scan] = self._show([number], forged, ticket=None)
        assert scan.answer.level is not Level.PASS, f"a forgery passed: {how}"

    def _show(
        self,
        numbers: list[int],
        token: str,
        direction: Direction = Direction.ENTRY,
        ticket: str | None = "",
    ) -> list[Scan]:
        """Guests walk where the gate says PASS, and go away where it does not."""
        gates = [self.park.turnstiles[number] for number in numbers]

        async def at_once() -> list[Scan]:
            return await asyncio.gather(*(gate.show(token, direction) for gate in gates))

        when = self.world.time.now()
        scans = self._run(at_once())
        shown = named_ticket(token) if ticket == "" else ticket
        for gate, scan in zip(gates, scans, strict=True):
            self._note(gate, scan, shown, direction, when)
        return scans

    def _note(
        self,
        gate: Turnstile,
        scan: Scan,
        ticket: str | None,
        direction: Direction,
        when: datetime,
    ) -> None:
        assert scan.op_id is not None, scan
        op = gate.store.op(scan.op_id)
        assert op is not None
        zone = next(name for name, each in self.world.zones.items() if each == gate.zone_id)
        showing = self.facts.showings.setdefault(
            scan.op_id,
            Showing(
                op_id=scan.op_id,
                device=gate.device_id,
                zone=gate.zone_id,
                ticket=ticket,
                at=op.occurred_at,
                when=when,
                leaving=direction is Direction.EXIT,
                cost=PRICES[zone],
            ),
        )
        if scan.answer.level is Level.PASS and not showing.walked:
            self._once_here(showing)
            showing.walked = True
        how = "alone" if scan.answer.local else "told"
        said = f"{scan.answer.level.value} {scan.answer.headline} {how}"
        self.told.append(f"  {gate.name}: {said}: {scan.op_id} ticket {ticket} at {showing.at}")
        type(self).met[f"{scan.answer.level.value} {how}"] += 1

    def _once_here(self, showing: Showing) -> None:
        """A gate knows what it did itself, with or without the server, also after a restart."""
        ticket = self.facts.tickets.get(showing.ticket or "")
        if ticket is None or showing.leaving or ticket.kind not in {"single", "multi"}:
            return
        before = [
            each
            for each in self.facts.entries(ticket.ticket_id)
            if each.device == showing.device and each.op_id != showing.op_id
        ]
        assert len(before) < ticket.quota, f"once too often here: {showing}, after {before}"

    def annul(self, entry: int) -> None:
        """The turnstile jammed."""
        if not (entries := self._entries()):
            return
        showing = entries[entry % len(entries)]
        gate = self.park.by_id(showing.device)
        assert isinstance(gate, Turnstile)
        answer = self._run(gate.annul(showing.op_id))
        # What was not refused is done, or is sent later.
        if answer.level is Level.ANNULLED:
            showing.annulled = True
            [op] = gate.store.recent([OpKind.ANNUL], 1)
            self.facts.annulments[op.op_id] = showing.op_id

    # --- lines, programs, time ----------------------------------------------------------------

    def the_lines_fail(self, numbers: list[int], fault: str) -> None:
        for number in numbers:
            self.park.devices[number].line.set(FAULTS.get(fault, LATE))

    def the_gates_are_cut_off(self, numbers: list[int], fault: str) -> None:
        """With all that was sold on their lists."""
        for number in numbers:
            gate = self.park.turnstiles[number]
            if gate.whole:
                self._run(gate.refresh())
            gate.line.set(FAULTS.get(fault, LATE))

    def the_next_exchanges_fail(self, number: int, faults: list[str]) -> None:
        device = self.park.devices[number]
        device.line.once(*(FAULTS.get(each, LATE) for each in faults))

    def the_line_is_whole(self, number: int) -> None:
        self.park.devices[number].line.heal()

    def drain(self, number: int) -> None:
        self._run(self.park.devices[number].turn())

    def refresh_the_list(self, number: int) -> None:
        gate = self.park.turnstiles[number]
        self._run(gate.refresh(2.0 if gate.whole else 0.2))

    def restart(self, number: int, sending: bool) -> None:
        """The process dies, perhaps while it sends, and comes up again."""
        device = self.park.devices[number]
        self._run(self._restart(device, sending=sending))

    async def _restart(self, device: Register | Turnstile, *, sending: bool) -> None:
        if sending:
            await device.turn(patience=0.01)
        await device.stop()
        await device.start()
        if isinstance(device, Register) and device.whole:
            await device.log_in()

    def log_in(self, number: int) -> None:
        register = self.park.registers[number]
        if register.whole and register.till.employee is None:
            self._run(register.log_in())

    def time_goes_by(self, seconds: int) -> None:
        if type(self).passed + seconds > LONGEST_DAY:
            seconds = 6
        type(self).passed += seconds
        # No round trip is long enough for this: one under way would set a device's clock wrong.
        self._run(self._answers_are_in())
        self.world.time.advance(seconds)

    async def _answers_are_in(self) -> None:
        async with asyncio.TaskGroup() as group:
            for device in self.park.devices:
                group.create_task(device.answered())

    # --- what always holds --------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "park"):
            return
        try:
            if not self.broken:
                self._prove()
        except BaseException:
            self._tell()
            raise
        finally:
            self._run(self.stack.aclose())
            self.folder.cleanup()

    def _prove(self) -> None:
        self._run(self._settle())
        books = Books(self.park, self.facts)
        books.compare()
        self.world.time.advance(6)
        self._run(books.what_is_printed_admits(self.gate))
        self._run(books.the_proofs_hold())
        judged = [each for ticket in self.facts.tickets.values() for each in self._judged(ticket)]
        type(self).met["conflict"] += sum(each.fate is Fate.CONFLICT for each in judged)
        type(self).met["shortfall"] += sum(each.shortfall > 0 for each in judged)

    def _judged(self, ticket: Issued) -> list[Judged]:
        return list(self.facts.judged(ticket).values())

    def _tell(self) -> None:
        sys.stdout.write("\n".join(self.told) + "\n")

    async def _settle(self) -> None:
        """All lines whole, all queues empty, all papers out."""
        for device in self.park.devices:
            device.line.heal()
        for device in self.park.devices:
            await self._send_all(device)
        for register in self.park.registers:
            register.tray.breaks = []
            async with asyncio.timeout(30):
                while register.till.papers.due or register.till.papers.doubtful:
                    await register.see_to_papers()
                    await register.printed()
                    await asyncio.sleep(0.01)
        for device in self.park.devices:
            await self._send_all(device)

    async def _send_all(self, device: Register | Turnstile) -> None:
        for _ in range(TRIES):
            report = await device.engine.drain()
            # What the gate has to say to an answer is written behind it.
            await asyncio.sleep(0.01)
            if not device.store.queued_count():
                return
            if report.error or report.retry_after:
                await asyncio.sleep(min(0.2, report.retry_after or 0.05))
        raise AssertionError(f"{device.name} does not get rid of its queue: {report}")

    # --- inside -------------------------------------------------------------------------------

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    def _guests(self) -> list[str]:
        """What is in people's hands, the oldest first."""
        found = [each for register in self.park.registers for each in register.tray.tickets]
        return [str(each.qr_token) for each in sorted(found, key=lambda each: each.ticket_id)]

    def _entries(self) -> list[Showing]:
        return [each for each in self.facts.showings.values() if each.entered]


def _package(till: Till, name: str) -> str:
    return next(each.package_id for each in till.packages if each.name == name)


async def asking(url: str) -> tuple[httpx.AsyncClient, Outsider]:
    """A gate that only asks."""
    http = httpx.AsyncClient(base_url=url, timeout=30)
    return http, await Outsider(http).pair("GATE")
