"""The colours that a drawing asks for at every place: flooded from its coloured strokes, or those of a colourway.

No outline tells black shoes from white ones, and a generator that must guess learns the mean of all: brown. Told a
colour at every place, it has nothing to guess. Lines bound colours, as those of a colouring book do.

Pictures are H×W×3 uint8, RGB; a map has one value for each of their places, on a grid of at most GRID places a side.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d

from cyclegan.images import largest_channel
from cyclegan.inking import REFERENCE
from cyclegan.skeleton import thinned

Picture = NDArray  # H×W×3 uint8, RGB
Map = NDArray  # h×w

GRID = 128  # places along the longer side
LINE = 24  # of 255: how dark a place must be to bound a part; a fine line, averaged, is hardly darker
PAPER = 255
PALE = 30  # of 255: strokes with less chroma (largest minus smallest channel) are lines, paper or noise
BOLD = 5  # pixels at 256: finer coloured strokes may be lines
INK, FEWEST = -0.3, 0.002  # lightness in [-1, 1] below which there is ink, and the share of the sheet that makes lines
SMALLEST = 20  # places of the grid: what is smaller is a slip between two lines and no part
SECOND, ACCENT = 0.4, 0.08  # of the largest part's area: smaller ones take the second colour, the smallest the third
WHOLE = 0.5  # share of the lines' convex hull that is in parts, or else an outline may be open
SOFT = 24  # steps of smoothing, where two colours meet in one part
NEIGHBOURS = (3, 3)

RGB = tuple[int, int, int]


class Colourway(NamedTuple):
    """Colours of an object: of its largest parts, of smaller ones and of the smallest."""

    name: str
    main: RGB
    second: RGB
    accent: RGB


COLOURWAYS = (
    Colourway("tan", (168, 128, 96), (86, 58, 42), (212, 184, 134)),
    Colourway("navy", (40, 46, 70), (222, 218, 208), (176, 70, 60)),
    Colourway("black", (38, 38, 40), (92, 92, 94), (198, 198, 200)),
    Colourway("red", (176, 48, 46), (238, 234, 228), (44, 42, 44)),
    Colourway("beige", (206, 198, 186), (150, 114, 82), (66, 62, 62)),
    Colourway("coffee", (76, 54, 42), (152, 122, 94), (224, 210, 186)),
    Colourway("sky", (118, 138, 160), (232, 228, 222), (64, 72, 92)),
    Colourway("charcoal", (58, 60, 64), (150, 150, 152), (196, 170, 100)),
    Colourway("taupe", (128, 118, 106), (62, 56, 52), (216, 206, 190)),
    Colourway("burgundy", (104, 40, 46), (46, 38, 40), (218, 206, 188)),
    Colourway("white", (226, 223, 218), (156, 156, 158), (54, 54, 58)),
    Colourway("moss", (72, 90, 74), (188, 168, 134), (60, 48, 40)),
    Colourway("mustard", (198, 156, 74), (72, 58, 50), (236, 228, 208)),
    Colourway("soot", (46, 46, 50), (188, 70, 60), (228, 226, 222)),
    Colourway("slate", (92, 104, 120), (206, 204, 200), (46, 50, 58)),
    Colourway("brown", (96, 64, 46), (182, 146, 108), (230, 220, 198)),
    Colourway("teal", (60, 118, 122), (228, 222, 208), (212, 134, 94)),
    Colourway("grey", (140, 144, 150), (54, 60, 70), (206, 126, 72)),
    Colourway("espresso", (52, 44, 42), (118, 94, 76), (206, 190, 164)),
    Colourway("rose", (198, 134, 140), (240, 232, 228), (118, 76, 82)),
    Colourway("blue", (60, 84, 142), (234, 234, 234), (226, 184, 92)),
    Colourway("olive", (100, 98, 74), (62, 56, 46), (198, 178, 128)),
    Colourway("rust", (178, 100, 62), (66, 54, 50), (234, 220, 198)),
    Colourway("graphite", (84, 82, 88), (34, 34, 38), (186, 160, 110)),
)
"""Mostly leather, cloth and metal, as things are; a third in plain colours, for the joy of it."""


def colour_field(drawing: Picture, seed: int | None = None) -> Picture:
    """What colour ``drawing`` asks for at every place; without coloured strokes, that of the ``seed``'s colourway.

    Outside of the object that is white, where the drawing tells what is outside.

    The same seed keeps the colours while a drawing grows. Without any, each drawing has its own.
    """
    if seed is None:
        seed = zlib.crc32(drawing.tobytes())
    small = _on_grid(drawing)
    enclosed, strokes = parts(small), _colourfulness(small)
    field = _flooded(small, strokes) if strokes.any() else in_colourway(enclosed, seed)
    field[outside(enclosed, small)] = PAPER
    return _on_sheet(field, drawing)


def field_of(photo: Picture, drawing: Picture) -> Picture:
    """The ``photo``'s own colours as the field of a ``drawing`` of it, of the same size: in each part their mean."""
    small, seen = _on_grid(drawing), _on_grid(photo)
    enclosed = parts(small)
    field = part_means(seen, (enclosed > 0) | (seen.min(axis=2) < 255 - LINE), enclosed)
    field[outside(enclosed, small)] = PAPER
    return _on_sheet((field + 0.5).astype(np.uint8), drawing)


