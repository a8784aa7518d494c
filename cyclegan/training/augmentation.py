"""Augmentation: a photo and its traced drawing → one training sample, moved, recoloured, inked and hinted at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.colour.colour_map import (
    PAPER,
    colour_map,
    has_colour_strokes,
    in_colourway,
    outside,
    region_means,
    regions,
    smooth_colour_map,
)
from cyclegan.colour.hints import colour_hints
from cyclegan.config import DataConfig
from cyclegan.drawing.coherent_lines import at_detail
from cyclegan.drawing.inking import CANONICAL, KINDS, REFERENCE, Drawing, Stroke, Style, ink, ink_alike
from cyclegan.images import RGBArray, from_lab, rotate_hues, to_lab

RECOLOUR_PROB = {True: 0.7, False: 0.15}
"""Probability that a photo is recoloured, with and without hints. With hints the colour has to be read from the hint,
so it must not be guessable; without them the model chooses, and should choose as real photos do."""

COLOURWAY_PROB = 0.5
"""Probability that a photo without hints is recoloured in a colourway, if the config asks for it; the others keep their
own colours in each region of the drawing."""

ONE_COLOUR_PROB = 0.6
"""Probability that recolouring is confined to where the photo has one colour: to leather, and not its buckle."""

MIN_ONE_COLOUR = 0.4
"""Share of the object that must have that colour: a hint on a small print does not tell a shirt's colour."""

EMPTY = 0.5
"""Share of a region that the object covers, below which the region is a hole in it, and paper in the colour map."""

ONE_COLOUR = (40.0, 12.0, 12.0)
"""By how much CIELAB's L, a and b differ within one colour, in light and shade."""

PLAIN = 0.5
"""Length of the lines inside an object, relative to its outlines, up to which some may be left out: from a shirt drawn
blank whose photo has a print, G learns to put prints on all that is blank."""

COLOURED_PEN_PROB = 0.2
"""Probability that the lines of a drawing with hints are themselves in the object's colours."""

COMPLETE = 0.7
"""The amount of detail, F's usual one, from which on drawings of catalogue objects are complete."""

PASTED_SIZES = (0.3, 0.9)
"""Side of the square that an object is pasted in, relative to the scene's shorter side."""
PASTED_LIGHT = (0.6, 1.0)
PASTED_GAP = 7
"""Side of the square around each point of the object in which no line of the scene is drawn, in pixels."""

BLURS = (0.003, 0.05)
"""Standard deviations, relative to the sheet, of the blur that makes a photo a colour map."""

CROP_SCALES = (0.85, 1.18)
CROP_TRIES = 3

EVEN_PEN = {name: getattr(CANONICAL, name) for name in ("width", "width_variation", "taper", "tone", "grain")}

Labels = NDArray  # H×W integers, as ``colour_map.regions`` gives them
Lab = NDArray  # H×W×3 float32, CIELAB


@dataclass(frozen=True)
class TrainingSample:
    """H×W×3 uint8 RGB images of one object, all of one size."""

    sketch: RGBArray
    """G's input: a drawing in a random style, perhaps unfinished, perhaps with colour hints."""
    lines: RGBArray
    """The same strokes in an even black pen: what F must reconstruct, and what is real to D_Y."""
    photo: RGBArray
    """A real photo; if ``paired``, the one that the sketch was made from."""
    traced: RGBArray
    """The clean, complete drawing of ``photo``; meaningless unless ``paired``."""
    hints: RGBArray
    """The colour strokes of ``sketch`` alone, on white."""
    colour_map: RGBArray
    """G's condition: the colours that ``sketch`` asks for or, without colour strokes, those of ``photo``."""
    paired: bool
    coloured: bool
    """Whether ``sketch`` has colour strokes."""
    detail: float = 1.0
    """How much detail ``traced`` has, F's condition: 0 outlines, 1 every line."""
    sketch_detail: float = 1.0
    """How much ``sketch`` has."""
    background: bool = False
    """Whether ``colour_map`` is the blurred photo, background and all."""


