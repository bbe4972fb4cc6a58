"""Operators: made on the server's own machine, logged in by email, password and code (R41, R44).

Wrong email, password and code make the same reads, the same hash and the same row of the trail, and
get the same answer. Only after the right password does it say that a code is missing.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import pyotp
from pymongo.errors import DuplicateKeyError

from api.audit import service as audit
from api.identity import budgets, totp, tries
from api.identity.models import Authenticator
from api.identity.repository import AuthenticatorRepository
from api.platform.documents import scoped_id
from api.platform.jwt import LIFETIME, Claims, TokenType
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.provider.models import AREA, PROVIDER, OperatorAccount
from api.provider.repository import OperatorRepository
from api.provider.scope import ProviderScope, check_status, operators_scope, scope_of
from playpark.contracts.auth import TotpEnrolment
from playpark.contracts.provider import (
    OperatorStatus,
    OperatorView,
    PasswordChangeIn,
    ProviderLoginIn,
    ProviderSession,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

PER_ADDRESS = 20
"""Wrong attempts an hour from one address, whoever's."""


async def login(platform: Platform, body: ProviderLoginIn) -> ProviderSession:
    """A provider token for an hour.

    Raises E_UNAUTHENTICATED, with details `{"totp": "required"}` after the right password;
    E_PIN_LOCKED after too many wrong attempts; E_EMPLOYEE_SUSPENDED.
    """
    work = platform.uow.reading()
    operator = await OperatorRepository(work).find_one(email=body.email)
    held = _tries(body.email)
    proved = await _prove(platform, operator, body.email, body.password, body.totp)

    async def enter(work: Work) -> None:
        told = {"$set": {"last_login_at": work.now}}
        if not await _unchanged(work, proved, told):
            raise _wrong()  # a new password or a suspension came in between
        await held.forget(work)
        await _append(work, scope_of(proved).own, "operator.login", proved.id)

    await platform.uow.run(enter, queue=chain_key(operators_scope()))
    return await _session(platform, proved)


async def logout(platform: Platform, operator: ProviderScope) -> None:
    """End all logins of this operator."""

    async def leave(work: Work) -> None:
        await OperatorRepository(work).update_one({"$inc": {"ver": 1}}, _id=operator.operator_id)
        await _append(work, operator.own, "operator.logout", operator.operator_id)

    await platform.uow.run(leave, queue=chain_key(operator.own))


async def change_password(
    platform: Platform, operator: ProviderScope, body: PasswordChangeIn
) -> ProviderSession:
    """Another password; all logins end, and this one goes on with the token in the answer.

    Raises what `login` raises.
    """
    proved = await _prove_again(platform, operator, body.password, body.totp)
    password_hash = await platform.pins.hash(body.new_password)

    async def change(work: Work) -> None:
        told = {"$set": {"password_hash": password_hash}, "$inc": {"ver": 1}}
        if not await _unchanged(work, proved, told):
            raise _wrong()
        await _append(work, operator.own, "operator.password_changed", proved.id)

    await platform.uow.run(change, queue=chain_key(operator.own))
    return await _session(platform, proved.model_copy(update={"ver": proved.ver + 1}))


async def enrol(
    platform: Platform, operator: ProviderScope, password: str, code: str | None
) -> TotpEnrolment:
    """A secret for an authenticator app. Once a code has confirmed it, it takes the place of an
    earlier one, which counts until then. Raises what `login` raises."""
    proved = await _prove_again(platform, operator, password, code)
    secret, app_id = pyotp.random_base32(), _begun_id(operator.operator_id)
    sealed = platform.vault.seal(secret)

    async def write(work: Work) -> None:
        apps = AuthenticatorRepository(work, PROVIDER, None)
        fresh = {"$set": {"sealed": sealed, "last_step": 0}}
        if not await apps.update_one(fresh, _id=app_id):
            await apps.insert(Authenticator(id=app_id, tenant_id=PROVIDER, sealed=sealed))
        await _append(work, operator.own, "operator.totp_begun", proved.id)

    await platform.uow.run(write, queue=chain_key(operator.own))
    uri = pyotp.TOTP(secret).provisioning_uri(name=operator.email, issuer_name="PlayPark operator")
    return TotpEnrolment(secret=secret, otpauth_uri=uri)


