"""Normalisation: any drawing, also a photographed or a tiny one → one as in training, and its photo put back in place.

G was trained on clean drawings that fill the sheet: black lines about 2 px wide at 256 px on white, colour strokes
where a colour is asked for. A drawing like that is left unchanged, to the pixel.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.drawing.inking import CANONICAL, REFERENCE
from cyclegan.drawing.objects import ENCLOSING, is_strip, separate
from cyclegan.drawing.pen import in_pen, pen_width
from cyclegan.drawing.surroundings import without_surroundings
from cyclegan.images import WHITE, Box, RGBArray, enlarged_size, fit_square, resize, square_box

Layer = NDArray  # H×W uint8

KNOWN_PENS, FINE_PENS = (1.2, 2.7), (0.8, 2.7)  # px at 256: lines of this width are left alone; in drawings of photos
FINE_PEN = 1.0  # px at 256, of drawings of photos: they have more lines than fit in the usual pen
FILLING = 0.6  # share of the canvas that the ink's box spans: the smallest objects of the training
ZOOMS = ((0.37, 0.5), (FILLING, 0.75))  # ink up to this share of the canvas → the share of the canvas that is shown
REGION_STEPS = 8  # the middle of the shown part lies at multiples of 1/8 of the canvas

WHITENESS = 248  # of digital paper; a camera's is darker or uneven
COLOURFUL = 28  # difference between channels, of 255: what has less is a black, grey or white stroke
INK = 96  # darkness, of 255, from which on something is ink: less than the palest pencil in training
FAINTEST = 24  # darkness below which nothing is a line
PALEST = 112  # darkness: paler lines are drawn in black
DARK = 112  # lightness, of 255
SHADED = 0.3  # share of softly shaded pixels: even blurred drawings have less, nearly all photos more
TINY = 3  # times: what is enlarged more shows its pixels
SPECK = 24  # pixels on a sheet of 512: smaller spots on paper are dirt


@dataclass(frozen=True)
class NormalisedDrawing:
    """A drawing as G knows them, and how to undo the change of framing."""

    sheet: Image.Image
    """RGB, square: G's input."""
    remark: str
    """One sentence for the person who drew, if much was changed; else empty."""
    region: Box
    """The part of the drawing, in its own pixels, that fills the sheet."""
    size: tuple[int, int]
    """Width and height of the drawing, once it was enlarged if it was tiny."""
    has_lines: bool = True
    """Whether there is anything to paint."""

    @property
    def sketch(self) -> Image.Image:
        """The sheet without the margins that the shape of its region leaves."""
        left, top, right, bottom = self.region
        box = square_box(right - left, bottom - top, self.sheet.width)
        return self.sheet if box == (0, 0, *self.sheet.size) else self.sheet.crop(box)

    def put_back(self, photo: Image.Image) -> Image.Image:
        """RGB photo of the sheet (square) → RGB of the drawing's shape, the object where it was drawn.

        It is as large as the drawing, or has the photo's side as its longer one if that is larger.
        """
        scale = max(1.0, photo.width / max(self.size))
        left, top, right, bottom = (round(edge * scale) for edge in self.region)
        part, size = (right - left, bottom - top), (round(self.size[0] * scale), round(self.size[1] * scale))
        photo = resize(photo.crop(square_box(*part, photo.width)), part)
        if part == size:
            return photo
        picture = Image.new("RGB", size, WHITE)
        picture.paste(photo, (left, top))
        return picture


@dataclass(frozen=True)
class _Reading:
    """What there is on a picture, about 2·size pixels along its longer side; layers are H×W uint8."""

    pixels: RGBArray
    """Dark on light, the paper white."""
    clean: bool
    """Whether the paper was white before."""
    inverted: bool
    is_photo: bool
    mask: Layer
    """1 where the pen went."""
    coloured: Layer
    """255 on colour strokes."""
    strength: int
    """Darkness, of 255, of most of the ink."""

    def has_lines(self) -> bool:
        return bool(self.mask.any() or self.coloured.any())


