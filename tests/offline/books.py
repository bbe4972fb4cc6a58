"""The server's books against what happened: every sum and every row, and nothing beyond (R20, R28,
R29, R33, R45, R49, R51)."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from playpark.contracts.sales import SaleView
from playpark.contracts.tickets import TicketView
from playpark.offline_tickets import named_ticket
from tests.offline.model import Facts, Fate, Issued, Showing
from tests.offline.park import Park, Register, office
from tests.outside import Outsider

REFUSED_LATER = {"duplicate_use", "exhausted"}
CORRECTED = {"clock_clamped"}
CLOSE = timedelta(seconds=2)
"""How far a corrected time may be from the moment when it happened."""


@dataclass(frozen=True)
class Books:
    """Reads the server's database; `compare` raises AssertionError for the first difference."""

    park: Park
    facts: Facts

    def compare(self) -> None:
        """Everything that can be read."""
        self.devices_are_done()
        self.times()
        self.sales()
        self.tickets()
        self.shifts()
        self.movements()
        self.receipts()
        self.redemptions()
        self.occupancy()
        self.events()
        self.papers()

    # --- devices ----------------------------------------------------------------------------

    def devices_are_done(self) -> None:
        for device in self.park.devices:
            waiting = [(op.kind, op.op_id, op.message) for op in device.store.pending()]
            assert waiting == [], f"{device.name}: {waiting}"
            refused = [(op.kind, op.op_id, op.message) for op in device.store.rejected()]
            assert refused == [], f"{device.name} has a quarantine: {refused}"

    def times(self) -> None:
        """Times are the park's, however wrong the machines' clocks are (R36). From here on entries
        stand in the order that the server has corrected."""
        for row in self._of_devices("redemptions"):
            showing = self.facts.showings.get(row["op_id"])
            if showing is not None:
                assert abs(row["occurred_at"] - showing.at) <= CLOSE, (showing, row["occurred_at"])
                assert abs(row["occurred_at"] - showing.when) <= CLOSE, (
                    showing,
                    row["occurred_at"],
                )
                self.facts.correct(row["op_id"], row["occurred_at"])

    # --- money ------------------------------------------------------------------------------

    def sales(self) -> None:
        stored = {row["op_id"]: row for row in self._of_devices("sales")}
        assert stored.keys() == self.facts.sales.keys(), "sales"
        paid: dict[str, list[tuple[str, int]]] = {}
        for row in sorted(self._of_devices("payments"), key=lambda row: row["position"]):
            paid.setdefault(row["sale_id"], []).append((row["method"], row["amount"]))
        for op_id, sale in self.facts.sales.items():
            row = stored[op_id]
            told = (row["grand_total"], row["receipt_no"], row["shift_id"], row["business_date"])
            assert told == (sale.total, sale.receipt_no, sale.shift, sale.day), op_id
            assert paid.pop(row["_id"], []) == sale.methods, f"payments of {op_id}"
            assert set(row["flags"]) <= CORRECTED, f"{sale.receipt_no} is flagged {row['flags']}"
            assert abs(row["occurred_at"] - sale.when) <= CLOSE, (sale, row["occurred_at"])
        assert paid == {}, "payments without their sale"

    def shifts(self) -> None:
        stored = {row["shift_id"]: row for row in self._of_devices("shifts")}
        assert stored.keys() == self.facts.shifts.keys(), "shifts"
        links = self._of_devices("z_reports")
        for op_id, shift in self.facts.shifts.items():
            row, sales = stored[op_id], self.facts.of_shift(op_id)
            expected = {
                "status": "open" if shift.counted is None else "closed",
                "cash_open": shift.cash_open,
                "sales_count": len(sales),
                "sales_amount": sum(sale.total for sale in sales),
                "tickets_issued": sum(len(sale.tickets) for sale in sales),
                "pay_ins": shift.movements["in"],
                "pay_outs": shift.movements["out"],
                "drops": shift.movements["drop"],
            }
            if shift.counted is not None:
                drawer = self.facts.in_drawer(op_id)
                expected |= {"cash_expected": drawer, "cash_counted": shift.counted}
            assert {name: row[name] for name in expected} == expected, op_id
            assert _taken(row["sales_by_method"]) == self.facts.by_method(op_id), op_id
            closed = [each for each in links if each["shift_id"] == op_id]
            kinds = [each["kind"] for each in closed]
            assert kinds == ["close"] * (shift.counted is not None), f"Z of {op_id}: {kinds}"
            if closed:
                assert closed[0]["report"]["receipt_no"] == shift.z_number, op_id
        by_device: dict[str, list[int]] = {}
        for each in sorted(links, key=lambda each: each["chain_seq"]):
            by_device.setdefault(each["device_id"], []).append(each["chain_seq"])
        assert all(seqs == list(range(seqs[0], seqs[0] + len(seqs))) for seqs in by_device.values())

    def movements(self) -> None:
        kinds = {"pay_in": "in", "pay_out": "out", "drop": "drop"}
        stored = {
            row["op_id"]: (row["drawer_id"], kinds[row["type"]], row["amount"])
            for row in self._of_devices("cash_movements")
        }
        assert stored == self.facts.movements, "cash movements"
        cards = self.park.world.mongo.timecards
        for op_id, device in self.facts.punches.items():
            found = list(cards.find({"entries.op_key": f"{device}:{op_id}"}))
            entries = [each for card in found for each in card["entries"]]
            mine = [each for each in entries if each["op_key"] == f"{device}:{op_id}"]
            assert len(mine) == 1, f"timecard {op_id}: {len(mine)}"

    def receipts(self) -> None:
        """Every number from the first to the last has its one row (R29)."""
        taken = Counter(
            number
            for number in (
                *(sale.receipt_no for sale in self.facts.sales.values()),
                *(shift.z_number for shift in self.facts.shifts.values() if shift.z_number),
            )
        )
        assert not taken or max(taken.values()) == 1, "a number was given out twice"
        rows = self._of_devices("receipt_ledger")
        stored = {row["receipt_no"]: (row["op_id"], row["state"]) for row in rows}
        assert len(rows) == len(stored)
        expected = {
            sale.receipt_no: (sale.op_id, "applied") for sale in self.facts.sales.values()
        } | {
            shift.z_number: (shift.close, "applied")
            for shift in self.facts.shifts.values()
            if shift.z_number
        }
        assert stored == expected, "the ledger of receipt numbers"
        series: dict[str, list[int]] = {}
        for number in stored:
            head, count = number[:-6], int(number[-6:])
            series.setdefault(head, []).append(count)
        for head, counts in series.items():
            assert sorted(counts) == list(range(1, len(counts) + 1)), f"a gap in {head}"

    # --- tickets ----------------------------------------------------------------------------

    def tickets(self) -> None:
        stored = {row["ticket_id"]: row for row in self._of_devices("tickets")}
        tickets = self.facts.tickets
        assert stored.keys() == tickets.keys(), "tickets"
        sales = {row["op_id"]: row["_id"] for row in self._of_devices("sales")}
        worth: Counter[str] = Counter()
        for ticket_id, ticket in tickets.items():
            row = stored[ticket_id]
            told = (row["short_code"], row["kind"], row["quota_or_minutes"], row["status"])
            assert told == (ticket.short_code, ticket.kind, ticket.quota, "active"), ticket_id
            assert row["sale_id"] == sales[ticket.sale], ticket_id
            assert row["used"] == self.facts.used(ticket), (
                f"{ticket.package} {ticket_id}: used {row['used']}, "
                f"walked {self._told(self.facts.entries(ticket_id))}"
            )
            ends_at = self.facts.ends_at(ticket)
            assert row["ends_at"] == ends_at, (
                f"{ticket_id} runs until {row['ends_at']}, not {ends_at}: "
                f"walked {self._told(self.facts.entries(ticket_id))}"
            )
            worth[ticket.sale] += row["slice"]["payable"]
        for op_id, sale in self.facts.sales.items():
            assert worth[op_id] == sale.total, f"slices of {sale.receipt_no}"

    def redemptions(self) -> None:
        rows = {row["op_id"]: row for row in self._of_devices("redemptions")}
        assert len(rows) == self._count("redemptions"), "an operation has two rows"
        assert rows.keys() == self.facts.showings.keys(), "redemptions"
        told = self._conflicts()
        for ticket in self.facts.tickets.values():
            for op_id, judged in self.facts.judged(ticket).items():
                row = rows[op_id]
                where = f"{ticket.package} {ticket.ticket_id}, entry {op_id}: {_short(row)}"
                if judged.fate is Fate.PASS:
                    result = (row["result"], row["annulled_at"], row["credit_shortfall"])
                    assert result == ("pass", None, judged.shortfall), where
                    assert row["spend"] == judged.spend, where
                else:
                    assert (row["result"], row["annulled_at"]) == ("fail", None), where
                    assert row["reason"] in REFUSED_LATER, where
                    assert row["gate_result"] == "pass", where
                if judged.fate is Fate.CONFLICT or judged.shortfall:
                    assert row["_id"] in told, f"nobody was told of {where}"
        for op_id, showing in self.facts.showings.items():
            row = rows[op_id]
            where = f"{showing}: {_short(row)}"
            assert row["direction"] == ("exit" if showing.leaving else "entry"), where
            assert row["zone_id"] == showing.zone, where
            if showing.leaving:
                continue
            if showing.walked:
                assert row["ticket_id"] == showing.ticket, where
                assert (row["annulled_at"] is not None) is showing.annulled, where
            elif row["result"] == "pass":
                assert row["annulled_at"] is not None, f"nobody went in by {where}"
                assert row["gate_result"] == "fail", where

    def occupancy(self) -> None:
        stored: dict[tuple[str, str], tuple[int, int]] = {}
        for row in self._of_devices("occupancy"):
            where = (row["device_id"], row["zone_id"])
            entries, exits = stored.get(where, (0, 0))
            stored[where] = (entries + row["entries"], exits + row["exits"])
        stored = {where: counts for where, counts in stored.items() if any(counts)}
        assert stored == self.facts.inside(), "occupancy"

    # --- what was told ----------------------------------------------------------------------

    def events(self) -> None:
        """One event for each thing that happened, however often it was sent (R47)."""
        mongo = self.park.world.mongo
        ids = {row["op_id"]: row["_id"] for row in self._of_devices("sales")}
        for kind in ("sale.created", "ticket.issued"):
            found = mongo.events.find({"type": kind, "data.sale_id": {"$in": list(ids.values())}})
            told = Counter(row["data"]["sale_id"] for row in found)
            assert told == Counter(ids.values()), kind

    def papers(self) -> None:
        """Every receipt and every ticket came out once (R23)."""
        tickets: Counter[str] = Counter()
        receipts: Counter[str] = Counter()
        for register in self.park.registers:
            for paper, _ in register.tray.out:
                if isinstance(paper.content, TicketView):
                    tickets[paper.content.ticket_id] += 1
                    token = paper.content.qr_token or ""
                    assert named_ticket(token) == paper.content.ticket_id, token
                elif isinstance(paper.content, SaleView):
                    receipts[paper.content.receipt_no] += 1
        assert tickets == Counter(self.facts.tickets.keys()), "tickets on paper"
        assert receipts == Counter(each.receipt_no for each in self.facts.sales.values()), (
            "receipts"
        )

    async def what_is_printed_admits(self, gate: Outsider) -> None:
        """Each token on paper says what is left of its ticket, and no more (R19, R52)."""
        now = self.park.world.time.now()
        ball_pit = self.park.world.zones["Ball Pit"]
        for register in self.park.registers:
            for paper in register.tray.tickets:
                ticket = self.facts.tickets[paper.ticket_id]
                body: dict[str, Any] = {"qr_token": paper.qr_token, "simulate": True}
                if ticket.kind == "credit":
                    body["zone_id"] = ball_pit
                answer = await gate.data("POST", "/v1/tickets/redeem", body)
                assert answer["ticket_id"] == ticket.ticket_id, answer
                ends_at = self.facts.ends_at(ticket)
                left = ticket.quota - self.facts.used(ticket)
                if ticket.kind == "timepass":
                    good = ends_at is None or now < ends_at
                else:
                    good = left >= (6_000 if ticket.kind == "credit" else 1)
                assert answer["result"] == ("pass" if good else "fail"), (ticket, answer)
                assert good or answer["reason"] in REFUSED_LATER, (ticket, answer)

    async def the_proofs_hold(self) -> None:
        """The server's own proofs find nothing either (R45, R49)."""
        days = {sale.day for sale in self.facts.sales.values()}
        async with office(self.park.world.url) as owner:
            for day in sorted(days):
                query = {"date": day, "fresh": True}
                found = await owner.data("GET", "/v1/reports/reconciliation", **query)
                assert found["breaks"] == [], found["breaks"]
            trail = await owner.data("GET", "/v1/audits/verify")
            assert trail["breaks"] == [], trail["breaks"]

    # --- inside -----------------------------------------------------------------------------

    @property
    def _devices(self) -> list[str]:
        return [device.device_id for device in self.park.devices]

    def _of_devices(self, collection: str) -> list[dict[str, Any]]:
        found = self.park.world.mongo[collection].find({"device_id": {"$in": self._devices}})
        return list(found)

    def _count(self, collection: str) -> int:
        query = {"device_id": {"$in": self._devices}}
        return int(self.park.world.mongo[collection].count_documents(query))

    def _conflicts(self) -> set[str]:
        ids = [row["_id"] for row in self._of_devices("redemptions")]
        query = {"type": "ticket.conflict", "data.redemption_id": {"$in": ids}}
        found = self.park.world.mongo.events.find(query)
        return {str(row["data"]["redemption_id"]) for row in found}

    def _told(self, entries: list[Showing]) -> list[str]:
        rows = {row["op_id"]: row for row in self._of_devices("redemptions")}
        return [f"{each.op_id} at {each.at}: {_short(rows.get(each.op_id))}" for each in entries]


def _taken(by_method: dict[str, int]) -> dict[str, int]:
    return {method: amount for method, amount in by_method.items() if amount}


def _short(row: dict[str, Any] | None) -> dict[str, Any]:
    names = ("result", "reason", "gate_result", "spend", "credit_shortfall", "annulled_because")
    return {name: row.get(name) for name in names} if row else {}


def issued(register: Register, op_body: dict[str, Any], sale: str) -> list[Issued]:
    """The tickets that a sale's body promises, by the packages that the guest was sold."""
    catalog = register.store.catalog()
    assert catalog is not None
    packages = {each.package_id: each for each in catalog.packages}
    found = []
    lines = zip(op_body["lines"], op_body["ticket_ids"], op_body["short_codes"], strict=True)
    for line, ids, codes in lines:
        package = packages[line["package_id"]]
        parts = [
            packages[part.package_id] for part in package.components for _ in range(part.qty)
        ] or [package]
        wanted = parts * line["qty"]
        assert len(ids) == len(codes) == len(wanted), line
        found += [
            Issued(ticket_id, code, each.name, each.kind.value, each.quota_or_minutes, sale)
            for ticket_id, code, each in zip(ids, codes, wanted, strict=True)
        ]
    return found