async def confirm(platform: Platform, operator: ProviderScope, code: str) -> OperatorView:
    """From now on logins need a code of this app. Raises E_CONFLICT where none waits for it,
    E_UNAUTHENTICATED, E_PIN_LOCKED."""
    work = platform.uow.reading()
    apps = AuthenticatorRepository(work, PROVIDER, None)
    app = await apps.find_one(_id=_begun_id(operator.operator_id))
    if app is None:
        message = "No authenticator app waits to be confirmed: enrol one first."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    app_id = scoped_id(PROVIDER, operator.operator_id)
    held = _tries(operator.email)
    await _reserve(held, work)
    if not await totp.spend(platform, work, app, code):
        await _refuse(platform, operator.own, operator.operator_id)

    async def write(work: Work) -> None:
        apps = AuthenticatorRepository(work, PROVIDER, None)
        begun = await apps.find_one(_id=app.id, sealed=app.sealed)
        if begun is None or not await apps.remove(app.id):
            message = "Another enrolment came in between: begin again."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        await apps.remove(app_id)
        confirmed = {"id": app_id, "confirmed_at": work.now}
        await apps.insert(begun.model_copy(update=confirmed))
        await held.forget(work)
        await _append(work, operator.own, "operator.totp_enrolled", operator.operator_id)

    await platform.uow.run(write, queue=chain_key(operator.own))
    await held.accept(work)
    return OperatorView(operator_id=operator.operator_id, email=operator.email, totp=True)


# --- on the server's own machine ----------------------------------------------------------


async def create(platform: Platform, email: str, password: str, *, first: bool = False) -> str:
    """A new operator; their id. Raises E_CONFLICT where the email is taken or, with `first`, where
    there is an operator already."""
    password_hash = await platform.pins.hash(password)
    operator = OperatorAccount(id=new_ulid(), email=email, password_hash=password_hash)

    async def insert(work: Work) -> None:
        if first and await OperatorRepository(work).find(limit=1):
            raise PlayParkError(ErrorCode.CONFLICT, "There is an operator already.")
        await OperatorRepository(work).insert(operator)
        await _append(work, operators_scope(), "operator.created", operator.id)

    try:
        await platform.uow.run(insert, queue=chain_key(operators_scope()))
    except DuplicateKeyError:
        message = "There is an operator with this email already."
        raise PlayParkError(ErrorCode.CONFLICT, message) from None
    return operator.id


async def reset(platform: Platform, email: str, password: str) -> None:
    """A new password for somebody who cannot log in any more: without their authenticator app, and
    with all wrong attempts forgotten. Raises E_NOT_FOUND."""
    password_hash = await platform.pins.hash(password)

    async def write(work: Work) -> None:
        told = {"$set": {"password_hash": password_hash}, "$inc": {"ver": 1}}
        operator = await OperatorRepository(work).change(told, email=email)
        if operator is None:
            raise _unknown()
        apps = AuthenticatorRepository(work, PROVIDER, None)
        for app_id in (scoped_id(PROVIDER, operator.id), _begun_id(operator.id)):
            await apps.remove(app_id)
        await _tries(email).forget(work)
        await _append(work, operators_scope(), "operator.reset", operator.id)

    await platform.uow.run(write, queue=chain_key(operators_scope()))


async def set_status(platform: Platform, email: str, status: OperatorStatus) -> None:
    """Suspend or resume; what was logged in before stays dead. Raises E_NOT_FOUND."""

    async def write(work: Work) -> None:
        told = {"$set": {"status": status.value}, "$inc": {"ver": 1}}
        operator = await OperatorRepository(work).change(told, email=email)
        if operator is None:
            raise _unknown()
        await _append(work, operators_scope(), f"operator.{status.value}", operator.id)

    await platform.uow.run(write, queue=chain_key(operators_scope()))


# --- proving ------------------------------------------------------------------------------


