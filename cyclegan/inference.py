"""An image in, an image out: sketch → photo with G, photo → sketch with F.

A sketch is normalised first, as G knows sketches, unless that is switched off.

G knows objects on a square sheet of `config.image_size` pixels, and works there: a sketch of any size is fitted onto a
white sheet of that size, translated, cropped and brought back to the size it came with. On a larger sheet G would see
objects of a size that it was not trained on. A G with super-resolution is given a sheet, and paints a photo, of twice
that side (`config.photo_side`); all but the super-resolution sees the sheet reduced to the half.

An F without detail control works on G's sheet, too; with it, F works at the photo's own scale, up to MAX_DETAIL_SIDE
pixels along the longer side.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclegan.colour.colour_map import (
    PAPER,
    colour_map,
    condition,
    smooth_colour_map,
    without_colour_strokes,
)
from cyclegan.config import MARGIN, MAX_DETAIL_SIDE, WeightsConfig
from cyclegan.drawing.cleaning import cleaned
from cyclegan.drawing.empty import Mask
from cyclegan.drawing.normalise import NormalisedDrawing, is_photo, normalise, objects_of
from cyclegan.drawing.objects import side_by_side
from cyclegan.generators import Direction, Generators
from cyclegan.hub import DEFAULT_FOLDER, load_weights
from cyclegan.images import (
    ImageError,
    RGBArray,
    enlarged_size,
    fit_square,
    resize,
    resize_lines,
    sharpened,
    size_within,
    square_box,
    to_arrays,
    to_batch,
    to_rgb,
)
from cyclegan.weights import Weights

log = logging.getLogger(__name__)

MAX_RESULT_PIXELS = 2048 * 2048
"""A result has the size of the input, or the largest size of its shape within this limit. A small one, as icons are, is
enlarged to `config.photo_side`, or a drawing to `config.image_size`, along its longer side."""

MIN_DETAIL_SIDE = 256
"""Pixels along the longer side of the smallest photo that F draws at its own scale; up to MAX_DETAIL_SIDE. Others are
resized to the nearer bound."""
DETAIL = 0.7
"""How much F draws unless told otherwise: 0 outlines, 1 every line."""

FINER = 2
"""How many times as large as G's sheet a photo is drawn for G: at the sheet's own scale, a face has no eyes."""
NO_LINES = "There are no lines in this picture; choose one with a drawing on it."

BACK: dict[Direction, Direction] = {"sketch_to_photo": "photo_to_sketch", "photo_to_sketch": "sketch_to_photo"}


@dataclass(frozen=True)
class Sheet:
    """What a generator is given, all of it computed once: H×W×3 arrays, S×S×3 for G."""

    image: RGBArray
    colour_map: RGBArray | None = None
    """G's condition; None for F, and for a G without one."""
    is_photo: bool = False
    """Whether ``image``, given as a sketch, is a photo, whose colours are no colour strokes."""
    background: bool = False
    """Whether ``colour_map`` is a photo's, background and all."""
    detail: float = DETAIL
    """F's condition, if it takes one."""


