"""How many wrong PINs are too many: of a person on a device, on a device, from an address (R41).

A try is counted everywhere before the PIN is hashed; a right PIN takes its own back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Protocol

from api.identity import budgets
from api.identity.budgets import NOBODY
from api.identity.repository import ALL, TenantPinAttempts, TenantSessions
from api.identity.tallies import PinAttemptsRepository
from api.platform.documents import scoped_id
from api.platform.envelope import client
from api.platform.scope import Scope
from api.platform.settings import Settings
from api.platform.uow import Work
from playpark.errors import ErrorCode, PlayParkError

WINDOW = timedelta(hours=1)
WEB_PER_ADDRESS, WEB_PER_PERSON = 20, 10
"""Wrong PINs an hour where no device vouches for anybody."""


class Hold(Protocol):
    """One of the counts that a try is held against; `full` says what to do where it is."""

    full: ClassVar[str]

    async def reserve(self, work: Work) -> bool:
        """Count a try; False where there were too many."""

    async def give_back(self, work: Work) -> None:
        """Take the try back."""

    async def opens_in(self, work: Work) -> float:
        """Seconds until tries are taken again."""


@dataclass(frozen=True, slots=True)
class Hourly:
    """So many an hour, then none until the hour is over."""

    full: ClassVar = "Too many wrong PINs here: go to another till, or wait until the hour is over."
    tenant_id: str
    store_id: str
    key: str
    limit: int

    async def reserve(self, work: Work) -> bool:
        return await budgets.reserve(
            work, self.tenant_id, self.store_id, self.key, limit=self.limit, window=WINDOW
        )

    async def give_back(self, work: Work) -> None:
        await budgets.give_back(work, self.tenant_id, self.store_id, self.key)

    async def opens_in(self, work: Work) -> float:
        return await budgets.opens_in(work, self.tenant_id, self.store_id, self.key)


@dataclass(frozen=True, slots=True)
class InARow:
    """Five in a row of one person on one device, then a delay that grows."""

    full: ClassVar = "Too many wrong PINs: wait, then try again, or ask for a new PIN."
    tenant_id: str
    store_id: str
    key: str

    async def reserve(self, work: Work) -> bool:
        return await self._attempts(work).reserve(self.key)

    async def give_back(self, work: Work) -> None:
        await self._attempts(work).give_back(self.key)

    async def opens_in(self, work: Work) -> float:
        return await self._attempts(work).locked_for(self.key)

    async def forget(self, work: Work) -> None:
        """Start the count again."""
        await self._attempts(work).forget(self.key)

    def _attempts(self, work: Work) -> PinAttemptsRepository:
        return PinAttemptsRepository(work, self.tenant_id, self.store_id)


@dataclass(frozen=True, slots=True)
class Tries:
    """What one try is held against; `person` is the count that a full proof starts again."""

    before: tuple[Hold, ...]
    person: InARow | None = None
    after: tuple[Hold, ...] = ()

    @property
    def holds(self) -> tuple[Hold, ...]:
        """A try that is refused early does not touch what comes later: storms on one device do
        not reach the address that it shares with others."""
        return (*self.before, *([self.person] if self.person else []), *self.after)

    async def reserve(self, work: Work) -> None:
        """Count a try. Raises E_PIN_LOCKED, and then it is counted nowhere."""
        taken: list[Hold] = []
        for hold in self.holds:
            if not await hold.reserve(work):
                await _give_back(work, taken)
                wait = await hold.opens_in(work)
                raise PlayParkError(ErrorCode.PIN_LOCKED, hold.full, retry_after=wait)
            taken.append(hold)

    async def give_back(self, work: Work) -> None:
        """The try was not judged, or was half of a right one: it does not count, and the wrong ones
        before it still do."""
        await _give_back(work, self.holds)

    async def accept(self, work: Work) -> None:
        """The try was right. What the person got wrong before is forgotten by `forget`."""
        await _give_back(work, (*self.before, *self.after))

    async def forget(self, work: Work) -> None:
        """Start the person's count again; for the transaction of what their proof opens."""
        if self.person is not None:
            await self.person.forget(work)


async def _give_back(work: Work, holds: Sequence[Hold]) -> None:
    for hold in reversed(holds):
        await hold.give_back(work)


def on_device(settings: Settings, scope: Scope, subject: str) -> Tries:
    """Of `subject` on the scope's device. Other stores of the device's people are no other till."""
    device_id, area = scope.device.device_id, (scope.tenant_id, scope.home_store_id)
    return Tries(
        before=(Hourly(*area, f"pins:{device_id}", settings.pin_failures_per_device),),
        person=InARow(*area, _person_key(*area, device_id, subject)),
        # Of one park: tills of another behind the same address are none of its business.
        after=_from_address(f"pins:{scope.tenant_id}", settings.pin_failures_per_ip),
    )


async def forget_everywhere(work: Work, tenant_id: str, employee_id: str) -> None:
    """A person has a new PIN: what was tried before it counts on no device any more; for the
    transaction that sets it."""
    devices = await TenantSessions(work, tenant_id, None).find(limit=ALL)
    keys = {_person_key(tenant_id, each.store_id, each.id, employee_id) for each in devices}
    await TenantPinAttempts(work, tenant_id, None).forget(keys)


def _person_key(tenant_id: str, store_id: str, device_id: str, subject: str) -> str:
    return scoped_id(tenant_id, store_id, device_id, subject)


def without_device(tenant_id: str, email: str) -> Tries:
    """Of a person who says that they belong to `tenant_id`, from wherever they are."""
    person = Hourly(NOBODY, NOBODY, scoped_id("web", tenant_id, email), WEB_PER_PERSON)
    return Tries(before=(*_from_address("web", WEB_PER_ADDRESS), person))


def _from_address(purpose: str, limit: int) -> tuple[Hold, ...]:
    hold = Hourly(NOBODY, NOBODY, budgets.address_key(purpose), limit)
    return (hold,) if client.get().ip else ()
