"""What waits for a person: operations that had happened and could not be booked (R35, R38)."""

from admin_tui.listing import Column, Detail, ListPage, Section
from admin_tui.office import Office
from playpark.contracts.sync import DeadLetterKind, DeadLetterStatus, DeadLetterView
from playpark.money import format_satang
from playpark.tui.theme import GOOD, MUTED, WARN

_COLOUR = {
    DeadLetterStatus.OPEN: WARN,
    DeadLetterStatus.APPLIED: GOOD,
    DeadLetterStatus.DISMISSED: MUTED,
}
_STATUS = {
    DeadLetterStatus.OPEN: "waits",
    DeadLetterStatus.APPLIED: "booked",
    DeadLetterStatus.DISMISSED: "by hand",
}
_FROM = {
    DeadLetterKind.REJECTED: "It had happened and could not be booked.",
    DeadLetterKind.REVIEW: "Its device was revoked, or somebody handed in its export.",
}


def what(letter: DeadLetterView) -> str:
    """`sale 03-S000128`, `cash movement`."""
    name = letter.op_kind.value.replace("_", " ") if letter.op_kind else "unreadable"
    return f"{name} {letter.receipt_no}" if letter.receipt_no else name


def amount(letter: DeadLetterView) -> str:
    return "" if letter.amount is None else format_satang(letter.amount)


async def _detail(office: Office, letter: DeadLetterView) -> Detail:
    park = office.park
    rows = [
        ("State", _STATUS[letter.status]),
        ("Device", park.device(letter.device_id)),
        ("Amount", amount(letter) or "–"),
        ("Happened", park.time(letter.occurred_at)),
        ("Arrived", park.time(letter.arrived_at)),
        ("Id", letter.dead_letter_id),
    ]
    why = ((letter.message or _FROM[letter.kind], ""),)
    settled = [("When", park.time(letter.resolved_at)), ("Why", letter.resolution or "–")]
    sections = [Section("", tuple(rows)), Section("Why it is here", why)]
    if letter.resolved_at is not None:
        sections.append(Section("Settled", tuple(settled)))
    return Detail(what(letter), tuple(sections))


LETTERS = ListPage(
    name="letters",
    title="Unsettled",
    group="House",
    path="/sync/dead_letters",
    model=DeadLetterView,
    columns=(
        Column("Arrived", 12, lambda letter, park: park.time(letter.arrived_at)),
        Column("Device", 10, lambda letter, park: park.device(letter.device_id)),
        Column("What", 16, lambda letter, _: what(letter), grows=True),
        Column("Amount", 11, lambda letter, _: amount(letter), right=True),
        Column("Why", 24, lambda letter, _: letter.message or "review", wide=True),
        Column(
            "State",
            7,
            lambda letter, _: _STATUS[letter.status],
            lambda letter: _COLOUR[letter.status],
        ),
    ),
    detail=_detail,
    empty="Nothing waits here: all that tills and gates have done is booked.",
    readers="people who may approve or manage devices",
    device_of=lambda letter: letter.device_id,
    waits=lambda letter: letter.status is DeadLetterStatus.OPEN,
)
