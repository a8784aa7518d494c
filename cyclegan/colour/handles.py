"""What handles enclose: paper, although lines close around it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Regions = NDArray  # h×w integers, as ``colour_map.regions`` gives them

MIN_HOLE = 0.02  # of the area of all regions: smaller holes are locks, eyes, buttons
MAX_HOLE = 1 / 3  # of the largest region: a handle is a part of something larger
ALONG = (0.5, 0.95)  # share of the hole's border that is the handle's: the rest is that of what it is fixed to
FREE = 0.25  # share of the handle's border, at least, that has nothing beyond it
LONG = 3  # area of the handle relative to the square of its width, at least
SLIM = 0.7  # width of the handle relative to the hole's, at most
WRAPPED = 0.8  # share of the hole, at least, in the handle's convex hull


def enclosed_by_handles(regions: Regions) -> NDArray[np.bool_]:
    """h×w: the ``regions`` that are most likely holes, as between a cup and its handle.

    A handle is a slim band of its own, bent around one region, with nothing beyond it. Where handle and body are one
    region, nothing tells such a hole from a window, and where a band goes around two, they rather are windows.
    """
    areas = np.bincount(regions.ravel(), minlength=2)
    borders = _shared_borders(regions, len(areas))
    lengths = borders.sum(axis=1).clip(1)
    around = borders / lengths[:, None]
    closed = around[:, 0] < 1 - ALONG[1]
    sized = (areas >= MIN_HOLE * areas[1:].sum()) & (areas <= MAX_HOLE * areas[1])
    along = (around >= ALONG[0]) & (around <= ALONG[1]) & (around[:, 0] >= FREE)[None]
    along[:, 0] = along[0] = False
    pairs = np.argwhere(along & (closed & sized)[:, None])
    holes = [(hole, band) for hole, band in pairs if _bends_around(regions == band, regions == hole)]
    bands = [band for _, band in holes]
    return np.isin(regions, [hole for hole, band in holes if bands.count(band) == 1])


def _shared_borders(regions: Regions, count: int) -> NDArray[np.int_]:
    """count×count: the number of cells' sides between each two regions, 0 between a region and itself."""
    pairs = [
        np.stack((one.ravel(), other.ravel()))
        for one, other in ((regions[1:], regions[:-1]), (regions[:, 1:], regions[:, :-1]))
    ]
    here, there = np.concatenate(pairs, axis=1)
    borders = np.bincount(here * count + there, minlength=count**2).reshape(count, count)
    borders += borders.T
    np.fill_diagonal(borders, 0)
    return borders


def _bends_around(band: NDArray[np.bool_], hole: NDArray[np.bool_]) -> bool:
    """Whether ``band`` is slim, and its convex hull holds the ``hole``."""
    width = _width(band)
    if band.sum() < LONG * width**2 or width > SLIM * _width(hole):
        return False
    hull = np.zeros(band.shape, np.uint8)
    points = cv2.findNonZero(band.astype(np.uint8))
    assert points is not None
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return bool(hull[hole].mean() >= WRAPPED)


def _width(part: NDArray[np.bool_]) -> float:
    """Of the widest place of ``part``, in cells."""
    return 2 * float(cv2.distanceTransform(np.pad(part, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
