"""The colours that a drawing asks for at every place: flooded from its coloured strokes, or those of a colourway.

No outline tells black shoes from white ones, and a generator that must guess learns the mean of all: brown. Told a
colour at every place, it has nothing to guess. Lines bound colours, as those of a colouring book do.

Pictures are H×W×3 uint8, RGB; a map has one value for each of their places, on a grid of at most GRID places a side.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import repeat

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray  # H×W×3 uint8, RGB
Map = NDArray  # h×w

GRID = 128  # places along the longer side
LINE = 50  # of 255: how dark a place must be to bound a part
PALE = 30  # of 255: strokes with less chroma (largest minus smallest channel) are lines, paper or noise
SMALLEST = 12  # places of the grid: what is smaller is a slip between two lines and no part
SECOND, ACCENT = 0.4, 0.08  # of the largest part's area: smaller ones take the second colour, the smallest the third
SOFT = 8  # steps of smoothing
NEIGHBOURS = (3, 3)

Colourway = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
"""Of an object: RGB of its largest parts, of smaller ones and of the smallest."""

COLOURWAYS: tuple[Colourway, ...] = (
    ((176, 134, 98), (92, 58, 38), (214, 180, 120)),
    ((32, 44, 84), (222, 216, 204), (190, 60, 50)),
    ((184, 44, 44), (240, 236, 230), (40, 40, 44)),
    ((58, 60, 64), (150, 150, 152), (200, 170, 90)),
    ((72, 98, 74), (196, 170, 130), (60, 44, 36)),
    ((110, 140, 176), (236, 232, 224), (60, 70, 96)),
    ((122, 34, 44), (44, 36, 38), (222, 208, 186)),
    ((206, 158, 60), (70, 56, 48), (240, 230, 208)),
    ((44, 44, 48), (196, 60, 52), (230, 228, 224)),
    ((206, 198, 186), (150, 110, 76), (60, 60, 64)),
    ((46, 120, 124), (232, 224, 208), (222, 130, 84)),
    ((96, 62, 44), (186, 146, 104), (232, 220, 196)),
    ((206, 128, 138), (244, 232, 228), (120, 70, 80)),
    ((140, 144, 150), (52, 58, 70), (214, 120, 60)),
    ((190, 96, 52), (64, 52, 48), (238, 222, 196)),
    ((48, 84, 160), (238, 238, 238), (240, 190, 80)),
    ((112, 108, 62), (60, 52, 40), (206, 182, 120)),
    ((104, 70, 116), (216, 200, 220), (196, 168, 90)),
)


def colour_field(drawing: Picture, seed: int | None = None) -> Picture:
    """What colour ``drawing`` asks for at every place; without coloured strokes, that of the ``seed``'s colourway.

    The same seed keeps the colours while a drawing grows. Without any, each drawing has its own.
    """
    if seed is None:
        seed = zlib.crc32(drawing.tobytes())
    small = _on_grid(drawing)
    weight = (np.ptp(small, axis=2).astype(np.float32) - PALE).clip(0) ** 2  # the soft edges of strokes are paler
    field = _flooded(small, weight) if weight.any() else in_colourway(parts(small), seed)
    return _on_sheet(field, drawing)


def colour_fields(drawings: Tensor, seeds: Sequence[int] | None = None) -> Tensor:
    """`colour_field` of each of B×3×H×W ``drawings`` in [-1, 1], same shape and range."""
    pictures = ((drawings.detach().float() + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    told = zip(pictures, seeds or repeat(None), strict=seeds is not None)
    fields = torch.from_numpy(np.stack([colour_field(*one) for one in told])).permute(0, 3, 1, 2)
    return fields.to(drawings.device, drawings.dtype) / 127.5 - 1


def parts(drawing: Picture) -> Map:
    """int32 map of ``drawing``: 1, 2, … for the parts that its lines enclose, the largest first, 0 for all else.

    Lines are divided among the parts beside them: watersheds of how dark they are (Vincent and Soille, "Watersheds in
    Digital Spaces", IEEE PAMI 1991).
    """
    ink = 255 - np.pad(_on_grid(drawing).max(axis=2), 1, constant_values=255)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink < LINE).astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[[0, labels[0, 0]]] = 0  # the lines, and what is around the object
    order = np.argsort(-areas, kind="stable")[: (areas >= SMALLEST).sum()]
    number = np.zeros(count, np.int32)
    number[order] = np.arange(len(order)) + 2
    number[labels[0, 0]] = 1
    flooded = _watershed(ink, number[labels])
    return np.maximum(flooded[1:-1, 1:-1] - 1, 0)


def in_colourway(parts: Map, seed: int) -> Picture:
    """The ``parts`` in the colours of the ``seed``'s colourway, each by its size, on the first of them."""
    main, second, accent = COLOURWAYS[seed % len(COLOURWAYS)]
    areas = np.bincount(parts.ravel(), minlength=2)[1:]
    share = areas / max(areas[0], 1)
    of_parts = [main if one >= SECOND else second if one >= ACCENT else accent for one in share]
    return np.array([main, *of_parts], np.uint8)[parts]


def _flooded(small: Picture, weight: Map) -> Picture:
    """Each place takes the colour of the stroke that reaches it first, over lines last; then softened between lines."""
    weighted = cv2.GaussianBlur(np.dstack((small * weight[..., None], weight)).astype(np.float32), (0, 0), 1.5)
    colours = weighted[..., :3] / weighted[..., 3:].clip(1e-6)
    ink = 255 - small.max(axis=2)
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
    """``marks`` (0: none), spread to every place; those between two floods, and the border, take a neighbour's."""
    flooded = cv2.watershed(cv2.merge((ink, ink, ink)), marks)
    return np.where(flooded > 0, flooded, cv2.dilate(flooded.astype(np.float32), np.ones((3, 3)))).astype(np.int32)


def _on_grid(drawing: Picture) -> Picture:
    height, width = drawing.shape[:2]
    scale = min(GRID / max(height, width), 1)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(drawing, size, interpolation=cv2.INTER_AREA)


def _on_sheet(field: Picture, drawing: Picture) -> Picture:
    return cv2.resize(field, drawing.shape[1::-1], interpolation=cv2.INTER_LINEAR)
