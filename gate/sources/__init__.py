"""What a gate reads: cameras, video files, folders of pictures, serial hand scanners."""

from gate.sources.base import FrameSource
from gate.sources.cameras import Camera
from gate.sources.files import IMAGE_SUFFIXES, Pictures, Video
from gate.sources.newest import Newest
from gate.sources.opening import Inputs, open_inputs, open_source
from gate.sources.several import Several

__all__ = [
    "IMAGE_SUFFIXES",
    "Camera",
    "FrameSource",
    "Inputs",
    "Newest",
    "Pictures",
    "Several",
    "Video",
    "open_inputs",
    "open_source",
]
