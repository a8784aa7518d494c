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
    colourway_of,
    has_colour_strokes,
    outside,
    region_means,
    regions,
)
from cyclegan.colour.hints import colour_hints
from cyclegan.config import DataConfig
from cyclegan.drawing.coherent_lines import at_detail
from cyclegan.drawing.inking import CANONICAL, KINDS, REFERENCE, Drawing, Sheet, Stroke, Style, ink, ink_alike
from cyclegan.images import RGBArray, to_lab
from cyclegan.training.photo_transform import (
    OBJECT,
    REGIONS,
    Jitter,
    PhotoTransform,
    Recolouring,
    grid_side,
    moved,
)

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
    transform: PhotoTransform
    """How ``photo`` and, if it blurs, ``colour_map`` come about; they are made when asked for."""
    traced: RGBArray
    """The clean, complete drawing of ``photo``; meaningless unless ``paired``."""
    hints: RGBArray
    """The colour strokes of ``sketch`` alone, on white."""
    colours: RGBArray
    """``colour_map``, but where ``transform`` makes it of the photo."""
    paired: bool
    coloured: bool
    """Whether ``sketch`` has colour strokes."""
    detail: float = 1.0
    """How much detail ``traced`` has, F's condition: 0 outlines, 1 every line."""
    sketch_detail: float = 1.0
    """How much ``sketch`` has."""
    background: bool = False
    """Whether ``colour_map`` is the blurred photo, background and all."""

    @property
    def photo(self) -> RGBArray:
        """A real photo; if ``paired``, the one that the sketch was made from."""
        return self.transform.photo

    @property
    def colour_map(self) -> RGBArray:
        """G's condition: the colours that ``sketch`` asks for or, without colour strokes, those of ``photo``."""
        return self.transform.smooth_colours if self.transform.blur else self.colours


def paired_sample(photo: Image.Image, drawing: Drawing, config: DataConfig, rng: np.random.Generator) -> TrainingSample:
    """From a square RGB ``photo`` and its traced ``drawing``, in the photo's pixels."""
    size, grid = config.size, grid_side(config.size)
    matrix = _placement(photo.width, config, rng)
    drawing = drawing.transformed(matrix, (size, size))
    mask = drawing.mask()
    # All that is decided by the photo's colours is decided on a small one: the large one may be made on a device.
    small, small_mask = moved(np.asarray(photo), matrix * np.float32(grid / size), grid), _on_grid(mask, grid)
    recolourings = []
    hinted = rng.random() < config.hint_prob
    if rng.random() < RECOLOUR_PROB[hinted]:
        recolourings.append(_recolouring(small, small_mask, rng))
        small = recolourings[-1].of(small, small_mask)
    drawn, style, seed = drawing, _style(config.steady, rng), int(rng.integers(2**32))
    if not _plain(drawing):
        style = replace(style, detail="detailed", missing=0.0)
    elif rng.random() < config.unfinished_prob:
        drawn = drawing.unfinished(rng.uniform(0.15, 0.95))
    pens = (style, replace(style, **EVEN_PEN))
    sketch, lines = map(_rgb, ink_alike(drawn, pens, np.random.default_rng(seed)))
    hints = colour_hints(small, drawing, rng, picked=True) if hinted else np.full_like(sketch, 255)
    coloured = bool((hints < 255).any())
    smooth = not coloured and rng.random() < config.smooth_prob
    if coloured and rng.random() < COLOURED_PEN_PROB:
        sketch = _in_pens(sketch, small, small_mask)
    sketch = np.minimum(sketch, hints)
    colours, blur = np.full_like(sketch, 255), 0.0
    if coloured:
        colours = colour_map(sketch)
    elif smooth:
        blur = _random_blur(size, rng)
    else:
        outlined = regions(sketch)
        if config.colourways and rng.random() < COLOURWAY_PROB:
            of_regions = colourway_of(outlined, int(rng.integers(2**16)))
            recolourings.append(_in_colours(small, small_mask, to_lab(of_regions), outlined))
            small = recolourings[-1].of(small, small_mask)
        else:
            of_regions = (region_means(small, small_mask > OBJECT, outlined) + 0.5).astype(np.uint8)
        colours = of_regions[outlined]
        colours[outside(outlined, sketch) | _empty(outlined, small_mask)] = PAPER
        colours = np.asarray(cv2.resize(colours, (size, size), interpolation=cv2.INTER_NEAREST), np.uint8)
    transform = PhotoTransform(small, size, blur=blur)
    if grid < size:
        transform = PhotoTransform(np.asarray(photo), size, matrix, mask, tuple(recolourings), blur=blur)
    detail = _random_detail(rng) if config.vary_detail else 1.0
    traced = _rgb(ink(at_detail(drawing, min(detail / COMPLETE, 1)) if config.vary_detail else drawing, CANONICAL, rng))
    return TrainingSample(sketch, lines, transform, traced, hints, colours, True, coloured, detail, background=smooth)


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
    transform = PhotoTransform(crop, size, jitter=_random_jitter(rng))
    style, seed = replace(_style(steady, rng), detail="detailed", missing=0.0), int(rng.integers(2**32))
    sketch, black = map(_rgb, ink_alike(lines, (style, replace(style, **EVEN_PEN)), np.random.default_rng(seed)))
    target = _rgb(ink(lines, replace(CANONICAL, width=CANONICAL.width * REFERENCE / size), rng))
    transform = replace(transform, blur=_random_blur(size, rng))
    blank = np.full_like(sketch, 255)
    return TrainingSample(sketch, black, transform, target, blank, blank, True, False, detail, detail, background=True)


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