def paired_sample(photo: Image.Image, drawing: Drawing, config: DataConfig, rng: np.random.Generator) -> TrainingSample:
    """From a square RGB ``photo`` and its traced ``drawing``, in the photo's pixels."""
    matrix = _placement(photo.width, config, rng)
    real = _moved(np.asarray(photo), matrix, config.size)
    drawing = drawing.transformed(matrix, (config.size, config.size))
    hinted = rng.random() < config.hint_prob
    if rng.random() < RECOLOUR_PROB[hinted]:
        real = _recoloured(real, drawing.mask(), rng)
    drawn, style, seed = drawing, _style(config.steady, rng), int(rng.integers(2**32))
    if not _plain(drawing):
        style = replace(style, detail="detailed", missing=0.0)
    elif rng.random() < config.unfinished_prob:
        drawn = drawing.unfinished(rng.uniform(0.15, 0.95))
    pens = (style, replace(style, **EVEN_PEN))
    sketch, lines = map(_rgb, ink_alike(drawn, pens, np.random.default_rng(seed)))
    hints = colour_hints(real, drawing, rng, picked=True) if hinted else np.full_like(real, 255)
    coloured = bool((hints < 255).any())
    smooth = not coloured and rng.random() < config.smooth_prob
    if coloured and rng.random() < COLOURED_PEN_PROB:
        sketch = _in_pens(sketch, real, drawing.mask())
    sketch = np.minimum(sketch, hints)
    if coloured:
        colours = colour_map(sketch)
    elif smooth:
        colours = _smooth_colours(real, config.size, rng)
    else:
        outlined = _on_photo(regions(sketch), real)
        if config.colourways and rng.random() < COLOURWAY_PROB:
            colours = in_colourway(outlined, int(rng.integers(2**16)))
            real = _in_colours(real, drawing.mask(), to_lab(colours), outlined)
        else:
            colours = _colours_of(real, drawing.mask(), outlined)
        colours[outside(outlined, sketch) | _empty(outlined, drawing.mask())] = PAPER
    detail = _random_detail(rng) if config.vary_detail else 1.0
    traced = _rgb(ink(at_detail(drawing, min(detail / COMPLETE, 1)) if config.vary_detail else drawing, CANONICAL, rng))
    return TrainingSample(sketch, lines, real, traced, hints, colours, True, coloured, detail, background=smooth)


def scene_sample(
    photo: RGBArray, drawing: Drawing, side: int, size: int, rng: np.random.Generator, steady: bool = False
) -> TrainingSample:
    """From a ``photo`` (H×W×3) of any kind and its coherent ``drawing``, in its pixels: a crop of about side×side of
    them on a sheet of size×size. A photo that is narrower gets white margins.

    The pen of F's target is 2 px wide whatever the photo's scale, so that lines are as fine as the photo is sharp.
    ``steady`` as `DataConfig.steady`.
    """
    detail = _random_detail(rng)
    kept = at_detail(drawing, detail)
    crop, matrix = _crop(photo, kept, side, size, rng)
    lines = kept.within(matrix, size)
    real = _jittered(crop, rng)
    style, seed = replace(_style(steady, rng), detail="detailed", missing=0.0), int(rng.integers(2**32))
    sketch, black = map(_rgb, ink_alike(lines, (style, replace(style, **EVEN_PEN)), np.random.default_rng(seed)))
    target = _rgb(ink(lines, replace(CANONICAL, width=CANONICAL.width * REFERENCE / size), rng))
    real, colours = (_on_sheet(picture, size) for picture in (real, _smooth_colours(real, size, rng)))
    blank = np.full_like(real, 255)
    return TrainingSample(sketch, black, real, target, blank, colours, True, False, detail, detail, background=True)


def pasted(
    scene: RGBArray, lines: Drawing, photo: RGBArray, drawing: Drawing, rng: np.random.Generator
) -> tuple[RGBArray, Drawing]:
    """The object of a square ``photo``, whose traced ``drawing`` has a silhouette, somewhere on a ``scene`` (H×W×3)
    with its coherent ``lines``; and the lines of both, the silhouette before all others.
    """
    height, width = scene.shape[:2]
    side = rng.uniform(*PASTED_SIZES) * min(height, width)
    scale = side / len(photo)
    left, top = rng.uniform(0, (width - side, height - side))
    matrix = np.array([[scale, 0, left], [0, scale, top]], np.float32)
    if rng.random() < 0.5:
        matrix[0] = (-scale, 0, left + side)
    placed = drawing.transformed(matrix, (width, height))
    mask = placed.mask()
    moved = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.erode(cv2.GaussianBlur(mask, (0, 0), 0.8), np.ones((3, 3)))[..., None] / np.float32(255)
    picture = (share * moved * rng.uniform(*PASTED_LIGHT) + (1 - share) * scene + 0.5).astype(np.uint8)
    behind = lines.outside(cv2.dilate(mask, np.ones((PASTED_GAP, PASTED_GAP))))
    contour = [replace(stroke, kind="edge") for stroke in placed.strokes if stroke.kind in KINDS["contour"]]
    inner = [stroke for stroke in placed.strokes if stroke.kind not in KINDS["contour"]]
    ranked = sorted([*_ranks(inner), *_ranks(behind.strokes)], key=lambda pair: pair[0])
    return picture, Drawing((width, height), (*contour, *(stroke for _, stroke in ranked)))


