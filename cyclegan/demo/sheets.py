"""The drawings that visitors have under the pen, kept between two frames, so that each carries only what is new.

A frame says onto which kept drawing its strokes go; that may be gone, and then the page sends all of them.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.demo.data_urls import CANVAS_SIDE, open_photo, open_picture
from cyclegan.drawing.canvas import Colour, Curves, Points, Sheet, Stroke
from cyclegan.drawing.empty import Mask
from cyclegan.drawing.normalise import NormalisedDrawing
from cyclegan.images import ImageError, RGBArray
from cyclegan.inference import Translator

MAX_DRAWINGS = 100  # kept, from all visitors together; one has a megabyte
MAX_STROKES, MAX_POINTS = 5000, 20_000  # of a frame; the page sends fewer, or a picture instead
MAX_PICTURES = 4  # of a frame
MAX_WIDTH = 64  # pixels
TENTHS = 10  # coordinates and pressures are sent as integers
FARTHEST = 1_000_000  # tenths of a pixel: pens leave the sheet, but not the screen
MAX_PRESSURE = 20  # tenths
COLOUR = re.compile(r"#[0-9a-f]{6}")
NO_STROKE = "The drawing has a stroke that the canvas does not make."


class Request(NamedTuple):
    """How a drawing is to be painted."""

    translator: Translator
    tidy: bool
    seed: int | None


@dataclass(frozen=True)
class Painting:
    """A drawing as the model saw it, and the photo that it painted of it."""

    request: Request
    prepared: NormalisedDrawing
    photo: Image.Image
    """Of the sheet, and of its part alone if it has a photo's colours."""
    empty: Mask | None
    """Parts of the drawing that stay empty."""


@dataclass
class Drawing:
    """What a frame of the canvas shows."""

    sheet: Sheet = field(default_factory=lambda: Sheet.blank(CANVAS_SIDE))
    stroke: Stroke | None = None
    """The one under the pen; the sheet has it up to its last midpoint."""
    colours: Image.Image | None = None
    """RGB photo, of any shape, whose colours the result takes."""
    painting: Painting | None = None
    """What was painted of it when the pen went up, until that is drawn back."""

    @classmethod
    def of(cls, picture: Image.Image, colours: Image.Image | None = None) -> Self:
        """A drawing of an RGB picture as large as the sheet."""
        drawing = cls(colours=colours)
        drawing.sheet.lay(np.asarray(picture))
        return drawing

    def copy(self) -> Self:
        return replace(self, sheet=self.sheet.copy(), stroke=self.stroke and replace(self.stroke), painting=None)

    def picture(self) -> RGBArray:
        """CANVAS_SIDE×CANVAS_SIDE×3, the stroke under the pen up to the pen."""
        if self.stroke is None:
            return self.sheet.picture()
        sheet = self.sheet.copy()
        sheet.ink(self.stroke.colour, self.stroke.finished())
        return sheet.picture()

    def add(self, strokes: Any) -> None:
        """Inks ``strokes``, which anyone may have made, a list of dicts, each of which is one of

        - colour, "#rrggbb", width in pixels, points and open: is the pen still down?
        - points and open: the stroke under the pen goes on
        - image: data URL of a PNG as large as the sheet, over all that is there
        - photo: data URL of a small JPEG whose colours the result takes, or None for none

        Points are integers, [x, y, x, y, …] in tenths of a pixel, each but the first as the difference from the one
        before; a pen's come with pressures, tenths of the factor of its width.

        Raises:
            ImageError: they are something else, or too many.
        """
        if not isinstance(strokes, list) or not all(isinstance(one, dict) for one in strokes):
            raise ImageError("A drawing comes as a list of strokes.")
        if len(strokes) > MAX_STROKES or sum(_length(one.get("points")) for one in strokes) > 2 * MAX_POINTS:
            raise ImageError("The drawing has too many strokes; clear the sheet and start again.")
        if sum("image" in one or "photo" in one for one in strokes) > MAX_PICTURES:
            raise ImageError(f"A drawing has at most {MAX_PICTURES} pictures.")
        for pictures, some in groupby(strokes, lambda one: "points" not in one):
            if pictures:
                self._lay(some)
            else:
                self._ink(some)

    def _lay(self, pictures: Iterable[dict[str, Any]]) -> None:
        for one in pictures:
            if "image" in one:
                self.sheet.lay(np.asarray(open_picture(one["image"])))
            elif "photo" in one:
                self.colours = None if one["photo"] is None else open_photo(one["photo"])
            else:
                raise ImageError(NO_STROKE)

    def _ink(self, strokes: Iterable[dict[str, Any]]) -> None:
        inked: list[tuple[Colour, Curves]] = []
        for one in strokes:
            if "colour" in one:
                self.stroke = _begun(one)
            if self.stroke is None:
                raise ImageError(NO_STROKE)
            inked.append((self.stroke.colour, self.stroke.extended(_points(one))))
            if not one.get("open"):
                inked.append((self.stroke.colour, self.stroke.finished()))
                self.stroke = None
        for colour, alike in groupby(inked, lambda one: one[0]):
            self.sheet.ink(colour, Curves.of_all([curves for _, curves in alike]))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _begun(stroke: dict[str, Any]) -> Stroke:
    colour, width = stroke["colour"], stroke.get("width")
    if not isinstance(colour, str) or not COLOUR.fullmatch(colour):
        raise ImageError(NO_STROKE)
    if not isinstance(width, int | float) or not 0 < width <= MAX_WIDTH:
        raise ImageError(f"A stroke is at most {MAX_WIDTH} pixels wide.")
    red, green, blue = bytes.fromhex(colour[1:])
    return Stroke((red, green, blue), width)


