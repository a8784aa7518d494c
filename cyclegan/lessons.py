"""A photo and its traced drawing → what the networks are shown: moved, recoloured, drawn by some hand, hinted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.config import DataConfig
from cyclegan.hints import colour_hints
from cyclegan.inking import CANONICAL, Drawing, Style, ink

RECOLOURED = {True: 0.7, False: 0.15}
"""Share of photos that change their colour, with and without hints: with them colour must be read from the hint, so
it may not be guessable; without them the model chooses, and should choose as the real photos do."""

EVEN_PEN = {name: getattr(CANONICAL, name) for name in ("width", "width_variation", "taper", "tone", "grain")}

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Lesson:
    """H×W×3 uint8 RGB pictures of one object, of one size."""

    sketch: Picture
    """What G is shown: a drawing by hand, perhaps with coloured hints, perhaps unfinished."""
    lines: Picture
    """The same strokes in an even black pen: what F must give back, and what D_Y takes for real."""
    photo: Picture
    """A real photo; where ``paired``, the one that the sketch was made from."""
    traced: Picture
    """The clean, complete drawing of ``photo``; where it is not ``paired``, without meaning."""
    hints: Picture
    """The coloured strokes of ``sketch`` by themselves, on white."""
    mask: NDArray[np.bool_]
    """H×W: where the object of ``photo`` is; where it is not ``paired``, nowhere."""
    paired: bool
    coloured: bool
    """Whether ``sketch`` tells the colours of ``photo``."""


def made_lesson(photo: Image.Image, drawing: Drawing, config: DataConfig, rng: np.random.Generator) -> Lesson:
    """A square RGB ``photo`` and a drawing made from it, ``drawing`` being its trace in its own pixels."""
    matrix = _placement(photo.width, config, rng)
    seen = _moved(np.asarray(photo), matrix, config.size)
    drawing = drawing.transformed(matrix, (config.size, config.size))
    hinted = rng.random() < config.hint_share
    if rng.random() < RECOLOURED[hinted]:
        seen = _recoloured(seen, drawing.mask(), rng)
    mask = drawing.mask() > 0
    drawn = drawing
    if rng.random() < config.unfinished_share:
        drawn = drawing.unfinished(rng.uniform(0.15, 0.95))
    style, seed = Style.random(rng), int(rng.integers(2**32))
    even = replace(style, **EVEN_PEN)  # the same seed moves it along the same lines
    sketch, lines = (_rgb(ink(drawn, pen, np.random.default_rng(seed))) for pen in (style, even))
    hints = colour_hints(seen, drawing, rng) if hinted else np.full_like(seen, 255)
    traced = _rgb(ink(drawing, CANONICAL, rng))
    coloured = bool((hints < 255).any())
    return Lesson(np.minimum(sketch, hints), lines, seen, traced, hints, mask, paired=True, coloured=coloured)


def unpaired_lesson(sketch: Image.Image, photo: Image.Image, config: DataConfig, rng: np.random.Generator) -> Lesson:
    """A square RGB ``sketch`` and ``photo`` that have nothing to do with each other."""
    drawn, seen = (
        _moved(np.asarray(picture), _placement(picture.width, config, rng), config.size) for picture in (sketch, photo)
    )
    white, nowhere = np.full_like(seen, 255), np.zeros(seen.shape[:2], bool)
    return Lesson(drawn, drawn, seen, drawn, white, nowhere, paired=False, coloured=False)


def _placement(side: int, config: DataConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """2×3 affine map of a square of ``side`` pixels into one of ``config.size``: mirrored, turned, smaller, shifted.

    Half of the pictures keep the size they came in: a person fills the sheet more often than not.
    """
    scale = 1.0 if rng.random() < 0.5 else rng.uniform(config.min_scale, 1.0)
    angle = np.deg2rad(rng.uniform(-12, 12)) if rng.random() < 0.3 else 0.0
    mirror = rng.choice((-1, 1))
    unit = config.size / side
    turn = scale * unit * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[:, 0] *= mirror
    slack = config.size * ((1 - scale) / 2 + 0.02)
    centre = config.size / 2 + rng.uniform(-slack, slack, 2)
    return np.column_stack((turn, centre - turn @ (side / 2, side / 2))).astype(np.float32)


def _moved(picture: Picture, matrix: NDArray[np.float32], size: int) -> Picture:
    """``picture`` under ``matrix`` on a sheet of ``size``; made twice as large and averaged down, to stay crisp."""
    to_larger = 2 * matrix
    to_larger[:, 2] += (
        to_larger[:, :2] @ (0.5, 0.5) - 0.5
    )  # OpenCV's origin is the first pixel's centre, ours its corner
    larger = cv2.warpAffine(
        picture, to_larger, (2 * size, 2 * size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.resize(larger, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _recoloured(photo: Picture, mask: Picture, rng: np.random.Generator) -> Picture:
    """The object (``mask`` 255) in another colour, light and shade kept: turned hues, and a tint for what was grey."""
    lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    angle = rng.uniform(0, 2 * np.pi)
    turn = rng.uniform(0.8, 2.0) * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    lab[..., 1:] = lab[..., 1:] @ turn.astype(np.float32)
    inside = mask > 0
    if inside.any() and np.linalg.norm(lab[inside][:, 1:], axis=1).mean() < 15:
        tint, hue = rng.uniform(20, 80), rng.uniform(0, 2 * np.pi)
        lab[..., 0] = 100 * (lab[..., 0] / 100).clip(0, 1) ** rng.uniform(0.5, 1.0)  # black takes no colour
        middle = (1 - np.abs(lab[..., 0] / 50 - 1) ** 2)[..., None]  # nor do highlights
        lab[..., 1:] += middle * np.array([tint * np.cos(hue), tint * np.sin(hue)])
    colour = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB).clip(0, 1) * 255
    share = cv2.GaussianBlur(mask, (3, 3), 0)[..., None] / np.float32(255)
    return (share * colour + (1 - share) * photo + 0.5).astype(np.uint8)


def _rgb(sheet: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(sheet, cv2.COLOR_GRAY2RGB), np.uint8)
