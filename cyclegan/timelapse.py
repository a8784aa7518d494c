"""A time-lapse: the drawing and its photo growing together, from the canvas' strokes to a GIF.

The strokes come from a stranger's browser and are validated; how they are inked follows ``demo/web/canvas.js``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, TypeAdapter, ValidationError

from cyclegan.config import Frozen
from cyclegan.images import WHITE, ImageError, fit_square, resize, to_image, to_tensor
from cyclegan.inference import Translator
from cyclegan.inking import SHIFT, fixed_point

CANVAS = 512  # pixels, side of the sheet that strokes are drawn on
MAX_STROKES = 1_000  # since the sheet was last cleared, as the next two
MAX_POINTS = 60_000
MAX_PICTURES = 4
BLACK, ERASER = "#000000", "#ffffff"
FINER = 4  # times the canvas' resolution, inked without antialiasing and averaged down
CURVE = np.linspace(0, 1, 9)[:, None]  # where a curve is cut into straight lines
PICTURE_LENGTH = 200.0  # pixels of pen, for the share of time that a picture stands alone
COLOURFUL = 28  # difference between a picture's channels, of 255: what has less is a line

MAX_FRAMES = 48
PEN_STEP = 6.0  # pixels of pen in a frame, at least
FRAME_MS = 80
HOLD_MS = 1500  # the finished drawing
SIDE = 256  # pixels of each half
GAP = 8
BATCH = 6
NEARLY_WHITE = 236  # of 255; Pillow looks colours up coarsely and would take paler ones for white, and white for them
LAST = 8
MAX_SAMPLE = 200_000  # pixels that the palette is made from

Coordinate = Annotated[float, Field(ge=-CANVAS, le=2 * CANVAS)]  # the pen may leave the sheet
Pressure = Annotated[float, Field(ge=0, le=2)]


class Stroke(Frozen):
    """One movement of the pen. Black lines lie over colours whatever came first; white erases both."""

    colour: str = Field(BLACK, pattern=r"^#[0-9a-f]{6}$")
    width: float = Field(ge=0.5, le=64)
    points: list[tuple[Coordinate, Coordinate] | tuple[Coordinate, Coordinate, Pressure]] = Field(min_length=1)
    """x, y and pressure, a factor of the width: 1 where there is none."""


class Picture(Frozen):
    """A picture laid on the sheet."""

    image: str
    """Its data URL."""


STROKES = TypeAdapter(list[Stroke | Picture])


class Treatment(Protocol):
    """A drawing made fit for the model, as `doctor.treat` does."""

    @property
    def sheet(self) -> Image.Image: ...
    def put_back(self, photo: Image.Image) -> Image.Image: ...


class Frame(NamedTuple):
    """One frame, and which of how many it is, from 1."""

    done: int
    total: int
    image: Image.Image
    """RGB, 2·SIDE + GAP wide and SIDE high: the drawing so far, a gap, its photo."""


def frames(
    drawing: Any,
    translator: Translator,
    treat: Callable[[Image.Image, int], Treatment] | None = None,
    open_picture: Callable[[str], Image.Image] | None = None,
) -> Iterator[Frame]:
    """The growing drawing beside its photo, each frame some more pixels of pen; the last shows all.

    ``drawing``: what the canvas keeps: a list of strokes or of steps (lists of strokes); what was cleared is left out.
    ``treat``: makes a drawing fit for the model (drawing, side of its sheet); None shows it as it is.
    ``open_picture``: a picture's data URL → RGB as large as the canvas; None refuses pictures.

    Raises:
        ImageError: not a drawing of the canvas, too long, or nothing drawn; before the first frame.
    """
    moments = list(grow(read(drawing), open_picture))
    if not moments or np.asarray(moments[-1]).min() == 255:
        raise ImageError("Draw something first; there is nothing to replay yet.")
    for start in range(0, len(moments), BATCH):
        batch = moments[start : start + BATCH]
        for number, (sketch, photo) in enumerate(zip(batch, _photos(batch, translator, treat), strict=True), start + 1):
            frame = Image.new("RGB", (2 * SIDE + GAP, SIDE), WHITE)
            frame.paste(resize(sketch, (SIDE, SIDE)), (0, 0))
            frame.paste(resize(photo, (SIDE, SIDE)), (SIDE + GAP, 0))
            yield Frame(number, len(moments), frame)


def save_gif(images: Sequence[Image.Image], target: str | Path | BinaryIO) -> None:
    """Write frames (RGB, of one size) as an endless GIF with one palette; the last one stays a while."""
    palette = _palette(images)
    first, *rest = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    durations = [FRAME_MS] * len(rest) + [HOLD_MS]
    first.save(target, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def _photos(
    sketches: list[Image.Image], translator: Translator, treat: Callable[[Image.Image, int], Treatment] | None
) -> list[Image.Image]:
    size = translator.config.image_size
    treated = [treat(sketch, size) for sketch in sketches] if treat else []
    sheets = [one.sheet for one in treated] or [fit_square(sketch, size) for sketch in sketches]
    results = translator.translate_sheets(torch.stack([to_tensor(sheet) for sheet in sheets]), "sketch_to_photo")
    photos = [to_image(result) for result in results]
    return [one.put_back(photo) for one, photo in zip(treated, photos, strict=True)] if treated else photos


def _palette(images: Sequence[Image.Image]) -> Image.Image:
    """256 colours for all frames: white itself, and the others from a sample of whatever is not white in any.

    The last frame, which is seen for longest, counts LAST more times.
    """
    shown = [*images, *[images[-1]] * LAST]
    pixels = np.concatenate([np.asarray(image)[::2, ::2].reshape(-1, 3) for image in shown])
    inked = pixels[pixels.min(1) < NEARLY_WHITE]
    palette = Image.new("P", (1, 1))
    colours = list(WHITE)
    if len(inked):
        sample = Image.fromarray(inked[None, :: len(inked) // MAX_SAMPLE + 1])
        colours += sample.quantize(255, Image.Quantize.MEDIANCUT, kmeans=1).getpalette() or []
    palette.putpalette(colours)
    return palette


# --- a stranger's strokes -------------------------------------------------------------------------------------------


def read(drawing: Any) -> list[Stroke | Picture]:
    """Validate what the canvas keeps; only what was drawn since the sheet was last cleared. Raises ImageError."""
    strange = ImageError("This drawing cannot be replayed: it is not one that the canvas makes.")
    if not isinstance(drawing, list):
        raise strange
    steps = [step if isinstance(step, list) else [step] for step in drawing]
    strokes = [stroke for step in steps for stroke in step]
    if not all(isinstance(stroke, dict) for stroke in strokes):
        raise strange
    cleared = [number for number, stroke in enumerate(strokes) if stroke == {"clear": True}]
    strokes = strokes[cleared[-1] + 1 if cleared else 0 :]
    points = [stroke["points"] for stroke in strokes if isinstance(stroke.get("points"), list)]
    if len(strokes) > MAX_STROKES or sum(map(len, points)) > MAX_POINTS:
        raise ImageError(
            f"The drawing is too long to be replayed; {MAX_STROKES} strokes and {MAX_POINTS} points are the limit."
        )
    if sum("image" in stroke for stroke in strokes) > MAX_PICTURES:
        raise ImageError(f"The drawing has too many pictures to be replayed; {MAX_PICTURES} are the limit.")
    try:
        return STROKES.validate_python(strokes)
    except ValidationError:
        raise strange from None


# --- ink ------------------------------------------------------------------------------------------------------------


def grow(
    strokes: list[Stroke | Picture], open_picture: Callable[[str], Image.Image] | None = None
) -> Iterator[Image.Image]:
    """The sheet (RGB, CANVAS × CANVAS) at equal steps of the pen's way, complete at the end; nothing for no strokes."""
    parts = [pieces(stroke) if isinstance(stroke, Stroke) else None for stroke in strokes]
    lengths = [part[2] if part else np.array([PICTURE_LENGTH]) for part in parts]
    total = sum(float(length.sum()) for length in lengths)
    count = min(MAX_FRAMES, math.ceil(total / PEN_STEP))
    ends = [total * number / count for number in range(1, count)]
    sheet = Sheet()
    travelled = 0.0
    for stroke, part, length in zip(strokes, parts, lengths, strict=True):
        way = travelled + np.cumsum(length)
        travelled = float(way[-1])
        done = 0
        while ends and ends[0] < travelled:
            here = int(np.searchsorted(way, ends.pop(0), side="right"))
            if isinstance(stroke, Stroke) and part:
                sheet.ink(stroke.colour, part[0][done:here], part[1][done:here])
            done = here
            yield sheet.flattened()
        if isinstance(stroke, Stroke) and part:
            sheet.ink(stroke.colour, part[0][done:], part[1][done:])
        elif isinstance(stroke, Picture):
            if not open_picture:
                raise ImageError("A drawing with a picture on it cannot be replayed here.")
            sheet.lay(open_picture(stroke.image))
    if strokes:
        yield sheet.flattened()


