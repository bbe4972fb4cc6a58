"""What every part of the till shares: disk, server, who works here, which shift, the sentence
before the cashier (R14, R26, R32).

No Textual here. Everything that touches the disk or the network is a coroutine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from playpark.client import ApiClient
from playpark.clock import Clock, business_date, park_zone
from playpark.contracts.approvals import ReasonCodeView, ReasonKind
from playpark.contracts.auth import DeviceSession
from playpark.contracts.employees import EmployeeSession, EmployeeView, Permission
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.sync import LocalOutcome, OpKind
from playpark.device import Allocator, DeviceStore, StoredOp, SyncEngine, login
from playpark.device.standing import OF_THE_DEVICE
from playpark.errors import ErrorCode, PlayParkError

OFFLINE = "{} needs the server: try again when online."
PIN_FIRST = "The server wants your PIN once more: press the key again and type it."
_SESSION_OVER = {ErrorCode.UNAUTHENTICATED, ErrorCode.TOKEN_EXPIRED}
ASK_DEADLINE_S = 6.0
"""How long a cashier waits for what was asked."""
T = TypeVar("T")
Heed = Callable[[ErrorCode, str], Awaitable[None]]
"""(what the server has said, the address of who it was about; empty for the till itself)."""


class TillState(StrEnum):
    UNPAIRED = "unpaired"
    LOGGED_OUT = "logged_out"
    NO_SHIFT = "no_shift"
    SELLING = "selling"
    PAYING = "paying"


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the cashier; `refused` where something was not done."""

    text: str
    refused: bool = False


