"""`playpark employee`: a way back for who is locked out of their park (R40)."""

from typing import Annotated

import typer

from api.cli.common import DEFAULT_DATA, Data, Embedded, on_platform
from api.cli.init import PinFile, given, in_file, known
from api.identity.rescuing import rescue
from api.platform.services import Platform


def register(app: typer.Typer) -> None:
    """Add `playpark employee`."""
    group = typer.Typer(help="Those who work in a park.", no_args_is_help=True)
    group.callback()(_group)
    group.command("reset")(reset)
    app.add_typer(group, name="employee")


def _group() -> None:
    """Those who work in a park."""


def reset(
    tenant: Annotated[str, typer.Option(help="Id of the park.")],
    email: Annotated[str, typer.Option(help="The person's email.")],
    pin_file: PinFile = None,
    embedded: Embedded = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Give somebody whom nobody else can help a new PIN; their authenticator app is taken away."""
    options = given(owner_email=email, owner_pin=in_file(pin_file))
    told = known(options, ("owner_email", "owner_pin"))

    async def renew(platform: Platform) -> None:
        await rescue(platform, tenant, told["owner_email"], told["owner_pin"])

    on_platform(renew, embedded=embedded, data=data)
    typer.echo(f"{told['owner_email']} can log in with the new PIN.")
