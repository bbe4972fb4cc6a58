"""A drawer against a model of it: whatever happens in any order, the Z adds up (R26–R28)."""

import asyncio
import os
from collections.abc import Awaitable, Callable
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
from pydantic import BaseModel

from api.app import DOCUMENTS
from api.platform.mongo import Mongo
from api.platform.operations import Kind, Operation, chain_key, perform
from api.platform.scope import Actor, Device, Scope
from api.platform.services import Platform
from api.platform.settings import Settings
from api.platform.uow import Work
from api.shifts import reading
from api.shifts import service as shifts
from api.shifts.service import RefundAmounts, SaleAmounts
from playpark.clock import FixedClock, SystemClock
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import (
    DrawerCloseIn,
    MovementIn,
    MovementType,
    ShiftClosed,
    ShiftOpenIn,
)
from playpark.contracts.sync import OpKind
from playpark.contracts.tenancy import DeviceCaps, DeviceType
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.drawers import chained

AMOUNTS = st.integers(1, 500_000)
Book = Callable[[Work, Scope, Operation[Any]], Awaitable[Any]]


class Nothing(BaseModel):
    pass


def scope_of_a_new_till() -> Scope:
    device = Device(
        device_id=new_ulid(),
        code="07",
        number=7,
        type=DeviceType.POS,
        name="till",
        caps=DeviceCaps(can_sell=True),
    )
    nok = Actor("nok", "Nok", permissions=frozenset(Permission))
    return Scope(
        "tenant", "store", device, nok, catalog_version=0, tz="Asia/Bangkok", home_store_id="store"
    )


