"""The park that scenarios are played in: one that is told, or an embedded one of this run's own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from demo.server import DemoServer
from demo.story import SITE_KEY


@contextlib.contextmanager
def park_at(api: str | None, site_key: str | None, folder: Path) -> Iterator[tuple[str, str]]:
    """(address, site key) of the park. Without an address the demo park is started in `folder` and
    stopped, with its database, on exit. Raises PlayParkError where that fails."""
    if api is not None:
        yield api, site_key or SITE_KEY
        return
    folder.mkdir(parents=True, exist_ok=True)
    with DemoServer(folder / "mongo", folder / "api.log") as server:
        yield server.url, SITE_KEY
