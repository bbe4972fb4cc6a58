"""Typed async HTTP client of the API: what the till, the gate and the back office speak.

Every method returns a contract model or raises PlayParkError with the server's code; a server
that does not answer is `NoAnswerError`, E_UNAVAILABLE with a sentence that says what to check.
"""

import asyncio
import copy
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from playpark.contracts.approvals import ApprovalGranted, VerifyPinIn
from playpark.contracts.auth import (
    DeviceLoginIn,
    DeviceRegistered,
    DeviceRegisterIn,
    DeviceSession,
    LoggedOut,
    RefreshIn,
)
from playpark.contracts.base import Envelope, Page, ServerTime
from playpark.contracts.catalog import PackageView
from playpark.contracts.customers import CustomerIn, CustomerView
from playpark.contracts.employees import EmployeeLoginIn, EmployeeSession, EmployeeView
from playpark.contracts.gate import CertificateIn, CertificateView, GateBootstrap
from playpark.contracts.open_tickets import OpenTicketIn, OpenTicketSummary, OpenTicketView
from playpark.contracts.pricing import PreviewIn, PricedCart
from playpark.contracts.provider import HeartbeatAnswer, HeartbeatIn
from playpark.contracts.sales import SaleAnswer, SaleIn, SaleSummary
from playpark.contracts.shifts import (
    ShiftClosed,
    ShiftCloseIn,
    ShiftDetail,
    ShiftOpenIn,
    ShiftView,
    XReport,
)
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.sync import (
    BatchIn,
    BatchOut,
    BundleIn,
    BundleOut,
    DeadLetterView,
    ResolveIn,
)
from playpark.contracts.tenancy import DeviceStatus
from playpark.contracts.tickets import RedeemIn, RedemptionView, TicketView
from playpark.download import Download, Part
from playpark.errors import ErrorCode, PlayParkError

DEFAULT_URL = "http://127.0.0.1:48080"
PATIENCE_S = 30.0
"""A gate's list may take as long as it takes, while something comes at least this often."""
T = TypeVar("T", bound=BaseModel)