def part_means(picture: NDArray, inside: Map, parts: Map) -> NDArray[np.float32]:
    """h×w×3: at each place the mean of its part's colours where ``inside``; where there is no part, of all."""
    count = np.bincount(parts[inside], minlength=parts.max() + 1)[:, None]
    sums = np.stack([np.bincount(parts[inside], c[inside], len(count)) for c in np.moveaxis(picture, 2, 0)], axis=1)
    of_all = sums.sum(axis=0) / count.sum().clip(1)
    means = np.where(count > 0, sums / count.clip(1), of_all)
    means[0] = of_all  # outside the parts there is hardly more than the object's rim
    return means.astype(np.float32)[parts]


def tells_colours(drawing: Picture) -> bool:
    """Whether there are coloured strokes in ``drawing``."""
    return bool(_colourfulness(_on_grid(drawing)).any())


def colour_fields(drawings: Tensor, seeds: Sequence[int] | None = None) -> Tensor:
    """`colour_field` of each of B×3×H×W ``drawings`` in [-1, 1], same shape and range."""
    told = zip(to_pictures(drawings), seeds or repeat(None), strict=seeds is not None)
    fields = torch.from_numpy(np.stack([colour_field(*one) for one in told])).permute(0, 3, 1, 2)
    return fields.to(drawings.device, drawings.dtype) / 127.5 - 1


