"""Colour hints: coloured pen strokes inside a drawn object that say what colour its regions take."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.colour.colour_map import regions
from cyclegan.drawing.inking import REFERENCE, SHIFT, Drawing, Sheet, fixed_point
from cyclegan.images import from_lab, to_lab

CANDIDATES = 6  # strokes tried for each hint; the longest, most colourful and most even one is drawn
WIDTHS = np.log((1.5, 28.0))  # at 256 px, even in the logarithm: bold colour strokes teach what fine strokes then tell
STEPS = 16  # points of a stroke
MINIMUM_CHROMA = 24  # of 8-bit CIELAB: what has less looks like the lines or the paper
STRONGER = (1.0, 2.0)  # chroma of a palette's colour, for that of the thing it is picked for
OFF = (8.0, 4.0, 4.0)  # standard deviation of a picked colour from the thing's, CIELAB

STROKE_WIDTH = 12  # pixels at 256 px


def with_colour_stroke(sheet: NDArray, colour: tuple[int, int, int]) -> NDArray:
    """`sheet` (H×W×3 uint8, RGB: a drawing) with a bold stroke of `colour` where its largest region is roomiest.

    Where nothing is enclosed that is the middle.
    """
    unit = max(sheet.shape[:2]) / REFERENCE
    inside = cv2.resize((regions(sheet) == 1).astype(np.uint8), sheet.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    _, radius, _, (x, y) = cv2.minMaxLoc(cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 5)[1:-1, 1:-1])
    if not radius:
        (y, x), radius = (side // 2 for side in sheet.shape[:2]), STROKE_WIDTH * unit
    reach = np.array([[-0.6, -0.3], [0.6, 0.3]]) * radius
    layer = np.full_like(sheet, 255)
    ends = [fixed_point(np.array([x, y]) + reach)]
    cv2.polylines(layer, ends, False, colour, max(round(min(STROKE_WIDTH * unit, radius)), 1), cv2.LINE_AA, SHIFT)
    return np.minimum(sheet, layer)


def colour_hints(photo: NDArray, drawing: Drawing, rng: np.random.Generator, picked: bool = False) -> NDArray:
    """A white sheet with 1 to 4 strokes inside the object in the colours that `photo` has there.

    The sheet is H×W×3 uint8, RGB, of the drawing's size; `photo` is so, too, or a smaller picture of the same. Strokes
    are 1.5 to 28 px wide at 256 px. The darker of this and the inked drawing, channel by channel, is what a person sees
    who draws lines over colours.
    Black, grey and white, which look like lines and paper, make no hints: an object that has no other colour gets none.
    With `picked` the colours are as a person picks them from a palette: somewhat stronger than the photo's, and each a
    little off. A generator that learns from these tames what pens ask for, and cannot copy the stroke into the photo.
    """
    inside = drawing.mask()
    unit = max(drawing.size) / REFERENCE
    safe = cv2.erode(inside, np.ones((7, 7)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    places = np.flatnonzero(safe)
    layer = np.full((*inside.shape, 3), 255, np.uint8)
    if not len(places):
        return layer
    count = int(rng.integers(1, 5))
    start = np.stack(np.divmod(rng.choice(places, count * CANDIDATES), safe.shape[1])[::-1], 1) + 0.5
    paths = _kept_inside(_paths(start, unit, rng), safe)
    x, y = (paths * (len(photo) / len(inside))).astype(int).transpose(2, 0, 1)
    colours = np.median(photo[y, x], axis=1).astype(np.uint8)
    spread = np.abs(photo[y, x].astype(int) - colours[:, None]).mean((1, 2))
    length = np.linalg.norm(np.diff(paths, axis=1), axis=2).sum(1) / unit
    chroma = _chroma(colours)
    if picked:
        colours = _picked(colours, rng)
    score = (chroma >= MINIMUM_CHROMA) * (10 + chroma) * np.minimum(length, 30) / (10 + spread)
    for best in score.reshape(count, CANDIDATES).argmax(1) + np.arange(count) * CANDIDATES:
        if score[best] > 0:
            width = max(round(float(np.exp(rng.uniform(*WIDTHS))) * unit), 1)
            colour = [int(value) for value in colours[best]]
            cv2.polylines(layer, [fixed_point(paths[best])], False, colour, width, cv2.LINE_AA, SHIFT)
    return layer | cv2.cvtColor(255 - inside, cv2.COLOR_GRAY2RGB)


def _paths(start: NDArray, unit: float, rng: np.random.Generator) -> NDArray:
    """N×STEPS×2: short strokes from `start` (N×2) in any direction, gently bent or scribbled to and fro."""
    along = np.linspace(0, 1, STEPS)
    length, bend = rng.uniform(10, 60, (len(start), 1)) * unit, rng.uniform(-0.3, 0.3, (len(start), 1))
    scribbled = rng.random((len(start), 1)) < 0.25
    forward = length * np.where(scribbled, 0.6, 1.0) * along
    aside = length * np.where(scribbled, 0.3 * (np.arange(STEPS) // 2 % 2), bend * along**2)
    angle = rng.uniform(0, 2 * np.pi, (len(start), 1))
    turned = np.stack(
        [forward * np.cos(angle) - aside * np.sin(angle), forward * np.sin(angle) + aside * np.cos(angle)], 2
    )
    return start[:, None] + turned


def _kept_inside(paths: NDArray, safe: Sheet) -> NDArray:
    """The paths, standing still from where they would leave the object."""
    limit = np.array(safe.shape[::-1]) - 1
    x, y = np.clip(paths.astype(int), 0, limit).transpose(2, 0, 1)
    within = (safe[y, x] > 0) & ((paths >= 0) & (paths <= limit)).all(2)
    kept = np.logical_and.accumulate(within, axis=1).sum(1, keepdims=True)
    return np.take_along_axis(paths, np.minimum(np.arange(STEPS), np.maximum(kept - 1, 0))[..., None], 1)


def _picked(colours: NDArray, rng: np.random.Generator) -> NDArray:
    """N×3 uint8 RGB colours → the same, stronger by one factor and off by as many errors."""
    lab = to_lab(colours)
    lab[:, 1:] *= rng.uniform(*STRONGER)
    lab += rng.normal(0, OFF, lab.shape)  # in place: stays float32
    return (_shown(from_lab(lab)) * 255 + 0.5).astype(np.uint8)


def _shown(rgb: NDArray) -> NDArray:
    """N×3 colours, made as much greyer as it takes to have all channels in [0, 1]; clipped, they would turn."""
    grey = rgb.mean(axis=1, keepdims=True).clip(0, 1)
    away = rgb - grey
    room = np.where(away > 0, 1 - grey, grey)
    return grey + away * (room / np.abs(away).clip(1e-6)).min(axis=1, keepdims=True).clip(max=1)


def _chroma(colours: NDArray) -> NDArray:
    """Chroma of N×3 RGB colours in 8-bit CIELAB, which is precise enough to choose by, and quicker."""
    _, a, b = cv2.cvtColor(colours[None], cv2.COLOR_RGB2LAB)[0].astype(float).T
    return np.hypot(a - 128, b - 128)
