"""From a visitor's upload to pictures that can be saved; no page in here."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cyclegan import images
from cyclegan.demo.widgets import GONE
from cyclegan.drawing import vector
from cyclegan.drawing.normalise import objects_of
from cyclegan.drawing.objects import side_by_side
from cyclegan.drawing.pen import PENS, with_pen
from cyclegan.generators import Direction
from cyclegan.images import ImageError
from cyclegan.inference import DETAIL, NO_LINES, Translator

BROWSERS_SHOW = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")
UNSAFE = re.compile(r"[^\w ()+-]+")  # in the name of a file, wherever it is unpacked
MAX_NAME = 80  # characters


class GoneError(ImageError):
    """An upload that was deleted in time."""


class Translated(NamedTuple):
    """Both pictures are RGB and as large as the one given, within the translator's bounds."""

    result: Image.Image
    returned: Image.Image
    remark: str
    """What was changed before the networks saw the drawing, or nothing."""


def translate(
    translator: Translator,
    picture: Image.Image,
    direction: Direction,
    tidy: bool = True,
    detail: float = DETAIL,
    seed: int | None = None,
    colours: Image.Image | None = None,
) -> Translated:
    """There and back again; `tidy` normalises a drawing first, `detail` is of a photo's sketch.

    ``seed`` and ``colours`` as for `Translator.sketch_to_photo`.

    Raises:
        ImageError: a drawing has no lines.
    """
    if direction == "sketch_to_photo" and not tidy and images.is_flat(picture):
        raise ImageError(NO_LINES)
    if direction == "photo_to_sketch" or not tidy:
        return Translated(*translator.round_trip(picture, direction, seed, detail, colours), "")
    boxes = objects_of(picture, translator.config.image_size) if colours is None else []
    if boxes:
        each = [_one_object(translator, picture.crop(box), seed) for box in boxes]
        size = translator.result_size(picture.size, direction)
        photo = side_by_side([one.result for one in each], boxes, size)
        returned = side_by_side([one.returned for one in each], boxes, size)
        return Translated(photo, returned, f"Each of the {len(boxes)} objects was painted by itself.")
    return _one_object(translator, picture, seed, colours)


def _one_object(
    translator: Translator, picture: Image.Image, seed: int | None, colours: Image.Image | None = None
) -> Translated:
    """`translate` of a drawing of one object, normalised."""
    drawing = translator.normalised(picture, framed=colours is None)
    both = translator.round_trip(drawing.sketch if colours else drawing.sheet, "sketch_to_photo", seed, colours=colours)
    photo, returned = (drawing.put_back(images.fit_square(one, drawing.sheet.width)) for one in both)
    return Translated(photo, returned, drawing.remark)


def uploaded_file(upload: Any, folder: str) -> Path:
    """The file of an upload, which must lie in Gradio's own `folder`; raises ImageError, GoneError if it lay there.

    Gradio 6.31 lets a payload without its `meta` mark name any file of the server, and an API caller writes payloads.
    """
    named = upload.get("path") if isinstance(upload, dict) else None
    try:
        path = Path(named if isinstance(named, str) else "").resolve()
        inside, there = path.is_relative_to(Path(folder).resolve()), path.exists()
        if inside and path.is_file():
            return path
    except (OSError, ValueError):  # too long a name, a NUL or half a character in it
        inside = there = False
    if inside and not there:
        raise GoneError(GONE)
    raise ImageError("The picture did not arrive; upload it as a file.")


def seed_of(value: Any) -> int | None:
    """The seed that an API caller asks for, or none; raises ImageError if it is no integer."""
    if value is None or (isinstance(value, int | float) and float(value).is_integer()):
        return None if value is None else int(value)
    raise ImageError("The seed is an integer.")


def detail_of(value: Any) -> float:
    """The amount of detail that a visitor, or an API caller, asks for; raises ImageError if it is none."""
    if isinstance(value, int | float) and 0 <= value <= 1:
        return float(value)
    raise ImageError("The amount of detail is a number from 0 to 1.")


def pen_of(value: Any) -> float:
    """The pen that a visitor, or an API caller, asks for; raises ImageError if there is none such."""
    if isinstance(value, int | float) and PENS[0] <= value <= PENS[1]:
        return float(value)
    raise ImageError(f"The width of the pen is a number from {PENS[0]:g} to {PENS[1]:g}.")


def redrawn(drawing: Image.Image, pen: float) -> Image.Image:
    """An RGB drawing with lines ``pen`` times as wide."""
    return drawing if pen == 1 else Image.fromarray(with_pen(np.asarray(drawing), pen))


def svg_of(drawing: Image.Image, pen: float = 1.0) -> str:
    """The lines of an RGB drawing as paths, ``pen`` times as wide as they are."""
    return vector.svg_of(np.asarray(drawing), pen)


def save_svg(drawing: Image.Image, folder: str, name: str, pen: float = 1.0) -> str:
    """As `save_png`, as paths."""
    path = Path(tempfile.mkdtemp(dir=folder)) / name
    path.write_text(svg_of(drawing, pen), encoding="utf-8")
    return str(path)


def save_png(image: Image.Image, folder: str, name: str) -> str:
    """The path of a new file `name` below Gradio's `folder`, which deletes it in time once a component has shown it."""
    path = Path(tempfile.mkdtemp(dir=folder)) / name
    image.save(path, compress_level=1)
    return str(path)


def safe_name(stem: str, taken: set[str]) -> str:
    """`stem` with nothing in it that means something to a file system, unlike all that are `taken`; it is added."""
    base = UNSAFE.sub("_", stem)[:MAX_NAME].strip(" _") or "picture"
    name, number = base, 1
    while name.casefold() in taken:
        number += 1
        name = f"{base} ({number})"
    taken.add(name.casefold())
    return name
