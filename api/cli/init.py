"""`playpark init`: the first operator, park, owner and site key; `playpark operator`: those who
serve all parks (R44).

Options and environment variables answer for scripts; what they leave open is asked for where
somebody sits at a terminal.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from api.cli.common import DEFAULT_DATA, Data, Embedded, on_platform
from api.platform.services import Platform
from api.provider import operators
from api.provider.repository import OperatorRepository
from api.tenancy.opening import FIRST_DEVICES, FIRST_WEEK, open_tenant
from playpark.clock import DEFAULT_ZONE
from playpark.contracts.employees import Email
from playpark.contracts.provider import OperatorStatus, Password
from playpark.contracts.tenancy import NewTenant, OpenedTenant
from playpark.errors import ErrorCode, PlayParkError

Who = Annotated[str, typer.Option("--email", help="The operator's email.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="File with a new password of 12 characters or more.")
]


@dataclass(frozen=True, slots=True)
class Told:
    """What the command line says; None is asked for."""

    operator_email: str | None
    operator_password: str | None
    tenant: str | None
    store: str | None
    owner_name: str | None
    owner_email: str | None
    owner_pin: str | None
    tz: str


def register(app: typer.Typer) -> None:
    """Add `playpark init` and `playpark operator`."""
    app.command("init")(init)
    group = typer.Typer(help="Those who serve all parks.", no_args_is_help=True)
    for name, command in (("add", add), ("reset", reset), ("suspend", suspend), ("resume", resume)):
        group.command(name)(command)
    app.add_typer(group, name="operator")


def init(  # noqa: PLR0917 - typer makes an option of each
    operator_email: Annotated[
        str | None, typer.Option(envvar="PLAYPARK_OPERATOR_EMAIL", help="Who serves all parks.")
    ] = None,
    operator_password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="PLAYPARK_OPERATOR_PASSWORD_FILE",
            help="File with their password of 12 characters or more.",
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(envvar="PLAYPARK_TENANT", help="Name of the park.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(envvar="PLAYPARK_STORE", help="Name of its first store.")
    ] = None,
    owner_name: Annotated[
        str | None, typer.Option(envvar="PLAYPARK_OWNER_NAME", help="Who may do everything there.")
    ] = None,
    owner_email: Annotated[str | None, typer.Option(envvar="PLAYPARK_OWNER_EMAIL")] = None,
    owner_pin_file: Annotated[
        Path | None,
        typer.Option(envvar="PLAYPARK_OWNER_PIN_FILE", help="File with a PIN of 4 to 8 digits."),
    ] = None,
    tz: Annotated[
        str, typer.Option(envvar="PLAYPARK_TZ", help="Time zone of the park.")
    ] = DEFAULT_ZONE,
    another_tenant: Annotated[
        bool, typer.Option("--another-tenant", help="One more park; the operators stay.")
    ] = False,
    embedded: Embedded = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Make the server ready: an operator, a park, its owner, and a key that pairs its devices."""
    told = Told(
        operator_email=operator_email,
        operator_password=_in_file(operator_password_file),
        tenant=tenant,
        store=store,
        owner_name=owner_name,
        owner_email=owner_email,
        owner_pin=_in_file(owner_pin_file),
        tz=tz,
    )

    async def make(platform: Platform) -> tuple[NewTenant, OpenedTenant]:
        return await _make(platform, told, another=another_tenant)

    park, opened = on_platform(make, embedded=embedded, data=data)
    typer.echo(_next_steps(park, opened, embedded=embedded))


