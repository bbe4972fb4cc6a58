"""The store's reasons: written by few, published to all, checked where one is given (R42)."""

from typing import Any

import pytest
from pymongo import MongoClient

from api.approvals import service as approvals
from playpark.contracts.approvals import ReasonCodeView, ReasonKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.outside import Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}


def reason(**more: Any) -> dict[str, Any]:
    code = "r" + new_ulid().lower()
    return {"code": code, "kind": "refund", "label": "Rain", "label_th": "ฝนตก", **more}


async def test_R42_a_reason_is_in_the_next_version_of_the_catalogue(till: Outsider) -> None:
    await till.staff(**OWNER)
    before = await till.data("GET", "/v1/catalog/snapshot")
    sent = reason(text_required=True)
    made = await till.data("POST", "/v1/reason_codes", sent)
    assert made == {**sent, "active": True}
    after = await till.data("GET", "/v1/catalog/snapshot")
    assert after["catalog_version"] > before["catalog_version"]
    assert made in after["reason_codes"]
    assert made in (await till.data("GET", "/v1/reason_codes"))["items"]

    path = f"/v1/reason_codes/{sent['code']}"
    changed = await till.data("PATCH", path, {"label": "Storm", "active": False})
    assert changed == {**made, "label": "Storm", "active": False}
    latest = await till.data("GET", "/v1/catalog/snapshot")
    assert latest["catalog_version"] > after["catalog_version"]


async def test_a_code_is_one_reason_and_an_unknown_one_is_not_found(till: Outsider) -> None:
    await till.staff(**OWNER)
    sent = reason()
    await till.data("POST", "/v1/reason_codes", sent)
    again = await till.call("POST", "/v1/reason_codes", sent)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "E_CONFLICT")
    missing = await till.call("PATCH", "/v1/reason_codes/not_there", {"label": "x"})
    assert missing.status_code == 404


async def test_reasons_are_read_by_all_and_written_with_settings_write(till: Outsider) -> None:
    assert (await till.call("GET", "/v1/reason_codes")).status_code == 200
    assert (await till.call("POST", "/v1/reason_codes", reason())).status_code == 403
    change = await till.call("PATCH", "/v1/reason_codes/customer_request", {"label": "x"})
    assert change.status_code == 403


async def test_a_changed_reason_is_audited(till: Outsider, mongo_uri: str, database: str) -> None:
    await till.staff(**OWNER)
    sent = reason()
    await till.data("POST", "/v1/reason_codes", sent)
    await till.data("PATCH", f"/v1/reason_codes/{sent['code']}", {"active": False})
    with MongoClient(mongo_uri) as mongo:
        rows = mongo[f"{database}_live"]["audits"].find({"entity_id": sent["code"]}).sort("seq")
        told = [(row["event_type"], row["payload"]) for row in rows]
    assert [event for event, _ in told] == ["reason_code.created", "reason_code.changed"]
    assert told[1][1] == {"active": False}


KNOWN = [
    ReasonCodeView(code="rain", kind=ReasonKind.REFUND, label="Rain", label_th="ฝน"),
    ReasonCodeView(code="gone", kind=ReasonKind.REFUND, label="Gone", label_th="x", active=False),
    ReasonCodeView(
        code="other", kind=ReasonKind.ANY, label="Other", label_th="อื่น", text_required=True
    ),
]


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        (ReasonKind.VOID, "rain", None),
        (ReasonKind.REFUND, "gone", None),
        (ReasonKind.REFUND, "unknown", "words"),
        (ReasonKind.REFUND, "other", None),
        (ReasonKind.VOID, "other", ""),
    ],
)
def test_R42_a_reason_that_does_not_fit_is_refused(
    kind: ReasonKind, code: str, text: str | None
) -> None:
    with pytest.raises(PlayParkError) as found:
        approvals.check_reason(KNOWN, kind, code, text)
    assert found.value.code is ErrorCode.VALIDATION


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [(ReasonKind.REFUND, "rain", None), (ReasonKind.VOID, "other", "The child was ill.")],
)
def test_R42_a_reason_that_fits_is_accepted(kind: ReasonKind, code: str, text: str | None) -> None:
    approvals.check_reason(KNOWN, kind, code, text)
