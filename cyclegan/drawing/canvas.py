"""Strokes → pixels, as a browser's canvas inks them (demo/web/ink.js): antialiased curves from midpoint to midpoint.

Browsers do not agree on each pixel of an edge; here a pixel is covered as far as a line reaches into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.drawing.empty import EMPTY
from cyclegan.images import WHITE, ImageError, RGBArray

Floats = NDArray[np.floating]
Points = Floats
"""N×3: x and y in pixels from the sheet's top left corner, and a factor of the stroke's width."""
Colour = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)
COLOURFUL = 28  # difference between channels, of 255: what has less is a black or grey line
HATCH = 8  # pixels between the slanting lines of the brush that leaves empty
PIECE = 24  # pixels: longer curves are inked in pieces, for a box around each holds little but its line
CHORDS = 4  # of a piece
STEP = 8  # pixels: the sides of boxes are multiples, and those of a size are inked together
MAX_PIECES = 50_000
MAX_WORK = 30_000_000  # pixels of all boxes: a second or two
AT_ONCE = 200_000  # of them
TOO_MUCH = "These strokes are too long to be inked at once; clear the sheet and start again."


class Curves(NamedTuple):
    """Quadratic Bézier curves, K×2 float32 each in pixels, and their K widths."""

    start: Floats
    control: Floats
    end: Floats
    width: Floats

    @classmethod
    def of_all(cls, several: Sequence[Self]) -> Self:
        return cls(*(np.concatenate(parts) for parts in zip(*several, strict=True)))

    def some(self, which: NDArray) -> Self:
        """Those of an index or a mask."""
        return type(self)(*(part[which] for part in self))

    def at(self, t: Floats, u: Floats) -> Floats:
        """The curves' points at t = u, one or K of either; else the control points of the parts between (blossoms)."""
        t, u = t[:, None], u[:, None]
        return (1 - t) * (1 - u) * self.start + (t * (1 - u) + u * (1 - t)) * self.control + t * u * self.end


@dataclass
class Stroke:
    """One that is under way: ``colour`` RGB, ``width`` in pixels, and its last points so far, two or fewer."""

    colour: Colour
    width: float
    points: Points = field(default_factory=lambda: np.empty((0, 3), np.float32))

    def extended(self, points: Points) -> Curves:
        """Goes on through ``points``; the curves that they complete, as ink.js's inkPoint: none by a first one."""
        known, points = len(self.points), np.concatenate((self.points, points))
        self.points = points[-2:]
        i = np.arange(max(known, 1), len(points))
        places, first = points[:, :2], (i == 1)[:, None]
        before, end = places[i - 1], (places[i - 1] + places[i]) / 2
        start = np.where(first, before, (places[i - 2] + before) / 2)
        return Curves(start, np.where(first, (before + end) / 2, before), end, points[i, 2] * np.float32(self.width))

    def finished(self) -> Curves:
        """The line from the last midpoint to the last point, which only another point would complete; of a single
        point, a dot."""
        before, here = self.points[[0, -1], :2] if len(self.points) else np.empty((2, 0, 2), np.float32)
        start = (before + here) / 2
        width = self.points[-1:, 2] * np.float32(self.width)
        start, control, end = (one.reshape(-1, 2) for one in (start, (start + here) / 2, here))
        return Curves(start, control, end, width)


@dataclass
class Sheet:
    """White paper, colours on it, and black lines over them, whatever came first, as in the training's drawings."""

    lines: NDArray[np.uint8]
    """H×W: how far black covers each pixel, 255 is all of it."""
    colours: RGBArray
    """H×W×3: what it covers."""

    @classmethod
    def blank(cls, side: int) -> Self:
        return cls(np.zeros((side, side), np.uint8), np.full((side, side, 3), 255, np.uint8))

    def copy(self) -> Self:
        return type(self)(self.lines.copy(), self.colours.copy())

    def picture(self) -> RGBArray:
        """H×W×3: the layers on each other."""
        return _product(self.colours, cv2.cvtColor(255 - self.lines, cv2.COLOR_GRAY2RGB))

    def ink(self, colour: Colour, curves: Curves) -> None:
        """Inks the curves, one over the other; white erases. Raises ImageError if there are too many."""
        box, bare = _left_bare(curves, len(self.lines))
        if colour in (WHITE, BLACK):
            lines = 255 - self.lines[box] if colour == BLACK else self.lines[box]
            lines = np.rint(lines * bare)
            self.lines[box] = 255 - lines if colour == BLACK else lines
        if colour != BLACK:
            tone = _hatching(len(self.lines))[box] if colour == EMPTY else np.array(colour, np.float32)
            self.colours[box] = np.rint(tone + (self.colours[box] - tone) * bare[..., None])

    def lay(self, picture: RGBArray) -> None:
        """An H×W×3 picture over everything. Its grey pixels are lines, black ink of some thickness, all others are
        colours, so that new colours can replace them."""
        lightest = picture.max(axis=2)
        coloured = lightest - picture.min(axis=2) >= COLOURFUL
        lightest[coloured] = 255
        self.lines = 255 - _product(255 - self.lines, lightest)
        self.colours[coloured] = picture[coloured]


