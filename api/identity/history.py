"""What people could do at any moment: an append-only row for each change (R35).

Operations come late. Who acted is judged by what they were allowed when it happened, whatever has
changed since.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from api.identity.models import AuthorityRow, AuthorityTurn
from api.identity.repository import (
    AuthorityHistory,
    EmployeeRepository,
    TenantAuthorityHistory,
)
from api.identity.standing import InStore, Standing, standings
from api.platform.documents import UNSTAMPED, scoped_id
from api.platform.scope import Actor, Scope
from api.platform.uow import Work
from playpark.contracts.employees import EmployeeStatus

ALWAYS = UNSTAMPED
GONE = "gone"
_FLAGS: dict[str, tuple[str, ...]] = {
    EmployeeStatus.ACTIVE: (),
    EmployeeStatus.SUSPENDED: ("employee_suspended",),
    GONE: ("unknown_employee",),
}
People = Mapping[str, Standing]
"""By employee id."""
State = tuple[str, InStore]
"""Status, and what it goes with."""
_NOTHING = InStore((), frozenset())


async def record(work: Work, turn: AuthorityTurn, before: People, after: People) -> set[str]:
    """Write down what changed for whom; their ids.

    Who has no row yet gets one for all the time before. Part of the change's own transaction.
    """
    tenant_id = turn.tenant_id
    changed = [
        (employee_id, store_id, was, now)
        for employee_id in sorted({*before, *after})
        for store_id in _stores(employee_id, before, after)
        if (was := _state(before.get(employee_id), store_id))
        != (now := _state(after.get(employee_id), store_id))
    ]
    people = {employee_id for employee_id, *_ in changed}
    history = TenantAuthorityHistory(work, tenant_id, None)
    known = await history.known(people) if people else set()
    rows: list[AuthorityRow] = []
    for employee_id, store_id, was, now in changed:
        if was[0] != GONE and (employee_id, store_id) not in known:
            rows.append(_row(tenant_id, store_id, employee_id, was, number=0, at=ALWAYS))
        rows.append(_row(tenant_id, store_id, employee_id, now, number=turn.number, at=turn.at))
    await history.insert_many(rows)
    return people


async def since(work: Work, tenant_id: str, store_id: str, employee_id: str) -> datetime:
    """From when on the employee has had the authority that they have in this store."""
    row = await AuthorityHistory(work, tenant_id, store_id).latest(employee_id)
    return row.at if row else ALWAYS


async def acting_at(
    work: Work, scope: Scope, employee_id: str, moment: datetime
) -> tuple[Actor | None, tuple[str, ...]]:
    """The employee as they stood in the scope's store at `moment`, and flags.

    Somebody without authority then is the one who acted all the same, without permissions: flagged
    `employee_suspended`, or `unknown_employee` where they were no member. An id that is nobody's in
    this tenant is None and `unknown_employee`.
    """
    employee = await EmployeeRepository.of(work, scope).find_one(_id=employee_id)
    if employee is None:
        return None, _FLAGS[GONE]
    status, there = await _state_at(work, scope, employee_id, moment)
    if status != EmployeeStatus.ACTIVE:
        there = _NOTHING
    actor = Actor(employee_id, employee.name, there.roles, there.permissions)
    return actor, _FLAGS[status]


async def _state_at(work: Work, scope: Scope, employee_id: str, moment: datetime) -> State:
    history = AuthorityHistory.of(work, scope)
    if row := await history.latest(employee_id, moment):
        return row.status, InStore(tuple(row.roles), frozenset(row.permissions))
    if await history.latest(employee_id) is not None:
        return GONE, _NOTHING  # their first membership here came later
    found = await standings(work, scope.tenant_id, (employee_id,), store_id=scope.store_id)
    return _state(found.get(employee_id), scope.store_id)


def _stores(employee_id: str, *times: People) -> Iterable[str]:
    known = [people[employee_id].stores for people in times if employee_id in people]
    return sorted({store_id for stores in known for store_id in stores})


def _state(standing: Standing | None, store_id: str) -> State:
    if standing is None or store_id not in standing.stores:
        return GONE, _NOTHING
    return standing.employee.status, standing.stores[store_id]


def _row(
    tenant_id: str, store_id: str, employee_id: str, state: State, *, number: int, at: datetime
) -> AuthorityRow:
    status, there = state
    return AuthorityRow(
        id=scoped_id(tenant_id, store_id, employee_id, str(number)),
        tenant_id=tenant_id,
        store_id=store_id,
        employee_id=employee_id,
        turn=number,
        at=at,
        status=status,
        roles=list(there.roles),
        permissions=sorted(there.permissions),
    )