def pieces(stroke: Stroke) -> tuple[NDArray, NDArray, NDArray]:
    """A stroke as N lines of 9 points (N×9×2), their widths (N) and lengths (N, at least 1 so that dots count).

    As on the canvas, each point completes a quadratic curve from midpoint to midpoint around the point before it, and
    half a segment, straight, comes to the last point.
    """
    points = np.array([[*point, 1.0][:3] for point in stroke.points])
    at, pressures = points[:, :2], points[:, 2]
    first, last = at[:1], at[-1:]
    end = np.concatenate([first, (at[:-1] + at[1:]) / 2, last])[:, None]
    start = np.concatenate([first, end[:-1, 0]])[:, None]
    control = np.concatenate([first, at[:-1], last])[:, None]
    curves = (1 - CURVE) ** 2 * start + 2 * CURVE * (1 - CURVE) * control + CURVE**2 * end
    lengths = np.linalg.norm(np.diff(curves, axis=1), axis=2).sum(1)
    return curves, stroke.width * np.append(pressures, pressures[-1]), np.maximum(lengths, 1.0)


class Sheet:
    """The canvas: black lines, as coverage from 0 to 1, over colours on white paper."""

    def __init__(self) -> None:
        self.lines = np.zeros((CANVAS, CANVAS, 1), np.float32)
        self.colours = np.full((CANVAS, CANVAS, 3), 255, np.float32)

    def ink(self, colour: str, curves: NDArray, widths: NDArray) -> None:
        """Draw some of the `pieces` of a stroke."""
        if not len(curves):
            return
        reach = widths.max() / 2 + 1
        left, top = (math.floor(np.clip(curves[..., axis].min() - reach, 0, CANVAS)) for axis in (0, 1))
        right, bottom = (math.ceil(np.clip(curves[..., axis].max() + reach, 0, CANVAS)) for axis in (0, 1))
        if left >= right or top >= bottom:
            return  # outside the sheet
        finer = np.zeros(((bottom - top) * FINER, (right - left) * FINER), np.uint8)
        fixed = fixed_point((curves - (left, top)) * FINER)
        pens = np.maximum(np.rint(widths * FINER / 2).astype(int) * 2, 2)
        for shade, narrower in ((128, 0), (255, 2)):  # OpenCV's pens of 1, 2, 4, 6… are 1, 3, 5, 7… wide: half of each
            for pen in np.unique(pens):
                thickness = max(int(pen) - narrower, 1)
                cv2.polylines(finer, list(fixed[pens == pen]), False, shade, thickness, cv2.LINE_8, SHIFT)
        small = cv2.resize(finer, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        cover = small[..., None] / np.float32(255)
        here = np.s_[top:bottom, left:right]
        if colour in (BLACK, ERASER):
            self.lines[here] += cover * (float(colour == BLACK) - self.lines[here])
        if colour != BLACK:
            rgb = np.array(list(bytes.fromhex(colour[1:])), np.float32)
            self.colours[here] += cover * (rgb - self.colours[here])

    def lay(self, picture: Image.Image) -> None:
        """Put a picture on the sheet: what is grey in it as lines, the rest as colours."""
        if picture.size != (CANVAS, CANVAS):
            raise ImageError(f"A picture on the sheet must have {CANVAS}×{CANVAS} pixels.")
        pixels = np.asarray(picture, np.float32)
        lightest = pixels.max(2, keepdims=True)
        coloured = lightest - pixels.min(2, keepdims=True) >= COLOURFUL
        self.colours = np.where(coloured, pixels, self.colours)
        self.lines += (1 - self.lines) * np.where(coloured, 0, 1 - lightest / 255)

    def flattened(self) -> Image.Image:
        """RGB, CANVAS × CANVAS."""
        return Image.fromarray(np.rint(self.colours * (1 - self.lines)).astype(np.uint8))