def _hatching(side: int) -> Floats:
    """White paper with slanting lines of EMPTY."""
    x, y = np.arange(side), np.arange(side)[:, None]
    return np.where(((x - y) % HATCH < HATCH // 2)[..., None], np.array(EMPTY, np.float32), np.array(WHITE, np.float32))


def _product(one: NDArray, other: NDArray) -> NDArray:
    """Of two uint8 arrays of a shape, whose 255 stands for 1."""
    return np.asarray(cv2.multiply(one, other, scale=1 / 255), np.uint8)


# --- coverage ---------------------------------------------------------------------------------------------------------


def _pieces(curves: Curves) -> Curves:
    """The curves cut into pieces of about PIECE pixels."""
    length = np.hypot(*(curves.control - curves.start).T) + np.hypot(*(curves.end - curves.control).T)
    count = np.maximum(np.ceil(length / PIECE), 1).astype(int)
    if count.sum() > MAX_PIECES:
        raise ImageError(TOO_MUCH)
    each = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(each)) - np.repeat(np.cumsum(count) - count, count)
    whole = curves.some(each)
    t, u = ((some / count[each]).astype(np.float32) for some in (number, number + 1))
    return Curves(whole.at(t, t), whole.at(t, u), whole.at(u, u), whole.width)


def _left_bare(curves: Curves, side: int) -> tuple[tuple[slice, slice], Floats]:
    """A box of a sheet of ``side``×``side`` pixels, and which share, 0 to 1, of each pixel in it the curves leave bare,
    inked one over the other."""
    curves = _pieces(curves)
    reach = curves.width[:, None] / 2 + 1
    low = np.floor(np.minimum(np.minimum(curves.start, curves.control), curves.end) - reach).astype(int)
    high = np.ceil(np.maximum(np.maximum(curves.start, curves.control), curves.end) + reach).astype(int)
    near = np.logical_and(low < side, high > 0).min(axis=1)
    curves, low, high = curves.some(near), low[near], high[near]
    if not near.any():
        return (slice(0), slice(0)), np.ones((0, 0), np.float32)
    size = np.minimum(-(-(high - low).max(axis=1) // STEP) * STEP, side)
    corner = low.clip(0, side - size[:, None])
    if (size**2).sum() > MAX_WORK:
        raise ImageError(TOO_MUCH)
    left, top = corner.min(axis=0)
    right, bottom = (corner + size[:, None]).max(axis=0)
    bare = np.ones((bottom - top, right - left), np.float32)
    for one in set(size.tolist()):
        alike = np.flatnonzero(size == one)
        for some in np.array_split(alike, -(-len(alike) * one**2 // AT_ONCE)):
            shares = _shares(curves.some(some), corner[some], one)
            for share, (x, y) in zip(shares, (corner[some] - (left, top)).tolist(), strict=True):
                bare[y : y + one, x : x + one] *= share
    return (slice(top, bottom), slice(left, right)), bare


def _shares(curves: Curves, corner: NDArray, size: int) -> Floats:
    """K×size×size: of the pixels of a box from each ``corner`` (K×2: x, y), what each of K curves leaves bare."""
    times = np.split(np.linspace(0, 1, CHORDS + 1, dtype=np.float32), CHORDS + 1)
    ends = np.stack([curves.at(t, t) for t in times], axis=1) - corner[:, None].astype(np.float32)
    chords = np.diff(ends, axis=1)
    ax, ay, dx, dy = np.concatenate((ends[:, :-1], chords), axis=2).transpose(2, 0, 1)[..., None, None]
    centres = np.arange(size, dtype=np.float32) + 0.5
    x, y = centres - ax, centres[:, None] - ay  # K×CHORDS×1×size and K×CHORDS×size×1, from each chord's start
    along = ((x * dx + y * dy) / np.maximum(dx * dx + dy * dy, 1e-9)).clip(0, 1)
    nearest = np.sqrt(((x - along * dx) ** 2 + (y - along * dy) ** 2).min(axis=1))
    width = curves.width[:, None, None]
    return 1 - (width / 2 + 0.5 - nearest).clip(0, np.minimum(width, 1))
