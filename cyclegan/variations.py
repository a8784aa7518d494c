"""Other photos of one drawing. CycleGAN is deterministic: another photo needs another drawing, and here are some.

Weights that understand colour hints get daubs of colour inside the drawn object; others get small changes of the lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cyclegan.images import fit_square, resize, to_image, to_tensor
from cyclegan.inference import Translator
from cyclegan.inking import REFERENCE, SHIFT, fixed_point

PALETTE = {
    "red": (214, 40, 40), "yellow": (252, 191, 73), "blue": (29, 111, 209),
    "green": (42, 157, 63), "violet": (123, 44, 191), "orange": (247, 127, 0),
}  # fmt: skip
DAUBS = 4  # at most, as many hints as a drawing of the training has
NARROWEST, WIDEST = 4.0, 28.0  # pixels; those hints have 1.5 to 28

# Below, lengths are pixels on a sheet of REFERENCE.
PAPER = 180  # grey of the photo above which the model takes a place for paper, as seen through a handle
DARK = 200  # grey below which a pixel is a line
COLOURFUL = 40  # difference between its channels above which a pixel is a hint and no line
GAP = 7  # in an outline; so much still holds the colour in
SMALLEST = 4.0  # radius of a place that a daub fits in
WHOLE = 0.25  # share of the lines' convex hull that closed outlines hold, or the drawing counts as open

Picture = NDArray  # H×W×3 uint8, RGB
Mask = NDArray  # H×W uint8, 0 or 1


@dataclass(frozen=True)
class Variation:
    """Another photo and how to get it."""

    name: str
    """One word: "red", "mirrored"."""
    sketch: Image.Image
    """The changed drawing, RGB, as large as the drawing was; used as the drawing it gives this photo."""
    photo: Image.Image
    """RGB, as large as the networks' sheet."""


@dataclass(frozen=True)
class Place:
    """A circle with room for a daub."""

    x: float
    y: float
    radius: float


def variations(sketch: Image.Image, translator: Translator, count: int = 6, seed: int | None = None) -> list[Variation]:
    """At most `count` (1 to 6) variations of a drawing (RGB, square), made in one batch.

    ``seed`` is that of the drawing (`Translator.sketch_to_photo`). By colour where the weights understand it and a part
    of the drawing is not coloured yet, else by small changes. A blank sheet has none.
    """
    drawing = np.asarray(sketch)
    lines, colours = _ink(drawing)
    if not (lines | colours).any():
        return []
    places: list[Place] = []
    if translator.config.colour_hints:
        (photo,) = _photos([sketch], translator, seed)
        places = _on_object(find_places(_small(lines), _small(colours)), photo)
    others = islice(_coloured(drawing, places) if places else _changed(drawing), count)
    names, sheets = zip(*((name, Image.fromarray(sheet)) for name, sheet in others), strict=True)
    return [Variation(*parts) for parts in zip(names, sheets, _photos(sheets, translator, seed), strict=True)]


def _photos(sketches: Sequence[Image.Image], translator: Translator, seed: int | None) -> list[Image.Image]:
    batch = torch.stack([to_tensor(fit_square(sketch, translator.config.image_size)) for sketch in sketches])
    seeds = None if seed is None else [seed] * len(batch)
    return [to_image(photo) for photo in translator.translate_sheets(batch, "sketch_to_photo", seeds)]


# --- by colour ------------------------------------------------------------------------------------------------------