def add(
    email: Who,
    password_file: PasswordFile = None,
    embedded: Embedded = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Add an operator."""
    who, password = _email(email), _password(_in_file(password_file))

    async def create(platform: Platform) -> None:
        await operators.create(platform, who, password)

    on_platform(create, embedded=embedded, data=data)
    typer.echo(f"{who} can log in: POST /v1/provider/login.")


def reset(
    email: Who,
    password_file: PasswordFile = None,
    embedded: Embedded = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Give an operator who is locked out a new password; their authenticator app is taken away."""
    who, password = _email(email), _password(_in_file(password_file))

    async def renew(platform: Platform) -> None:
        await operators.reset(platform, who, password)

    on_platform(renew, embedded=embedded, data=data)
    typer.echo(f"{who} can log in with the new password; enrol the authenticator app again.")


def suspend(email: Who, embedded: Embedded = False, data: Data = DEFAULT_DATA) -> None:
    """Suspend an operator; what they are logged in with is refused from the next request on."""
    _set_status(email, OperatorStatus.SUSPENDED, embedded=embedded, data=data)


def resume(email: Who, embedded: Embedded = False, data: Data = DEFAULT_DATA) -> None:
    """Let a suspended operator log in again."""
    _set_status(email, OperatorStatus.ACTIVE, embedded=embedded, data=data)


def _set_status(email: str, status: OperatorStatus, *, embedded: bool, data: Path) -> None:
    who = _email(email)

    async def change(platform: Platform) -> None:
        await operators.set_status(platform, who, status)

    on_platform(change, embedded=embedded, data=data)
    typer.echo(f"{who} is {status.value}.")


# --- making the server ready --------------------------------------------------------------


async def _make(platform: Platform, told: Told, *, another: bool) -> tuple[NewTenant, OpenedTenant]:
    """Everything is known and right before anything is written."""
    known = bool(await OperatorRepository(platform.uow.reading()).find(limit=1))
    if known and not another:
        message = "This server is ready already: add one more park with --another-tenant."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    if another and not known:
        message = "There is no operator yet: run `playpark init` without --another-tenant first."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    operator = None if another else (_email(told.operator_email), _password(told.operator_password))
    park = _park(told)
    if operator is not None:
        await operators.create(platform, *operator, first=True)
    return park, await open_tenant(platform, park)


def _park(told: Told) -> NewTenant:
    def field(
        name: str, given: str | None, option: str, words: str, *, hidden: bool = False
    ) -> Any:
        info = NewTenant.model_fields[name]
        kind = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        return _value(kind, given, option, words, hidden=hidden)

    name = field("name", told.tenant, "--tenant", "Name of the park")
    return NewTenant(
        name=name,
        legal_name=name,
        tz=field("tz", told.tz, "--tz", "Time zone"),
        store_name=field("store_name", told.store, "--store", "Name of its first store"),
        owner_name=field("owner_name", told.owner_name, "--owner-name", "Name of its owner"),
        owner_email=field("owner_email", told.owner_email, "--owner-email", "Owner's email"),
        owner_pin=field(
            "owner_pin", told.owner_pin, "--owner-pin-file", "Owner's PIN", hidden=True
        ),
    )


def _next_steps(park: NewTenant, opened: OpenedTenant, *, embedded: bool) -> str:
    api = "playpark api --embedded" if embedded else "playpark api"
    return f"""{park.name} is open.

Site key, shown this once: {opened.site_key}
It pairs {FIRST_DEVICES} devices within {FIRST_WEEK.days} days; each of them works at once.

Next:
  {api}
  playpark admin --site-key {opened.site_key}
      the back office: log in as {park.owner_email}, add packages and people
  playpark pos --site-key {opened.site_key}
      a till: who may sell logs in, opens a shift and sells"""


# --- asking -------------------------------------------------------------------------------


def _email(given: str | None) -> str:
    return str(_value(Email, given, "--operator-email", "Operator's email"))


def _password(given: str | None) -> str:
    words, option = "Operator's password (12 characters or more)", "--operator-password-file"
    return str(_value(Password, given, option, words, hidden=True))


def _value(kind: Any, given: str | None, option: str, words: str, *, hidden: bool = False) -> Any:
    """What was given, or is typed until it is right. Raises E_VALIDATION, never with the value."""
    reader: TypeAdapter[Any] = TypeAdapter(kind)
    while True:
        text = _typed(option, words, hidden=hidden) if given is None else given
        try:
            return reader.validate_python(text)
        except ValidationError as wrong:
            reason = wrong.errors(include_input=False, include_url=False)[0]["msg"]
            if given is not None:
                raise PlayParkError(ErrorCode.VALIDATION, f"{option}: {reason}.") from None
            typer.echo(f"  {reason}", err=True)


def _typed(option: str, words: str, *, hidden: bool) -> str:
    if not sys.stdin.isatty():
        message = f"Give {option}: nobody is here to be asked."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return str(typer.prompt(words, hide_input=hidden, confirmation_prompt=hidden))


def _in_file(path: Path | None) -> str | None:
    """The first line of a file that holds a secret. Raises E_VALIDATION."""
    if path is None:
        return None
    try:
        return (path.read_text(encoding="utf-8").splitlines() or [""])[0]
    except (OSError, ValueError) as unreadable:
        message = f"{path} cannot be read: give a text file with the secret in its first line."
        raise PlayParkError(ErrorCode.VALIDATION, message) from unreadable
