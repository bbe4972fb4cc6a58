"""One back office without its screens: its device, who is logged in, whether the server answers.

Every question goes through `ask`, which renews a login that ran out once (R43) and notes whether
the server was there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from admin_tui.park import Park
from playpark.client import DEFAULT_URL, ApiClient
from playpark.clock import Clock, business_date
from playpark.contracts.approvals import ReasonCodeView, ReasonKind, VerifyPinIn
from playpark.contracts.base import Page
from playpark.contracts.employees import EmployeeLoginIn, EmployeeView
from playpark.contracts.sales import SaleAnswer
from playpark.contracts.sync import DeadLetterView, ResolveIn
from playpark.contracts.tenancy import DeviceType, DeviceView
from playpark.device import DeviceStore, RecentEmployee, pairing
from playpark.device.sync import SyncState
from playpark.errors import ErrorCode, PlayParkError
from playpark.tui.pairing import PairingDetails

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
PAGE_ROWS = 100
"""Rows of a page on the screen."""
WALK_ROWS, WALK_PAGES = 200, 5
"""How far a figure that is counted from lists looks back: 1,000 rows."""
IDLE = timedelta(seconds=20)
"""Without an answer for so long, the server is asked whether it is there."""
LOGIN_OVER = frozenset(
    {
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.TOKEN_EXPIRED,
        ErrorCode.EMPLOYEE_SUSPENDED,
        ErrorCode.DEVICE_SUSPENDED,
        ErrorCode.DEVICE_REVOKED,
        ErrorCode.DEVICE_PENDING,
        ErrorCode.TENANT_SUSPENDED,
    }
)
"""Refusals after which only a new login helps."""


@dataclass(frozen=True, slots=True)
class Walk(Generic[M]):
    """The newest rows of a list; `complete` is false where older ones may belong to it too."""

    rows: list[M]
    complete: bool


class Office:
    """The session of one back office. `connect` makes the client of an address."""

    def __init__(
        self,
        store: DeviceStore,
        clock: Clock,
        *,
        api_url: str | None = None,
        connect: Callable[[str], ApiClient] = ApiClient,
    ) -> None:
        known = store.identity
        self._store = store
        self._clock = clock
        self._connect = connect
        self.client = connect(api_url or (known.api_url if known else DEFAULT_URL))
        self.employee: EmployeeView | None = None
        self.park = Park.of(known.store if known else None)
        self.connection: SyncState | None = None
        self._heard_at: datetime | None = None
        self._offset = timedelta()
        self._refresh_token = ""
        self._renewing = asyncio.Lock()

    # --- who this is --------------------------------------------------------------------

    @property
    def paired(self) -> bool:
        """Paired and known by its store: a login may be tried."""
        return self._store.identity is not None and self._store.identity.store is not None

    def recent_employees(self) -> list[RecentEmployee]:
        return self._store.recent_employees()

    async def pair(self, details: PairingDetails) -> None:
        """Pair as an ADMIN device; a device that waits for approval is logged in instead.

        Raises PlayParkError with what to do about it.
        """
        if details.api_url.rstrip("/") != self.client.base_url:
            client = self._connect(details.api_url)
            await self.client.close()
            self.client = client
        if self._store.identity is None:
            await self._heard(
                lambda: pairing.pair(
                    self._store, self.client, details.site_key, DeviceType.ADMIN, details.name
                )
            )
        await self._log_in_device()

    async def log_in(self, email: str, pin: str, code: str | None = None) -> None:
        """Log an employee in, with the code of who has an authenticator app.

        Raises PlayParkError with the sentence to show.
        """
        try:
            body = EmployeeLoginIn(email=email, pin=pin, totp=code)
        except ValidationError as wrong:
            message = "Type your email address, and your PIN of 4 to 8 digits."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        # A fresh token each time: the device's runs out, and its store's name may have changed.
        await self._log_in_device()
        session = await self._heard(lambda: self.client.login_employee(body))
        self._refresh_token = session.refresh_token
        self.employee = session.employee
        remembered = RecentEmployee(
            employee_id=session.employee.employee_id,
            name=session.employee.name,
            email=body.email,
            seen_at=self.now(),
        )
        await asyncio.to_thread(self._store.remember_employee, remembered)

    async def log_out(self) -> None:
        """End the login here in any case, and on the server if it answers."""
        self.employee = None
        try:
            await self._heard(self.client.logout)
        except PlayParkError:
            self.client.employee_token = None

    def forget_login(self) -> None:
        """The server has ended the login already."""
        self.employee = None
        self.client.employee_token = None

    async def close(self) -> None:
        await self.client.close()

    async def _log_in_device(self) -> None:
        try:
            device = await self._heard(lambda: pairing.login(self._store, self.client))
        except PlayParkError as refusal:
            if refusal.code not in {ErrorCode.UNAUTHENTICATED, ErrorCode.DEVICE_REVOKED}:
                raise
            message = (
                "The server does not take this device any more: start with another --data "
                "folder to pair it anew."
            )
            raise PlayParkError(refusal.code, message) from refusal
        self.park = Park.of(device.store)

    # --- time and connection ------------------------------------------------------------

    def now(self) -> datetime:
        """The server's time as well as it is known, UTC."""
        return self._clock.now() + self._offset

    def today(self) -> date:
        """The business date of this moment (R30)."""
        return business_date(self.now(), self.park.zone)

    @property
    def idle(self) -> bool:
        """Time to ask whether the server is there."""
        offline = self.connection is not None and not self.connection.online
        return offline or self._heard_at is None or self._clock.now() - self._heard_at >= IDLE

    async def probe(self) -> None:
        """Ask the server for its time; what comes of it stands in `connection`."""
        try:
            told = await self._heard(self.client.time)
        except PlayParkError:
            return
        self._offset = told - self._clock.now()

    async def _heard(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask, and note whether anybody answered."""
        try:
            answer = await question()
        except PlayParkError as refusal:
            self._note(refusal.message if refusal.code is ErrorCode.UNAVAILABLE else None)
            raise
        self._note(None)
        return answer

    def _note(self, absent: str | None) -> None:
        """`absent`: the sentence on a server that did not answer."""
        online = absent is None
        if online:
            self._heard_at = self._clock.now()
        if self.connection is None or self.connection.online is not online:
            self.connection = SyncState(
                online=online, queued=0, since=self.now(), last_error=absent
            )

    # --- questions ----------------------------------------------------------------------

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The server's answer as the employee. Raises PlayParkError; one of LOGIN_OVER means
        that a new login is needed."""
        used = self.client.employee_token
        try:
            return await self._heard(question)
        except PlayParkError as refusal:
            if refusal.code is not ErrorCode.TOKEN_EXPIRED:
                raise
        async with self._renewing:
            # A refresh token works once: whoever comes second uses what the first one got.
            if self.client.employee_token == used:
                session = await self._heard(lambda: self.client.refresh(self._refresh_token))
                self._refresh_token = session.refresh_token
                self.employee = session.employee
        return await self._heard(question)

    async def page(
        self, path: str, model: type[M], *, cursor: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[M]:
        query: dict[str, str | int] = {"limit": limit}
        if cursor is not None:
            query["cursor"] = cursor
        return await self.ask(lambda: self.client.page(path, model, **query))

    async def sale(self, sale_id: str) -> SaleAnswer:
        return await self.ask(lambda: self.client.sale(sale_id))

    # --- what waits for a person ---------------------------------------------------------

    async def reasons(self) -> list[ReasonCodeView]:
        """The store's reasons that fit anything."""
        catalog = await self.ask(self.client.catalog)
        return [
            each for each in catalog.reason_codes if each.active and each.kind is ReasonKind.ANY
        ]

    async def approve(self, body: VerifyPinIn) -> str:
        """Somebody's yes: a token for one action. Raises PlayParkError: wrong PIN, may not."""
        return (await self.ask(lambda: self.client.verify_pin(body))).approval_token

    async def resolve(self, letter_id: str, body: ResolveIn, approval: str) -> DeadLetterView:
        """Book an operation that waits, or close it (R35)."""
        return await self.ask(
            lambda: self.client.resolve_dead_letter(letter_id, body, approval=approval)
        )

    def colleagues(self) -> list[RecentEmployee]:
        """Who else worked here lately: nobody approves what they ask for themselves (R42)."""
        asking = self.employee.employee_id if self.employee else None
        known = self._store.recent_employees()
        return [each for each in known if each.email and each.employee_id != asking]

    async def newest(
        self, path: str, model: type[M], *, older: Callable[[M], bool] = lambda _: False
    ) -> Walk[M]:
        """The rows of a list that are not `older`, from at most 1,000 of the newest."""
        rows: list[M] = []
        cursor: str | None = None
        for _ in range(WALK_PAGES):
            page = await self.page(path, model, cursor=cursor, limit=WALK_ROWS)
            rows += [row for row in page.items if not older(row)]
            cursor = page.next_cursor
            if cursor is None or older(page.items[-1]):
                return Walk(rows, complete=True)
        return Walk(rows, complete=False)

    async def learn_names(self) -> None:
        """Read the names of devices and zones, as far as this employee may see them."""
        try:
            devices = await self.newest("/devices", DeviceView)
            self.park = self.park.with_devices(devices.rows)
        except PlayParkError as refusal:
            if refusal.code is not ErrorCode.PERMISSION:
                raise
        catalog = await self.ask(self.client.catalog)
        self.park = self.park.with_zones(catalog.zones)
