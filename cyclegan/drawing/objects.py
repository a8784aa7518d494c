"""Several objects on one sheet: where each is, and their photos side by side. G knows one object at a time.

Only what is plainly apart is taken apart: on a sheet much longer than wide, whole drawings of about one size with white
between them, one after the other along its longer side. Parts that belong together stay so, such as eyes in a face.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.images import WHITE, Box, resize

Layer = NDArray  # H×W uint8

LONG = 1.8  # longer side : shorter side of a sheet with room for several
GAP = 0.08  # white between two objects at least, as a share of the shorter side
SMALLEST = 0.4  # longer side of each object at least, as a share of the largest one's
ENCLOSING = 4  # lines so many times as long as their box are a drawing; a lone stroke or a circle is shorter


def is_long(size: tuple[int, int]) -> bool:
    """Whether a sheet of ``size`` (width, height) has room for several objects."""
    return max(size) >= LONG * min(size)


def separate(ink: Layer, pen: float) -> list[Box]:
    """A box for each object on ``ink`` (H×W, not 0 where there is a line), together all of it; none for a single one.

    ``pen``: width of the lines in pixels. The boxes are as wide as the sheet across its longer side, and the sheet is
    cut amid the white between objects.
    """
    upright = ink.shape[0] > ink.shape[1]
    along = ink.T if upright else ink
    height, length = along.shape
    if not is_long((length, height)) or not pen:
        return []
    groups = _groups(np.flatnonzero(along.any(axis=0)), GAP * height)
    if len(groups) < 2:
        return []
    parts = [along[:, start:end] for start, end in groups]
    extents = [max(part.shape[1], int(np.ptp(np.flatnonzero(part.any(axis=1)))) + 1) for part in parts]
    if min(extents) < SMALLEST * max(extents):
        return []
    if any(np.count_nonzero(part) < ENCLOSING * pen * extent for part, extent in zip(parts, extents, strict=True)):
        return []
    cuts = [0, *((end + start) // 2 for (_, end), (start, _) in pairwise(groups)), length]
    return [(0, top, height, bottom) if upright else (top, 0, bottom, height) for top, bottom in pairwise(cuts)]


def _groups(inked: NDArray, gap: float) -> list[tuple[int, int]]:
    """Runs (start, end) of the ascending positions ``inked``, with ``gap`` or more between them."""
    breaks = np.flatnonzero(np.diff(inked) > gap)
    starts, ends = [0, *(breaks + 1)], [*breaks, len(inked) - 1]
    return [(int(inked[start]), int(inked[end]) + 1) for start, end in zip(starts, ends, strict=True) if len(inked)]


def side_by_side(pictures: Sequence[Image.Image], boxes: Sequence[Box], size: tuple[int, int]) -> Image.Image:
    """RGB ``pictures`` of the ``boxes`` of a sheet → RGB picture of that sheet, brought to ``size`` (width, height)."""
    across, down = (size[axis] / max(box[axis + 2] for box in boxes) for axis in (0, 1))
    sheet = Image.new("RGB", size, WHITE)
    for picture, (left, top, right, bottom) in zip(pictures, boxes, strict=True):
        corners = round(left * across), round(top * down), round(right * across), round(bottom * down)
        sheet.paste(resize(picture, (corners[2] - corners[0], corners[3] - corners[1])), corners[:2])
    return sheet
