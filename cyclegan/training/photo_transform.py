"""What augmentation does to a sample's photo, as numbers: `photo` applies it with OpenCV, `on_device` to a whole batch.

All that is decided by a look at the photo is decided on a small one (`augmentation`), so that a worker that leaves the
pixels to a device need not make them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.colour.colour_map import MAP_SIDE, PAPER, smooth_colour_map
from cyclegan.drawing.inking import Sheet
from cyclegan.images import RGBArray, from_lab, rotate_hues, to_lab

REGIONS = 256
"""Regions that can have colours of their own; the smallest of more are recoloured as the whole is."""
OBJECT = 127  # of 255: where a mask is above it, there is the object

Lab = NDArray  # …×3 float32, CIELAB
Matrix = NDArray  # 2×3 float32


@dataclass(frozen=True)
class Recolouring:
    """Another colour for the object of a photo or a part of it: ``turn`` its hues or, if that is 0, region by region,
    make of ``means`` the ``colours``, so that light and shade stay."""

    part: Sheet
    """g×g uint8: 255 where the object changes colour."""
    turn: NDArray = field(default_factory=lambda: np.zeros(2, np.float32))
    """Angle in radians, and factor of the chroma; 0, 0: hues are not turned."""
    regions: Sheet = field(default_factory=lambda: np.zeros((1, 1), np.uint8))
    """g×g uint8: numbers of the regions."""
    means: Lab = field(default_factory=lambda: np.full((REGIONS, 3), 50, np.float32))
    """REGIONS×3: each region's mean colour in the photo."""
    colours: Lab = field(default_factory=lambda: np.full((REGIONS, 3), 50, np.float32))
    """REGIONS×3: what becomes of it."""

    def of(self, photo: RGBArray, mask: Sheet) -> RGBArray:
        """``photo`` (H×W×3 uint8) recoloured inside ``mask`` (H×W uint8, 255 there), with a soft edge."""
        inside = (mask * _enlarged(self.part, mask, cv2.INTER_LINEAR).astype(np.float32) / 255).astype(np.uint8)
        if inside.max() <= OBJECT:
            return photo
        box = _box(inside)
        lab = to_lab(photo[box])
        if self.turn.any():
            lab = rotate_hues(lab, *self.turn)
        else:
            number = _enlarged(self.regions, mask, cv2.INTER_NEAREST)[box] if self.regions.any() else 0
            lab = _shifted(lab, self.means[number], self.colours[number])
        share = cv2.GaussianBlur(inside[box], (3, 3), 0)[..., None] / np.float32(255)
        blended = photo.copy()
        blended[box] = (share * from_lab(lab).clip(0, 1) * 255 + (1 - share) * photo[box] + 0.5).astype(np.uint8)
        return blended


@dataclass(frozen=True)
class Jitter:
    """Another exposure, contrast and saturation."""

    gamma: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    def of(self, photo: RGBArray) -> RGBArray:
        values = (photo / np.float32(255)) ** np.float32(self.gamma)
        values = (values - 0.5) * np.float32(self.contrast) + 0.5
        grey = values.mean(axis=2, keepdims=True)
        values = grey + (values - grey) * np.float32(self.saturation)
        return (values.clip(0, 1) * 255 + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class PhotoTransform:
    """A photo on its way to a sheet of ``size``×``size`` pixels: moved and recoloured, or jittered and laid down."""

    source: RGBArray
    """S×S×3 uint8 if it is moved, else at most size×size×3, in the middle of the white sheet."""
    size: int
    matrix: Matrix | None = None
    """From the source to the sheet; both have their origin in the upper left corner of the first pixel."""
    mask: Sheet | None = None
    """size×size uint8: 255 where the object is on the sheet; without it nothing is recoloured."""
    recolourings: tuple[Recolouring, ...] = ()
    """One after the other, at most two."""
    jitter: Jitter | None = None
    blur: float = 0.0
    """Standard deviation in pixels of the blur that makes G's colour map of the photo; 0: another is given."""

    @cached_property
    def photo(self) -> RGBArray:
        """size×size×3 uint8."""
        return on_sheet(self._unframed, self.size)

    @cached_property
    def smooth_colours(self) -> RGBArray:
        """size×size×3 uint8: the blurred photo."""
        blur = self.blur / max(self._unframed.shape[:2])
        return on_sheet(smooth_colour_map(self._unframed, blur=blur), self.size)

    @cached_property
    def _unframed(self) -> RGBArray:
        photo = self.source if self.matrix is None else moved(self.source, self.matrix, self.size)
        for recolouring in self.recolourings:
            assert self.mask is not None
            photo = recolouring.of(photo, self.mask)
        return self.jitter.of(photo) if self.jitter else photo


def grid_side(size: int) -> int:
    """Side of the small photo that a photo of ``size`` is judged by: that of the grid that regions lie on."""
    return min(size, MAP_SIDE)


def moved(picture: RGBArray, matrix: Matrix, size: int) -> RGBArray:
    """``picture`` under ``matrix`` on a sheet of ``size``; made twice as large and averaged down, to stay crisp."""
    to_larger = 2 * matrix
    to_larger[:, 2] += (
        to_larger[:, :2] @ (0.5, 0.5) - 0.5
    )  # OpenCV's origin is the first pixel's centre, ours its corner
    larger = cv2.warpAffine(
        picture, to_larger, (2 * size, 2 * size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.resize(larger, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def on_sheet(picture: RGBArray, size: int) -> RGBArray:
    """``picture`` in the middle of a white sheet of size×size."""
    height, width = picture.shape[:2]
    if height == width == size:
        return picture
    left, top = (size - width) // 2, (size - height) // 2
    sheet = np.full((size, size, 3), PAPER, np.uint8)
    sheet[top : top + height, left : left + width] = picture
    return sheet


def _enlarged(cells: Sheet, like: Sheet, how: int) -> Sheet:
    return cells if cells.shape == like.shape else np.asarray(cv2.resize(cells, like.shape[::-1], interpolation=how))


def _box(mask: Sheet) -> tuple[slice, slice]:
    """Rows and columns of the object (``mask`` above 0) and of its soft edge: elsewhere a photo stays as it is."""
    left, top, width, height = cv2.boundingRect(mask)
    return slice(max(top - 2, 0), top + height + 2), slice(max(left - 2, 0), left + width + 2)


def _shifted(lab: Lab, mean: Lab, colour: Lab) -> Lab:
    """H×W×3 ``lab`` with ``colour`` as its mean instead of ``mean`` (both H×W×3 or 3), about: light and shade stay."""
    lightness = np.clip(mean[..., :1], 2, 98)
    chroma = lab[..., 1:] - _share(lab, lightness) * mean[..., 1:]
    gamma = np.clip(np.log(colour[..., :1] / 100) / np.log(lightness / 100), 0.3, 3.0)
    light = 100 * (lab[..., :1] / 100).clip(0, 1) ** gamma
    return np.concatenate((light, chroma + _share(light, colour[..., :1]) * colour[..., 1:]), axis=2)


def _share(lab: Lab, lightness: NDArray) -> NDArray[np.float32]:
    """H×W×1: how much of a colour's chroma each place takes: all at its ``lightness``, none in black and white."""
    return np.minimum(lab[..., :1] / lightness, (100 - lab[..., :1]) / (100 - lightness))