def to_pictures(sheets: Tensor) -> Picture:
    """B×3×H×W in [-1, 1] → B×H×W×3 uint8."""
    return ((sheets.detach().float() + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def without_daubs(drawings: Tensor, fields: Tensor) -> Tensor:
    """B×3×H×W ``drawings`` in [-1, 1] without their bold coloured strokes: what these say is in the ``fields``.

    Shown both, G paints the stroke on the object. Lines that cross one stay, and so do fine coloured lines, and all of
    a drawing without any line in black.
    """
    darkest, lightest = drawings.amin(1, keepdim=True), drawings.amax(1, keepdim=True)
    coloured = lightest - darkest > PALE / 127.5
    if not coloured.any():
        return drawings
    inked = (~coloured & (lightest < INK)).float().mean((2, 3), keepdim=True) > FEWEST
    width = round(BOLD * max(drawings.shape[-2:]) / REFERENCE) | 1
    # closed over lines, then opened, and as wide again as the stroke's soft edge
    bold = _dilated(_eroded(_dilated(coloured & inked, width), 2 * width - 1), width + 2)
    over_paper = (lightest + 1) / (fields.amax(1, keepdim=True) + 1).clamp(min=0.1)
    return torch.where(bold, (2 * over_paper - 1).clamp(max=1), drawings)


def _dilated(maps: Tensor, width: int) -> Tensor:
    """B×1×H×W booleans: where any of the width² places around is."""
    square = torch.ones(1, 1, width, width, device=maps.device)
    return conv2d(maps.float(), square, padding=width // 2) > 0.5


def _eroded(maps: Tensor, width: int) -> Tensor:
    return ~_dilated(~maps, width)


def parts(drawing: Picture) -> Map:
    """int32 map of ``drawing``: 1, 2, … for the parts that its lines enclose, the largest first, 0 for all else.

    Lines part along their middle, whatever the pen.
    """
    lines = thinned(np.pad(_lines(drawing), 1)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - lines, connectivity=4)
    kept = stats[:, cv2.CC_STAT_AREA] >= SMALLEST
    kept[0] = False  # the lines
    kept[labels[0, 0]] = True  # what is around the object
    flooded = _watershed(lines, np.where(kept, np.arange(count), 0)[labels].astype(np.int32))[1:-1, 1:-1]
    areas = np.bincount(flooded.ravel(), minlength=count)
    areas[labels[0, 0]] = 0
    number = np.zeros(count, np.int32)
    order = np.argsort(-areas, kind="stable")[: (areas > 0).sum()]
    number[order] = np.arange(len(order)) + 1
    return number[flooded]


def outside(parts: Map, drawing: Picture) -> Map:
    """h×w booleans for h×w ``parts`` of ``drawing``: what is in none, if they fill most of what the lines span.

    Where they do not, an outline may be open and anything inside; then nothing is outside for certain.
    """
    hull = np.zeros(parts.shape, np.uint8)
    points = cv2.findNonZero(cv2.resize(_lines(drawing).astype(np.uint8), parts.shape[::-1]))
    if points is not None:
        cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return (parts == 0) & ((parts > 0).sum() > WHOLE * hull.sum())


def colourway(seed: int) -> Colourway:
    """The one of ``seed``; the next integers give the others in turn."""
    return COLOURWAYS[seed % len(COLOURWAYS)]


def in_colourway(parts: Map, seed: int) -> Picture:
    """The ``parts`` in the colours of the ``seed``'s colourway, each by its size, on the first of them."""
    _, main, second, accent = colourway(seed)
    areas = np.bincount(parts.ravel(), minlength=2)[1:]
    share = areas / max(areas[0], 1)
    of_parts = [main if one >= SECOND else second if one >= ACCENT else accent for one in share]
    return np.array([main, *of_parts], np.uint8)[parts]


def _lines(drawing: Picture) -> Map:
    """Booleans of the grid: where the lines of ``drawing`` are."""
    return largest_channel(_on_grid(drawing)) <= 255 - LINE


def _colourfulness(small: Picture) -> Map:
    """float32, more than 0 in coloured strokes; little at their soft edges, which are paler."""
    chroma = largest_channel(small) - (255 - largest_channel(255 - small))
    return (chroma.astype(np.float32) - PALE).clip(0) ** 2


def _flooded(small: Picture, weight: Map) -> Picture:
    """Each place takes the colour of the stroke that reaches it first, over lines last; then softened between lines."""
    weighted = cv2.GaussianBlur(np.dstack((small * weight[..., None], weight)).astype(np.float32), (0, 0), 1.5)
    colours = weighted[..., :3] / weighted[..., 3:].clip(1e-6)
    ink = 255 - largest_channel(small)
    ink[(ink < LINE) | (weight > 0)] = 0  # strokes, and what is faint, are no hills
    marked = np.arange(1, weight.size + 1, dtype=np.int32).reshape(weight.shape)
    field = colours.reshape(-1, 3)[_watershed(ink, np.where(weight > 0, marked, 0)) - 1]
    between = (ink == 0).astype(np.float32)[..., None]
    share = between / cv2.blur(between, NEIGHBOURS)[..., None].clip(1e-6)
    soft = field * between
    for _ in range(SOFT):
        soft = cv2.blur(soft, NEIGHBOURS) * share
    return (np.where(between > 0, soft, field) + 0.5).astype(np.uint8)


def _watershed(ink: Map, marks: Map) -> Map:
    """``marks`` (0: none), spread to every place, over ``ink`` last; those between two floods, and the border, take a
    neighbour's (Vincent and Soille, "Watersheds in Digital Spaces", IEEE PAMI 1991)."""
    flooded = cv2.watershed(cv2.merge((ink, ink, ink)), marks)
    return np.where(flooded > 0, flooded, cv2.dilate(flooded.astype(np.float32), np.ones((3, 3)))).astype(np.int32)


def _on_grid(drawing: Picture) -> Picture:
    height, width = drawing.shape[:2]
    scale = min(GRID / max(height, width), 1)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(drawing, size, interpolation=cv2.INTER_AREA)


def _on_sheet(field: Picture, drawing: Picture) -> Picture:
    return cv2.resize(field, drawing.shape[1::-1], interpolation=cv2.INTER_LINEAR)