def find_places(lines: Mask, colours: Mask) -> list[Place]:
    """Where daubs of colour go, the roomiest place first: inside what the lines enclose, away from them and from each
    other, and not in parts that have a coloured stroke already.

    An outline may have small gaps. Where hardly anything is enclosed, the lines' convex hull stands for the object.
    """
    inside = _enclosed(lines)
    hull = _hull(lines)
    if inside.sum() < WHOLE * hull.sum():
        inside = hull
    count, parts = cv2.connectedComponents(inside & ~_grown(lines, 3) & 1, connectivity=4)
    taken = np.unique(parts[colours > 0])
    free = np.isin(parts, np.setdiff1d(np.arange(1, count), taken)).astype(np.uint8)
    places: list[Place] = []
    room = cv2.distanceTransform(np.pad(free, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    while len(places) < DAUBS:
        _, radius, _, (x, y) = cv2.minMaxLoc(room)
        if radius < max(SMALLEST, places[0].radius / 4 if places else 0):
            break
        places.append(Place(x + 0.5, y + 0.5, radius))
        cv2.circle(room, (x, y), round(2.5 * radius), 0.0, cv2.FILLED)  # type: ignore[call-overload]
    return places


def _on_object(places: list[Place], photo: Image.Image) -> list[Place]:
    """The places that are no paper in the photo, or all of them if that is so of none."""
    grey = np.asarray(resize(photo, (REFERENCE, REFERENCE)).convert("L"))
    return [place for place in places if grey[int(place.y), int(place.x)] < PAPER] or places


def _coloured(drawing: Picture, places: list[Place]) -> Iterator[tuple[str, Picture]]:
    for name, colour in PALETTE.items():
        layer = np.full_like(drawing, 255)
        unit = len(drawing) / REFERENCE
        for place in places:
            daub(layer, place, colour, unit)
        yield name, cv2.min(drawing, layer)  # lines stay on top, as in training


def daub(layer: Picture, place: Place, colour: tuple[int, int, int], unit: float) -> None:
    """A stroke across the middle of `place`; `unit` pixels of the layer are one of the place's.

    One broad stroke fills a part more evenly than a blot or a scribble, and leaves less of a mark.
    """
    width = min(max(0.25 * place.radius, NARROWEST), WIDEST)
    reach = max(0.9 * place.radius - width / 2, 0.0)
    points = (np.array([place.x, place.y]) + reach * np.array([[-0.9, -0.4], [0.9, 0.4]])) * unit
    cv2.polylines(layer, [fixed_point(points)], False, colour, max(round(width * unit), 1), cv2.LINE_AA, SHIFT)


def _ink(drawing: Picture) -> tuple[Mask, Mask]:
    """Which pixels are lines, and which coloured strokes."""
    lightest, darkest = drawing.max(2), drawing.min(2)
    coloured = lightest - darkest >= COLOURFUL
    return ((lightest < DARK) & ~coloured).astype(np.uint8), coloured.astype(np.uint8)


def _small(mask: Mask) -> Mask:
    """At REFERENCE; what was there at all still is."""
    return (cv2.resize(mask * 255, (REFERENCE, REFERENCE), interpolation=cv2.INTER_AREA) > 40).astype(np.uint8)


def _enclosed(lines: Mask) -> Mask:
    """What cannot be reached from the sheet's border without crossing a line or a gap of GAP."""
    walls = np.pad(cv2.morphologyEx(np.pad(lines, GAP), cv2.MORPH_CLOSE, _disc(GAP)), 1)
    cv2.floodFill(walls, None, (0, 0), 2)
    return (walls[GAP + 1 : -GAP - 1, GAP + 1 : -GAP - 1] != 2).astype(np.uint8)


def _hull(lines: Mask) -> Mask:
    hull = np.zeros_like(lines)
    points = cv2.findNonZero(lines)
    if points is not None:
        cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return hull


def _grown(mask: Mask, diameter: int) -> Mask:
    return np.asarray(cv2.dilate(mask, _disc(diameter)), np.uint8)


def _disc(diameter: int) -> Mask:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)), np.uint8)


# --- by small changes -----------------------------------------------------------------------------------------------


def _changed(drawing: Picture) -> Iterator[tuple[str, Picture]]:
    side = len(drawing)
    middle = side / 2
    turned = cv2.getRotationMatrix2D((middle, middle), 8, 1.0)
    smaller = cv2.getRotationMatrix2D((middle, middle), 0, 0.75)
    leaning = np.array([[1, 0.15, -0.15 * middle], [0, 1, 0]])
    shifted = np.array([[1, 0, 0.06 * side], [0, 1, -0.06 * side]])
    thick = _disc(2 * max(round(side / REFERENCE), 1) + 1)
    yield "mirrored", np.ascontiguousarray(drawing[:, ::-1])
    yield "thicker", np.asarray(cv2.erode(drawing, thick), np.uint8)
    for name, matrix in (("tilted", turned), ("smaller", smaller), ("leaning", leaning), ("shifted", shifted)):
        moved = cv2.warpAffine(drawing, matrix, (side, side), flags=cv2.INTER_AREA, borderValue=(255, 255, 255))
        yield name, np.asarray(moved, np.uint8)