class NoAnswerError(PlayParkError):
    """No answer of a PlayPark server came: the line, not the server, has failed. What was asked may
    have been done all the same."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, message, retry_after=retry_after)


class ApiClient:
    """One device's connection. Set `token` to act; `employee_token` wins while someone is
    logged in. Not shared between event loops.

    `timeout`: seconds until a whole answer must be here, for all but downloads. httpx counts each
    piece by itself, so that a line which drips would never be late.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.device_token: str | None = None
        self.employee_token: str | None = None
        self.review = False
        """This device is revoked: the server takes its queue for a review, and nothing else."""
        self._timeout = timeout
        self._gate_list = Download()
        try:
            self._http = httpx.AsyncClient(
                base_url=f"{self.base_url}/v1", timeout=timeout, transport=transport
            )
        except httpx.InvalidURL as bad:
            message = f"{base_url!r} is not an address: use one such as {DEFAULT_URL}"
            raise PlayParkError(ErrorCode.VALIDATION, message) from bad

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    def acting(self, employee_token: str | None) -> Self:
        """The same connection, acting as this employee: what a person asks for goes out in their
        name, while the device's own calls go on in the device's. Close only the original."""
        other = copy.copy(self)
        other.employee_token = employee_token
        return other

    # --- device and people --------------------------------------------------------------

    async def register_device(self, body: DeviceRegisterIn) -> DeviceRegistered:
        return await self._call("POST", "/auth/device/register", DeviceRegistered, body)

    async def login_device(self, device_id: str, device_token: str) -> DeviceSession:
        """Log the device in and keep its access token for all further calls."""
        body = DeviceLoginIn(device_id=device_id, device_token=device_token)
        session = await self._call("POST", "/auth/device/login", DeviceSession, body)
        self.device_token = session.access_token
        self.review = session.device.status is DeviceStatus.REVOKED
        return session

    async def login_employee(self, body: EmployeeLoginIn) -> EmployeeSession:
        """Log an employee in on this device and act as them from now on."""
        self.employee_token = None
        session = await self._call("POST", "/employees/login", EmployeeSession, body)
        self.employee_token = session.access_token
        return session

    async def refresh(self, refresh_token: str) -> EmployeeSession:
        body = RefreshIn(refresh_token=refresh_token)
        session = await self._call("POST", "/auth/refresh", EmployeeSession, body)
        self.employee_token = session.access_token
        return session

    async def logout(self) -> None:
        """End the employee's session; the device stays logged in."""
        if self.employee_token:
            try:
                await self._call("POST", "/auth/logout", LoggedOut)
            finally:
                self.employee_token = None

    async def me(self) -> EmployeeView:
        return await self._call("GET", "/employees/me", EmployeeView)

    async def heartbeat(self, body: HeartbeatIn) -> HeartbeatAnswer:
        """Tell how this device is, and hear what it should know."""
        return await self._call("POST", "/provider/heartbeats", HeartbeatAnswer, body)

    async def certificate(self, body: CertificateIn) -> CertificateView:
        """What this till may sign while it is offline (R22)."""
        return await self._call("POST", "/devices/me/certificate", CertificateView, body)

    async def time(self, *, timeout: float | None = None) -> datetime:  # noqa: ASYNC109 - of the answer
        """The server's time: the cheapest way to see that it is there."""
        return (await self._call("GET", "/time", ServerTime, timeout=timeout)).now

    # --- catalogue and prices -----------------------------------------------------------

    async def packages(self, visible_on: str = "POS") -> Page[PackageView]:
        query = {"visible_on": visible_on}
        return await self._call("GET", "/catalog/packages", Page[PackageView], query=query)

    async def catalog(self, known: CatalogSnapshot | None = None) -> CatalogSnapshot:
        """All that a till needs to sell. `known`, where it is the newest still: then it is not sent
        again."""
        headers = {"If-None-Match": f'"{known.catalog_version}-{known.hash}"'} if known else {}
        response = await self._send("GET", "/catalog/snapshot", headers=headers, whole=False)
        if known is not None and response.status_code == httpx.codes.NOT_MODIFIED:
            return known
        return self._read(response, CatalogSnapshot)

    async def preview(self, body: PreviewIn) -> PricedCart:
        return await self._call("POST", "/pricing/preview", PricedCart, body)

    # --- approvals, guests, parked carts --------------------------------------------------

    async def verify_pin(self, body: VerifyPinIn) -> ApprovalGranted:
        """A supervisor's yes to one action; for X reports and operations (R42)."""
        return await self._call("POST", "/approvals/verify_pin", ApprovalGranted, body)

    async def customers(self, q: str, *, limit: int = 20) -> Page[CustomerView]:
        """Guests by a part of their name or telephone number."""
        query: dict[str, str | int] = {"q": q, "limit": limit}
        return await self._call("GET", "/customers", Page[CustomerView], query=query)

    async def customer(self, customer_id: str) -> CustomerView:
        return await self._call("GET", f"/customers/{customer_id}", CustomerView)

    async def create_customer(self, body: CustomerIn) -> CustomerView:
        return await self._call("POST", "/customers", CustomerView, body)

    async def open_tickets(self, *, limit: int = 50) -> Page[OpenTicketSummary]:
        """The parked carts of the store (R13)."""
        query = {"limit": limit}
        return await self._call("GET", "/open_tickets", Page[OpenTicketSummary], query=query)

    async def park(self, op_id: str, body: OpenTicketIn) -> OpenTicketView:
        return await self._call("POST", "/open_tickets", OpenTicketView, body, op_id=op_id)

    async def open_ticket(self, open_ticket_id: str) -> OpenTicketView:
        """One parked cart, priced as of now."""
        return await self._call("GET", f"/open_tickets/{open_ticket_id}", OpenTicketView)

    async def delete_open_ticket(self, open_ticket_id: str) -> OpenTicketView:
        return await self._call("DELETE", f"/open_tickets/{open_ticket_id}", OpenTicketView)

    # --- money and tickets: direct routes, for outside clients ---------------------------

    async def open_shift(self, op_id: str, body: ShiftOpenIn) -> ShiftView:
        return await self._call("POST", "/shifts/open", ShiftView, body, op_id=op_id)

    async def close_shift(self, op_id: str, body: ShiftCloseIn) -> ShiftClosed:
        return await self._call("POST", "/shifts/close", ShiftClosed, body, op_id=op_id)

    async def current_shift(self) -> ShiftView:
        return await self._call("GET", "/shifts/current", ShiftView)

    async def sell(self, op_id: str, body: SaleIn) -> SaleAnswer:
        return await self._call("POST", "/sales", SaleAnswer, body, op_id=op_id)

    async def sale(self, sale_id: str) -> SaleAnswer:
        """A sale with its tickets and why it cost what it did."""
        return await self._call("GET", f"/sales/{sale_id}", SaleAnswer)

    async def sales_by_receipt(self, receipt_no: str) -> Page[SaleSummary]:
        query = {"receipt_no": receipt_no}
        return await self._call("GET", "/sales", Page[SaleSummary], query=query)

    async def tickets(self, **query: str) -> Page[TicketView]:
        """Tickets by one of short_code, qr, sale_id and receipt_no, with the sale they are of."""
        return await self._call("GET", "/tickets", Page[TicketView], query=query)

    async def shift(self, shift_id: str) -> ShiftDetail:
        return await self._call("GET", f"/shifts/{shift_id}", ShiftDetail)

    async def x_report(self, shift_id: str, *, approval: str | None = None) -> XReport:
        """A look at an open shift; needs `reports_view` or an approval (R28)."""
        return await self._call("GET", f"/shifts/{shift_id}/x", XReport, approval=approval)

    async def redeem(self, op_id: str, body: RedeemIn) -> RedemptionView:
        return await self._call("POST", "/tickets/redeem", RedemptionView, body, op_id=op_id)

    async def gate_bootstrap(
        self,
        *,
        window: int,
        since: int | None = None,
        timeout: float = PATIENCE_S,  # noqa: ASYNC109 - between two pieces of it
    ) -> GateBootstrap:
        """What a gate needs to decide by itself: all of it, or what has changed `since` a version
        that it had with the same `window` (minutes ahead). Asked again after a cut it goes on where
        the answer broke off, if the server still has it."""
        query = {"window": window} | ({} if since is None else {"since": since})
        part = self._gate_list.begin(repr(query))
        try:
            async with self._http.stream(
                "GET",
                "/gate/bootstrap",
                params=query,
                headers={**self._headers(), **part.wanted()},
                timeout=timeout,
            ) as response:
                # A transport that has read it all leaves nothing to go on with.
                if not response.is_stream_consumed and part.takes(response):
                    # The bytes as they are on the line: ranges are counted in those.
                    async for piece in response.aiter_raw():
                        part.add(piece)
                else:
                    await response.aread()
        except httpx.HTTPError as lost:
            raise self._no_answer() from lost
        # Twenty thousand tickets take a moment to read, and nobody at the gate waits for it.
        return await asyncio.to_thread(self._unpack, response, part)

    async def sync(self, batch: BatchIn, *, timeout: float | None = None) -> BatchOut:  # noqa: ASYNC109 - of the answer
        """Submit operations; the result of each is its own (R35)."""
        return await self._call("POST", "/sync/batch", BatchOut, batch, timeout=timeout)

    async def import_bundle(self, bundle: BundleIn, *, store_id: str | None = None) -> BundleOut:
        """Hand in operations from another device's export, for a review under it (R37): of a store
        of who hands it in, their own where none is named (R44)."""
        query = {"store_id": store_id} if store_id else None
        return await self._call("POST", "/sync/bundles", BundleOut, bundle, query=query)

    async def resolve_dead_letter(
        self, dead_letter_id: str, body: ResolveIn, *, approval: str
    ) -> DeadLetterView:
        """Book what was kept without its effect, or close it (R35, R42)."""
        path = f"/sync/dead_letters/{dead_letter_id}/resolve"
        return await self._call("POST", path, DeadLetterView, body, approval=approval)

    # --- lists --------------------------------------------------------------------------

    async def page(self, path: str, model: type[T], **query: str | int) -> Page[T]:
        """One page of any list route, `path` below /v1, each item as `model`."""
        return await self._call("GET", path, Page[model], query=query)  # type: ignore[valid-type]

    async def _call(
        self,
        method: str,
        path: str,
        model: type[T],
        body: BaseModel | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        op_id: str | None = None,
        approval: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the answer
    ) -> T:
        response = await self._send(
            method, path, body, query=query, op_id=op_id, approval=approval, timeout=timeout
        )
        return self._read(response, model)

    async def _send(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        op_id: str | None = None,
        approval: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the answer
        whole: bool = True,
    ) -> httpx.Response:
        """The answer as it came, the `whole` of it within `timeout`, or each piece of it. Raises
        NoAnswerError."""
        headers = self._headers() | dict(headers or {})
        if op_id:
            headers["Idempotency-Key"] = op_id
        if approval:
            headers["X-Approval"] = approval
        content = None
        if body is not None:
            # Fields that were not set stay out: an absent field differs from null (R15).
            content = body.model_dump_json(exclude_unset=True)
        patience = timeout or self._timeout
        try:
            # Cancelling closes the connection: a half-read answer is never read on by another.
            async with asyncio.timeout(patience if whole else None):
                return await self._http.request(
                    method, path, content=content, params=query, headers=headers, timeout=patience
                )
        except (httpx.HTTPError, TimeoutError) as lost:
            raise self._no_answer() from lost

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if token := self.employee_token or self.device_token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _no_answer(self) -> NoAnswerError:
        return NoAnswerError(
            f"The server at {self.base_url} does not answer: "
            "check the network and that the API is running."
        )

    def _unpack(self, response: httpx.Response, part: Part) -> GateBootstrap:
        """Blocks. Raises as `_read`."""
        try:
            content = part.whole() if part.taken else response.content
        except ValueError as broken:
            raise self._no_answer() from broken
        return self._read(response, GateBootstrap, content)

    def _read(self, response: httpx.Response, model: type[T], content: bytes | None = None) -> T:
        try:
            envelope: Envelope[T] = Envelope[model].model_validate_json(  # type: ignore[valid-type]
                response.content if content is None else content
            )
        except ValidationError as foreign:
            message = (
                f"What answers at {self.base_url} (status {response.status_code}) is not this "
                "version of the PlayPark API: check the address."
            )
            raise NoAnswerError(message, retry_after=_retry_after(response)) from foreign
        if envelope.error is not None:
            raise _as_exception(envelope.error.code, envelope.error.message, response, envelope)
        if envelope.data is None:
            raise PlayParkError(ErrorCode.INTERNAL, "The server's answer is empty.")
        return envelope.data


def _as_exception(
    code: str, message: str, response: httpx.Response, envelope: Envelope[Any]
) -> PlayParkError:
    # A newer server may know codes that this client does not.
    known = ErrorCode(code) if code in set(ErrorCode) else ErrorCode.INTERNAL
    return PlayParkError(
        known,
        message,
        details=envelope.error.details if envelope.error else None,
        retry_after=_retry_after(response),
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds; None for no wish, and for a date, which only foreign servers send."""
    wish = response.headers.get("Retry-After", "")
    return float(wish) if wish.isdecimal() and len(wish) < 10 else None
