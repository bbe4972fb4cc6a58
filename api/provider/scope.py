"""Which operator asks: one read of their document, as of now (R43, R44)."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.platform.jwt import Claims, unauthenticated
from api.platform.scope import Actor, Scope, server_scope
from api.platform.services import App
from api.provider.models import AREA, OperatorAccount
from api.provider.repository import OperatorRepository
from playpark.clock import DEFAULT_ZONE
from playpark.contracts.provider import OperatorStatus
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class ProviderScope:
    """An operator who is logged in. `own` is where their trail is written: it reaches no tenant."""

    operator_id: str
    email: str
    own: Scope


def scope_of(operator: OperatorAccount) -> ProviderScope:
    actor = Actor(employee_id=operator.id, name=operator.email)
    return ProviderScope(operator.id, operator.email, operators_scope(actor))


def operators_scope(actor: Actor | None = None) -> Scope:
    """The scope of the operators' chain; without an actor it is the server that writes."""
    return server_scope(*AREA, DEFAULT_ZONE).acting_as(actor)


async def get_operator(request: Request, platform: App) -> ProviderScope:
    """Dependency of every provider route: its claims were verified before the body was read.

    Raises E_UNAUTHENTICATED, E_TOKEN_EXPIRED for a login that was ended, E_EMPLOYEE_SUSPENDED.
    """
    claims: Claims = request.state.claims
    operators = OperatorRepository(platform.uow.reading())
    operator = await operators.find_one(_id=claims.employee_id)
    if operator is None:
        raise unauthenticated()
    try:
        check_status(operator)
    except PlayParkError as refusal:
        route = f"{request.method} {request.scope['route'].path}"
        await platform.note_refusal(platform.uow, scope_of(operator).own, refusal.code, route)
        raise
    if str(operator.ver) != claims.ver:
        raise PlayParkError(ErrorCode.TOKEN_EXPIRED, "The login has run out: log in again.")
    request.state.log = {"operator_id": operator.id}
    return scope_of(operator)


def check_status(operator: OperatorAccount) -> None:
    """Raises E_EMPLOYEE_SUSPENDED."""
    if operator.status is not OperatorStatus.ACTIVE:
        message = "This operator is suspended: `playpark operator resume` ends that."
        raise PlayParkError(ErrorCode.EMPLOYEE_SUSPENDED, message)


Operator = Annotated[ProviderScope, Depends(get_operator)]
