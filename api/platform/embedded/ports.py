"""Choose the TCP port on 127.0.0.1."""

import errno
import os
import socket
from collections.abc import Iterator

from api.platform.embedded.errors import EmbeddedMongoError
from api.platform.embedded.replica import HOST

ATTEMPTS = 5


def candidate_ports(given: int | None, remembered: int | None) -> Iterator[int]:
    """Yield the ports to try: the given one alone, else the last one used, then free ones.

    Raises EmbeddedMongoError when the given port cannot be used.
    """
    if given is not None:
        problem = _problem(given)
        if problem is not None:
            raise port_error(given, problem)
        yield given
        return
    # The same port again spares the replica set a change of its config.
    if remembered is not None and _problem(remembered) is None:
        yield remembered
    for _ in range(ATTEMPTS):
        yield _free_port()


def port_error(port: int, problem: str = "it is already in use") -> EmbeddedMongoError:
    """Return the error for a given port that cannot be had."""
    return EmbeddedMongoError(
        f"port {port} on {HOST} cannot be used, {problem}: "
        "stop the program that has it or choose another port"
    )


def _problem(port: int) -> str | None:
    """Return why the port cannot be had, None when it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As mongod does: connections in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OverflowError:
            return "it is not between 1 and 65535"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "it is already in use"
            return f"the system says {os.strerror(error.errno or 0)!r}"
    return None


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
