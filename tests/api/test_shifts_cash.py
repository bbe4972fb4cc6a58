"""Cash that moves without a sale, and what the other rooms book on a shift (R26, R27, R32)."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from api.app import create_app, prepare
from api.platform.authority import DeviceAuthority
from api.platform.mongo import Mongo
from api.platform.operations import Operation, chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.settings import Settings
from api.platform.uow import Work
from api.shifts import service as shifts
from api.shifts.service import RefundAmounts, SaleAmounts
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.drawers import CAROUSEL, applied, approve, carousel, op, refusal, send, sync, tell
from tests.outside import Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
SALE = SaleAmounts(
    amount=10_000,
    cash=6_000,
    by_method={"cash": 6_000, "card": 4_000},
    tickets=3,
    discounts=500,
    tax=654,
    surcharges=120,
    cash_rounding=-25,
)
REFUND = RefundAmounts(amount=2_500, cash=1_500, by_method={"cash": 1_500, "card": 1_000})
NOTHING = {"count": 0, "amount": 0, "by_method": {}}


class Nothing(BaseModel):
    pass


@dataclass
class Books:
    """A till over HTTP and, beside it, the functions that other rooms call in transactions."""

    till: Outsider
    platform: Platform

    async def scope(self) -> Scope:
        authorities = self.platform.mongo.db[DeviceAuthority.__collection__]
        found = await authorities.find_one({"_id": self.till.device["device_id"]})
        return DeviceAuthority.model_validate_doc(found).scope(None)

    async def run(
        self,
        book: Callable[[Work, Scope, Operation[Any]], Awaitable[Any]],
        *,
        committed: bool = False,
        shift_id: str | None = None,
    ) -> Any:
        scope = await self.scope()
        operation: Operation[Any] = Operation(
            op_id=new_ulid(),
            kind=OpKind.REFUND,
            raw={},
            body=Nothing(),
            occurred_at=self.platform.clock.now(),
            shift_id=shift_id,
            committed=committed,
        )

        async def effect(work: Work) -> Any:
            return await book(work, scope, operation)

        return await self.platform.uow.run(effect, queue=chain_key(scope))

    async def totals(self, shift_id: str) -> dict[str, Any]:
        """What the Z report says once the shift is closed."""
        closing = op("shift_close", {"cash_counted": 0}, shift_id=shift_id)
        (closed,) = await applied(self.till, closing)
        return dict(closed["z"])


@pytest.fixture
async def books(mongo_uri: str, database: str) -> AsyncIterator[Books]:
    """A park of its own in this process."""
    mongo = Mongo(mongo_uri, f"{database}_shifts")
    platform = await prepare(Settings(), mongo, demo=True)
    transport = httpx.ASGITransport(app=create_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        till = await (await Outsider(http).pair("POS")).staff()
        yield Books(till, platform)
    await mongo.client.drop_database(f"{database}_shifts")
    platform.close()


async def move(till: Outsider, drawer_id: str, kind: str, amount: int, **more: Any) -> Any:
    body = {"type": kind, "amount": amount, **more}
    return await tell(till, "POST", f"/cash_drawers/{drawer_id}/movements", body)


async def test_R27_movements_are_rows_with_who_what_and_why(till: Outsider) -> None:
    drawer_id = (await tell(till, "GET", "/cash_drawers/current"))["shift_id"]
    key, body = new_ulid(), {"type": "pay_in", "amount": 500, "reason_code": "change_money"}
    path = f"/cash_drawers/{drawer_id}/movements"
    first = await tell(till, "POST", path, body, key=key)
    assert (first["type"], first["amount"], first["flags"]) == ("pay_in", 500, [])
    assert (first["employee_name"], first["reason_code"]) == ("Nok", "change_money")
    again = await send(till, "POST", path, body, key=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == first
    other = await refusal(till, "POST", path, body | {"amount": 501}, key=key)
    assert other == (422, "E_IDEMPOTENCY_MISMATCH")
    await move(till, drawer_id, "drop", 300)
    summary = await tell(till, "GET", f"/cash_drawers/{drawer_id}/summary")
    assert [row["amount"] for row in summary["movements"]] == [500, 300]
    assert summary["drawer"] is None
    closed = await tell(till, "POST", "/shifts/close", {"cash_counted": 100_200})
    assert closed["cash_diff"] == 0
    summary = await tell(till, "GET", f"/cash_drawers/{drawer_id}/summary")
    assert (summary["drawer"]["pay_ins"], summary["cash_diff"]) == (500, 0)
    assert await refusal(till, "POST", path, body) == (409, "E_SHIFT_CLOSED")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 0}, "E_VALIDATION"),
        ({"amount": -5}, "E_VALIDATION"),
        ({"type": "gift"}, "E_VALIDATION"),
        ({"reason_code": "paper_jam"}, "E_VALIDATION"),
        ({"reason_code": "no_such_reason"}, "E_VALIDATION"),
    ],
)
async def test_a_movement_that_makes_no_sense_is_refused_and_moves_nothing(
    till: Outsider, change: dict[str, Any], code: str
) -> None:
    drawer_id = (await tell(till, "GET", "/cash_drawers/current"))["shift_id"]
    body = {"type": "pay_in", "amount": 500} | change
    path = f"/cash_drawers/{drawer_id}/movements"
    assert (await refusal(till, "POST", path, body))[1] == code
    closed = await tell(till, "POST", "/shifts/close", {"cash_counted": 100_000})
    assert closed["cash_expected"] == 100_000


async def test_R27_taking_more_than_there_is_tells_the_cashier_nothing(till: Outsider) -> None:
    drawer_id = (await tell(till, "GET", "/cash_drawers/current"))["shift_id"]
    possible = await move(till, drawer_id, "pay_out", 100_000)
    too_much = await move(till, drawer_id, "pay_out", 1)
    assert possible["flags"] == too_much["flags"] == []
    path = f"/shifts/{drawer_id}"
    assert [row["flags"] for row in (await tell(till, "GET", path))["movements"]] == [[], []]
    await till.staff(email="supervisor@demo.playpark", pin="9999")
    seen = (await tell(till, "GET", path))["movements"]
    assert [row["flags"] for row in seen] == [[], ["over_drawer"]]


async def test_R17_a_committed_movement_is_kept_whatever_the_books_say(
    outside: Outsider,
) -> None:
    till = await outside.pair("POS")
    body = {"type": "drop", "amount": 900, "reason_code": "no_such_reason"}
    (homeless,) = await applied(till, op("cash_movement", body))
    assert homeless["drawer_id"] is None
    assert set(homeless["flags"]) == {"not_permitted", "no_shift", "reason_unknown"}
    refused = op("cash_movement", body, committed=False)
    assert (await sync(till, refused))[0]["code"] == "E_PERMISSION"


async def test_R26_sales_refunds_reprints_of_a_shift_stand_in_its_z(books: Books) -> None:
    shift_id = await books.till.open_shift(50_000)
    for _ in range(2):
        booked = await books.run(lambda *told: shifts.book_sale(*told, SALE))
        assert booked == (shift_id, [])
    assert await books.run(lambda *told: shifts.book_refund(*told, REFUND)) == (shift_id, [])
    assert await books.run(shifts.book_reprint) == shift_id
    z = await books.totals(shift_id)
    assert z["sales"] == {
        "count": 2,
        "amount": 20_000,
        "by_method": {"card": 8_000, "cash": 12_000},
    }
    assert z["refunds"] == {
        "count": 1,
        "amount": 2_500,
        "by_method": {"card": 1_000, "cash": 1_500},
    }
    assert z["voids"] == {"count": 0, "amount": 0}
    beside = ("reprints", "tickets_issued", "discounts", "tax", "surcharges", "cash_rounding")
    assert [z[name] for name in beside] == [1, 6, 1_000, 1_308, 240, -50]
    # A refund never touches the sale's money; it lowers what the drawer ought to hold.
    assert (z["drawer"]["cash_sales"], z["drawer"]["cash_refunds"]) == (12_000, 1_500)
    assert z["drawer"]["cash_expected"] == 50_000 + 12_000 - 1_500
    assert (z["grand_sales"], z["grand_refunds"], z["grand_total"]) == (20_000, 2_500, 17_500)


async def test_R32_a_voided_sale_stands_under_voids_and_nowhere_else(books: Books) -> None:
    shift_id = await books.till.open_shift(50_000)
    await books.run(lambda *told: shifts.book_sale(*told, SALE))
    assert await books.run(lambda *told: shifts.book_void(*told, shift_id, SALE)) == []
    z = await books.totals(shift_id)
    assert (z["sales"], z["refunds"]) == (NOTHING, NOTHING)
    assert z["voids"] == {"count": 1, "amount": 10_000}
    beside = ("tickets_issued", "discounts", "tax", "surcharges", "cash_rounding")
    assert [z[name] for name in beside] == [0] * 5
    assert (z["drawer"]["cash_expected"], z["grand_total"]) == (50_000, 0)


async def test_R32_only_a_sale_of_the_shift_that_is_open_here_can_be_voided(
    books: Books,
) -> None:
    shift_id = await books.till.open_shift(0)
    await books.run(lambda *told: shifts.book_sale(*told, SALE))
    await books.totals(shift_id)
    following = await books.till.open_shift(0)

    async def void(of: str | None, *, committed: bool = False) -> Any:
        return await books.run(lambda *told: shifts.book_void(*told, of, SALE), committed=committed)

    for elsewhere in (shift_id, new_ulid(), None):
        with pytest.raises(PlayParkError) as refused:
            await void(elsewhere)
        assert refused.value.code is ErrorCode.CONFLICT
    assert await void(shift_id, committed=True) == ["after_close"]
    (_, supplement) = (await tell(books.till, "GET", f"/shifts/{shift_id}/z"))["items"]
    assert supplement["sales"]["amount"] == -10_000
    assert supplement["voids"] == {"count": 1, "amount": 10_000}
    assert supplement["grand_total"] == 0
    assert (await books.totals(following))["voids"]["count"] == 0


async def test_R26_a_refund_posts_to_the_shift_that_is_open_now(books: Books) -> None:
    def refund(told: Any) -> Any:
        return shifts.book_refund(*told, REFUND)

    with pytest.raises(PlayParkError) as refused:
        await books.run(lambda *told: refund(told))
    assert refused.value.code is ErrorCode.SHIFT_CLOSED
    assert await books.run(lambda *told: refund(told), committed=True) == (None, ["no_shift"])
    assert await books.run(shifts.book_reprint) is None
    first = await books.till.open_shift(0)
    await books.totals(first)
    second = await books.till.open_shift(0)
    # Asked for in the first shift and not done yet: the money leaves the drawer of now.
    asked = await books.run(lambda *told: refund(told), shift_id=first)
    assert asked == (second, [])
    done = await books.run(lambda *told: refund(told), shift_id=first, committed=True)
    assert done == (first, ["after_close"])
    assert await books.run(shifts.book_reprint, shift_id=first, committed=True) == first
    reports = (await tell(books.till, "GET", f"/shifts/{first}/z"))["items"]
    assert [report["refunds"]["count"] for report in reports] == [0, 1, 0]
    assert [report["reprints"] for report in reports] == [0, 0, 1]
    assert (await books.totals(second))["refunds"]["amount"] == 2_500


async def test_R26_the_store_may_allow_sales_without_a_shift(books: Books) -> None:
    sale = await carousel(books.till)
    assert await refusal(books.till, "POST", "/sales", sale) == (409, "E_SHIFT_CLOSED")
    boss = await (await Outsider(books.till.http).pair("ADMIN")).staff(**OWNER)
    allow = {"sections": {"sales": {"without_shift": True}}}
    await tell(boss, "PUT", "/settings", allow)
    sold = await tell(books.till, "POST", "/sales", sale)
    assert sold["sale"]["shift_id"] is None
    closed_one = await books.till.open_shift(0)
    await books.totals(closed_one)
    with pytest.raises(PlayParkError):  # one that names a shift is booked there or not at all
        await books.run(lambda *told: shifts.book_sale(*told, SALE), shift_id=closed_one)
    shift_id = await books.till.open_shift(0)
    sold = await tell(books.till, "POST", "/sales", sale)
    assert sold["sale"]["shift_id"] == shift_id


async def test_R27_the_tolerance_is_the_stores_setting(books: Books) -> None:
    boss = await (await Outsider(books.till.http).pair("ADMIN")).staff(**OWNER)
    strict = {"sections": {"shifts": {"variance_tolerance": 0}}}
    await tell(boss, "PUT", "/settings", strict)
    shift_id = await books.till.open_shift(1_000)
    body = {"cash_counted": 999, "reason_code": "counting_error"}
    assert (await refusal(books.till, "POST", "/shifts/close", body))[0] == 403
    token = await approve(books.till, "cash_variance", shift_id)
    closed = await tell(books.till, "POST", "/shifts/close", body, approval=token)
    assert closed["cash_diff"] == -1


async def test_R32_training_leaves_the_drawer_alone(till: Outsider) -> None:
    shift_id = (await tell(till, "GET", "/shifts/current"))["shift_id"]
    await tell(till, "POST", "/sales", await carousel(till, training=True))
    await tell(till, "POST", "/sales", await carousel(till))
    closed = await tell(till, "POST", "/shifts/close", {"cash_counted": 100_000 + CAROUSEL})
    assert (closed["shift_id"], closed["cash_diff"]) == (shift_id, 0)
    assert closed["z"]["sales"]["count"] == 1


async def test_cash_and_shifts_are_audited_and_told_as_events(books: Books) -> None:
    shift_id = await books.till.open_shift(0)
    moved = await move(books.till, shift_id, "pay_in", 700)
    await applied(books.till, op("shift_close", {"cash_counted": 0}, shift_id=shift_id))
    await applied(books.till, op("sale", await carousel(books.till), shift_id=shift_id))
    db = books.platform.mongo.db
    rows = {row["event_type"]: row async for row in db["audits"].find()}
    assert rows["cash.moved"]["entity_id"] == moved["movement_id"]
    assert rows["cash.moved"]["payload"]["amount"] == 700
    assert rows["shift.closed"]["payload"]["cash_diff"] == -700
    assert rows["shift.opened"]["entity_id"] == shift_id
    types = [event["type"] async for event in db["events"].find().sort("_id")]
    told = [kind for kind in types if re.match(r"shift\.|cash\.", kind)]
    assert told == ["shift.opened", "cash.moved", "shift.closed", "shift.supplemented"]
