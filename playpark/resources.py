"""Where the files of `config/` are: beside the checkout, or inside an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def config_path(name: str) -> Path:
    """Path of a file shipped in `config/` (font, demo park, template).

    Raises FileNotFoundError with the place looked at, so a broken installation says so.
    """
    for root in (_PACKAGE / "_config", _PACKAGE.parent / "config"):
        if (found := root / name).exists():
            return found
    msg = f"{name} is not part of this installation (looked in {_PACKAGE.parent / 'config'})"
    raise FileNotFoundError(msg)
