"""From what stands after --source to what is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gate.frames import SourceError
from gate.sources.base import FrameSource
from gate.sources.cameras import Camera
from gate.sources.files import IMAGE_SUFFIXES, Pictures, Video
from gate.sources.serial_line import PREFIX, SerialScanner, scanner_at
from gate.sources.several import Several

DEVICES = "/dev/"


@dataclass(frozen=True, slots=True)
class Inputs:
    """`frames` is None where codes come from hand scanners alone."""

    frames: FrameSource | None
    scanners: tuple[SerialScanner, ...] = ()


def open_inputs(specs: Sequence[str], *, loop: bool = False) -> Inputs:
    """What `specs` name, each a source of `open_source` or a serial scanner (`serial:PORT`).

    Of several devices one that works is enough: the others are told as faults, and come when they
    are plugged in. A bad file or word is refused always. Raises SourceError.
    """
    if doubled := {spec for spec in specs if specs.count(spec) > 1}:
        msg = f"--source {min(doubled)} is given twice: name each source once."
        raise SourceError(msg)
    required = len(specs) == 1
    sources: list[FrameSource] = []
    scanners: list[SerialScanner] = []
    try:
        for spec in specs:
            if spec.startswith(PREFIX):
                scanners.append(scanner_at(spec, required=required))
            else:
                sources.append(open_source(spec, loop=loop, required=required))
        _named_apart([*sources, *scanners])
        _one_works([*sources, *scanners])
    except SourceError:
        Several(sources).close()
        for scanner in scanners:
            scanner.close()
        raise
    if len(sources) > 1:
        return Inputs(Several(sources), tuple(scanners))
    return Inputs(sources[0] if sources else None, tuple(scanners))


def open_source(spec: str, *, loop: bool = False, required: bool = True) -> FrameSource:
    """The source that `spec` names: a camera's number or path, a video file, a folder or a
    picture; `loop`: a file from its beginning again and again.

    Raises SourceError where nothing can be read from it; where it is not `required`, a camera
    may be missing.
    """
    if spec.isdecimal():
        return Camera(int(spec), required=required)
    path = Path(spec)
    if spec.startswith(DEVICES):
        return Camera(spec, required=required)
    if path.is_dir():
        return Pictures.of_folder(path, loop=loop)
    if not path.is_file():
        msg = (
            f"{spec} is not there: give --source a camera number such as 0, a video file, "
            "a folder of pictures or one picture."
        )
        raise SourceError(msg)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return Pictures(path.name, [path], loop=loop)
    return Video(path, loop=loop)


def _named_apart(opened: Sequence[FrameSource | SerialScanner]) -> None:
    names = [each.label for each in opened]
    if doubled := {name for name in names if names.count(name) > 1}:
        msg = (
            f"Two sources are called {min(doubled)}: rename a file, so that they can be told apart."
        )
        raise SourceError(msg)


def _one_works(opened: Sequence[FrameSource | SerialScanner]) -> None:
    faults = [each.fault for each in opened]
    if all(faults):
        raise SourceError(" ".join(fault for fault in faults if fault))
