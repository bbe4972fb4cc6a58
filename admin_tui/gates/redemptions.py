"""Redemptions: every ticket that was shown at a gate, passed or refused (R19)."""

from admin_tui.listing import Column, Detail, ListPage, Section
from admin_tui.office import Office
from playpark.contracts.tickets import RedemptionResult, RedemptionSummary
from playpark.tui.theme import BAD, GOOD, MUTED


def _answer(row: RedemptionSummary) -> str:
    return "passed" if row.result is RedemptionResult.PASS else "refused"


def _reason(row: RedemptionSummary) -> str:
    return row.reason.replace("_", " ") if row.reason else ""


def _colour(row: RedemptionSummary) -> str:
    return GOOD if row.result is RedemptionResult.PASS else BAD


async def _detail(office: Office, row: RedemptionSummary) -> Detail:
    park = office.park
    rows = [
        ("Shown", park.time(row.occurred_at)),
        ("Answer", _answer(row)),
        ("Why", _reason(row) or "valid"),
        ("Gate", park.device(row.device_id)),
        ("Zone", park.zone_name(row.zone_id)),
        ("Direction", row.direction.value),
        ("Ticket of", row.package_name or "no ticket of this park"),
    ]
    if row.ticket_id:
        rows.append(("Ticket", row.ticket_id))
    rows.append(("Redemption", row.redemption_id))
    return Detail(f"Redemption {_answer(row)}", (Section("", tuple(rows)),))


REDEMPTIONS = ListPage(
    name="redemptions",
    title="Redemptions",
    group="Gates",
    path="/redemptions",
    model=RedemptionSummary,
    columns=(
        Column("Shown", 12, lambda row, park: park.time(row.occurred_at)),
        Column("Answer", 7, lambda row, _: _answer(row), _colour),
        Column("Why", 14, lambda row, _: _reason(row), lambda _: BAD),
        Column("Ticket", 12, lambda row, _: row.package_name or "unknown", grows=True),
        Column("Gate", 12, lambda row, park: park.device(row.device_id), wide=True),
        Column("Zone", 14, lambda row, park: park.zone_name(row.zone_id), wide=True),
        Column("Way", 5, lambda row, _: row.direction.value, lambda _: MUTED, wide=True),
    ),
    detail=_detail,
    empty="Nobody was scanned yet. Start a gate (playpark gate) and show it a ticket.",
    readers="people who may view reports",
    device_of=lambda row: row.device_id,
)