def _random_blur(size: int, rng: np.random.Generator) -> float:
    """Standard deviation in pixels: a tenth of a percent to five percent of the sheet."""
    return size * float(np.exp(rng.uniform(*np.log(BLURS))))


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


def _random_jitter(rng: np.random.Generator) -> Jitter:
    gamma = float(np.exp(rng.uniform(*np.log((0.7, 1.4)))))
    return Jitter(gamma, rng.uniform(0.75, 1.15), rng.uniform(0.5, 1.4))


def unpaired_sample(
    sketch: Image.Image, photo: Image.Image, config: DataConfig, rng: np.random.Generator
) -> TrainingSample:
    """From a square RGB ``sketch`` and ``photo`` that do not belong together."""
    drawn = moved(np.asarray(sketch), _placement(sketch.width, config, rng), config.size)
    transform = PhotoTransform(np.asarray(photo), config.size, _placement(photo.width, config, rng))
    blank = np.full_like(drawn, 255)
    colours = colour_map(drawn)
    return TrainingSample(drawn, drawn, transform, drawn, blank, colours, paired=False, coloured=False)


def given_pair_sample(
    sketch: Image.Image, photo: Image.Image, config: DataConfig, rng: np.random.Generator
) -> TrainingSample:
    """From a square RGB ``sketch`` and ``photo`` that belong together, moved alike."""
    matrix = _placement(photo.width, config, rng)
    drawn = moved(np.asarray(sketch), matrix, config.size)
    coloured, blank = has_colour_strokes(drawn), np.full_like(drawn, 255)
    colours = colour_map(drawn) if coloured else blank
    blur = 0.0 if coloured else _random_blur(config.size, rng)
    transform = PhotoTransform(np.asarray(photo), config.size, matrix, blur=blur)
    return TrainingSample(drawn, drawn, transform, drawn, blank, colours, paired=True, coloured=coloured)


def cropped_sample(
    sketch: Image.Image, photo: Image.Image, config: DataConfig, rng: np.random.Generator, paired: bool
) -> TrainingSample:
    """Random crops of two square RGB images, mirrored or not; the same one of both if they are ``paired``.

    As CycleGAN trains on two domains of colour images (appendix 7.1 and its code); there is no colour map.
    """
    place = _random_crop(photo.width, config.size, rng)
    real = place(photo)
    drawn = (place if paired else _random_crop(sketch.width, config.size, rng))(sketch)
    blank, transform = np.full_like(real, 255), PhotoTransform(real, config.size)
    return TrainingSample(drawn, drawn, transform, drawn, blank, blank, paired=paired, coloured=False)


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


def _style(steady: bool, rng: np.random.Generator) -> Style:
    style = Style.random(rng)
    return replace(style, smoothing=0.0, wobble=0.0, slip=0.0, doubled=0.0) if steady else style


def _plain(drawing: Drawing) -> bool:
    outlines = sum(stroke.length for stroke in drawing.strokes if stroke.kind in KINDS["contour"])
    return drawing.length - outlines <= PLAIN * outlines


