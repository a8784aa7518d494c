"""Pictures and files of them that tests make on the spot."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIZE = (60, 40)


def save(picture: Image.Image, path: Path, **options: Any) -> Path:
    """Save ``picture``, with the folders on the way; returns ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def ramp(top: int = 255) -> np.ndarray:
    """40×60 values from 0 to `top`, left to right."""
    return np.tile(np.linspace(0, top, SIZE[0]), (SIZE[1], 1)).round()


def colourful() -> Image.Image:
    """Red, green, blue and white quarters: wrong channel orders, turns and mirrors all show."""
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    for box, colour in (((0, 0, 29, 19), "red"), ((30, 0, 59, 19), "lime"), ((0, 20, 29, 39), "blue")):
        pen.rectangle(box, fill=colour)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> BytesIO:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def far(first: Image.Image, second: Image.Image) -> float:
    """Largest difference of two pictures of one size, averaged over blocks (codecs ring at edges)."""
    assert first.size == second.size
    assert first.mode == second.mode == "RGB"
    small = [np.asarray(image.reduce(10), dtype=float) for image in (first, second)]
    return float(np.abs(small[0] - small[1]).max())


def white_png(width: int, height: int) -> bytes:
    """A valid PNG of any size, one bit a pixel, in a few kilobytes and without the memory that it would take."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer, row = zlib.compressobj(9), b"\0" + b"\xff" * ((width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
