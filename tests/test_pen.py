"""The same lines in another pen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from cyclegan.drawing.pen import PENS, pen_width, with_pen
from cyclegan.drawing.vector import line_width


@pytest.fixture
def drawing() -> np.ndarray:
    sheet = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(sheet).line([(30, 40), (270, 40)], "black", 2)
    ImageDraw.Draw(sheet).ellipse((80, 70, 220, 180), outline="black", width=2)
    return np.asarray(sheet)


@pytest.mark.parametrize("pen", PENS)
def test_lines_are_that_much_wider(drawing: np.ndarray, pen: float) -> None:
    other = with_pen(drawing, pen)
    assert (other.shape, other.dtype) == (drawing.shape, np.uint8)
    darkness = 1 - other[..., 0] / 255
    for column in (60, 150, 240):
        assert darkness[20:62, column].sum() == pytest.approx(2 * pen, abs=0.6)
    assert (other[45 + int(pen) :, :70] == 255).all()


def test_the_usual_pen_changes_nothing(drawing: np.ndarray) -> None:
    assert with_pen(drawing, 1) is drawing
    assert line_width(with_pen(drawing, 3)) > 2.3 * line_width(drawing)
    blank = np.full((40, 40, 3), 255, np.uint8)
    assert (with_pen(blank, 3) == 255).all()


@pytest.mark.filterwarnings("error")
def test_the_width_of_lines(drawing: np.ndarray) -> None:
    mask = (drawing[..., 0] < 128).astype(np.uint8)
    assert pen_width(cv2.distanceTransform(mask, cv2.DIST_L2, 5)) == pytest.approx(2, abs=0.6)
    for plain in (np.zeros_like(mask), np.ones_like(mask)):
        assert pen_width(cv2.distanceTransform(plain, cv2.DIST_L2, 5)) == 0
