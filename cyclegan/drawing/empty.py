"""Parts of a drawing that are to stay paper, as what a handle encloses: marked with a brush of a colour of its own."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.images import RGBArray

EMPTY = (214, 222, 240)
"""The marks' colour: seen, and yet too pale for a line, too grey for a colour stroke."""
LINE = 128  # lightness, of 255, below which a pixel bounds a part
SOFT_EDGE = 3  # pixels around a mark that its antialiased edge reaches
HATCH = 9  # pixels, at least the distance of the hatching's lines
PALEST = 160  # lightness, of 255: what is paler beside a mark is its edge

Mask = NDArray[np.bool_]


def without_marks(drawing: RGBArray) -> tuple[RGBArray, Mask | None]:
    """H×W×3 ``drawing`` without its marks, and the H×W parts that they leave empty; None if it has none.

    A part is what lines enclose around a mark. Where the lines are open, so that all the paper around would be one
    part, it is the mark alone.
    """
    found = cv2.inRange(drawing, EMPTY, EMPTY)
    if not found.any():
        return drawing, None
    marks = (found > 0).astype(np.uint8)
    reach = cv2.dilate(marks, np.ones((2 * SOFT_EDGE + 1, 2 * SOFT_EDGE + 1))) > 0
    clean = np.where((reach & (drawing.min(axis=2) >= PALEST))[..., None], np.uint8(255), drawing)
    paper = (clean.max(axis=2) >= LINE).astype(np.uint8)
    _, labels = cv2.connectedComponents(paper, connectivity=4)
    marked = np.setdiff1d(labels[(marks & paper) > 0], 0)
    rim = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    parts = np.isin(labels, np.setdiff1d(marked, rim))
    alone = cv2.morphologyEx(marks, cv2.MORPH_CLOSE, np.ones((HATCH, HATCH))) > 0
    return clean, parts | (alone & np.isin(labels, rim))


def with_marks(drawing: RGBArray, parts: Mask | None) -> RGBArray:
    """The other way round: a mark in each of the H×W ``parts``, apart from their lines."""
    if parts is None:
        return drawing
    inside = cv2.erode(parts.astype(np.uint8), np.ones((2 * SOFT_EDGE + 3, 2 * SOFT_EDGE + 3))) > 0
    return np.where(inside[..., None], np.array(EMPTY, np.uint8), drawing)


def leave_empty(photo: Image.Image, parts: Mask | None) -> Image.Image:
    """The RGB ``photo`` of a drawing, of its shape, with paper in the H×W ``parts``."""
    if parts is None:
        return photo
    share = cv2.GaussianBlur(parts.astype(np.float32), (0, 0), 1.0)
    share = cv2.resize(share, photo.size, interpolation=cv2.INTER_AREA)[..., None]
    return Image.fromarray(np.rint(share * 255 + (1 - share) * np.asarray(photo)).astype(np.uint8))
