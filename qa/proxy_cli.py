"""`playpark qa proxy`: a line that fails as it is told, by names typed on standard input."""

import asyncio
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from playpark.client import DEFAULT_URL
from playpark.errors import ErrorCode, PlayParkError
from qa.proxy import FAULTS, PASSING, FaultProxy


def register(qa: typer.Typer) -> None:
    """Add `playpark qa proxy`."""

    @qa.command()
    def proxy(
        to: Annotated[str, typer.Option("--to", help="The API, http://host:port.")] = DEFAULT_URL,
        listen: Annotated[int, typer.Option("--listen", help="Port; 0 takes a free one.")] = 0,
    ) -> None:
        """Stand between devices and the API, and fail on purpose.

        Start a till with `--api` and the address that is printed here, then type what shall happen.
        """
        if urlsplit(to).scheme != "http" or not urlsplit(to).hostname:
            message = f"--to is an address such as {DEFAULT_URL}."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        asyncio.run(_stand(to, listen))


async def _stand(to: str, port: int) -> None:
    try:
        async with FaultProxy(to, port=port) as proxy:
            typer.echo(f"Listening on {proxy.url}, carrying to {to}.")
            typer.echo(f"Type {', '.join(FAULTS)}; once NAME; heal; status; quit.")
            while line := await asyncio.to_thread(sys.stdin.readline):
                if line.strip() == "quit":
                    return
                typer.echo(_do(proxy, line.split()))
    except OSError as taken:
        message = f"Port {port} cannot be had ({taken.strerror}): choose another --listen."
        raise PlayParkError(ErrorCode.UNAVAILABLE, message) from taken


def _do(proxy: FaultProxy, words: list[str]) -> str:
    """Carry out what was typed, and say how the line stands."""
    match words:
        case ["heal"] | [PASSING.name]:
            proxy.heal()
        case ["once", name] if name in FAULTS:
            proxy.once(FAULTS[name])
            return f"{proxy.fault.name}; the next exchange meets {name}"
        case [name] if name in FAULTS:
            proxy.set(FAULTS[name])
        case ["status"] | []:
            pass
        case _:
            return f"There is no fault {words[-1]}: type one of {', '.join(FAULTS)}."
    answered = sum(each.answered for each in proxy.seen)
    return f"{proxy.fault.name}; {answered} of the last {len(proxy.seen)} exchanges were answered"