def _ranks(strokes: Sequence[Stroke]) -> list[tuple[float, Stroke]]:
    """Each of ranked strokes with its place among them, from 0 to 1."""
    return [((place + 0.5) / len(strokes), stroke) for place, stroke in enumerate(strokes)]


def _smooth_colours(photo: RGBArray, size: int, rng: np.random.Generator) -> RGBArray:
    """G's colour map from a photo: the photo itself, blurred by a tenth of a percent to five percent of the sheet."""
    blur = float(np.exp(rng.uniform(*np.log(BLURS))))
    return smooth_colour_map(photo, blur=blur * size / max(photo.shape[:2]))


def _random_detail(rng: np.random.Generator) -> float:
    """Uniform, with the ends and the usual amount more often."""
    return float(rng.uniform()) if rng.random() < 0.8 else float(rng.choice((0.0, COMPLETE, 1.0)))


def _crop(
    photo: RGBArray, drawing: Drawing, side: int, size: int, rng: np.random.Generator
) -> tuple[RGBArray, NDArray[np.float32]]:
    """At most side×side pixels out of ``photo`` at 0.85 to 1.18 times their scale on a sheet of ``size``, perhaps
    mirrored, rather not without lines; and the map to there from the photo."""
    reach = side / rng.uniform(*CROP_SCALES)
    spans = np.minimum(np.round(reach), photo.shape[1::-1]).astype(int)
    points = np.concatenate([stroke.points for stroke in drawing.strokes]) if drawing.strokes else np.zeros((0, 2))
    for _ in range(CROP_TRIES):
        start = rng.integers(0, photo.shape[1::-1] - spans + 1)
        if ((points >= start) & (points < start + spans)).all(1).sum() > reach / 4:
            break
    (left, top), (width, height) = start, spans
    scale = size / reach
    shape = np.maximum(np.round(spans * scale), 1).astype(int).clip(max=size)
    crop = cv2.resize(photo[top : top + height, left : left + width], shape.tolist(), interpolation=cv2.INTER_AREA)
    factor, offset = shape / spans, (size - shape) // 2
    matrix = np.array(
        [[factor[0], 0, offset[0] - left * factor[0]], [0, factor[1], offset[1] - top * factor[1]]], np.float32
    )
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
        matrix[0] = (-factor[0], 0, offset[0] + shape[0] + left * factor[0])
    return np.asarray(crop, np.uint8), matrix


def _on_sheet(picture: RGBArray, size: int) -> RGBArray:
    """``picture`` in the middle of a white sheet of size×size."""
    height, width = picture.shape[:2]
    left, top = (size - width) // 2, (size - height) // 2
    sheet = np.full((size, size, 3), PAPER, np.uint8)
    sheet[top : top + height, left : left + width] = picture
    return sheet


