"""Receipt templates: which one a store prints with, and that the till learns of it (R12, R43)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.own_park import OWNER, OwnPark, own_park, refused
from tests.outside import CASHIER, Outsider

PATH = "/v1/receipt_templates"


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_templates") as park:
        yield park


async def printed_with(till: Outsider) -> Any:
    found = (await till.data("GET", "/v1/catalog/snapshot"))["receipt_template"]
    return found and (found["name"], found["header"])


async def test_the_newest_template_in_use_is_the_one_that_tills_print_with(park: OwnPark) -> None:
    async with park.connect("ADMIN", **OWNER) as owner, park.connect("POS", **CASHIER) as till:
        assert await printed_with(till) is None
        await owner.data("POST", PATH, {"name": "Plain", "header": ["Welcome"]})
        assert await printed_with(till) == ("Plain", ["Welcome"])
        body = {"name": "New Year", "header": ["สวัสดีปีใหม่"], "paper_width_mm": 58}
        festive = await owner.data("POST", PATH, body)
        assert await printed_with(till) == ("New Year", ["สวัสดีปีใหม่"])
        path = f"{PATH}/{festive['receipt_template_id']}"
        await owner.data("PATCH", path, {"active": False})
        assert await printed_with(till) == ("Plain", ["Welcome"])
        assert len((await till.data("GET", PATH))["items"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": ["x" * 81]},
        {"footer": ["x"] * 13},
        {"header": "Welcome"},
        {"paper_width_mm": 76},
        {"logo": "x"},
    ],
)
async def test_what_no_paper_takes_is_refused(park: OwnPark, wrong: dict[str, Any]) -> None:
    async with park.connect("ADMIN", **OWNER) as owner:
        status, error = await refused(owner, "POST", PATH, {"name": "Wrong", **wrong})
        assert (status, error["code"]) == (422, "E_VALIDATION")
