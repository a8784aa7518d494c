"""Several objects on one sheet: where each is, and their photos side by side. G knows one object at a time.

Only what is plainly apart is taken apart: whole drawings of about one size with white between them, in rows of several
each, or one after the other on a long sheet. Parts that belong together stay so, such as eyes in a face.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.images import WHITE, Box, resize

Layer = NDArray  # H×W uint8

LONG = 1.8  # longer side : shorter side of a sheet with room for several
LONGEST = 64  # the same; what is longer has no objects on it, and would be millions of pixels at the size to see them
GAP = 0.08  # white between two objects at least, as a share of the shorter side
SMALLEST = 0.4  # longer side of each object at least, as a share of the largest one's
ENCLOSING = 4  # lines so many times as long as their box are a drawing; a lone stroke or a circle is shorter


def is_strip(size: tuple[int, int]) -> bool:
    """Whether a sheet of ``size`` (width, height) is too narrow for objects."""
    return max(size) > LONGEST * min(size)


def is_long(size: tuple[int, int]) -> bool:
    """Whether a sheet of ``size`` (width, height) has room for several objects."""
    return max(size) >= LONG * min(size)


def separate(ink: Layer, pen: float) -> list[Box]:
    """A box for each object on ``ink`` (H×W, not 0 where there is a line), together all of it; none for a single one.

    ``pen``: width of the lines in pixels. The sheet is cut amid the white between objects.
    """
    return next((boxes for boxes in _ways_to_cut(ink) if _are_objects([_part(ink, box) for box in boxes], pen)), [])


def _ways_to_cut(ink: Layer) -> Iterator[list[Box]]:
    """Rows of several objects each; then what is one after the other along the longer side of a long sheet."""
    height, width = ink.shape
    gap = GAP * min(height, width)
    rows = _strips(ink.max(axis=1), gap)
    columns = [_strips(ink[top:bottom].max(axis=0), gap) for top, bottom in rows]
    if len(rows) > 1 and all(len(row) > 1 for row in columns):
        yield [
            (left, top, right, bottom) for (top, bottom), row in zip(rows, columns, strict=True) for left, right in row
        ]
    if is_long((width, height)):
        if height > width:
            yield [(0, top, width, bottom) for top, bottom in rows]
        else:
            yield [(left, 0, right, height) for left, right in _strips(ink.max(axis=0), gap)]


def _strips(inked: NDArray, gap: float) -> list[tuple[int, int]]:
    """A line of pixels, cut (start, end) amid each ``gap`` or more between those that are ``inked``, not 0."""
    places = np.flatnonzero(inked)
    ends = np.flatnonzero(np.diff(places) > gap)
    cuts = (places[ends] + 1 + places[ends + 1]) // 2
    return list(pairwise([0, *cuts.tolist(), len(inked)]))


def _part(ink: Layer, box: Box) -> Layer:
    left, top, right, bottom = box
    return ink[top:bottom, left:right]


def _are_objects(parts: Sequence[Layer], pen: float) -> bool:
    """Whether the parts of a sheet's ink are several drawings, of about one size each."""
    if len(parts) < 2 or not pen or not all(part.any() for part in parts):
        return False
    extents = [max(int(np.ptp(np.flatnonzero(part.any(axis=axis)))) + 1 for axis in (0, 1)) for part in parts]
    return min(extents) >= SMALLEST * max(extents) and all(
        np.count_nonzero(part) >= ENCLOSING * pen * extent for part, extent in zip(parts, extents, strict=True)
    )


def side_by_side(pictures: Sequence[Image.Image], boxes: Sequence[Box], size: tuple[int, int]) -> Image.Image:
    """RGB ``pictures`` of the ``boxes`` of a sheet → RGB picture of that sheet, brought to ``size`` (width, height)."""
    across, down = (size[axis] / max(box[axis + 2] for box in boxes) for axis in (0, 1))
    sheet = Image.new("RGB", size, WHITE)
    for picture, (left, top, right, bottom) in zip(pictures, boxes, strict=True):
        corners = round(left * across), round(top * down), round(right * across), round(bottom * down)
        sheet.paste(resize(picture, (corners[2] - corners[0], corners[3] - corners[1])), corners[:2])
    return sheet
