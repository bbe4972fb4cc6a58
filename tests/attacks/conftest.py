"""One impatient API process a worker, whose log is a file."""

from collections.abc import Iterator

import pytest

from tests.attacks.hasty import HASTE, Server
from tests.conftest import running_api


@pytest.fixture(scope="session")
def server(
    mongo_uri: str, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("log") / "api.log"
    environment = {**HASTE, "LOG_LEVEL": "DEBUG"}
    with path.open("w") as log:
        process = running_api(mongo_uri, f"{database}_http", environment=environment, log=log)
        with process as url:
            yield Server(url, process.pid, path)
