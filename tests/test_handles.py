"""What a handle encloses stays paper."""

import cv2
import numpy as np
import pytest

from cyclegan.colour.colour_map import colour_map, regions
from cyclegan.colour.handles import enclosed_by_handles

BLACK, RED, PAPER = (0, 0, 0), (220, 30, 30), (255, 255, 255)
HOLE, HANDLE, BODY = (196, 128), (220, 128), (100, 128)  # x, y in `cup`


def cup(pen: int = 3) -> np.ndarray:
    """A body on the left and a handle of two arcs on the right of a sheet of 256 pixels."""
    picture = np.full((256, 256, 3), 255, np.uint8)
    cv2.rectangle(picture, (30, 60), (170, 200), BLACK, pen)
    for reach in (40, 60):
        cv2.ellipse(picture, (170, 128), (reach, reach), 0, -90, 90, BLACK, pen, cv2.LINE_AA)
    return picture


def window(count: int) -> np.ndarray:
    """Windows side by side under one roof, which is a band of its own, on a body."""
    picture = np.full((256, 256, 3), 255, np.uint8)
    cv2.rectangle(picture, (20, 130), (236, 220), BLACK, 3)
    cv2.rectangle(picture, (60, 60), (196, 130), BLACK, 3)
    wide = (196 - 60 - 12) // count
    for n in range(count):
        cv2.rectangle(picture, (72 + n * wide, 72), (60 + (n + 1) * wide, 130), BLACK, 3)
    return picture


@pytest.mark.parametrize("pen", [1, 3, 6])
def test_what_a_handle_encloses_is_paper_and_all_else_coloured(pen: int) -> None:
    colours = colour_map(cup(pen), seed=0)
    assert tuple(colours[HOLE[::-1]]) == PAPER
    assert tuple(colours[HANDLE[::-1]]) != PAPER
    assert tuple(colours[BODY[::-1]]) != PAPER


def test_a_stroke_on_the_body_leaves_the_hole_empty_and_one_in_the_hole_fills_it() -> None:
    on_body = np.asarray(cv2.line(cup(), (80, 100), (80, 150), RED, 9), np.uint8)
    in_hole = np.asarray(cv2.line(on_body.copy(), (188, 120), (188, 136), RED, 9), np.uint8)
    assert tuple(colour_map(on_body)[HOLE[::-1]]) == PAPER
    assert np.abs(colour_map(in_hole)[HOLE[::-1]].astype(int) - RED).max() < 20


def test_a_brush_that_slips_off_the_handle_does_not_fill_the_hole() -> None:
    stroke = cv2.ellipse(np.full((256, 256, 3), 255, np.uint8), (170, 128), (50, 50), 0, -60, 60, RED, 24)
    slipped = np.minimum(cup(), stroke)  # a handle of 20 pixels, whose lines lie over the colour
    assert tuple(colour_map(slipped)[HOLE[::-1]]) == PAPER
    assert np.abs(colour_map(slipped)[HANDLE[::-1]].astype(int) - RED).max() < 20


def test_rings_and_windows_are_no_handles() -> None:
    ring = np.full((256, 256, 3), 255, np.uint8)
    for radius in (100, 70):
        cv2.circle(ring, (128, 128), radius, BLACK, 3, cv2.LINE_AA)
    for picture in (ring, window(2), window(3)):
        assert not enclosed_by_handles(regions(picture)).any()


def test_nothing_is_enclosed_on_sheets_without_regions() -> None:
    blank = np.zeros((64, 64), np.int32)
    assert not enclosed_by_handles(blank).any()
    assert not enclosed_by_handles(np.full_like(blank, 1)).any()
