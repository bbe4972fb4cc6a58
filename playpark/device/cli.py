"""`playpark device`: what a till or gate keeps, looked at and carried away (R34, R35, R37)."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from playpark.client import ApiClient
from playpark.clock import Clock, SystemClock
from playpark.contracts.employees import EmployeeLoginIn
from playpark.contracts.sync import BundleOut
from playpark.device import bundle as bundles
from playpark.device.database import put_aside
from playpark.device.readout import Found, look_into, read_out
from playpark.device.safe import Safe, find_safe
from playpark.errors import ErrorCode, PlayParkError

FILES = ("till.db", "device.db")
"""What a till and a gate call their file."""
DAMAGED = ".damaged-"

Data = Annotated[Path, typer.Option(help="Folder of the device's data, or its file.")]


def register(app: typer.Typer) -> None:
    """Add `playpark device`."""
    device = typer.Typer(
        help="Look at a device's data, carry away what the server has not seen.",
        no_args_is_help=True,
    )
    app.add_typer(device, name="device")
    clock = SystemClock()

    @device.command()
    def status(data: Data = Path(".data/till")) -> None:
        """Show what waits, what was refused, and the numbers of this device."""
        path = file_in(data)
        with look_into(path) as connection:
            found = read_out(connection)
            exported = bundles.is_exported(connection, found)
        for line in describe(path, found, exported=exported, now=clock.now()):
            typer.echo(line)

    @device.command()
    def export(
        data: Data = Path(".data/till"),
        to: Annotated[Path, typer.Option(help="Folder or file to write to.")] = Path(),
        safe: Annotated[
            bool,
            typer.Option("--safe", help="Lock it with this device's secret, not a passphrase."),
        ] = False,
    ) -> None:
        """Save what the server has not answered, and what it refused, to an encrypted file.

        For a damaged file, name the file itself: what can be read of it is saved.
        """
        path = file_in(data)
        target = to / f"{path.name}-{clock.now():%Y%m%dT%H%M%S}{bundles.ENDING}"
        target = target if to.is_dir() else to
        key = _own_safe() if safe else _new_passphrase()
        damaged = DAMAGED in path.name
        made = bundles.export(path, target, key, clock.now(), damaged=damaged)
        typer.echo(f"Saved {len(made.ops)} operations to {target}.")
        if made.unreadable:
            typer.echo(f"{made.unreadable} could not be read: keep {path} for support.")

    @device.command("import")
    def hand_in(
        file: Annotated[Path, typer.Argument(help="An export of a device.")],
        email: Annotated[str, typer.Option(help="Who hands it in.")],
        api: Annotated[
            str, typer.Option(help="Address of the API; the device's own at first.")
        ] = "",
        tenant: Annotated[str, typer.Option(help="Tenant; the device's own at first.")] = "",
        device_id: Annotated[
            str, typer.Option("--device", help="Whose it is, where that could not be read.")
        ] = "",
    ) -> None:
        """Hand an export in: a supervisor reviews its operations under the device they are of."""
        made = _opened(file)
        origin = made.origin
        api = api or (origin.api_url if origin else "")
        tenant = tenant or (origin.tenant_id if origin and origin.tenant_id else "")
        device_id = device_id or (origin.device_id if origin else "")
        if not (api and tenant and device_id):
            message = "This export does not say where it is from: add --api, --tenant and --device."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        pin = typer.prompt("PIN", hide_input=True)
        body = _login(tenant, email, pin)
        answer = asyncio.run(_hand_in(api, body, made, device_id))
        typer.echo(
            f"{answer.kept} operations wait for a review; {answer.known} were known already."
        )

    @device.command()
    def unpair(
        data: Data = Path(".data/till"),
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Put this device's data aside, so that it can be paired anew; nothing is deleted."""
        path = file_in(data)
        if not yes:
            typer.confirm(f"Put {path} aside and pair this device anew?", abort=True)
        aside = put_away(path, clock)
        typer.echo(f"Kept as {aside}. Revoke the device in the office: its key is still in there.")


def file_in(data: Path) -> Path:
    """The file of a device in a folder, or the file itself. Raises PlayParkError."""
    if data.is_file():
        return data
    found = [data / name for name in FILES if (data / name).is_file()]
    if len(found) != 1:
        what = "more than one device" if found else "no data of a device"
        message = f"There is {what} in {data}: name its file (--data)."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    return found[0]


