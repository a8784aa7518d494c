"""Pictures from and for the page, as data URLs."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from PIL import Image

from cyclegan import images
from cyclegan.images import ImageError

CANVAS_SIDE = 512  # pixels, as in web/canvas.html
MAX_CHARACTERS = 2_000_000  # of a picture; a sheet full of scribble has 400,000
PNG_URL, JPEG_URL = "data:image/png;base64,", "data:image/jpeg;base64,"


def open_picture(url: Any) -> Image.Image:
    """The RGB picture in a data URL of a picture on the canvas; raises ImageError for anything else."""
    image = _open_url(url, "PNG", "picture")
    if image.size != (CANVAS_SIDE, CANVAS_SIDE):
        raise ImageError(f"The picture must be a PNG of {CANVAS_SIDE}×{CANVAS_SIDE} pixels.")
    return images.to_rgb(image)


def open_photo(url: Any) -> Image.Image:
    """The RGB picture in a data URL of a photo of the page; raises ImageError for anything else."""
    image = _open_url(url, "JPEG", "photo")
    if max(image.size) > CANVAS_SIDE:
        raise ImageError(f"The photo must be a JPEG of at most {CANVAS_SIDE} pixels a side.")
    return images.to_rgb(image)


def _open_url(url: Any, kind: str, name: str) -> Image.Image:
    head = PNG_URL if kind == "PNG" else JPEG_URL
    if not isinstance(url, str) or not url.startswith(head):
        raise ImageError(f"The {name} must come as a {kind} data URL.")
    if len(url) > MAX_CHARACTERS:
        raise ImageError(f"The {name} is too large; clear the sheet and start again.")
    try:
        data = base64.b64decode(url.removeprefix(head), validate=True)
    except ValueError:
        raise ImageError(f"The {name} is damaged: it is not valid base64.") from None
    image = images.open_image(BytesIO(data), max_pixels=CANVAS_SIDE**2)
    if image.format != kind:
        raise ImageError(f"The {name} must be a {kind}.")
    return image


def data_url(image: Image.Image, kind: str = "PNG") -> str:
    buffer = BytesIO()
    options: dict[str, Any] = {"quality": 88, "subsampling": 0} if kind == "JPEG" else {"compress_level": 1}
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
