"""Drawings as bytes: what comes back is what went in."""

import cv2
import numpy as np
import pytest

from cyclegan.drawing.coherent_lines import coherent_lines
from cyclegan.drawing.compact import from_bytes, to_bytes
from cyclegan.drawing.inking import Drawing
from cyclegan.drawing.tracing import trace


def picture(width: int, height: int) -> np.ndarray:
    """A ring with a bar, and rows of dots, on white."""
    sheet = np.full((height, width, 3), 255, np.uint8)
    cv2.circle(sheet, (width // 2, height // 2), height // 3, (40, 60, 160), -1)
    cv2.circle(sheet, (width // 2, height // 2), height // 8, (255, 255, 255), -1)
    cv2.line(sheet, (width // 5, height // 4), (width * 4 // 5, height * 3 // 5), (0, 0, 0), 9)
    return sheet


def equal(one: Drawing, other: Drawing) -> bool:
    return one.size == other.size and all(
        (a.kind, a.closed) == (b.kind, b.closed) and a.points.dtype == b.points.dtype and (a.points == b.points).all()
        for a, b in zip(one.strokes, other.strokes, strict=True)
    )


@pytest.mark.parametrize(
    "drawing",
    [
        trace(picture(256, 256)),
        trace(picture(512, 400)),
        coherent_lines(picture(538, 400), 538),
        Drawing((300, 200), ()),
    ],
    ids=["square", "enlarged", "scene", "empty"],
)
def test_what_tracers_find_comes_back_bit_for_bit(drawing: Drawing) -> None:
    data = to_bytes(drawing)
    assert equal(from_bytes(data), drawing)
    assert len(data) < 200 + 4 * sum(len(stroke.points) for stroke in drawing.strokes)


def test_other_points_are_rounded_to_a_sixteenth_of_a_pixel() -> None:
    turned = trace(picture(256, 256)).transformed(np.array([[0.8, -0.3, 60], [0.3, 0.8, 5]]), (256, 256))
    for one, other in zip(from_bytes(to_bytes(turned)).strokes, turned.strokes, strict=True):
        assert 0 < np.abs(one.points - other.points).max() <= 1 / 32


def test_damage_is_a_value_error() -> None:
    data = to_bytes(trace(picture(256, 256)))
    for damaged in (b"", data[:-5], data[:40] + b"\xff\xff" + data[42:], b"garbage"):
        with pytest.raises(ValueError, match="no drawing"):
            from_bytes(damaged)
