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
from playpark.contracts.base import Name
from playpark.contracts.employees import Email, NewPin
from playpark.contracts.provider import OperatorStatus, Password
from playpark.contracts.tenancy import NewTenant, OpenedTenant, TimeZone
from playpark.errors import ErrorCode, PlayParkError

Who = Annotated[str, typer.Option("--email", help="The operator's email.")]
PinFile = Annotated[Path | None, typer.Option(help="File with a PIN of 4 to 8 digits.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="File with a new password of 12 characters or more.")
]


@dataclass(frozen=True, slots=True)
class Question:
    """Something that `init` has to know: given by an option, or asked for in `words`."""

    kind: Any
    option: str
    words: str
    hidden: bool = False

    def read(self, text: str) -> Any:
        """The text as the contract reads it. Raises ValueError, never with the text."""
        try:
            return TypeAdapter(self.kind).validate_python(text)
        except ValidationError as wrong:
            reason = wrong.errors(include_input=False, include_url=False)[0]["msg"]
            raise ValueError(reason) from None

    def given(self, text: str) -> Any:
        """What an option says. Raises E_VALIDATION."""
        try:
            return self.read(text)
        except ValueError as wrong:
            raise PlayParkError(ErrorCode.VALIDATION, f"{self.option}: {wrong}.") from None

    def asked(self) -> Any:
        """What somebody types, once it is right. Raises E_VALIDATION where nobody is there."""
        if not sys.stdin.isatty():
            message = f"Give {self.option}: nobody is here to be asked."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        while True:
            text = typer.prompt(self.words, hide_input=self.hidden, confirmation_prompt=self.hidden)
            try:
                return self.read(text)
            except ValueError as wrong:
                typer.echo(f"  {wrong}", err=True)


QUESTIONS = {
    "email": Question(Email, "--operator-email", "Operator's email"),
    "password": Question(
        Password,
        "--operator-password-file",
        "Operator's password (12 characters or more)",
        hidden=True,
    ),
    "name": Question(Name, "--tenant", "Name of the park"),
    "store_name": Question(Name, "--store", "Name of its first store"),
    "owner_name": Question(Name, "--owner-name", "Name of its owner"),
    "owner_email": Question(Email, "--owner-email", "Owner's email"),
    "owner_pin": Question(NewPin, "--owner-pin-file", "Owner's PIN", hidden=True),
    "tz": Question(TimeZone, "--tz", "Time zone"),
}
OPERATOR, PARK = ("email", "password"), tuple(QUESTIONS)[2:]


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
    told = given(
        email=operator_email,
        password=in_file(operator_password_file),
        name=tenant,
        store_name=store,
        owner_name=owner_name,
        owner_email=owner_email,
        owner_pin=in_file(owner_pin_file),
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
    who = known(given(email=email, password=in_file(password_file)), OPERATOR)

    async def create(platform: Platform) -> None:
        await operators.create(platform, **who)

    on_platform(create, embedded=embedded, data=data)
    typer.echo(f"{who['email']} can log in: POST /v1/provider/login.")


def reset(
    email: Who,
    password_file: PasswordFile = None,
    embedded: Embedded = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Give an operator who is locked out a new password; their authenticator app is taken away."""
    who = known(given(email=email, password=in_file(password_file)), OPERATOR)

    async def renew(platform: Platform) -> None:
        await operators.reset(platform, **who)

    on_platform(renew, embedded=embedded, data=data)
    typer.echo(
        f"{who['email']} can log in with the new password; enrol the authenticator app again."
    )


def suspend(email: Who, embedded: Embedded = False, data: Data = DEFAULT_DATA) -> None:
    """Suspend an operator; what they are logged in with is refused from the next request on."""
    _set_status(email, OperatorStatus.SUSPENDED, embedded=embedded, data=data)


def resume(email: Who, embedded: Embedded = False, data: Data = DEFAULT_DATA) -> None:
    """Let a suspended operator log in again."""
    _set_status(email, OperatorStatus.ACTIVE, embedded=embedded, data=data)


def _set_status(email: str, status: OperatorStatus, *, embedded: bool, data: Path) -> None:
    who = str(QUESTIONS["email"].given(email))

    async def change(platform: Platform) -> None:
        await operators.set_status(platform, who, status)

    on_platform(change, embedded=embedded, data=data)
    typer.echo(f"{who} is {status.value}.")


# --- making the server ready --------------------------------------------------------------


async def _make(
    platform: Platform, told: dict[str, Any], *, another: bool
) -> tuple[NewTenant, OpenedTenant]:
    """Everything is known and right before anything is written."""
    ready = bool(await OperatorRepository(platform.uow.reading()).find(limit=1))
    if ready and not another:
        message = "This server is ready already: add one more park with --another-tenant."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    if another and not ready:
        message = "There is no operator yet: run `playpark init` without --another-tenant first."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    operator = None if another else known(told, OPERATOR)
    answers = known(told, PARK)
    park = NewTenant(legal_name=answers["name"], **answers)
    if operator is not None:
        await operators.create(platform, **operator, first=True)
    return park, await open_tenant(platform, park)


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


def given(**options: str | None) -> dict[str, Any]:
    """What the options say, read. Raises E_VALIDATION for the first that is wrong."""
    told = options.items()
    return {name: QUESTIONS[name].given(text) for name, text in told if text is not None}


def known(told: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """What was given, and what is asked for now."""
    return {name: told[name] if name in told else QUESTIONS[name].asked() for name in names}


def in_file(path: Path | None) -> str | None:
    """The first line of a file that holds a secret. Raises E_VALIDATION."""
    if path is None:
        return None
    try:
        return (path.read_text(encoding="utf-8").splitlines() or [""])[0]
    except (OSError, ValueError) as unreadable:
        message = f"{path} cannot be read: give a text file with the secret in its first line."
        raise PlayParkError(ErrorCode.VALIDATION, message) from unreadable
