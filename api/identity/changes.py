"""The one way in which what people may do changes: logins and history follow in the change's own
transaction, and a tenant never loses its last manager of people (R35, R43).
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from api.identity import history
from api.identity.history import People
from api.identity.models import AuthorityTurn
from api.identity.repository import (
    ALL,
    AuthorityTurns,
    EmployeeRepository,
    RoleRepository,
    TenantMemberships,
    TenantSessions,
    TenantStores,
)
from api.identity.standing import Standing, standings
from api.platform.authority import DeviceAuthority
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.employees import EmployeeStatus, Permission
from playpark.errors import ErrorCode, PlayParkError

T = TypeVar("T")


async def in_turn(platform: Platform, scope: Scope, effect: Callable[[Work], Awaitable[T]]) -> T:
    """Run a transaction that changes what people may do, after those of the tenant before it.

    Raises what `effect` and `UnitOfWork.run` raise.
    """
    await AuthorityTurns.of(platform.uow.reading(), scope).begin()
    async with platform.uow.one_at_a_time(f"people:{scope.tenant_id}"):
        return await platform.uow.run(effect, queue=chain_key(scope))


@dataclass(slots=True)
class Change:
    """What some people may do before a change; `settle` compares it with what they may do then."""

    work: Work
    turn: AuthorityTurn
    before: People
    affected: frozenset[str]
    ended: set[str] = field(default_factory=set)
    """Whose logins end with this change, whatever they may do."""

    async def settle(self) -> None:
        """Write history, keep the last manager, tell every login. Call it after the change was
        written and before the audit row. Raises E_CONFLICT."""
        tenant_id = self.turn.tenant_id
        after = await standings(self.work, tenant_id, self.affected)
        before = {each: self.before[each] for each in self.affected & self.before.keys()}
        changed = await history.record(self.work, self.turn, before, after)
        if _stopped_managing(before, after) and not await _somebody_manages(self.work, tenant_id):
            message = "Nobody could manage employees any more: give it to another person first."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        # Logins write this document as well: one that happens meanwhile starts again.
        people = EmployeeRepository(self.work, tenant_id, None)
        numbered = {"$set": {"turn": self.turn.number}}
        await people.update_many(numbered, _id={"$in": sorted(self.affected)})
        logins = TenantSessions(self.work, tenant_id, None)
        for session in await logins.of_people(self.affected):
            if update := self._update(session, after, changed):
                await logins.update_one(update, _id=session.id, store_id=session.store_id)

    def _update(self, session: DeviceAuthority, after: People, changed: set[str]) -> dict[str, Any]:
        """What becomes of the logins on one device."""
        update: dict[str, dict[str, Any]] = {}
        for each in sorted(self.affected & session.employees.keys()):
            login = session.employees[each]
            told = self._login(session, login, after[each], new=each in changed)
            if told is None or (each in self.ended and after[each].active):
                update.setdefault("$unset", {})[f"employees.{each}"] = ""
            elif told:
                fields = {f"employees.{each}.{name}": value for name, value in told.items()}
                update.setdefault("$set", {}).update(fields)
        return update

    def _login(
        self, session: DeviceAuthority, login: dict[str, Any], standing: Standing, *, new: bool
    ) -> dict[str, Any] | None:
        """The fields of a login that change; None for one that ends."""
        if not standing.active:
            return {"status": EmployeeStatus.SUSPENDED.value}
        resumed = login["status"] != EmployeeStatus.ACTIVE
        if resumed or session.store_id not in standing.stores:
            return None
        since: datetime = self.turn.at if new else login.get("since", self.turn.at)
        return standing.entry(session.store_id, session.device_type, since)


async def begin(work: Work, scope: Scope, affected: Collection[str]) -> Change:
    """Take the tenant's turn, before anything is written. `before` knows the caller too."""
    turn = await AuthorityTurns.of(work, scope).next()
    people = frozenset(affected)
    caller = {scope.actor_id} if scope.actor_id else set()
    before = await standings(work, scope.tenant_id, people | caller)
    return Change(work, turn, before, people)


def _stopped_managing(before: People, after: People) -> bool:
    manage = Permission.EMPLOYEE_MANAGE
    return any(
        standing.may(store_id, manage) and not after[employee_id].may(store_id, manage)
        for employee_id, standing in before.items()
        for store_id in standing.stores
    )


async def _somebody_manages(work: Work, tenant_id: str) -> bool:
    """Whether anybody active may manage employees in any active store."""
    roles = await RoleRepository(work, tenant_id, None).find(
        limit=ALL, permissions=Permission.EMPLOYEE_MANAGE
    )
    stores = await TenantStores(work, tenant_id, None).find(limit=ALL, active=True)
    managers = await TenantMemberships(work, tenant_id, None).people(
        roles={"$in": [role.id for role in roles]},
        store_id={"$in": [store.id for store in stores]},
        active=True,
    )
    people = EmployeeRepository(work, tenant_id, None)
    chosen = {"$in": sorted(managers)}
    return await people.find_one(_id=chosen, status=EmployeeStatus.ACTIVE) is not None