class DrawerMachine(RuleBasedStateMachine):
    """`expected` is the model: one number, moved by each thing that moves cash."""

    runner: asyncio.Runner
    platform: Platform

    @initialize()
    def begin(self) -> None:
        self.scope = scope_of_a_new_till()
        self.clock = FixedClock(SystemClock().now() - timedelta(hours=1))
        self.shift: str | None = None
        self.last_shift: str | None = None
        self.expected = self.sold = self.refunded = self.z_no = 0
        self.sales: list[SaleAmounts] = []
        self.all_sold = self.all_refunded = 0
        self.links: list[dict[str, Any]] = []

    # --- how the rules act ----------------------------------------------------------------

    def _op(self, kind: OpKind, body: BaseModel, **more: Any) -> Operation[Any]:
        self.clock.advance(timedelta(seconds=1))
        raw = body.model_dump(mode="json", exclude_unset=True)
        return Operation(new_ulid(), kind, raw, body, self.clock.now(), **more)

    def _perform(self, kind: Kind[Any, Any], body: BaseModel, **more: Any) -> Any:
        operation = self._op(kind.name, body, **more)
        doing = perform(self.platform, self.scope, operation, kind)
        outcome = self.runner.run(doing)
        again = self.runner.run(perform(self.platform, self.scope, operation, kind))
        assert again.replayed
        assert again.answer == outcome.answer
        return outcome.answer

    def _book(self, book: Book, **more: Any) -> Any:
        operation = self._op(OpKind.SALE, Nothing(), **more)

        async def effect(work: Work) -> Any:
            return await book(work, self.scope, operation)

        return self.runner.run(self.platform.uow.run(effect, queue=chain_key(self.scope)))

    # --- what can happen -------------------------------------------------------------------

    @precondition(lambda self: self.shift is None)
    @rule(cash_open=st.integers(0, 1_000_000))
    def open(self, cash_open: int) -> None:
        self.shift = self._perform(shifts.OPEN, ShiftOpenIn(cash_open=cash_open)).shift_id
        self.expected, self.sold, self.refunded, self.sales = cash_open, 0, 0, []

    @rule(price=AMOUNTS, in_cash=st.integers(0, 100), tickets=st.integers(0, 3))
    def sell(self, price: int, in_cash: int, tickets: int) -> None:
        """Change does not count: the till keeps what the sale costs, however it was paid."""
        cash = price * in_cash // 100
        by_method = {"cash": cash, "card": price - cash}
        sale = SaleAmounts(amount=price, cash=cash, by_method=by_method, tickets=tickets)
        if self.shift is None:
            with pytest.raises(PlayParkError) as refused:
                self._book(lambda *told: shifts.book_sale(*told, sale))
            assert refused.value.code is ErrorCode.SHIFT_CLOSED
            return
        booked = self._book(lambda *told: shifts.book_sale(*told, sale))
        assert booked == (self.shift, [])
        self.sales.append(sale)
        self.sold += price
        self.expected += cash

    @precondition(lambda self: self.shift and self.sales)
    @rule(which=st.integers(0, 100))
    def void(self, which: int) -> None:
        sale = self.sales.pop(which % len(self.sales))
        self._book(lambda *told: shifts.book_void(*told, self.shift, sale))
        self.sold -= sale.amount
        self.expected -= sale.cash

    @precondition(lambda self: self.shift)
    @rule(amount=AMOUNTS, in_cash=st.integers(0, 100))
    def refund(self, amount: int, in_cash: int) -> None:
        cash = amount * in_cash // 100
        back = RefundAmounts(amount, cash, {"cash": cash, "card": amount - cash})
        self._book(lambda *told: shifts.book_refund(*told, back))
        self.refunded += amount
        self.expected -= cash

    @precondition(lambda self: self.shift)
    @rule(kind=st.sampled_from(MovementType), amount=AMOUNTS)
    def move(self, kind: MovementType, amount: int) -> None:
        body = MovementIn(type=kind, amount=amount, drawer_id=self.shift)
        assert self._perform(shifts.MOVE, body).flags == []
        self.expected += amount if kind is MovementType.PAY_IN else -amount

    @precondition(lambda self: self.shift)
    @rule(off=st.integers(-1_000_000, 1_000_000))
    def close(self, off: int) -> None:
        counted = max(0, self.expected + off)
        body = DrawerCloseIn(cash_counted=counted)
        closed = self._perform(shifts.CLOSE, body, committed=True, shift_id=self.shift)
        self.z_no += 1
        self.all_sold += self.sold
        self.all_refunded += self.refunded
        self._agrees(closed, counted)
        self.links.append(closed.z.model_dump(mode="json"))
        self.last_shift, self.shift = self.shift, None

    def _agrees(self, closed: ShiftClosed, counted: int) -> None:
        assert closed.shift_id == self.shift
        assert closed.cash_expected == self.expected
        assert closed.cash_diff == counted - self.expected
        assert ("variance_unapproved" in closed.flags) == (abs(closed.cash_diff) > 2_000)
        z = closed.z
        assert (z.z_no, z.supplement) == (self.z_no, 0)
        assert (z.sales.count, z.sales.amount) == (len(self.sales), self.sold)
        assert z.tickets_issued == sum(sale.tickets for sale in self.sales)
        assert sum(z.sales.by_method.values()) == self.sold
        assert sum(z.refunds.by_method.values()) == z.refunds.amount == self.refunded
        assert (z.grand_sales, z.grand_refunds) == (self.all_sold, self.all_refunded)

    @precondition(lambda self: self.last_shift)
    @rule(price=AMOUNTS)
    def sell_late(self, price: int) -> None:
        sale = SaleAmounts(amount=price, cash=price, by_method={"cash": price}, tickets=1)
        named = {"committed": True, "shift_id": self.last_shift}
        booked = self._book(lambda *told: shifts.book_sale(*told, sale), **named)
        assert booked == (self.last_shift, ["after_close"])
        self.all_sold += price
        reading_it = reading.z_reports(
            self.platform.uow.reading(), self.scope, str(self.last_shift), 200, None
        )
        latest = self.runner.run(reading_it).items[-1]
        assert (latest.sales.amount, latest.grand_sales) == (price, self.all_sold)
        self.links.append(latest.model_dump(mode="json"))

    @invariant()
    def the_open_shift_is_the_one_of_the_model(self) -> None:
        work = self.platform.uow.reading()
        if self.shift is None:
            return
        found = self.runner.run(reading.detail(work, self.scope, self.shift))
        assert found.drawer is not None
        assert found.drawer.cash_expected == self.expected

    def teardown(self) -> None:
        if getattr(self, "links", None):
            assert chained(self.links)


async def forget(platform: Platform, name: str) -> None:
    await platform.mongo.client.drop_database(name)
    platform.close()


@pytest.mark.timeout(120)
def test_R27_a_drawer_always_agrees_with_its_model(mongo_uri: str, database: str) -> None:
    name = f"{database}_drawer"
    with asyncio.Runner() as runner:

        async def connect() -> Platform:
            mongo = Mongo(mongo_uri, name)
            await mongo.create_indexes(DOCUMENTS)
            return Platform.build(
                Settings(), mongo, SystemClock(), publish=nobody, note_refusal=nobody
            )

        async def nobody(*_: Any) -> None:
            """Nothing is published here: the store's settings are the defaults."""

        platform = runner.run(connect())
        DrawerMachine.runner, DrawerMachine.platform = runner, platform
        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                DrawerMachine,
                settings=settings(
                    max_examples=100 if os.environ.get("PLAYPARK_FULL") else 12,
                    stateful_step_count=25,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(forget(platform, name))
