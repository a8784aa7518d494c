"""The same lines in another pen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.drawing.vector import line_width
from cyclegan.images import RGBArray

Plane = NDArray  # H×W
PENS = (0.5, 4.0)
"""Thinnest and thickest pen, relative to the one that F draws with."""
SMALL = 1024  # pixels along the longer side; up to there lines are redrawn at twice the size, to stay even


def with_pen(drawing: RGBArray, pen: float) -> RGBArray:
    """A black-on-white line ``drawing`` (H×W×3 uint8) with lines ``pen`` times as wide; unchanged for 1."""
    if pen == 1:
        return drawing
    height, width = drawing.shape[:2]
    larger = 2 if max(height, width) <= SMALL else 1
    lightness = cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY)
    lightness = cv2.resize(lightness, (larger * width, larger * height), interpolation=cv2.INTER_LINEAR)
    ink = in_pen((lightness < 128).astype(np.uint8), larger * pen * line_width(drawing))
    ink = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor((255 - 255 * ink + 0.5).astype(np.uint8), cv2.COLOR_GRAY2RGB), np.uint8)


def pen_width(depth: NDArray) -> float:
    """The lines' median width in pixels, from the distances to their edges along their middle; 0 without lines, and
    where all is ink, which is far from any edge."""
    inside = (depth > 0) & (depth < sum(depth.shape))
    middle = depth[(depth >= cv2.dilate(depth, np.ones((3, 3)))) & inside]
    return 2 * float(np.median(middle)) - 0.5 if len(middle) else 0.0


def in_pen(mask: Plane, target: float, pens: int = 3) -> NDArray:
    """Share of each pixel (0 to 1) that is ink when lines of the `mask` become `target` pixels wide.

    All edges move by the same distance, so that what was filled stays filled and small shapes keep their form. Finer
    lines would vanish; they are taken for another, finer pen's.
    """
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    margin = (pen_width(depth) - target) / 2
    if margin <= 0:
        return np.clip(1 - margin - _distance(mask), 0, 1)
    coverage = np.clip(depth - margin, 0, 1)
    if pens > 1:
        lost = mask * (_distance(coverage) > margin + 2)
        lost = np.asarray(cv2.morphologyEx(lost, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)))  # no corners of strokes
        if lost.any():
            lost = mask * (_distance(lost) <= margin + 2)  # lines shall meet
            coverage = np.maximum(coverage, in_pen(lost, target, pens - 1))
    return coverage


def _distance(mask: NDArray) -> NDArray:
    """Each pixel's distance in pixels to where the `mask` is not 0."""
    return cv2.distanceTransform((mask == 0).astype(np.uint8), cv2.DIST_L2, 5)
