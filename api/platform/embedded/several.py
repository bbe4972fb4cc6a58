"""Several `mongod` on this machine as one replica set: to see what a park with three database hosts
sees when one of them dies. For tests: all nodes share one disk and one power plug."""

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from api.platform.embedded.errors import EmbeddedMongoError
from api.platform.embedded.replica import HOST, POLL_SECONDS, REPLICA_SET, initiate, primary_of
from api.platform.embedded.server import EmbeddedMongo


class EmbeddedSet:
    """Nodes of one new replica set, each with a folder of its own below `data_dir`.

    `election_timeout_ms`: how long the others wait for a silent primary; MongoDB's own choice for
    hosts on a network is 10 s.
    """

    def __init__(self, data_dir: Path, nodes: int = 3, *, election_timeout_ms: int = 2000) -> None:
        self.nodes = [
            EmbeddedMongo(data_dir / f"node{number}", member=True) for number in range(nodes)
        ]
        self._election_timeout_ms = election_timeout_ms

    @property
    def uri(self) -> str:
        """The connection string; it names all nodes."""
        hosts = ",".join(f"{HOST}:{port}" for port in self._ports)
        return f"mongodb://{hosts}/?replicaSet={REPLICA_SET}&w=majority&journal=true"

    @property
    def _ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    def primary(self, *, within: float = 30.0) -> EmbeddedMongo:
        """The node that takes writes. Raises EmbeddedMongoError where none does in time, s."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            found = primary_of(self._ports)
            if found is not None:
                return next(node for node in self.nodes if node.port == found)
            time.sleep(POLL_SECONDS)
        message = f"no node of the replica set became primary within {within:.0f} s"
        raise EmbeddedMongoError(message)

    def start(self) -> str:
        """Start all nodes on new folders and return the URI once one takes writes."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            for node in self.nodes:
                node.start()
            initiate(
                self._ports,
                election_timeout_ms=self._election_timeout_ms,
                deadline=time.monotonic() + 60,
            )
            undo.pop_all()
        return self.uri

    def stop(self) -> None:
        """Stop all nodes. One that was halted (SIGSTOP) has to be let go on before."""
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()
