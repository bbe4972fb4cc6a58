"""Who logs in at the till: the server says, or the till itself while it is away (R37, R39, R41)."""

import asyncio

from pydantic import ValidationError

from playpark.contracts.employees import EmployeeLoginIn, EmployeeSession, EmployeeView
from playpark.device import RecentEmployee
from playpark.device.offline_login import OfflinePeople
from playpark.errors import ErrorCode, PlayParkError
from terminal.counter import Counter

LOGIN_DEADLINE_S, HASTY_S = 6.0, 2.0
"""How long somebody who logs in waits for the server; hasty where it was not there just now."""
ALONE_INSTEAD = {ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED}
"""No word about this person: the till may look itself."""
_NOBODY_HERE = {
    *(ErrorCode.DEVICE_SUSPENDED, ErrorCode.DEVICE_REVOKED, ErrorCode.TENANT_SUSPENDED),
}
"""The server has taken the right of this till away, and with it that of its people."""


class People:
    """Logs people in. What the server says of them, and of the till, is kept for the time without
    it."""

    def __init__(self, counter: Counter, alone: OfflinePeople) -> None:
        self._counter = counter
        self.alone = alone
        counter.heed = self.heed

    async def ask_server(self, email: str, pin: str, code: str | None = None) -> EmployeeSession:
        """The session of who this is; they may log in here without the server from now on.

        Raises PlayParkError: wrong PIN, locked, suspended, code missing, E_UNAVAILABLE where no
        answer comes.
        """
        try:
            body = EmployeeLoginIn(email=email, pin=pin, totp=code)
        except ValidationError as wrong:
            message = "Type an email address, such as nok@park.example, and a PIN of 4 to 8 digits."
            raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
        deadline = LOGIN_DEADLINE_S if self._counter.engine.reachable else HASTY_S
        try:
            async with asyncio.timeout(deadline):
                session = await self._log_in(body)
        except TimeoutError as late:
            message = "The server takes too long to answer: try again in a moment."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message) from late
        except PlayParkError as refused:
            await self.heed(refused.code, email)
            if code is None and _is_of_the_pin(refused):
                await asyncio.to_thread(self.alone.forget_pin, email, pin)
            raise
        await asyncio.to_thread(self._remember, session.employee, email, pin)
        return session

    async def log_in_alone(self, email: str, pin: str) -> EmployeeView:
        """Who this is, as they were when they last logged in here with the server.

        Raises PlayParkError: wrong PIN or unknown here, locked, a till that keeps no PINs, one
        that the server has turned away.
        """
        counter = self._counter
        if counter.engine.turned_away:
            reason = counter.engine.state.last_error or "The server does not take this till."
            raise PlayParkError(ErrorCode.PERMISSION, reason)
        return await asyncio.to_thread(self.alone.log_in, email, pin, counter.clock.now())

    async def heed(self, code: ErrorCode, email: str = "") -> None:
        """The server has said this of the till, or of who has this address."""
        if code in _NOBODY_HERE:
            await asyncio.to_thread(self.alone.forget_all)
        elif code is ErrorCode.EMPLOYEE_SUSPENDED:
            await asyncio.to_thread(self.alone.forget, email)

    async def _log_in(self, body: EmployeeLoginIn) -> EmployeeSession:
        client, log_in_device = self._counter.client, self._counter.log_in_device
        if client.device_token is None:
            await log_in_device()
        # On a connection of its own name: the device's token syncs, and who acted stands in
        # each operation (R14, R35).
        try:
            return await client.acting(None).login_employee(body)
        except PlayParkError as refused:
            if refused.code is not ErrorCode.TOKEN_EXPIRED:
                raise
        await log_in_device()
        return await client.acting(None).login_employee(body)

    def _remember(self, who: EmployeeView, email: str, pin: str) -> None:
        counter, now = self._counter, self._counter.clock.now()
        seen = RecentEmployee(employee_id=who.employee_id, name=who.name, email=email, seen_at=now)
        counter.store.remember_employee(seen)
        self.alone.remember(who, email, pin, now)


def _is_of_the_pin(refused: PlayParkError) -> bool:
    """A code that is missing says that the PIN was right."""
    return refused.code is ErrorCode.UNAUTHENTICATED and "totp" not in (refused.details or {})