class Counter:
    """The state that the till's parts work on. `listen` tells when a screen has to look again."""

    def __init__(self, store: DeviceStore, client: ApiClient, clock: Clock) -> None:
        self.store = store
        self.client = client
        self.clock = clock
        self.engine = SyncEngine(store, client, clock, relogin=self.log_in_device)
        self.heed: Heed | None = None
        """Is told what the server has said of this till, or of who has an address."""
        self.catalog = store.catalog()
        self.shift = open_shift_on(store)
        """The operation that opened the shift of now; its op_id is the shift id."""
        self.session: EmployeeSession | None = None
        self.alone: EmployeeView | None = None
        """Who logged in without the server, until they have typed their PIN for it (R39)."""
        self.email = ""
        """The address of who is logged in."""
        self.training = False
        self.paying = False
        self.notice = Notice("")
        self._changed: list[Callable[[], None]] = []

    # --- where it stands ------------------------------------------------------------------

    @property
    def state(self) -> TillState:
        if self.catalog is None:
            return TillState.UNPAIRED
        if self.employee is None:
            return TillState.LOGGED_OUT
        if self.shift is None:
            return TillState.NO_SHIFT
        return TillState.PAYING if self.paying else TillState.SELLING

    @property
    def employee(self) -> EmployeeView | None:
        return self.session.employee if self.session else self.alone

    @property
    def needs_pin(self) -> bool:
        """Somebody works here whom the server has not seen: before it does anything in their
        name, it wants their PIN."""
        return self.session is None and self.alone is not None

    @property
    def zone(self) -> ZoneInfo:
        """Park time (R30)."""
        identity = self.store.identity
        return park_zone(identity.store.tz if identity and identity.store else None)

    @property
    def device_code(self) -> str:
        return self.store.identity.device_code if self.store.identity else ""

    def business_date(self, at: datetime) -> date:
        return business_date(at, self.zone)

    def may(self, permission: Permission) -> bool:
        return self.employee is not None and permission in self.employee.permissions

    def require(self, permission: Permission, what: str) -> None:
        """Raises E_PERMISSION with a sentence: `what` is such as "close the shift"."""
        if not self.may(permission):
            raise PlayParkError(ErrorCode.PERMISSION, f"You may not {what}: ask the supervisor.")

    def selling(self) -> CatalogSnapshot:
        """The catalogue to sell from. Raises E_CONFLICT where nothing can be rung now."""
        if self.state is not TillState.SELLING or self.catalog is None:
            raise PlayParkError(ErrorCode.CONFLICT, "Nothing can be rung at this moment.")
        return self.catalog

    def reasons(self, kind: ReasonKind) -> list[ReasonCodeView]:
        """What the store lets people choose from for this."""
        codes = self.catalog.reason_codes if self.catalog else []
        return [each for each in codes if each.active and each.kind in {kind, ReasonKind.ANY}]

    # --- before the cashier ---------------------------------------------------------------

    def listen(self, changed: Callable[[], None]) -> None:
        self._changed.append(changed)

    def tell(self, sentence: str, refused: bool = False) -> None:
        """Put a sentence before the cashier; an empty one takes the last away."""
        self.notice = Notice(sentence, refused)
        self.changed()

    def changed(self) -> None:
        for changed in self._changed:
            changed()

    # --- disk and server ------------------------------------------------------------------

    async def append(
        self,
        kind: OpKind,
        body: Callable[[Allocator], dict[str, Any]],
        *,
        committed: bool = True,
        prints: bool = False,
        at: datetime | None = None,
        op_id: str | None = None,
        approval: str | None = None,
        memo: dict[str, Any] | None = None,
        local: Callable[[Allocator, dict[str, Any]], LocalOutcome] | None = None,
    ) -> StoredOp:
        """Record an operation of who is logged in, in the shift of now (R14). `local` says what
        the till did by itself, once the body stands."""
        return await asyncio.to_thread(
            self.store.append,
            kind,
            body,
            occurred_at=at or self.clock.now(),
            employee_id=self.employee.employee_id if self.employee else None,
            shift_id=self.shift.op_id if self.shift else None,
            committed=committed,
            prints=prints,
            op_id=op_id,
            approval=approval,
            memo=memo,
            local=local,
        )

    async def log_in_device(self) -> DeviceSession:
        """Log the till in again. Raises PlayParkError: not reachable, suspended."""
        try:
            session = await login(self.store, self.client)
        except PlayParkError as refused:
            await self._heard(refused.code)
            raise
        if self.client.review:
            await self._heard(ErrorCode.DEVICE_REVOKED)
        return session

    async def _heard(self, code: ErrorCode, email: str = "") -> None:
        if self.heed is not None:
            await self.heed(code, email)

    async def ask(self, call: Callable[[ApiClient], Awaitable[T]]) -> T:
        """Ask the server something in the employee's name; their session is renewed where it has
        run out. What comes of it tells the status bar whether the server is there.

        Raises PlayParkError: E_UNAVAILABLE offline, E_CONFLICT where nobody is logged in,
        E_UNAUTHENTICATED where the server wants the PIN first.
        """
        if self.needs_pin:
            raise PlayParkError(ErrorCode.UNAUTHENTICATED, PIN_FIRST)
        if self.session is None:
            raise PlayParkError(ErrorCode.CONFLICT, "Nobody is logged in here: log in first.")
        try:
            async with asyncio.timeout(ASK_DEADLINE_S):
                answer = await self._ask(self.session, call)
        except TimeoutError as late:
            self.engine.missed()
            message = "The server takes too long to answer: try again in a moment."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message) from late
        except PlayParkError as refused:
            await self._heard(refused.code, self.email)
            told = refused.code is ErrorCode.UNAVAILABLE or refused.code in OF_THE_DEVICE
            self.engine.note(refused if told else None)
            raise
        self.engine.note(None)
        return answer

    async def _ask(self, session: EmployeeSession, call: Callable[[ApiClient], Awaitable[T]]) -> T:
        try:
            return await call(self.client.acting(session.access_token))
        except PlayParkError as refused:
            if refused.code is not ErrorCode.TOKEN_EXPIRED:
                raise
        try:
            renewed = await self.client.acting(None).refresh(session.refresh_token)
        except PlayParkError as refused:
            if refused.code in _SESSION_OVER and self.session is session:
                self.session, self.alone = None, session.employee
                raise PlayParkError(ErrorCode.UNAUTHENTICATED, PIN_FIRST) from refused
            raise
        if self.session is session:  # nobody has logged out meanwhile
            self.session = renewed
        return await call(self.client.acting(renewed.access_token))

    def need_server(self, what: str = "This") -> None:
        """Raises E_UNAVAILABLE offline: what is asked here cannot wait (R39). It is looked for
        at once, so that the next try may find it."""
        if not self.engine.reachable:
            self.engine.wake()
            raise PlayParkError(ErrorCode.UNAVAILABLE, OFFLINE.format(what))


def open_shift_on(store: DeviceStore) -> StoredOp | None:
    """The operation that opened the shift of now; None where the last one is closed."""
    last = store.recent([OpKind.SHIFT_OPEN, OpKind.SHIFT_CLOSE], 1)
    return last[0] if last and last[0].kind is OpKind.SHIFT_OPEN else None
