"""The park that scenarios are played in: one that is told, or an embedded one of this run's own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from demo.server import DemoServer
from demo.story import SITE_KEY
from qa.verdict import Verdict

MONGO = "mongo"
_FOREIGN = {"MONGODB_URI", "DB_URI", "MONGODB_URI_FILE", "DB_URI_FILE"}
"""Whatever the environment points at is not this run's own park."""


@contextlib.contextmanager
def park_at(api: str | None, site_key: str | None, folder: Path) -> Iterator[tuple[str, str]]:
    """(address, site key) of the park. Without an address the demo park is started in `folder` and
    stopped, with its database, on exit. Raises PlayParkError where that fails."""
    if api is not None:
        yield api, site_key or SITE_KEY
        return
    folder.mkdir(parents=True, exist_ok=True)
    with DemoServer(folder / MONGO, folder / "api.log") as server:
        yield server.url, SITE_KEY


def reconciled(folder: Path, days: set[date]) -> Verdict:
    """What `playpark reconcile` says of these trading days of the park that was in `folder`, once
    it has stopped (R49)."""
    verdict = Verdict("reconcile", "The whole park's books are proved by `playpark reconcile`.")
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    for day in sorted(days):
        words = ["reconcile", "--json", "--date", day.isoformat()]
        command = [*words, "--embedded", "--data", str(folder / MONGO)]
        told = subprocess.run(  # noqa: S603 - our own program, fixed arguments
            [sys.executable, "-m", "playpark.cli", *command],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        try:
            stores = json.loads(told.stdout)
        except ValueError:
            verdict.fault = told.stderr.strip() or "`playpark reconcile` said nothing"
            break
        for each in stores:
            broken = [f"{found['check']}: {found['why']}" for found in each["breaks"]]
            verdict.expect(f"what breaks the books of {each['store_name']}, {day}", broken, [])
    verdict.did("The park was stopped, and sales, payments, shifts, tickets and Z were compared.")
    verdict.seconds = time.monotonic() - began
    return verdict
