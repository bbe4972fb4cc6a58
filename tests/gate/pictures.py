"""Tickets as pictures and files, and a camera to show them to."""

import base64
import hashlib
import time
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import qrcode
from qrcode.constants import ERROR_CORRECT_M

from gate.frames import Frame, Image
from gate.sources.cameras import WANTED, Format


def token(number: int) -> str:
    """A PP1 token by shape; its signature is nobody's."""
    digest = hashlib.sha256(str(number).encode()).digest()
    signature = base64.b32encode(digest[:16]).decode().rstrip("=")
    return f"PP1.A1.01K9ZZZZZZZZZZZZZZZZZZ{number:04d}.{signature}"


def qr(data: str | bytes, *, box: int = 6) -> Image:
    """A QR code with its quiet zone, black on white."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, box_size=box, border=4)
    code.add_data(data, optimize=0)
    code.make()
    return np.asarray(code.make_image().get_image().convert("L"), dtype=np.uint8)


def scene(*codes: Image, size: tuple[int, int] = (1280, 720)) -> Image:
    """Codes beside each other on a grey counter, BGR."""
    image = np.full((size[1], size[0], 3), 120, np.uint8)
    for place, code in enumerate(codes):
        top, left = 60, 40 + place * (size[0] // max(1, len(codes)))
        image[top : top + code.shape[0], left : left + code.shape[1]] = code[:, :, None]
    return image


def frame(image: Image, number: int = 0) -> Frame:
    return Frame(number, float(number), image)


def slip(text: str, *, height: int = 700) -> PIL.Image.Image:
    """A printed ticket with the QR code `text`, 80 mm wide."""
    image = PIL.Image.new("L", (576, height), 255)
    draw = PIL.ImageDraw.Draw(image)
    draw.text((40, 30), "PLAYPARK  Adult day pass", fill=0, font_size=36)
    code = PIL.Image.fromarray(qr(text))
    image.paste(code, ((576 - code.width) // 2, height - code.height - 60))
    return image


def write_film(path: Path, images: list[Image], *, fps: float = 15.0) -> Path:
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for image in images:
        writer.write(image)
    writer.release()
    return path


def shade(level: int) -> Image:
    return np.full((120, 160, 3), level, np.uint8)


class Plug:
    """A camera whose plug can be pulled; each frame says how many were read before it. `gives` is
    what its driver answers."""

    def __init__(self, pause: float = 0.002, gives: Format = WANTED) -> None:
        self.pause = pause
        self.gives = gives
        self.plugged = True
        self.reads = 0
        self.opened = 0

    def open(self, _: int | str) -> "Plug":
        self.opened += 1
        return self

    def isOpened(self) -> bool:
        return self.plugged

    def read(self) -> tuple[bool, object]:
        time.sleep(self.pause)
        self.reads += 1
        return (True, shade(self.reads % 30 * 8)) if self.plugged else (False, None)

    def get(self, propId: int, /) -> float:  # noqa: N803 - OpenCV's name
        gives = self.gives
        return {
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*gives.coding),
            cv2.CAP_PROP_FRAME_WIDTH: gives.width,
            cv2.CAP_PROP_FRAME_HEIGHT: gives.height,
            cv2.CAP_PROP_FPS: gives.fps,
        }[propId]

    def release(self) -> None:
        pass
