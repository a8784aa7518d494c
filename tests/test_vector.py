"""Raster drawings as strokes and as SVG."""

from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from cyclegan.drawing.inking import Drawing, Stroke, Style, ink
from cyclegan.drawing.vector import line_width, to_svg, vectorise

SVG = "{http://www.w3.org/2000/svg}"


def sheet() -> np.ndarray:
    """A circle and a line, 5 px wide (OpenCV's 3), on 200×160 pixels."""
    drawing = np.full((160, 200, 3), 255, np.uint8)
    cv2.circle(drawing, (60, 80), 40, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.line(drawing, (120, 20), (180, 140), (0, 0, 0), 3, cv2.LINE_AA)
    return drawing


def test_strokes_run_along_the_middle_of_the_lines() -> None:
    drawing = vectorise(sheet())
    assert drawing.size == (200, 160)
    circle, line = sorted(drawing.strokes, key=lambda stroke: not stroke.closed)
    assert circle.closed
    assert np.abs(np.linalg.norm(circle.points - (60.5, 80.5), axis=1) - 40).max() < 1.5
    assert not line.closed
    assert np.abs((line.points[:, 0] - 120.5) * 2 - (line.points[:, 1] - 20.5)).max() < 3.5


def test_strokes_ink_to_the_same_drawing_in_any_pen() -> None:
    drawing = vectorise(sheet())
    again = ink(drawing, Style(width=5 * 256 / 200), np.random.default_rng(0))
    thick = ink(drawing, Style(width=9 * 256 / 200), np.random.default_rng(0))
    lines = sheet()[..., 0] < 128
    assert ((again < 128) & lines).sum() > 0.9 * lines.sum()
    assert (thick < 128).sum() > 1.5 * lines.sum()


def test_svg_has_a_path_per_stroke_and_no_bitmap() -> None:
    root = ET.fromstring(to_svg(vectorise(sheet()), width=2))
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("200", "160", "0 0 200 160")
    assert len(root.findall(f".//{SVG}path")) == 2
    assert not root.findall(f".//{SVG}image")
    (group,) = root.findall(f"{SVG}g")
    assert group.get("stroke-width") == "2"
    assert [path.get("d", "").endswith("Z") for path in group].count(True) == 1


def test_the_width_of_lines_is_measured() -> None:
    assert line_width(sheet()) == pytest.approx(5, abs=0.7)
    assert line_width(np.full((64, 64, 3), 255, np.uint8)) == 1


def test_a_blank_sheet_is_an_svg_without_paths() -> None:
    assert vectorise(np.full((64, 64, 3), 255, np.uint8)).strokes == ()
    assert "<path" not in to_svg(Drawing((64, 64), (Stroke(np.zeros((1, 2), np.float32), "edge"),)))


def test_a_large_drawing_has_its_strokes_in_its_own_pixels() -> None:
    large = np.asarray(cv2.resize(sheet(), (3200, 2560), interpolation=cv2.INTER_CUBIC), np.uint8)
    drawing = vectorise(large)
    assert drawing.size == (3200, 2560)
    (circle,) = (stroke for stroke in drawing.strokes if stroke.closed)
    assert np.abs(np.linalg.norm(circle.points - (968, 1288), axis=1) - 640).max() < 20
    assert line_width(large) == pytest.approx(16 * 5, rel=0.15)