def normalise(
    drawing: Image.Image, size: int, region: Box | None = None, sheet_side: int | None = None
) -> NormalisedDrawing:
    """Any upright RGB image of a drawing → one as in training, on a sheet of ``size`` × ``size`` pixels.

    ``sheet_side``: if the sheet is to have another side, at which all is as large and wide relative to it.
    ``region``: that of the photo which this is a drawing of; None shows all, or only where a small drawing is.
    A drawing with less than ``size`` pixels along its longer side, as an icon has, is enlarged to that first.
    """
    sheet_side = sheet_side or size
    shape = enlarged_size(*drawing.size, size)
    whole = (0, 0, *shape)
    read, cut = _read_drawing(drawing, 2 * size)
    if read.is_photo:
        shown = region or whole
        sheet = fit_square(resize(drawing, shape).crop(shown), sheet_side)
        return NormalisedDrawing(sheet, "This looks like a photo, not a drawing.", shown, shape)
    pen = pen_width(cv2.distanceTransform(read.mask, cv2.DIST_L2, 5))
    shown = region or _region(read.mask, read.coloured, pen, shape)
    zoom = max(shape) / max(shown[2] - shown[0], shown[3] - shown[1])
    width = pen * zoom * REFERENCE / (2 * size)
    thinnest, thickest = FINE_PENS if region else KNOWN_PENS
    known = not pen or (thinnest <= width <= thickest and read.strength >= PALEST)
    if known and read.clean and not read.inverted and not cut and shape == drawing.size:
        sheet = fit_square(drawing if shown == whole else drawing.crop(shown), sheet_side)
    else:
        white = cv2.cvtColor(255 - read.coloured, cv2.COLOR_GRAY2RGB)
        hints = np.asarray(cv2.bitwise_or(read.pixels, white), np.uint8)
        sheet = _redrawn(read.mask, hints, shown, shape, sheet_side, FINE_PEN if region else CANONICAL.width)
    framed = region is None and shown != whole
    remark = _remark(read.clean, read.inverted, cut, framed, width)
    return NormalisedDrawing(sheet, remark, shown, shape, read.has_lines())


def objects_of(drawing: Image.Image, size: int) -> list[Box]:
    """Boxes of the separate objects on an upright RGB drawing, in its pixels; none if it is of one object, or a photo.

    ``size``: of the sheet that each will be normalised for.
    """
    if is_strip(drawing.size):
        return []
    side = round(2 * size * max(drawing.size) / min(drawing.size))
    read, _ = _read_drawing(drawing, side)
    if read.is_photo:
        return []
    ink = read.mask | read.coloured
    pen = pen_width(cv2.distanceTransform(read.mask, cv2.DIST_L2, 5))
    scale = max(drawing.size) / max(ink.shape)
    return [
        (round(left * scale), round(top * scale), round(right * scale), round(bottom * scale))
        for left, top, right, bottom in separate(ink, pen)
    ]


def is_photo(picture: RGBArray) -> bool:
    """Whether H×W×3 uint8 RGB pixels show a softly shaded object rather than lines."""
    lightest, darkest = _extremes(picture)
    return _is_photo(darkest, _is_clean(lightest, darkest))


def _read_drawing(drawing: Image.Image, side: int) -> tuple[_Reading, bool]:
    """What there is on a drawing, about ``side`` pixels along its longer side, and whether something beside its paper
    was left out."""
    given = _reduced(drawing, side)
    paper = without_surroundings(given)
    if paper is not None and (read := _read(paper, side)).has_lines():
        return read, True
    return _read(given, side), False  # what seemed to be paper was the sky of a photo


def _read(picture: RGBArray, side: int) -> _Reading:
    """Finds ground and lines of a picture, which is enlarged to a longer side of ``side`` pixels."""
    scale = side / max(picture.shape[:2])
    to = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    pixels = picture if scale <= 1 else np.asarray(cv2.resize(picture, to, interpolation=cv2.INTER_CUBIC), np.uint8)
    inverted = _is_dark(pixels)
    if inverted:
        picture, pixels = _inverted(picture), _inverted(pixels)
    lightest, darkest = _extremes(pixels)
    clean = _is_clean(lightest, darkest)
    if not clean:
        pixels = _without_paper(pixels)
        lightest, darkest = _extremes(pixels)
    # Pixels that were enlarged all have soft edges, as if they were shaded.
    given = _extremes(picture)[1] if clean else darkest
    photo = _is_photo(given, clean) or (clean and scale > TINY and _is_thumbnail(given))
    coloured = cv2.threshold(cv2.subtract(lightest, darkest), COLOURFUL, 255, cv2.THRESH_BINARY)[1]
    lines = cv2.subtract(255 - lightest, coloured)
    if scale > TINY:  # the steps of a tiny picture's lines
        lines = np.asarray(cv2.GaussianBlur(lines, (0, 0), 0.35 * scale), np.uint8)
    mask, strength = _ink(lines, clean)
    if not clean and np.count_nonzero(darkest < 255 - INK) > 3 * np.count_nonzero(mask):  # all in a coloured pen
        coloured = np.zeros_like(coloured)
        mask, strength = _ink(255 - darkest, clean)
    return _Reading(pixels, clean, inverted, photo, mask, coloured, strength)