async def _prove(
    platform: Platform,
    operator: OperatorAccount | None,
    email: str,
    password: str,
    code: str | None,
) -> OperatorAccount:
    """The operator, if password and code are theirs. The attempt is counted before it is hashed."""
    work = platform.uow.reading()
    asker = scope_of(operator).own if operator else operators_scope()
    subject = operator.id if operator else email
    app = await totp.authenticator(work, PROVIDER, operator.id if operator else "")
    held = _tries(email)
    await _reserve(held, work)
    try:
        password_hash = operator.password_hash if operator else None
        right = await platform.pins.verify(password_hash, password, stranger=True)
    except PlayParkError:
        await held.give_back(work)
        raise
    if operator is None or not right:
        await _refuse(platform, asker, subject)
    if operator.status is not OperatorStatus.ACTIVE:
        await held.give_back(work)
        check_status(operator)
    if app is not None and code is None:
        await held.give_back(work)
        message = "Type the code of your authenticator app too."
        raise PlayParkError(ErrorCode.UNAUTHENTICATED, message, details={"totp": "required"})
    if app is not None and not await totp.spend(platform, work, app, str(code)):
        await _refuse(platform, asker, subject)
    await held.accept(work)
    return operator


async def _prove_again(
    platform: Platform, operator: ProviderScope, password: str, code: str | None
) -> OperatorAccount:
    known = await OperatorRepository(platform.uow.reading()).find_one(_id=operator.operator_id)
    return await _prove(platform, known, operator.email, password, code)


async def _reserve(held: tries.Tries, work: Work) -> None:
    try:
        await held.reserve(work)
    except PlayParkError as locked:
        message = "Too many wrong attempts: wait, or reset the password on the server's machine."
        raise PlayParkError(locked.code, message, retry_after=locked.retry_after) from None


def _tries(email: str) -> tries.Tries:
    """Attempts of one address in an hour, and in a row at one email, from wherever."""
    person = tries.InARow(*AREA, scoped_id(*AREA, "operator", email))
    address = budgets.address_key("operator")
    hourly = tries.Hourly(budgets.NOBODY, budgets.NOBODY, address, PER_ADDRESS)
    return tries.Tries(before=(hourly,), person=person)


async def _refuse(platform: Platform, asker: Scope, subject: str) -> NoReturn:
    async def append(work: Work) -> None:
        await _append(work, asker, "operator.login_failed", subject)

    await platform.uow.run(append, queue=chain_key(asker))
    raise _wrong()


def _begun_id(operator_id: str) -> str:
    """Of the app that is about to be confirmed, beside the one that counts."""
    return scoped_id(PROVIDER, operator_id, "begun")


async def _append(work: Work, scope: Scope, event: str, entity_id: str) -> None:
    await audit.append(work, scope, event, entity_id, {})


async def _unchanged(work: Work, operator: OperatorAccount, update: Mapping[str, Any]) -> bool:
    return await OperatorRepository(work).update_one(
        update, _id=operator.id, ver=operator.ver, status=OperatorStatus.ACTIVE.value
    )


async def _session(platform: Platform, operator: OperatorAccount) -> ProviderSession:
    work = platform.uow.reading()
    claims = Claims(
        type=TokenType.PROVIDER,
        tenant_id=PROVIDER,
        store_id=PROVIDER,
        device_id=operator.id,
        employee_id=operator.id,
        ver=str(operator.ver),
        jti=new_ulid(),
    )
    app = await totp.authenticator(work, PROVIDER, operator.id)
    return ProviderSession(
        access_token=platform.jwt.issue(claims, work.now),
        expires_in=int(LIFETIME[TokenType.PROVIDER].total_seconds()),
        operator=OperatorView(operator_id=operator.id, email=operator.email, totp=app is not None),
    )


def _wrong() -> PlayParkError:
    message = "That email and password (and code) do not belong together: try again."
    return PlayParkError(ErrorCode.UNAUTHENTICATED, message)


def _unknown() -> PlayParkError:
    return PlayParkError(ErrorCode.NOT_FOUND, "There is no operator with this email.")