class Translator:
    """Both generators, ready for inference: stateless, without gradients, and safe to call from many threads."""

    def __init__(self, weights: Weights, device: str = "auto", dtype: torch.dtype | None = None) -> None:
        """``device``: "auto" takes the accelerator if there is one, else the CPU. ``dtype``: None takes bfloat16 on a
        CPU with native support (three to four times as fast), else float32.

        Raises:
            WeightsError: the weights give no finite picture.
        """
        self.config: WeightsConfig = weights.config
        self.folder = weights.folder
        self.generators = Generators(weights, device, dtype)
        size = self.config.photo_side
        version = self.config.sha256.get("generator_G.pth", "")[:8] or "unversioned"
        device, precision = self.generators.device.type, str(self.generators.dtype).removeprefix("torch.")
        self.description = f"{weights.origin} ({version}), {size}×{size} pixels, {device} in {precision}"
        log.info("translating with %s", self.description)

    @classmethod
    def from_pretrained(
        cls, source: str | Path = DEFAULT_FOLDER, device: str = "auto", dtype: torch.dtype | None = None
    ) -> Self:
        """Load weights from a folder or a Hub id (see `load_weights`). Raises WeightsError."""
        return cls(load_weights(source), device, dtype)

    @property
    def follows_pen(self) -> bool:
        """See `Generators.follows_pen`."""
        return self.generators.follows_pen

    def compile(self) -> None:
        """See `Generators.compile`."""
        self.generators.compile()

    def sketch_to_photo(
        self,
        sketch: Image.Image,
        seed: int | None = None,
        colours: Image.Image | None = None,
        normalise: bool = True,
        preview: bool = False,
        empty: Mask | None = None,
    ) -> Image.Image:
        """Line drawing (any mode and size) → RGB photo of that size, at most MAX_RESULT_PIXELS.

        The longer side of the photo has at least `config.photo_side` pixels.

        ``normalise``: whether the drawing is normalised first (see `cyclegan.drawing.normalise`): any pen, paper, dark
        ground; and whether several objects on a long sheet (see `cyclegan.drawing.objects`) are painted one by one.
        False gives it to G as it is, which knows dark lines of about 2 px at 256 on white.

        ``preview``: leave the super-resolution out, if there is one: for what is not normalised, as frames of a drawing
        under way are.

        ``colours``: a photo, stretched to the sketch's size, whose smoothed colours the result takes, the sketch's
        colour strokes over them. Without, they are those of the strokes or, if there are none, the colourway of
        ``seed`` (None: a hash of the sketch).

        ``empty``: parts of a sketch which is not normalised, H×W of its shape, that the colour map says are paper.

        Raises:
            ImageError: there are no lines on a sketch to be normalised.
            ValueError: ``colours`` for weights that take none, or ``empty`` of a sketch to be normalised.
        """
        if normalise and empty is not None:
            raise ValueError("empty parts are those of a sketch as it is: normalise=False")
        sketch = to_rgb(sketch)
        if not normalise:
            side = self.config.image_size if preview else self.config.photo_side
            return self._result(self._sheet(sketch, side, seed, colours, empty), sketch.size, "sketch_to_photo")
        if colours is None and (boxes := objects_of(sketch, self.config.image_size)):
            photos = [self._painted(sketch.crop(box), seed) for box in boxes]
            return side_by_side(photos, boxes, self.result_size(sketch.size, "sketch_to_photo"))
        return self._painted(sketch, seed, colours)

    def _painted(self, sketch: Image.Image, seed: int | None, colours: Image.Image | None = None) -> Image.Image:
        """The photo of an RGB ``sketch`` of one object, which is normalised first."""
        drawing = self.normalised(sketch, framed=colours is None)
        sheet = self._sheet(drawing.sketch, self.config.photo_side, seed, colours)
        return drawing.put_back(Image.fromarray(self._pictures([sheet], "sketch_to_photo")[0]))

    def normalised(self, sketch: Image.Image, framed: bool = True) -> NormalisedDrawing:
        """The RGB ``sketch`` as G knows sketches, reduced to MAX_RESULT_PIXELS; ``framed``: a small one enlarged.

        Raises:
            ImageError: it has no lines.
        """
        size = self.config.image_size
        sketch = resize(sketch, size_within(*sketch.size, MAX_RESULT_PIXELS))
        region = None if framed else (0, 0, *enlarged_size(*sketch.size, size))
        drawing = normalise(sketch, size, region, self.config.photo_side)
        if not drawing.has_lines:
            raise ImageError(NO_LINES)
        return drawing

    def photo_to_sketch(self, photo: Image.Image, detail: float = DETAIL) -> Image.Image:
        """Photo (any mode and size) → RGB line drawing of that size, at most MAX_RESULT_PIXELS.

        The longer side of the drawing has at least `config.image_size` pixels.

        ``detail``: from 0, outlines, to 1, every line; of no effect on weights without detail control.

        Raises:
            ValueError: ``detail`` is not between 0 and 1.
        """
        if not 0 <= detail <= 1:
            raise ValueError(f"detail must be between 0 and 1, not {detail}")
        photo = to_rgb(photo)
        if self.config.generator.detail:
            return self._drawn_at_own_scale(photo, detail)
        sheet = Sheet(np.asarray(fit_square(photo, self.config.image_size)))
        return self._result(sheet, photo.size, "photo_to_sketch")

    def round_trip(
        self,
        image: Image.Image,
        direction: Direction,
        seed: int | None = None,
        detail: float = DETAIL,
        colours: Image.Image | None = None,
    ) -> tuple[Image.Image, Image.Image]:
        """(translated, cycled): there by ``direction``, and back from the 8-bit result; a photo in its own colours.

        A sketch is taken as it is: give this `normalised(sketch).sheet` for any other than those that G knows.

        ``seed`` and ``colours`` as for `sketch_to_photo`, ``detail`` as for `photo_to_sketch`.
        """
        image = to_rgb(image)
        if direction == "sketch_to_photo":
            photo = self._result(self._sheet(image, self.config.photo_side, seed, colours), image.size, direction)
            return photo, self.drawn_back(photo, detail, colours is not None)
        drawing = self.photo_to_sketch(image, detail)
        if self.config.generator.detail:  # finer lines than the sheet's own scale has, and not too fine for it
            side = min(FINER * self.config.image_size, max(self.config.image_size, *image.size))
            left, top, right, bottom = square_box(*image.size, side)
            lines = self._drawn_at_own_scale(resize(image, (right - left, bottom - top)), detail, begun=True)
        else:
            lines = drawing
        own = image if self.config.generator.colour_map else None
        sheet = self._sheet(lines, self.config.photo_side, seed, own)
        return drawing, self._result(sheet, drawing.size, BACK[direction], begun=True)

    def drawn_back(self, photo: Image.Image, detail: float = DETAIL, filled: bool = False) -> Image.Image:
        """The drawing of an RGB photo that `sketch_to_photo` painted, as large: the second half of a round trip.

        ``filled``: the photo fills its sheet, as one in the colours of another photo does.
        """
        if filled and self.config.generator.detail:  # white beside it were a frame
            left, top, right, bottom = square_box(*photo.size, self.config.image_size)
            small = resize(photo, (right - left, bottom - top))
            return resize_lines(self._drawn_at_own_scale(small, detail, begun=True), photo.size)
        sheet = Sheet(np.asarray(fit_square(photo, self.config.image_size)), detail=detail)
        return self._result(sheet, photo.size, "photo_to_sketch", begun=True)

    def translate_batch(
        self, images: RGBArray, direction: Direction, seeds: Sequence[int] | None = None, detail: float = DETAIL
    ) -> RGBArray:
        """Many sheets at once: N×S×S×3, S = `config.image_size` → the same; ``seeds``: one for each image.

        G with super-resolution takes S = `config.photo_side`, too; with the smaller one it leaves that out.
        """
        each = [None] * len(images) if seeds is None else seeds
        sheets = [self._prepared(image, direction, seed, detail) for image, seed in zip(images, each, strict=True)]
        return self._pictures(sheets, direction)

    def _sheet(
        self,
        sketch: Image.Image,
        size: int,
        seed: int | None = None,
        colours: Image.Image | None = None,
        empty: Mask | None = None,
    ) -> Sheet:
        """The RGB ``sketch`` fitted onto G's sheet of size×size, with its condition."""
        image = np.asarray(fit_square(sketch, size))
        sheet = self._in_colours(image, sketch.size, seed, colours)
        if empty is not None and sheet.colour_map is not None:
            paper = fit_square(Image.fromarray(empty).convert("L"), size, fill=(0, 0, 0))
            sheet.colour_map[np.asarray(paper)[..., 0] > 127] = PAPER
        return sheet

    def _in_colours(
        self, image: RGBArray, shape: tuple[int, int], seed: int | None, colours: Image.Image | None
    ) -> Sheet:
        """The S×S×3 sheet ``image`` of a sketch of ``shape`` (width, height) with its condition."""
        if colours is None:
            return self._prepared(image, "sketch_to_photo", seed)
        if not self.config.generator.colour_map:
            raise ValueError("these weights take no colours")
        left, top, right, bottom = square_box(*shape, len(image))
        photo = np.asarray(resize(to_rgb(colours), (right - left, bottom - top)))
        own = np.full_like(image, PAPER)  # as in training, the margins are no part of the photo
        own[top:bottom, left:right] = smooth_colour_map(photo, image[top:bottom, left:right])
        return Sheet(image, own, is_photo(image), background=True)

    def _prepared(
        self, image: RGBArray, direction: Direction, seed: int | None = None, detail: float = DETAIL
    ) -> Sheet:
        """The S×S×3 ``image`` with its condition."""
        if direction == "photo_to_sketch" or not self.config.generator.colour_map:
            return Sheet(image, detail=detail)
        photo = is_photo(image)
        return Sheet(image, colour_map(image, seed), photo, background=photo)

    def _result(self, sheet: Sheet, size: tuple[int, int], direction: Direction, begun: bool = False) -> Image.Image:
        """The translated ``sheet``, cropped to the image of ``size`` (width, height) on it and brought to that size."""
        result = Image.fromarray(self._pictures([sheet], direction, begun)[0])
        least = result.width if direction == "sketch_to_photo" else self.config.image_size
        return resize(result.crop(square_box(*size, result.width)), _bounded(size, least))

    def result_size(self, size: tuple[int, int], direction: Direction) -> tuple[int, int]:
        """Of the result for an input of ``size`` (width, height): no smaller than a sheet, within MAX_RESULT_PIXELS."""
        return _bounded(size, self.config.photo_side if direction == "sketch_to_photo" else self.config.image_size)

    def _drawn_at_own_scale(self, photo: Image.Image, detail: float, begun: bool = False) -> Image.Image:
        """The RGB ``photo`` in lines, as large as it is, at most MAX_RESULT_PIXELS."""
        longer = max(photo.size)
        scale = min(max(longer, MIN_DETAIL_SIDE), MAX_DETAIL_SIDE) / longer
        width, height = (max(round(side * scale), 1) for side in photo.size)
        padding = [(MARGIN, MARGIN + -side % MARGIN) for side in (height, width)]
        padded = np.pad(np.asarray(resize(photo, (width, height))), [*padding, (0, 0)], mode="reflect")
        drawn = self._pictures([Sheet(padded, detail=detail)], "photo_to_sketch", begun)[0]
        lines = Image.fromarray(drawn[MARGIN : MARGIN + height, MARGIN : MARGIN + width])
        return resize_lines(lines, self.result_size(photo.size, "photo_to_sketch"))

    def _pictures(self, sheets: Sequence[Sheet], direction: Direction, begun: bool = False) -> RGBArray:
        """The translated sheets, N×H×W×3; full-size photos sharpened, drawings of an F with detail control cleaned."""
        inputs = self._for_g(sheets) if direction == "sketch_to_photo" else self._for_f(sheets)
        pictures = to_arrays(self.generators.translate(direction, *inputs, begun=begun))
        if direction == "sketch_to_photo" and pictures.shape[1] > self.config.image_size:
            pictures[:] = [sharpened(picture) for picture in pictures]
        elif direction == "photo_to_sketch" and self.config.generator.detail:
            for picture, sheet in zip(pictures, sheets, strict=True):
                picture[:] = cleaned(np.ascontiguousarray(picture[..., 0]), sheet.detail)[..., None]
        return pictures

    def _for_g(self, sheets: Sequence[Sheet]) -> tuple[Tensor, ...]:
        """The sheets' lines without their colour strokes, N×3×S×S in [-1, 1], and G's condition, if it takes one."""
        images = to_batch(np.stack([sheet.image for sheet in sheets]))
        maps = [sheet.colour_map for sheet in sheets if sheet.colour_map is not None]
        if not maps:
            return (images,)
        colours = to_batch(np.stack(maps))
        background = torch.tensor([sheet.background for sheet in sheets])
        told = condition(colours, background, self.config.generator.of("G").condition_channels)
        photos = torch.tensor([sheet.is_photo for sheet in sheets])[:, None, None, None]
        return torch.where(photos, images, without_colour_strokes(images, colours)), told

    def _for_f(self, sheets: Sequence[Sheet]) -> tuple[Tensor, ...]:
        """The sheets, N×3×H×W in [-1, 1], and F's condition, if it takes one."""
        images = to_batch(np.stack([sheet.image for sheet in sheets]))
        if not self.config.generator.detail:
            return (images,)
        # F draws less than it is asked for, and what is short goes when it is cleaned
        detail = torch.tensor([sheet.detail**0.5 for sheet in sheets])[:, None, None, None]
        return images, detail.expand_as(images[:, :1])


def _bounded(size: tuple[int, int], least: int) -> tuple[int, int]:
    """``size``, enlarged to a longer side of at least ``least``, within MAX_RESULT_PIXELS."""
    return size_within(*enlarged_size(*size, least), MAX_RESULT_PIXELS)
