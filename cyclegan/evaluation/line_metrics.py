"""How well the lines of a drawing tell what a photo shows: pure functions of a photo and its drawing.

Photos are H×W×3 uint8 RGB, drawings H×W uint8 with black ink on white paper, both of one size. Lengths are pixels of
pictures with 768 along the longer side, which all of these scores are meant for. Edges are those of Canny, "A
Computational Approach to Edge Detection", PAMI 1986, in the photo after a bilateral filter. Recall and precision with a
tolerance as for contour detectors: Martin, Fowlkes and Malik, "Learning to Detect Natural Image Boundaries Using Local
Brightness, Color, and Texture Cues", PAMI 2004, section 3.1, though any edge near enough counts, matched or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.drawing.skeleton import thinned

Photo = NDArray[np.uint8]
Drawing = NDArray[np.uint8]
Mask = NDArray[np.bool_]

INK = 128  # darker is ink
GREY = (60, 200)  # from here to there a pixel is neither ink nor paper
STRONG = (60, 140, 40)  # Canny's low and high threshold, and the fewest pixels of a connected edge
ANY = (15, 40, 8)
FILTER = (9, 75, 75)  # the bilateral filter's diameter and its sigmas of colour and space
NEAR = 4  # pixels between a line and an edge that are one
WINDOW = 49  # side of the square in which the density of lines is measured
CROWDED = 0.12  # pixels of line per pixel
DASH = 48  # pixels: shorter pieces are dashes
FRAME = 3  # pixels along the border


@dataclass(frozen=True)
class LineScores:
    """One drawing's scores, or the means of many."""

    recall: float
    precision: float
    clutter: float
    dashes: float
    frame: float
    crisp: float


def line_scores(photo: Photo, drawing: Drawing) -> LineScores:
    """All scores of a drawing of a photo."""
    ink = drawing < INK
    lines = thinned(ink.astype(np.uint8))
    return LineScores(
        recall=recall(ink, edges(photo, *STRONG)),
        precision=precision(lines, edges(photo, *ANY)),
        clutter=clutter(lines),
        dashes=dashes(lines),
        frame=frame(ink),
        crisp=crisp(drawing),
    )


def mean_scores(scores: Sequence[LineScores]) -> LineScores:
    """The mean of each score over one or more drawings: every drawing counts alike, however much ink it has."""
    return LineScores(*np.mean([astuple(score) for score in scores], axis=0).tolist())


def edges(photo: Photo, low: float, high: float, shortest: int) -> Mask:
    """H×W: Canny's edges of the filtered photo, without connected ones of fewer than `shortest` pixels."""
    grey = cv2.cvtColor(cv2.bilateralFilter(photo, *FILTER), cv2.COLOR_RGB2GRAY)
    return _large(cv2.Canny(grey, low, high) > 0, shortest)


def recall(ink: Mask, strong: Mask) -> float:
    """Share of the pixels of `strong` edges with ink at most 4 px away; 1 where there are no edges."""
    return _share(_around(ink)[strong], 1.0)


def precision(lines: Mask, any_edges: Mask) -> float:
    """Share of the thinned ink with an edge at most 4 px away; 1 on an empty sheet."""
    return _share(_around(any_edges)[lines], 1.0)


def clutter(lines: Mask) -> float:
    """Share of the thinned ink in whose 49 × 49 px surroundings more than 0.12 of the pixels are thinned ink.

    Beyond the sheet's border there are no lines.
    """
    density = cv2.boxFilter(lines.astype(np.float32), -1, (WINDOW, WINDOW), borderType=cv2.BORDER_CONSTANT)
    return _share(density[lines] > CROWDED, 0.0)


def dashes(lines: Mask) -> float:
    """Share of the thinned ink in connected pieces (8 neighbours) of fewer than 48 px."""
    return _share(~_large(lines, DASH)[lines], 0.0)


def frame(ink: Mask) -> float:
    """Share of the ink at most 3 px from the sheet's border."""
    inner = np.zeros_like(ink)
    inner[FRAME:-FRAME, FRAME:-FRAME] = True
    return _share(~inner[ink], 0.0)


def crisp(drawing: Drawing) -> float:
    """Pixels between 60 and 200 for each pixel of ink: the antialiased rims of lines, and all smears."""
    grey = (drawing >= GREY[0]) & (drawing <= GREY[1])
    return float(grey.sum() / max((drawing < INK).sum(), 1))


def _large(mask: Mask, fewest: int) -> Mask:
    """`mask` without connected pieces of fewer than so many pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= fewest
    kept[0] = False
    return kept[labels]


def _around(mask: Mask) -> Mask:
    """Where `mask` is at most 4 px away."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= NEAR


def _share(values: Mask, otherwise: float) -> float:
    """How many of `values` are true; `otherwise` where there are none."""
    return float(values.mean()) if values.size else otherwise
