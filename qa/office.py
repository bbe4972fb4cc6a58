"""A person in the back office, over HTTP: the books as a supervisor reads them, the switches."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter

from playpark.client import ApiClient
from playpark.contracts.approvals import ApprovalAction, VerifyPinIn
from playpark.contracts.audit import AuditVerification, AuditView
from playpark.contracts.auth import DeviceRegisterIn
from playpark.contracts.base import Envelope, Page
from playpark.contracts.employees import EmployeeLoginIn
from playpark.contracts.qa import QaSwitches, QaView
from playpark.contracts.sales import PaymentSummary, SaleAnswer, SaleSummary
from playpark.contracts.shifts import ShiftClosed, ShiftDetail, ShiftSummary
from playpark.contracts.sync import DeadLetterView, Resolve
from playpark.contracts.tenancy import DeviceDetail, DeviceType
from playpark.contracts.tickets import RedemptionSummary, TicketView
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

T = TypeVar("T", bound=BaseModel)
MANY = 200


class Office:
    """Somebody with rights in the back office of one store. Log in before asking."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = ApiClient(self.url, timeout=30)
        self._http = httpx.AsyncClient(base_url=f"{self.url}/v1", timeout=30)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()
        await self._http.aclose()

    async def log_in(
        self, email: str, pin: str, *, site_key: str | None = None, tenant: str | None = None
    ) -> None:
        """On an ADMIN device that `site_key` pairs, or as a person of `tenant` without a device.

        Raises PlayParkError: wrong key or PIN, code needed, server not reachable.
        """
        if site_key is not None:
            about = DeviceRegisterIn(site_key=site_key, type=DeviceType.ADMIN, name="QA office")
            device = await self._client.register_device(about)
            await self._client.login_device(device.device_id, device.device_token)
            person = EmployeeLoginIn(email=email, pin=pin)
        else:
            person = EmployeeLoginIn(tenant=tenant, email=email, pin=pin)
        await self._client.login_employee(person)

    async def ask(
        self,
        method: str,
        path: str,
        model: type[T],
        body: Mapping[str, Any] | None = None,
        *,
        op_id: str | None = None,
        approval: str | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> T:
        """Any route's answer, `path` below /v1. Raises PlayParkError with the server's code."""
        headers = {"Authorization": f"Bearer {self._client.employee_token}"}
        if op_id is not None:
            headers["Idempotency-Key"] = op_id
        if approval is not None:
            headers["X-Approval"] = approval
        try:
            response = await self._http.request(
                method, path, json=body, params=query, headers=headers
            )
        except httpx.HTTPError as lost:
            message = f"The server at {self.url} does not answer: check that the API is running."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message) from lost
        told = TypeAdapter(Envelope[Any]).validate_json(response.content)
        if told.error is not None:
            known = told.error.code in set(ErrorCode)
            code = ErrorCode(told.error.code) if known else ErrorCode.INTERNAL
            raise PlayParkError(code, told.error.message, details=told.error.details)
        return model.model_validate(told.data)

    async def all(self, path: str, model: type[T], **query: str | int) -> list[T]:
        """Every item of a list."""
        found: list[T] = []
        more: dict[str, str | int] = {}
        while True:
            asked = {"limit": MANY, **query, **more}
            page = await self.ask("GET", path, Page[model], query=asked)  # type: ignore[valid-type]
            found += page.items
            if page.next_cursor is None:
                return found
            more = {"cursor": page.next_cursor}

    # --- devices --------------------------------------------------------------------------

    async def switch(self, device_id: str, switches: QaSwitches) -> QaView:
        """Simulate exactly this on a device, from its next heartbeat on."""
        body = switches.model_dump(exclude_defaults=True)
        return await self.ask("PUT", f"/devices/{device_id}/qa", QaView, body)

    async def revoke(self, device_id: str) -> DeviceDetail:
        return await self.ask("POST", f"/devices/{device_id}/revoke", DeviceDetail)

    # --- books ----------------------------------------------------------------------------

    async def sales(self, device_id: str) -> list[SaleSummary]:
        return await self.all("/sales", SaleSummary, device_id=device_id)

    async def payments(self, device_id: str) -> list[PaymentSummary]:
        return await self.all("/payments", PaymentSummary, device_id=device_id)

    async def tickets(self, sale_id: str) -> list[TicketView]:
        """The tickets of a sale, as they stand now."""
        return (await self.ask("GET", f"/sales/{sale_id}", SaleAnswer)).tickets

    async def shifts(self, device_id: str) -> list[ShiftDetail]:
        """The shifts of a device in full, the oldest first."""
        found = await self.all("/shifts", ShiftSummary, device_id=device_id)
        return [
            await self.ask("GET", f"/shifts/{each.shift_id}", ShiftDetail)
            for each in reversed(found)
        ]

    async def redemptions(self, ticket_id: str) -> list[RedemptionSummary]:
        """What became of the showings of a ticket, the first one first."""
        found = await self.all("/redemptions", RedemptionSummary, ticket_id=ticket_id)
        return sorted(found, key=lambda each: each.occurred_at)

    async def dead_letters(self, device_id: str) -> list[DeadLetterView]:
        """What the server keeps of a device without its effect, the oldest first."""
        found = await self.all("/sync/dead_letters", DeadLetterView, device_id=device_id)
        return sorted(found, key=lambda each: (each.epoch, each.seq or 0))

    async def resolve(
        self, letter: DeadLetterView, action: Resolve, approver: tuple[str, str]
    ) -> DeadLetterView:
        """Book it as it stands, or say that it is settled by hand; `approver` is another person's
        email and PIN."""
        email, pin = approver
        asked = VerifyPinIn(
            email=email,
            pin=pin,
            action=ApprovalAction.DEAD_LETTER,
            entity_id=letter.dead_letter_id,
        )
        granted = await self._client.verify_pin(asked)
        body = {"action": action.value, "reason_code": "customer_request"}
        path = f"/sync/dead_letters/{letter.dead_letter_id}/resolve"
        token = granted.approval_token
        return await self.ask("POST", path, DeadLetterView, body, approval=token)

    async def finalise(self, shift_id: str, counted: int) -> ShiftClosed:
        """Close the shift of a till that is lost (R28); `counted` satang were in its drawer."""
        body = {"cash_counted": counted}
        path = f"/cash_drawers/{shift_id}/close"
        return await self.ask("POST", path, ShiftClosed, body, op_id=new_ulid())

    async def audited(self, event_type: str, entity_id: str) -> int:
        """How many rows of this kind the audit trail has about something."""
        about = {"event_type": event_type, "entity_id": entity_id}
        return len(await self.all("/audits", AuditView, **about))

    async def audit(self) -> AuditVerification:
        return await self.ask("GET", "/audits/verify", AuditVerification)
