"""What a scan or a photo of a drawing shows beside the paper: a scanner's black edge, a desk, a whiteboard's frame."""

from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.images import RGBArray

Layer = NDArray  # H×W uint8

SIDE = 256  # pixels along the longer side: the paper's outline needs no more
THICK = 11  # of these: what is wider is no line
BAND = 0.5  # share of a side along which a scanner's edge lies on it at least
SMALLEST = 0.2  # share of the picture that is paper at least
SOLID = 0.3  # share of the paper that is light itself; a white outline on black encloses the dark
CONVEX = 0.94  # the paper's area : its convex hull's, bent corners and fingers included
STEP = 1.45  # lightness of the paper : that of what lies around it, a few pixels apart; a shadow's edge is softer
TINT = 12  # of 255: the least difference between a whiteboard and the wall on the other side of its frame
SEAM = 3  # pixels inside the paper's outline that belong to its edge


def without_surroundings(pixels: RGBArray) -> RGBArray | None:
    """The H×W×3 uint8 picture with the paper continued over all that lies around it; None where nothing does.

    A frame within a dark wall is a second thing around the paper, so this looks twice.
    """
    once = _cut(pixels)
    twice = None if once is None else _cut(once)
    return once if twice is None else twice


def _cut(pixels: RGBArray) -> RGBArray | None:
    """The picture without the outermost thing around the paper.

    The paper is the largest light part. It has to be convex and to end at a sharp step in lightness: the sky of a photo
    is not convex, and light that falls off has no step.
    """
    scale = SIDE / max(pixels.shape[:2])
    to = tuple(max(round(side * scale), 1) for side in pixels.shape[1::-1])
    small = np.asarray(cv2.medianBlur(cv2.resize(pixels, to, interpolation=cv2.INTER_AREA), 3), np.uint8)
    darkest = np.asarray(reduce(cv2.min, cv2.split(small)), np.uint8)  # ten times as fast as NumPy's
    dark = cv2.threshold(darkest, 0, 1, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THICK, THICK))
    thick = cv2.morphologyEx(dark, cv2.MORPH_OPEN, kernel, borderValue=0) | _bands(dark, kernel)
    paper = _light_part(thick)
    if paper is None or _step(paper, darkest) < STEP:
        paper = _light_part(dark)
        if paper is None or not _framed(paper, darkest):
            return None
    inside = cv2.erode(paper, np.ones((2 * SEAM + 1, 2 * SEAM + 1), np.uint8), borderValue=1)
    filled = _continued(small, inside)
    shape = pixels.shape[1::-1]
    mask = cv2.resize(inside * np.uint8(255), shape, interpolation=cv2.INTER_LINEAR) > 127
    return np.where(mask[..., None], pixels, cv2.resize(filled, shape, interpolation=cv2.INTER_LINEAR))


def _bands(dark: Layer, kernel: Layer) -> Layer:
    """1 where what is dark lies on the picture's edge, however narrow, along most of a side: shorter ones are lines."""
    wide = cv2.copyMakeBorder(dark, THICK, THICK, THICK, THICK, cv2.BORDER_CONSTANT, value=1)
    on_edge = cv2.morphologyEx(wide, cv2.MORPH_OPEN, kernel)[THICK:-THICK, THICK:-THICK].copy()
    _, labels, stats, _ = cv2.connectedComponentsWithStats(on_edge, connectivity=8)
    height, width = dark.shape
    long = (stats[:, cv2.CC_STAT_WIDTH] >= BAND * width) | (stats[:, cv2.CC_STAT_HEIGHT] >= BAND * height)
    long[0] = False
    return long[labels].astype(np.uint8)


def _light_part(dark: Layer) -> Layer | None:
    """1 on the largest light part and what it encloses; None if that is the whole picture, too small, not
    convex or no more than an outline."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - dark, connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    outlines, _ = cv2.findContours((labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    paper = cv2.drawContours(np.zeros_like(dark), outlines, -1, 1, cv2.FILLED)
    area = np.count_nonzero(paper)
    hull = cv2.fillConvexPoly(np.zeros_like(dark), cv2.convexHull(outlines[0]), 1)
    fits = SMALLEST * dark.size <= area < dark.size and area >= CONVEX * np.count_nonzero(hull)
    return paper if fits and stats[largest, cv2.CC_STAT_AREA] >= SOLID * area else None


def _step(paper: Layer, darkest: Layer) -> float:
    """How many times as light the paper is, near its edge, as what lies beyond."""
    core, far = (cv2.getStructuringElement(cv2.MORPH_RECT, (side, side)) for side in (3, 9))
    within = cv2.subtract(cv2.erode(paper, core, borderValue=1), cv2.erode(paper, far, borderValue=1))
    beyond = cv2.subtract(cv2.dilate(paper, far), cv2.dilate(paper, core))
    if not within.any() or not beyond.any():
        return 0.0
    return float(np.median(darkest[within > 0]) / max(np.median(darkest[beyond > 0]), 1))


def _framed(paper: Layer, darkest: Layer) -> bool:
    """Whether a frame goes all around, and what lies beyond it is of another tint than the paper."""
    edges = np.concatenate([paper[0], paper[-1], paper[:, 0], paper[:, -1]])
    apart = abs(float(np.median(darkest[paper > 0])) - float(np.median(darkest[paper == 0])))
    return not edges.any() and apart >= TINT


def _continued(picture: RGBArray, known: Layer) -> RGBArray:
    """The mean of the `known` pixels around each pixel, and of all of them where none are near."""
    weight = known.astype(np.float32)
    values = picture * weight[..., None]
    mean = values.sum(axis=(0, 1)) / max(weight.sum(), 1)
    near, found = (cv2.GaussianBlur(one, (0, 0), SIDE / 16) for one in (weight, values))
    faint = np.float32(1e-3)  # of the mean, so that it decides only where nothing is near
    return np.rint((found + faint * mean) / (near + faint)[..., None]).astype(np.uint8)