def _remark(clean: bool, inverted: bool, cut: bool, framed: bool, width: float) -> str:
    if not clean:
        return "The paper was wiped away and your lines were drawn in black."
    if cut:
        return "The dark edge around your drawing was left out."
    if inverted:
        return "Light lines on dark were turned into black lines on white."
    if framed:
        return "Your drawing was small, so it was enlarged for the model."
    if width > 2 * KNOWN_PENS[1]:
        return "Your pen was very thick, so the lines were drawn thinner for the model."
    return ""


# --- paper ----------------------------------------------------------------------------------------------------------


def _reduced(drawing: Image.Image, side: int) -> RGBArray:
    """The drawing with a longer side of at most `side` pixels."""
    factor = max(drawing.size) // (2 * side)
    if factor > 1:
        drawing = drawing.reduce(factor)
    scale = side / max(drawing.size)
    pixels = np.asarray(drawing)
    if scale >= 1:
        return pixels
    to = (max(round(drawing.width * scale), 1), max(round(drawing.height * scale), 1))
    return np.asarray(cv2.resize(pixels, to, interpolation=cv2.INTER_AREA), np.uint8)


def _is_dark(pixels: RGBArray) -> bool:
    """Whether the ground is dark: most of the border, and most of the picture."""
    grey = cv2.cvtColor(pixels[::8, ::8], cv2.COLOR_RGB2GRAY)
    return bool(np.median(_border(grey)) < DARK and np.median(grey) < DARK)


def _border(layer: Layer) -> Layer:
    return np.concatenate([layer[0], layer[-1], layer[:, 0], layer[:, -1]])


def _inverted(pixels: RGBArray) -> RGBArray:
    """Light and dark changed round, hue and saturation kept (those of HSL)."""
    lightest, darkest = _extremes(pixels)
    shift = 255 - lightest.astype(np.int16) - darkest
    return (pixels + shift[..., None]).astype(np.uint8)


def _extremes(pixels: RGBArray) -> tuple[Layer, Layer]:
    """The largest and the smallest channel of each pixel."""
    red, green, blue = cv2.split(pixels)
    return cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)


def _is_clean(lightest: Layer, darkest: Layer) -> bool:
    """Whether the paper is digital white: nearly all of the border is, or nearly all that is pale and grey."""
    if (_border(darkest) >= WHITENESS).mean() > 0.9:
        return True
    lightest, darkest = lightest[::2, ::2], darkest[::2, ::2]
    pale = (darkest >= 160) & (lightest - darkest < COLOURFUL)
    return bool(np.count_nonzero(pale & (darkest >= WHITENESS)) > 0.9 * np.count_nonzero(pale))