def _on_grid(mask: Sheet, grid: int) -> Sheet:
    return mask if len(mask) == grid else np.asarray(cv2.resize(mask, (grid, grid), interpolation=cv2.INTER_AREA))


def _recolouring(photo: RGBArray, mask: Sheet, rng: np.random.Generator) -> Recolouring:
    """Of the object (``mask`` 255): turned hues, or as a pen would ask for; always so what was grey."""
    part = _one_colour(photo, mask, rng) if rng.random() < ONE_COLOUR_PROB else np.full_like(mask, 255)
    lab = to_lab(photo)
    inside = mask * (part / np.float32(255)) > OBJECT
    colours = lab[inside][:, 1:]
    if not len(colours) or np.linalg.norm(colours, axis=1).mean() < 15 or rng.random() < 0.6:
        return _in_colours(photo, mask, _vivid(rng)[None], part=part)
    return Recolouring(part, turn=np.array([rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 2.0)], np.float32))


def _one_colour(photo: RGBArray, mask: Sheet, rng: np.random.Generator) -> Sheet:
    """255, with soft edges, where the ``photo`` has about the colour of some place of the object (``mask`` 255);
    everywhere, where that is not the most of it."""
    places = np.flatnonzero(mask)
    if not len(places):
        return np.full_like(mask, 255)
    lab = to_lab(np.asarray(cv2.GaussianBlur(photo, (0, 0), len(photo) / 128), np.uint8))
    away = (lab - lab.reshape(-1, 3)[rng.choice(places)]) / np.array(ONE_COLOUR, np.float32)
    similar = (255 * (1.5 - np.linalg.norm(away, axis=2)).clip(0, 1)).astype(np.uint8)
    return (
        similar if ((similar > OBJECT) & (mask > 0)).sum() > MIN_ONE_COLOUR * len(places) else np.full_like(mask, 255)
    )


def _vivid(rng: np.random.Generator) -> NDArray[np.float32]:
    """A CIELAB colour, any hue that screens can show, mostly strong: those of a palette, pen or paint pot."""
    hsv = np.array([rng.uniform(0, 360), rng.uniform(0.35, 1), rng.uniform(0.35, 1)], np.float32)
    return to_lab(np.asarray(cv2.cvtColor(hsv[None, None], cv2.COLOR_HSV2RGB))[0, 0])


def _in_colours(
    photo: RGBArray, mask: Sheet, colours: Lab, regions: Labels | None = None, part: Sheet | None = None
) -> Recolouring:
    """The object (``mask`` 255), or ``part`` of it, region by region in ``colours`` (N×3, CIELAB)."""
    part = np.full_like(mask, 255) if part is None else part
    numbers = np.zeros(mask.shape, np.uint8) if regions is None else np.where(regions < REGIONS, regions, 0)
    inside = mask * (part / np.float32(255)) > OBJECT
    means = region_means(to_lab(photo), inside, numbers)
    tables = (np.resize(table, (REGIONS, 3)).astype(np.float32) for table in (means, colours))
    return Recolouring(part, np.zeros(2, np.float32), numbers.astype(np.uint8), *tables)


def _empty(regions: Labels, mask: RGBArray) -> NDArray[np.bool_]:
    """Where ``regions`` lie mostly off the object (``mask`` 255): what a handle encloses."""
    inside = np.bincount(regions.ravel(), mask.ravel() > OBJECT) / np.bincount(regions.ravel()).clip(1)
    inside[0] = 1  # around the regions nothing is enclosed
    return (inside < EMPTY)[regions]


def _in_pens(sketch: RGBArray, photo: RGBArray, mask: Sheet) -> RGBArray:
    """``sketch`` drawn with pens of the colours that the object (``mask`` 255) of the small ``photo`` has nearby."""
    inside, reach = mask[..., None] / np.float32(255), len(mask) / 16
    weighted = cv2.GaussianBlur(np.dstack((photo * inside, inside)), (0, 0), reach)
    colours = cv2.resize(weighted[..., :3] / weighted[..., 3:].clip(1e-3), sketch.shape[1::-1])
    return (255 - (255 - sketch) * (1 - colours / 255)).astype(np.uint8)


def _rgb(sheet: RGBArray) -> RGBArray:
    return np.asarray(cv2.cvtColor(sheet, cv2.COLOR_GRAY2RGB), np.uint8)