def _points(stroke: dict[str, Any]) -> Points:
    places = _integers(stroke["points"])
    pressures = _integers(stroke.get("pressures", [TENTHS] * (len(places) // 2)))
    if len(places) != 2 * len(pressures):
        raise ImageError(NO_STROKE)
    places = places.reshape(-1, 2).cumsum(axis=0)
    if (abs(places) > FARTHEST).any() or not ((pressures > 0) & (pressures <= MAX_PRESSURE)).all():
        raise ImageError(NO_STROKE)
    return np.column_stack((places, pressures)).astype(np.float32) / TENTHS


def _integers(values: Any) -> NDArray[np.int64]:
    try:
        array = np.array(values, np.int64 if values == [] else None)
    except (ValueError, TypeError):  # lists in it
        raise ImageError(NO_STROKE) from None
    if array.ndim != 1 or array.dtype != np.int64 or (abs(array) > FARTHEST).any():
        raise ImageError(NO_STROKE)
    return array


class Drawings:
    """The latest drawings by names that nobody can guess; safe to call from many threads. None of them changes, but for
    what was painted of it."""

    def __init__(self, most: int = MAX_DRAWINGS) -> None:
        self._most = most
        self._kept: OrderedDict[str, Drawing] = OrderedDict()  # the least recently used first
        self._changing = threading.Lock()

    def drawn(self, onto: Any, strokes: Any) -> tuple[str, Drawing] | None:
        """The drawing ``onto``, None for an empty sheet, with ``strokes`` on it, and its name; None if it is not kept.

        Raises:
            ImageError: see `Drawing.add`.
        """
        with self._changing:
            kept = self._kept.get(onto) if isinstance(onto, str) else None
            if kept:
                self._kept.move_to_end(onto)
        if kept is None and onto is not None:
            return None
        if kept and strokes == []:
            return onto, kept
        drawing = kept.copy() if kept else Drawing()
        drawing.add(strokes)
        name = secrets.token_urlsafe(12)
        with self._changing:
            self._kept[name] = drawing
            if kept and kept.stroke:  # nobody returns to the middle of a stroke
                self._kept.pop(onto, None)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return name, drawing
