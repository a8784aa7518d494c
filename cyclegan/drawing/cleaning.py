"""What F drew → clean lines: black and thin, without smudges and loose ends."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.drawing.skeleton import thinned

Plane = NDArray[np.uint8]  # H×W, 0 is ink, 255 paper

THICKEST = 7  # pixels: what is wider is a smudge or a fill
SMUDGED = 40  # darkness of a smudge
FILL = 21  # pixels: a smudge as wide in both directions fills a surface
FAINTEST, BLACK = 10, 180  # darkness, of 255, up to which nothing is drawn, and from which on ink is black
SHORTEST = 50  # pixels of 768 along the longer side: what the shortest line has without any detail
REFERENCE = 768
CONTRAST = (255 * ((np.arange(256) - FAINTEST) / (BLACK - FAINTEST)).clip(0, 1) + 0.5).astype(np.uint8)


def cleaned(drawing: Plane, detail: float) -> Plane:
    """``drawing`` with lines of full contrast alone, without those too short for this ``detail`` (0 to 1).

    A network that is unsure answers with grey: along a line that makes gaps, beside it a smudge. The black top-hat
    (closing minus image; Soille, "Morphological Image Analysis", section 4.5) keeps what is thin, and a steeper
    contrast closes the gaps. Of a narrow smudge the middle stays, where the line should have been.
    """
    thin = np.asarray(cv2.morphologyEx(drawing, cv2.MORPH_BLACKHAT, _disc(THICKEST)), np.uint8)
    ink = np.asarray(cv2.LUT(cv2.max(thin, _middles(np.uint8(255) - drawing - thin)), CONTRAST), np.uint8)
    shortest = (1 - detail) * SHORTEST * max(ink.shape) / REFERENCE
    _, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 127).astype(np.uint8), connectivity=8)
    kept = (np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= shortest).astype(np.uint8)
    kept[0] = 0
    return np.asarray(255 - ink * cv2.dilate(kept[labels], np.ones((3, 3))), np.uint8)  # with their antialiased edges


def _middles(smudges: Plane) -> Plane:
    """255 along the middle of ``smudges`` (darkness, H×W) that are no fills; lines of two pixels."""
    mask = (smudges > SMUDGED).astype(np.uint8)
    if not mask.any():
        return np.zeros_like(smudges)
    fills = cv2.dilate(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((FILL, FILL), np.uint8)), _disc(3))
    narrow = cv2.morphologyEx(mask * (1 - fills), cv2.MORPH_CLOSE, _disc(5))
    return np.asarray(cv2.dilate(255 * thinned(narrow).astype(np.uint8), np.ones((2, 2), np.uint8)), np.uint8)


def _disc(diameter: int) -> Plane:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)), np.uint8)