def _is_photo(darkest: Layer, clean: bool) -> bool:
    """Whether there is a thing rather than lines: on white, softly shaded; on other grounds, a large one."""
    if not clean:
        return bool(np.count_nonzero(darkest < 255 - INK) > 0.3 * darkest.size)
    thing = darkest < 225
    if np.count_nonzero(thing) < 0.06 * thing.size:  # a thin thing, and most drawings
        return False
    slope = cv2.morphologyEx(darkest, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[thing]
    return bool(np.count_nonzero((slope >= 3) & (slope <= 25)) > SHADED * len(slope))


def _is_thumbnail(darkest: Layer) -> bool:
    """Whether a tiny picture on white is a photo: away from its edges the thing has shades, and an icon has none."""
    inner = cv2.erode((darkest < 225).astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1)
    slope = cv2.morphologyEx(darkest, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[inner > 0]
    return bool(len(slope) > 0.04 * darkest.size and np.count_nonzero(slope >= 3) > 0.6 * len(slope))


def _without_paper(pixels: RGBArray) -> RGBArray:
    """Each channel divided by the paper's around it, so that light, shade and the paper's tint go; grain too."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (max(width // 4, 1), max(height // 4, 1)), interpolation=cv2.INTER_AREA)
    small = cv2.medianBlur(small, 3)  # grain would make the closing too light
    reach = max(small.shape[:2]) // 10 | 1
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    paper = cv2.resize(cv2.medianBlur(paper, 5), (width, height), interpolation=cv2.INTER_LINEAR)
    even = cv2.GaussianBlur(pixels, (0, 0), 0.8)
    return np.asarray(cv2.divide(even, np.maximum(paper, 1), scale=255))


# --- lines ---------------------------------------------------------------------------------------------------------


def _ink(lines: Layer, clean: bool) -> tuple[Layer, int]:
    """1 where the pen went, and how dark it mostly is there.

    On paper a line is what stands out from the grain, and is somewhere about as dark as most lines are.
    """
    counts = np.bincount(lines[::2, ::2].ravel(), minlength=256)
    floor = FAINTEST
    if not clean:
        half = counts.sum() / 2
        middle = int(np.searchsorted(counts.cumsum(), half))
        spread = int(np.searchsorted(np.bincount(abs(np.arange(256) - middle), counts).cumsum(), half))
        floor = min(max(floor, middle + 7 * spread), 200)
    dark = counts[floor:].cumsum()
    strength = floor + int(np.searchsorted(dark, 0.7 * dark[-1]))
    low = max(0.4 * strength, floor) if not clean else min(0.4 * strength, INK)
    mask = (lines > low).astype(np.uint8)
    if clean or not mask.any():
        return mask, strength
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    kept = np.zeros(len(stats), np.uint8)
    kept[np.unique(labels[lines > max(0.7 * strength, floor)])] = 1
    kept[stats[:, cv2.CC_STAT_AREA] < SPECK] = 0
    kept[0] = 0
    return kept[labels], strength


def _region(mask: Layer, coloured: Layer, pen: float, size: tuple[int, int]) -> Box:
    """The part of the drawing to show: all of it, or half or three quarters where a small drawing is.

    While somebody draws this must not jump. So a drawing is enlarged only when its lines are long enough to be one,
    in two steps, and the part moves by eighths of the canvas: a few changes while a small drawing grows, hardly any
    while a large one does.
    """
    whole = (0, 0, *size)
    left, top, width, height = cv2.boundingRect(mask | coloured)
    extent = max(width, height)
    if not pen or np.count_nonzero(mask) < ENCLOSING * pen * extent:
        return whole
    side = max(mask.shape)
    share = next((share for limit, share in ZOOMS if extent < limit * side), 1.0)
    if share == 1:
        return whole
    longer = max(size)
    bounds = []
    for start, length, limit in ((left, width, size[0]), (top, height, size[1])):
        part = min(round(share * longer), limit)
        middle = round((start + length / 2) / side * REGION_STEPS) / REGION_STEPS * longer
        begin = min(max(round(middle - part / 2), 0), limit - part)
        bounds.append((begin, begin + part))
    (left, right), (top, bottom) = bounds
    return left, top, right, bottom


# --- redrawing ------------------------------------------------------------------------------------------------------


def _redrawn(mask: Layer, hints: RGBArray, region: Box, drawn: tuple[int, int], size: int, width: float) -> Image.Image:
    """The `region` of a drawing (of the size `drawn`) on a sheet, with all its lines `width` pixels wide at 256."""
    box = square_box(region[2] - region[0], region[3] - region[1], size)
    to = (box[2] - box[0], box[3] - box[1])
    scale = max(mask.shape) / max(drawn)
    left, top, right, bottom = (round(edge * scale) for edge in region)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    hints = np.asarray(cv2.resize(hints[top:bottom, left:right], to, interpolation=cv2.INTER_AREA), np.uint8)
    mask = mask[top:bottom, left:right] * np.uint8(255)
    twice = cv2.resize(mask, (2 * to[0], 2 * to[1]), interpolation=cv2.INTER_LINEAR)
    mask = (twice > 127).astype(np.uint8)
    coverage = cv2.resize(in_pen(mask, 2 * width * size / REFERENCE), to, interpolation=cv2.INTER_AREA)
    sheet = np.full((size, size, 3), 255, np.uint8)
    black = cv2.cvtColor(np.rint(255 - 255 * coverage).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    sheet[box[1] : box[3], box[0] : box[2]] = cv2.min(hints, black)
    return Image.fromarray(sheet)