def _jittered(photo: RGBArray, rng: np.random.Generator) -> RGBArray:
    """``photo`` under another exposure, contrast and saturation."""
    values = (photo / np.float32(255)) ** np.float32(np.exp(rng.uniform(*np.log((0.7, 1.4)))))
    values = (values - 0.5) * np.float32(rng.uniform(0.75, 1.15)) + 0.5
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * np.float32(rng.uniform(0.5, 1.4))
    return (values.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def unpaired_sample(
    sketch: Image.Image, photo: Image.Image, config: DataConfig, rng: np.random.Generator
) -> TrainingSample:
    """From a square RGB ``sketch`` and ``photo`` that do not belong together."""
    drawn, real = (
        _moved(np.asarray(picture), _placement(picture.width, config, rng), config.size) for picture in (sketch, photo)
    )
    blank = np.full_like(real, 255)
    colours = colour_map(drawn)
    return TrainingSample(drawn, drawn, real, drawn, blank, colours, paired=False, coloured=False)


def given_pair_sample(
    sketch: Image.Image, photo: Image.Image, config: DataConfig, rng: np.random.Generator
) -> TrainingSample:
    """From a square RGB ``sketch`` and ``photo`` that belong together, moved alike."""
    matrix = _placement(photo.width, config, rng)
    drawn, real = (_moved(np.asarray(picture), matrix, config.size) for picture in (sketch, photo))
    coloured = has_colour_strokes(drawn)
    colours = colour_map(drawn) if coloured else _smooth_colours(real, config.size, rng)
    return TrainingSample(drawn, drawn, real, drawn, np.full_like(real, 255), colours, paired=True, coloured=coloured)


def cropped_sample(
    sketch: Image.Image, photo: Image.Image, config: DataConfig, rng: np.random.Generator, paired: bool
) -> TrainingSample:
    """Random crops of two square RGB images, mirrored or not; the same one of both if they are ``paired``.

    As CycleGAN trains on two domains of colour images (appendix 7.1 and its code); there is no colour map.
    """
    place = _random_crop(photo.width, config.size, rng)
    real = place(photo)
    drawn = (place if paired else _random_crop(sketch.width, config.size, rng))(sketch)
    blank = np.full_like(real, 255)
    return TrainingSample(drawn, drawn, real, drawn, blank, blank, paired=paired, coloured=False)


def _random_crop(side: int, size: int, rng: np.random.Generator) -> Callable[[Image.Image], RGBArray]:
    left, top = rng.integers(side - size + 1, size=2)
    turn = slice(None, None, int(rng.choice((-1, 1))))

    def crop(picture: Image.Image) -> RGBArray:
        return np.asarray(picture)[top : top + size, left : left + size][:, turn].copy()

    return crop


def _placement(side: int, config: DataConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """2×3 affine map of a square of ``side`` pixels into one of ``config.size``: mirrored, rotated, scaled, shifted.

    Half of the images have the largest scale: people mostly fill the sheet.
    """
    scale = config.max_scale if rng.random() < 0.5 else rng.uniform(config.min_scale, config.max_scale)
    angle = np.deg2rad(rng.uniform(-12, 12)) if rng.random() < 0.3 else 0.0
    mirror = rng.choice((-1, 1))
    unit = config.size / side
    turn = scale * unit * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[:, 0] *= mirror
    slack = config.size * ((1 - scale) / 2 + 0.02)
    centre = config.size / 2 + rng.uniform(-slack, slack, 2)
    return np.column_stack((turn, centre - turn @ (side / 2, side / 2))).astype(np.float32)


def _moved(picture: RGBArray, matrix: NDArray[np.float32], size: int) -> RGBArray:
    """``picture`` under ``matrix`` on a sheet of ``size``; made twice as large and averaged down, to stay crisp."""
    to_larger = 2 * matrix
    to_larger[:, 2] += (
        to_larger[:, :2] @ (0.5, 0.5) - 0.5
    )  # OpenCV's origin is the first pixel's centre, ours its corner
    larger = cv2.warpAffine(
        picture, to_larger, (2 * size, 2 * size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.resize(larger, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _style(steady: bool, rng: np.random.Generator) -> Style:
    style = Style.random(rng)
    return replace(style, smoothing=0.0, wobble=0.0, slip=0.0, doubled=0.0) if steady else style


def _plain(drawing: Drawing) -> bool:
    outlines = sum(stroke.length for stroke in drawing.strokes if stroke.kind in KINDS["contour"])
    return drawing.length - outlines <= PLAIN * outlines


def _recoloured(photo: RGBArray, mask: RGBArray, rng: np.random.Generator) -> RGBArray:
    """The object (``mask`` 255) in another colour: turned hues, or as a pen would ask for; always so what was grey."""
    if rng.random() < ONE_COLOUR_PROB:
        mask = _one_colour(photo, mask, rng)
    box = _box(mask)
    lab = to_lab(photo[box])
    colours = lab[mask[box] > 127][:, 1:]
    if not len(colours) or np.linalg.norm(colours, axis=1).mean() < 15 or rng.random() < 0.6:
        return _in_colours(photo, mask, _vivid(rng))
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 2.0)
    return _blended(photo, rotate_hues(lab, angle, strength), mask, box)


def _box(mask: RGBArray) -> tuple[slice, slice]:
    """Rows and columns of the object (``mask`` above 0) and of its soft edge: elsewhere a photo stays as it is."""
    left, top, width, height = cv2.boundingRect(mask)
    return slice(max(top - 2, 0), top + height + 2), slice(max(left - 2, 0), left + width + 2)


def _one_colour(photo: RGBArray, mask: RGBArray, rng: np.random.Generator) -> RGBArray:
    """Of the object (``mask`` 255), what has about the colour of some place of it, 255 there, with soft edges; where
    that is not the most of it, all."""
    places = np.flatnonzero(mask)
    if not len(places):
        return mask
    lab = to_lab(np.asarray(cv2.GaussianBlur(photo, (0, 0), len(photo) / 128), np.uint8))
    away = (lab - lab.reshape(-1, 3)[rng.choice(places)]) / np.array(ONE_COLOUR, np.float32)
    similar = (mask * (1.5 - np.linalg.norm(away, axis=2)).clip(0, 1)).astype(np.uint8)
    return similar if (similar > 127).sum() > MIN_ONE_COLOUR * len(places) else mask


def _vivid(rng: np.random.Generator) -> NDArray[np.float32]:
    """A CIELAB colour, any hue that screens can show, mostly strong: those of a palette, pen or paint pot."""
    hsv = np.array([rng.uniform(0, 360), rng.uniform(0.35, 1), rng.uniform(0.35, 1)], np.float32)
    return to_lab(np.asarray(cv2.cvtColor(hsv[None, None], cv2.COLOR_HSV2RGB))[0, 0])


def _on_photo(regions: Labels, photo: RGBArray) -> Labels:
    """``regions`` on as many places as ``photo`` has pixels."""
    return cv2.resize(regions, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _colours_of(photo: RGBArray, mask: RGBArray, regions: Labels) -> RGBArray:
    """The colour map of the ``photo``'s own colours, the mean of each region."""
    return (region_means(photo, mask > 127, regions) + 0.5).astype(np.uint8)


def _empty(regions: Labels, mask: RGBArray) -> NDArray[np.bool_]:
    """Where ``regions`` lie mostly off the object (``mask`` 255): what a handle encloses."""
    inside = np.bincount(regions.ravel(), mask.ravel() > 127) / np.bincount(regions.ravel()).clip(1)
    inside[0] = 1  # around the regions nothing is enclosed
    return (inside < EMPTY)[regions]


def _in_colours(photo: RGBArray, mask: RGBArray, colours: Lab, regions: Labels | None = None) -> RGBArray:
    """The object (``mask`` 255) with ``colours`` (CIELAB, one or one per pixel) as the mean of each region, about:
    light and shade stay."""
    if mask.max() < 128:
        return photo
    box = _box(mask)
    lab, inside = to_lab(photo[box]), mask[box] > 127
    mean = region_means(lab, inside, np.zeros(inside.shape, int) if regions is None else regions[box])
    colours = colours[box] if colours.ndim == 3 else colours
    mean[..., 0] = np.clip(mean[..., 0], 2, 98)
    lab[..., 1:] -= _share(lab, mean) * mean[..., 1:]
    gamma = np.clip(np.log(colours[..., 0] / 100) / np.log(mean[..., 0] / 100), 0.3, 3.0)
    lab[..., 0] = 100 * (lab[..., 0] / 100).clip(0, 1) ** gamma
    lab[..., 1:] += _share(lab, colours) * colours[..., 1:]
    return _blended(photo, lab, mask, box)


def _in_pens(sketch: RGBArray, photo: RGBArray, mask: RGBArray) -> RGBArray:
    """``sketch`` drawn with pens of the colours that the object (``mask`` 255) has nearby."""
    inside, reach = mask[..., None] / np.float32(255), len(mask) / 16
    weighted = cv2.GaussianBlur(np.dstack((photo * inside, inside)), (0, 0), reach)
    colours = weighted[..., :3] / weighted[..., 3:].clip(1e-3)
    return (255 - (255 - sketch) * (1 - colours / 255)).astype(np.uint8)


def _share(lab: Lab, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """H×W×1: how much of ``colour``'s chroma each place takes: all at its lightness, none in black and white."""
    return np.minimum(lab[..., :1] / colour[..., :1], (100 - lab[..., :1]) / (100 - colour[..., :1]))


def _blended(photo: RGBArray, lab: Lab, mask: RGBArray, box: tuple[slice, slice]) -> RGBArray:
    """``photo`` with ``lab`` (CIELAB, of its ``box`` alone) as RGB inside ``mask``, with a soft edge."""
    colour = from_lab(lab).clip(0, 1) * 255
    share = cv2.GaussianBlur(mask[box], (3, 3), 0)[..., None] / np.float32(255)
    blended = photo.copy()
    blended[box] = (share * colour + (1 - share) * photo[box] + 0.5).astype(np.uint8)
    return blended


def _rgb(sheet: RGBArray) -> RGBArray:
    return np.asarray(cv2.cvtColor(sheet, cv2.COLOR_GRAY2RGB), np.uint8)