def put_away(path: Path, clock: Clock) -> Path:
    """Move the file of a device aside; returns where it is now. Raises E_CONFLICT while it holds
    anything that the server does not have and that no export holds (R37)."""
    with look_into(path) as connection:
        found = read_out(connection)
        if found.ops and not bundles.is_exported(connection, found):
            message = (
                f"{len(found.pending)} operations wait for the server and "
                f"{len(found.quarantine)} were refused: connect the device, or export them first "
                "(playpark device export)."
            )
            raise PlayParkError(ErrorCode.CONFLICT, message)
        connection.close()
        return put_aside(path, f"unpaired-{clock.now():%Y%m%dT%H%M%S}")


def describe(path: Path, found: Found, *, exported: bool, now: datetime) -> Iterator[str]:
    """What stands in a file, line by line, without secrets."""
    who = found.identity
    yield f"File        {path}"
    yield f"Device      {who.device_code} ({who.device_id})" if who else "Device      not paired"
    yield f"Server      {who.api_url}" if who else "Server      -"
    waiting = found.pending
    since = f", since {waiting[0].to_op_in().occurred_at:%Y-%m-%d %H:%M} UTC" if waiting else ""
    yield f"Waiting     {len(waiting)} operations{since}"
    yield f"Quarantine  {len(found.quarantine)} operations"
    for op in found.quarantine:
        what = " ".join(filter(None, (op.envelope["kind"], op.receipt_no, op.code)))
        yield f"            {op.envelope['op_id']} {what}: {op.message or 'no reason given'}"
    if found.unreadable:
        yield f"Unreadable  {found.unreadable} operations: export them and call support"
    if found.ops:
        yield f"Exported    {'as it stands' if exported else 'no, or changed since'}"
    yield f"Epoch       {found.epoch}, sequence {found.counters.get(f'seq:{found.epoch}', 0)}"
    series = {n.removeprefix("receipt:"): v for n, v in found.counters.items() if "receipt:" in n}
    last = ", ".join(f"{name} {value}" for name, value in sorted(series.items()))
    yield f"Numbers     {last or 'none yet'}"
    yield f"People      {found.people} may log in without the server"
    yield f"Clock       {_clock(found)}"
    yield f"Certificate {_certificate(found, now)}"


def _clock(found: Found) -> str:
    note = found.clock
    if note is None:
        return "never compared with the server's"
    return f"{note.offset_ms} ms behind the server's, heard {note.heard_at:%Y-%m-%d %H:%M} UTC"


def _certificate(found: Found, now: datetime) -> str:
    present = found.certificate
    if present is None:
        return "none: this device prints no tickets without the server"
    taken = found.counters.get(f"serial:{present.key_id}", 0)
    until = f"{present.not_after:%Y-%m-%d %H:%M} UTC"
    state = "until" if now < present.not_after else "over since"
    return f"{present.key_id}, {state} {until}, {taken} of {present.max_tickets} tickets"


# --- keys and people --------------------------------------------------------------------


def _new_passphrase() -> str:
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True))


def _own_safe() -> Safe:
    found = find_safe()
    if found is None:
        message = "This device has no secret (PLAYPARK_DEVICE_KEY): use a passphrase."
        raise PlayParkError(ErrorCode.UNAVAILABLE, message)
    return found


def _opened(file: Path) -> bundles.Bundle:
    try:
        content = file.read_bytes()
    except OSError as refused:
        message = f"{file} cannot be read ({refused.strerror}): name an export of a device."
        raise PlayParkError(ErrorCode.NOT_FOUND, message) from refused
    if not bundles.needs_passphrase(content):
        return bundles.unseal(content, _own_safe())
    return bundles.unseal(content, str(typer.prompt("Passphrase", hide_input=True)))


def _login(tenant: str, email: str, pin: str, totp: str | None = None) -> EmployeeLoginIn:
    told = {"tenant": tenant, "email": email, "pin": pin} | ({"totp": totp} if totp else {})
    try:
        return EmployeeLoginIn.model_validate(told)
    except ValueError as wrong:
        message = "Type an e-mail address, and a PIN of 4 to 8 digits."
        raise PlayParkError(ErrorCode.VALIDATION, message) from wrong


async def _hand_in(
    api: str, body: EmployeeLoginIn, made: bundles.Bundle, device_id: str
) -> BundleOut:
    async with ApiClient(api) as client:
        try:
            await client.login_employee(body)
        except PlayParkError as refused:
            if (refused.details or {}).get("totp") != "required":
                raise
            code = await asyncio.to_thread(typer.prompt, "Code of your authenticator app")
            await client.login_employee(body.model_copy(update={"totp": code}))
        try:
            return await bundles.hand_in(client, made, device_id)
        finally:
            await client.logout()
