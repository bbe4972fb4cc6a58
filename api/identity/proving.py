"""Whether somebody is who they say: PIN and, of who has an app, its code (R41).

Unknown person, wrong PIN, wrong code and no membership make the same reads, the same hash and the
same audit row, and get the same answer.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

from api.audit import service as audit
from api.identity import totp, tries
from api.identity.models import Authenticator, Employee
from api.identity.repository import EmployeeRepository
from api.identity.standing import Standing, standings, store_that_matters
from api.identity.tries import Tries
from api.platform.operations import chain_key
from api.platform.scope import Actor, Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class Told:
    """Who somebody says they are, by id or e-mail address, and what they give as proof."""

    employee_id: str | None
    email: str | None
    pin: str
    code: str | None = None

    @property
    def subject(self) -> str:
        return str(self.employee_id or self.email)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Whom `Told` may mean: the employee if there is one, as who acts if they work here; what a try
    is held against; and who is asking, under which event a failure is audited."""

    employee: Employee | None
    actor: Actor | None
    tries: Tries
    asker: Scope
    failure: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A person who has proved that it is them. `whole`: with everything that they have."""

    employee: Employee
    actor: Actor
    whole: bool
    tries: Tries

    async def stands(self, work: Work) -> None:
        """For the same transaction: nobody suspends the person or changes their PIN beside it.
        Raises E_UNAUTHENTICATED where that has happened."""
        people = EmployeeRepository(work, self.employee.tenant_id, None)
        if await people.hold(_id=self.employee.id, ver=self.employee.ver, status="active") is None:
            message = "This PIN is no longer right: ask again."
            raise PlayParkError(ErrorCode.UNAUTHENTICATED, message)

    async def settle(self, work: Work) -> None:
        """For the transaction of what the proof opens: wrong PINs before it no longer count."""
        if self.whole:
            await self.tries.forget(work)


async def prove(
    platform: Platform, scope: Scope, told: Told, *, failure: str, codes: bool = True
) -> Proof:
    """Who the person is and what they may do in the scope's store, if the proof is theirs.

    Without `codes` the PIN is enough for everybody. Raises E_UNAUTHENTICATED, with details
    `{"totp": "required"}` only after the right PIN; E_PIN_LOCKED, E_EMPLOYEE_SUSPENDED, and
    E_UNAVAILABLE where too many want to prove something at once.
    """
    work = platform.uow.reading()
    person = await find(work, scope.tenant_id, told, store_id=store_that_matters(scope))
    actor = person.actor(scope.store_id, scope.device.type) if person else None
    subject = person.employee.id if person else told.subject
    held = tries.on_device(platform.settings, scope, subject)
    candidate = Candidate(person.employee if person else None, actor, held, scope, failure)
    return await judge(platform, work, candidate, told, codes=codes)


async def find(
    work: Work, tenant_id: str, told: Told, *, store_id: str | None = None
) -> Standing | None:
    """The person that somebody says they are; it takes as long for one who does not exist."""
    who = {"_id": told.employee_id} if told.employee_id else {"email": told.email}
    employee = await EmployeeRepository(work, tenant_id, None).find_one(**who)
    employee_id = employee.id if employee else told.subject
    return (await standings(work, tenant_id, (employee_id,), store_id=store_id)).get(employee_id)


async def judge(
    platform: Platform, work: Work, candidate: Candidate, told: Told, *, codes: bool = True
) -> Proof:
    """`prove` of a person who has been looked up. Raises what `prove` raises."""
    employee, actor, held = candidate.employee, candidate.actor, candidate.tries
    tenant_id = candidate.asker.tenant_id
    app = await totp.authenticator(work, tenant_id, employee.id if employee else "")
    await held.reserve(work)
    try:
        pin_hash = employee.pin_hash if employee else None
        stranger = not candidate.asker.device.paired
        right = await platform.pins.verify(pin_hash, told.pin, stranger=stranger)
    except PlayParkError:
        await held.give_back(work)
        raise
    if employee is None or actor is None or not right:
        await _refuse(platform, candidate, told)
    if employee.status != "active":
        await held.give_back(work)
        await _suspended(platform, candidate, actor)
    whole = app is None or codes
    if app is not None and codes:
        await _check_code(platform, work, candidate, told, app)
    await (held.accept(work) if whole else held.give_back(work))
    return Proof(employee, actor, whole, held)


async def _check_code(
    platform: Platform, work: Work, candidate: Candidate, told: Told, app: Authenticator
) -> None:
    if told.code is None:
        await candidate.tries.give_back(work)
        await _record(platform, candidate, told, {"totp": "missing"})
        message = "Type the code of your authenticator app too."
        details = {"totp": "required"}
        raise PlayParkError(ErrorCode.UNAUTHENTICATED, message, details=details)
    if not await totp.spend(platform, work, app, told.code):
        await _refuse(platform, candidate, told, totp="wrong")


async def check_code(
    platform: Platform, scope: Scope, app: Authenticator, code: str, *, failure: str
) -> Tries:
    """A code by itself, of the caller's app that is being confirmed. Wrong ones count like wrong
    PINs. Raises E_UNAUTHENTICATED and E_PIN_LOCKED; what it returns is settled by the caller."""
    work, person = platform.uow.reading(), scope.person
    held = tries.on_device(platform.settings, scope, person.employee_id)
    await held.reserve(work)
    if not await totp.spend(platform, work, app, code):
        told = Told(person.employee_id, None, pin="")
        await _refuse(platform, Candidate(None, None, held, scope, failure), told, totp="wrong")
    await held.accept(work)
    return held


async def _refuse(platform: Platform, candidate: Candidate, told: Told, **payload: str) -> NoReturn:
    await _record(platform, candidate, told, payload)
    message = "That person and PIN do not belong together here: try again."
    raise PlayParkError(ErrorCode.UNAUTHENTICATED, message)


async def _suspended(platform: Platform, candidate: Candidate, actor: Actor) -> NoReturn:
    who, code = candidate.asker.acting_as(actor), ErrorCode.EMPLOYEE_SUSPENDED
    await platform.note_refusal(platform.uow, who, code, candidate.failure)
    raise PlayParkError(code, "This employee is suspended: ask a supervisor.")


async def _record(
    platform: Platform, candidate: Candidate, told: Told, payload: dict[str, Any]
) -> None:
    subject = candidate.employee.id if candidate.employee else told.subject

    async def append(work: Work) -> None:
        await audit.append(work, candidate.asker, candidate.failure, subject, payload)

    await platform.uow.run(append, queue=chain_key(candidate.asker))
