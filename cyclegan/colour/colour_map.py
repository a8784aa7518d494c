"""Colour maps: the colour that a drawing asks for at every pixel, G's condition.

No outline tells black shoes from white ones, and a generator that has to guess learns the mean of all: brown. Here each
region that the lines enclose takes the colour of the strokes in it, as in a colouring book, or one of a colourway.

Drawings, photos and colour maps are `RGBArray`s of one size. Maps of regions are computed on a grid of at most MAP_SIDE
cells a side: one value per cell.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from cyclegan.colour.handles import enclosed_by_handles
from cyclegan.colour.palettes import colourway
from cyclegan.drawing.inking import REFERENCE
from cyclegan.drawing.skeleton import thinned
from cyclegan.images import RGBArray, largest_channel

Cells = NDArray  # h×w: labels, booleans or weights, one per cell of the grid

MAP_SIDE = 128  # cells along the longer side
LINE = 24  # of 255: how dark a cell must be to bound a region; a fine line, averaged over a cell, is hardly darker
PAPER = 255
PALE = 30  # of 255: strokes with less chroma (largest minus smallest channel) are lines, paper or noise
BOLD = 5  # pixels at 256: finer coloured strokes may be lines
INK, MIN_INK = -0.3, 0.002  # lightness in [-1, 1] of ink, and the share of the sheet that makes a line drawing
SLIP = 7  # cells, twice as far as a brush on a handle may get into what that encloses
MIN_REGION = 20  # cells; smaller ones are gaps between two lines
FINER, MIN_SLIM = 3, 6  # cells of a grid three times as fine that a part between two lines has at least
SECOND, ACCENT = 0.4, 0.08  # of the largest region's area: smaller regions take the second colour, then the accent
CLOSED = 0.5  # share of the lines' convex hull that regions must cover; below, an outline may be open
BLUR = 1 / 64  # standard deviation, of the longer side
SMOOTHING_STEPS = 24  # where two colours meet in one region
NEIGHBOURHOOD = (3, 3)


def colour_map(drawing: RGBArray, seed: int | None = None) -> RGBArray:
    """The colour map of a ``drawing``, from its colour strokes or, if it has none, in the colourway of ``seed``.

    White outside of the object, where the lines tell what is outside, and between it and a handle, unless a colour
    stroke is there. One seed keeps its colours while a drawing grows; None takes a hash of the drawing.
    """
    if seed is None:
        seed = zlib.crc32(drawing.tobytes())
    small = _on_grid(drawing)
    strokes = _colourfulness(small)
    enclosed = _enclosed_by_black(drawing) if strokes.any() else regions(drawing)
    if not enclosed.any():  # the lines themselves may be in colour
        enclosed = regions(drawing)
    holes = enclosed_by_handles(enclosed)
    meant = (strokes > 0) & (cv2.erode(holes.astype(np.uint8), np.ones((SLIP, SLIP))) > 0)
    paper = outside(enclosed, small) | holes & ~np.isin(enclosed, enclosed[meant])
    colours = _flooded(small, strokes) if strokes.any() else _softened(in_colourway(enclosed, seed), ~paper)
    colours[paper] = PAPER
    return _enlarged(colours, drawing)


def smooth_colour_map(photo: RGBArray, drawing: RGBArray | None = None, blur: float = BLUR) -> RGBArray:
    """The colour map of any drawing of ``photo`` (H×W×3): the photo itself, blurred by ``blur`` of its longer side.

    What the lines do not enclose keeps its colour, too, which the regions of a drawing could not tell. The colour
    strokes of ``drawing`` (H×W×3) are laid over it, hardly blurred, or fine ones would be lost.
    """
    sigma = blur * max(photo.shape[:2])
    smooth = np.asarray(cv2.GaussianBlur(photo, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.uint8)
    stroke = None if drawing is None else (_colourfulness(drawing) > 0).astype(np.float32)[..., None]
    if drawing is None or stroke is None or not stroke.any():
        return smooth
    soft = cv2.GaussianBlur(np.dstack((drawing * stroke, stroke)), (0, 0), sigma / 4)
    share = (2 * soft[..., 3:]).clip(max=1)  # whole up to the stroke's edge
    colours = soft[..., :3] / soft[..., 3:].clip(1e-3)
    return (share * colours + (1 - share) * smooth + 0.5).astype(np.uint8)


def region_means(picture: NDArray, inside: Cells, regions: Cells) -> NDArray[np.float32]:
    """N×3: the mean of ``picture`` (h×w×3) over the ``inside`` cells of region 0, 1, … N - 1; over all of them where a
    region has none."""
    count = np.bincount(regions[inside], minlength=regions.max() + 1)[:, None]
    sums = np.stack([np.bincount(regions[inside], c[inside], len(count)) for c in np.moveaxis(picture, 2, 0)], axis=1)
    of_all = sums.sum(axis=0) / count.sum().clip(1)
    means = np.where(count > 0, sums / count.clip(1), of_all)
    means[0] = of_all  # outside the regions lies hardly more than the object's rim
    return means.astype(np.float32)


def has_colour_strokes(drawing: RGBArray) -> bool:
    """Whether there are colour strokes in ``drawing``."""
    return bool(_colourfulness(_on_grid(drawing)).any())


def colour_maps(drawings: Tensor) -> Tensor:
    """`colour_map` of each of B×3×H×W ``drawings`` in [-1, 1], same shape, range, dtype and device."""
    arrays = ((drawings.detach().float() + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    maps = torch.from_numpy(np.stack([colour_map(drawing) for drawing in arrays])).permute(0, 3, 1, 2)
    return maps.to(drawings.device, drawings.dtype) / 127.5 - 1


def condition(colour_maps: Tensor, background: Tensor, channels: int) -> Tensor:
    """G's condition of 3 or 4 ``channels``: B×3×H×W ``colour_maps`` in [-1, 1] and, with 4, a plane of 1 where there is
    a ``background`` (B booleans) and of -1 where there is paper."""
    if channels == 3:
        return colour_maps
    plane = torch.where(background[:, None, None, None], 1.0, -1.0).expand_as(colour_maps[:, :1])
    return torch.cat((colour_maps, plane.to(colour_maps.dtype)), dim=1)


def without_colour_strokes(drawings: Tensor, colour_maps: Tensor) -> Tensor:
    """B×3×H×W ``drawings`` without their bold colour strokes, which their ``colour_maps`` have; all in [-1, 1].

    Given both, G would paint the stroke onto the object. Lines crossing a stroke remain, and so do fine coloured lines
    and all of a drawing that has no black line.
    """
    darkest, lightest = drawings.amin(1, keepdim=True), drawings.amax(1, keepdim=True)
    coloured = lightest - darkest > PALE / 127.5
    if drawings.device.type == "cpu" and not coloured.any():  # elsewhere one would have to wait for the answer
        return drawings
    inked = (~coloured & (lightest < INK)).float().mean((2, 3), keepdim=True) > MIN_INK
    width = round(BOLD * max(drawings.shape[-2:]) / REFERENCE) | 1
    # Closed across lines, then opened, then dilated over the stroke's soft edge.
    bold = _dilated(_eroded(_dilated(coloured & inked, width), 2 * width - 1), width + 2)
    over_paper = (lightest + 1) / (colour_maps.amax(1, keepdim=True) + 1).clamp(min=0.1)
    return torch.where(bold, (2 * over_paper - 1).clamp(max=1), drawings)


def _dilated(maps: Tensor, width: int) -> Tensor:
    """B×1×H×W booleans → where any of the width×width neighbourhood (odd) is true: a mean of it is not 0.

    Along rows, then columns; a convolution with the square took a second for a sheet of 512 without AVX-512.
    """
    rows = avg_pool2d(maps.float(), (1, width), 1, (0, width // 2))
    return avg_pool2d(rows, (width, 1), 1, (width // 2, 0)) > 0


def _eroded(maps: Tensor, width: int) -> Tensor:
    return ~_dilated(~maps, width)


def regions(drawing: RGBArray) -> Cells:
    """int32 labels of ``drawing``: 1, 2, … for the regions that its lines enclose, the largest first; 0 elsewhere.

    Regions meet along the middle of a line, so that they do not depend on the pen's width. A part too slim to be one,
    such as a stem, belongs to the region next to it.
    """
    lines = thinned(np.pad(_lines(drawing), 1)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - lines, connectivity=4)
    kept = stats[:, cv2.CC_STAT_AREA] >= MIN_REGION
    kept[0] = False  # the lines
    kept[labels[0, 0]] = True  # what is around the object
    flooded = _watershed(lines, np.where(kept, np.arange(count), 0)[labels].astype(np.int32))[1:-1, 1:-1]
    around = flooded == labels[0, 0]
    if slim := [] if around.all() else _slim_parts(drawing, ~around):
        nearest = _watershed(np.zeros(around.shape, np.uint8), np.where(around, 0, flooded))
        for part in slim:
            flooded[part] = np.bincount(nearest[part]).argmax()
    areas = np.bincount(flooded.ravel(), minlength=count)
    areas[labels[0, 0]] = 0
    number = np.zeros(count, np.int32)
    order = np.argsort(-areas, kind="stable")[: (areas > 0).sum()]
    number[order] = np.arange(len(order)) + 1
    return number[flooded]


def outside(regions: Cells, drawing: RGBArray) -> Cells:
    """h×w booleans: what lies in none of the h×w ``regions`` of ``drawing``, if they cover most of the lines' hull.

    If they do not, an outline may be open, and nothing is outside for certain.
    """
    hull = np.zeros(regions.shape, np.uint8)
    points = cv2.findNonZero(cv2.resize(_lines(drawing).astype(np.uint8), regions.shape[::-1]))
    if points is not None:
        cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return (regions == 0) & ((regions > 0).sum() > CLOSED * hull.sum())


def in_colourway(regions: Cells, seed: int) -> RGBArray:
    """The ``regions`` coloured by their size in the colourway of ``seed``; its main colour elsewhere."""
    return colourway_of(regions, seed)[regions]


def colourway_of(regions: Cells, seed: int) -> NDArray[np.uint8]:
    """N×3 RGB: the colour that region 0, 1, … N - 1 of ``regions`` takes in the colourway of ``seed``, by its size."""
    _, main, second, accent = colourway(seed)
    areas = np.bincount(regions.ravel(), minlength=2)[1:]
    share = areas / max(areas[0], 1)
    of_regions = [main if one >= SECOND else second if one >= ACCENT else accent for one in share]
    return np.array([main, *of_regions], np.uint8)


def _slim_parts(drawing: RGBArray, inside: Cells) -> list[Cells]:
    """h×w booleans of each part that lines enclose on a finer grid, and of which hardly a cell is ``inside`` here."""
    lines = _on_grid(largest_channel(drawing), FINER * MAP_SIDE) <= 255 - LINE
    count, labels = cv2.connectedComponents(1 - np.pad(lines, 1).astype(np.uint8), connectivity=4)
    areas = np.bincount(labels.ravel())
    here = cv2.resize(labels[1:-1, 1:-1], inside.shape[::-1], interpolation=cv2.INTER_NEAREST)
    known = np.bincount(here[inside], minlength=count) * (lines.size / inside.size)
    slim = (areas >= MIN_SLIM) & (known < areas / 2)
    slim[[0, labels[0, 0]]] = False
    if not slim.any():
        return []
    share = cv2.resize(slim[labels[1:-1, 1:-1]].astype(np.float32), inside.shape[::-1], interpolation=cv2.INTER_AREA)
    cells = cv2.dilate((share > 0).astype(np.uint8), np.ones(NEIGHBOURHOOD)) * ~inside  # up to the middle of lines
    count, parts = cv2.connectedComponents(cells)
    return [parts == part for part in range(1, count)]


def _lines(drawing: RGBArray) -> Cells:
    """Cells of the grid with a line of ``drawing``."""
    return largest_channel(_on_grid(drawing)) <= 255 - LINE


def _colourfulness(small: RGBArray) -> Cells:
    """float32, positive in colour strokes, and less at their paler edges."""
    chroma = largest_channel(small) - (255 - largest_channel(255 - small))
    return (chroma.astype(np.float32) - PALE).clip(0) ** 2


def _flooded(small: RGBArray, weight: Cells) -> RGBArray:
    """Each cell takes the colour of the stroke that floods it first, crossing lines last; smoothed between lines."""
    weighted = cv2.GaussianBlur(np.dstack((small * weight[..., None], weight)).astype(np.float32), (0, 0), 1.5)
    colours = weighted[..., :3] / weighted[..., 3:].clip(1e-6)
    ink = 255 - largest_channel(small)
    ink[(ink < LINE) | (weight > 0)] = 0  # strokes and faint marks are no ridges
    marked = np.arange(1, weight.size + 1, dtype=np.int32).reshape(weight.shape)
    flooded = colours.reshape(-1, 3)[_watershed(ink, np.where(weight > 0, marked, 0)) - 1]
    between = (ink == 0).astype(np.float32)[..., None]
    share = between / cv2.blur(between, NEIGHBOURHOOD)[..., None].clip(1e-6)
    soft = flooded * between
    for _ in range(SMOOTHING_STEPS):
        soft = cv2.blur(soft, NEIGHBOURHOOD) * share
    return (np.where(between > 0, soft, flooded) + 0.5).astype(np.uint8)


def _softened(colours: RGBArray, inside: Cells) -> RGBArray:
    """``colours`` blurred by a cell among those ``inside``: they meet on the grid in steps, which G would paint, where
    the line between them should tell."""
    share = inside.astype(np.float32)[..., None]
    soft = cv2.GaussianBlur(np.dstack((colours * share, share)), (0, 0), 1)
    return (soft[..., :3] / soft[..., 3:].clip(1e-3) + 0.5).astype(np.uint8)


def _watershed(ink: Cells, marks: Cells) -> Cells:
    """``marks`` (0: none) flood every cell, crossing ``ink`` last; watershed lines and the border take a neighbour's
    mark (Vincent and Soille, "Watersheds in Digital Spaces", IEEE PAMI 1991)."""
    flooded = cv2.watershed(cv2.merge((ink, ink, ink)), marks)
    return np.where(flooded > 0, flooded, cv2.dilate(flooded.astype(np.float32), np.ones((3, 3)))).astype(np.int32)


def _enclosed_by_black(drawing: RGBArray) -> Cells:
    """`regions` of a ``drawing`` with colour strokes, which do not divide what they are on."""
    finer = _on_grid(drawing, FINER * MAP_SIDE)  # the edge of a stroke at a line is neither
    return regions(np.where(_colourfulness(finer)[..., None] > 0, np.uint8(PAPER), finer))


def _on_grid(drawing: RGBArray, side: int = MAP_SIDE) -> RGBArray:
    height, width = drawing.shape[:2]
    scale = min(side / max(height, width), 1)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(drawing, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(colours: RGBArray, drawing: RGBArray) -> RGBArray:
    return np.asarray(cv2.resize(colours, drawing.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
