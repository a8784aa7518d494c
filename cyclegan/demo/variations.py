"""Other photos of one drawing. CycleGAN is deterministic: another photo takes other colours or another drawing."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.colour.colour_map import has_colour_strokes
from cyclegan.colour.palettes import colourway
from cyclegan.drawing.empty import Mask
from cyclegan.drawing.inking import REFERENCE
from cyclegan.images import RGBArray, from_lab, rotate_hues, to_lab
from cyclegan.inference import Translator

BLANK = 200  # of 255: a sheet on which no channel is darker


@dataclass(frozen=True)
class Variation:
    """Another photo and how to get it: `Translator.sketch_to_photo` of the rest."""

    name: str
    """Of its colours or of what became of the drawing: "tan", "mirrored"."""
    sketch: Image.Image
    """RGB, as large as the drawing was; the drawing itself where only the colours are others."""
    seed: int
    photo: Image.Image
    """RGB, as large as the sketch or, if that is small, as a photo is at least."""
    colours: Image.Image | None = None
    """The photo whose colours it takes, if the sketch is one of a photo."""
    empty: Mask | None = None
    """The parts of the sketch that are paper."""


def variations(
    sketch: Image.Image,
    translator: Translator,
    seed: int = 0,
    colours: Image.Image | None = None,
    empty: Mask | None = None,
    count: int = 6,
) -> list[Variation]:
    """`count` (1 to 6) variations of a drawing (RGB; square without ``colours``) with ``seed`` and ``empty`` parts; a
    blank sheet has none.

    Where the drawing leaves its colours to the seed, they have the next ones, else the lines change a little; where it
    has those of a photo, ``colours``, these change.
    """

    def variation(
        name: str,
        sketch: Image.Image = sketch,
        seed: int = seed,
        colours: Image.Image | None = colours,
        empty: Mask | None = empty,
    ) -> Variation:
        photo = translator.sketch_to_photo(sketch, seed, colours, normalise=False, empty=empty)
        return Variation(name, sketch, seed, photo, colours, empty)

    if colours:
        tints = islice(_tints(np.asarray(colours)), count)
        return [variation(name, colours=Image.fromarray(tint)) for name, tint in tints]
    drawing = np.asarray(sketch)
    if drawing.min() > BLANK:
        return []
    if translator.config.generator.colour_map and not has_colour_strokes(drawing):
        return [variation(colourway(other).name, seed=other) for other in range(seed + 1, seed + 1 + count)]
    changed = islice(_changed(drawing, empty), count)
    return [variation(name, Image.fromarray(lines), empty=parts) for name, lines, parts in changed]


def _tints(photo: RGBArray) -> Iterator[tuple[str, RGBArray]]:
    """``photo`` in another light, and with its hues turned."""
    lab = to_lab(photo)

    def changed(light: float = 1, chroma: float = 1, yellow: float = 0) -> RGBArray:
        lightness, green_red, blue_yellow = np.moveaxis(lab, 2, 0)
        other = (100 * (lightness / 100) ** light, chroma * green_red, chroma * blue_yellow + yellow)
        return _pixels(np.stack(other, axis=2))

    yield "warmer", changed(yellow=18)
    yield "cooler", changed(yellow=-18)
    yield "vivid", changed(chroma=1.6)
    yield "at dusk", changed(light=2.2, yellow=-6)
    for third in (1, 2):
        yield f"hues turned by {120 * third}°", _pixels(rotate_hues(lab, third * 2 * np.pi / 3, 1))


def _pixels(lab: NDArray[np.float32]) -> RGBArray:
    return (from_lab(lab).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _changed(drawing: RGBArray, empty: Mask | None) -> Iterator[tuple[str, RGBArray, Mask | None]]:
    """The drawing, and its empty parts, in another pen or place."""
    side = len(drawing)
    middle = side / 2
    turned = cv2.getRotationMatrix2D((middle, middle), 8, 1.0)
    smaller = cv2.getRotationMatrix2D((middle, middle), 0, 0.75)
    leaning = np.array([[1, 0.15, -0.15 * middle], [0, 1, 0]])
    shifted = np.array([[1, 0, 0.06 * side], [0, 1, -0.06 * side]])
    diameter = 2 * max(round(side / REFERENCE), 1) + 1
    thick = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    both = np.dstack((drawing, np.zeros((side, side), np.uint8) if empty is None else np.uint8(255) * empty))

    def named(name: str, moved: NDArray[np.uint8]) -> tuple[str, RGBArray, Mask | None]:
        lines, parts = np.ascontiguousarray(moved[..., :3]), moved[..., 3] > 127
        return name, lines, None if empty is None else parts

    yield named("mirrored", both[:, ::-1])
    yield named("thicker", np.asarray(cv2.erode(both, thick), np.uint8))
    for name, matrix in (("tilted", turned), ("smaller", smaller), ("leaning", leaning), ("shifted", shifted)):
        paper = (255, 255, 255, 0)
        moved = cv2.warpAffine(both, matrix, (side, side), flags=cv2.INTER_AREA, borderValue=paper)
        yield named(name, np.asarray(moved, np.uint8))
