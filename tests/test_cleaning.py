"""What becomes of lines, smudges and loose ends of a drawing of F's."""

from __future__ import annotations

import numpy as np
import pytest

from cyclegan.drawing.cleaning import cleaned

LONG, SHORT = slice(100, 300), slice(400, 412)


@pytest.fixture
def drawing() -> np.ndarray:
    sheet = np.full((768, 512), 255, np.uint8)
    sheet[50:52, LONG] = 0
    sheet[50:52, 180:190] = 140  # unsure
    sheet[50:52, SHORT] = 0
    sheet[200:240, 100:300] = 120  # a smudge
    sheet[300:302, LONG] = 245  # next to nothing
    return sheet


def test_lines_are_black_and_whole(drawing: np.ndarray) -> None:
    lines = cleaned(drawing, 1)
    assert lines.dtype == np.uint8
    assert (lines[50:52, LONG] < 110).all()
    assert (lines[40:48] == 255).all()
    assert (lines[300:302] == 255).all()


def test_smudges_go(drawing: np.ndarray) -> None:
    assert (cleaned(drawing, 1)[205:235, 105:295] == 255).all()


def test_the_middle_of_a_narrow_smudge_is_the_line(drawing: np.ndarray) -> None:
    drawing[500:502, 100:200] = drawing[500:502, 260:360] = 0
    drawing[495:507, 196:264] = 150
    lines = cleaned(drawing, 1) < 128
    assert lines[494:508, 100:360].any(axis=0).mean() > 0.95
    assert lines[494:508, 200:260].sum(axis=0).max() <= 4


@pytest.mark.parametrize(("detail", "stays"), [(1, True), (0.8, True), (0.7, False), (0, False)])
def test_what_is_short_is_detail(drawing: np.ndarray, detail: float, stays: bool) -> None:
    lines = cleaned(drawing, detail)
    assert (lines[50:52, SHORT] < 128).all() == stays
    assert (lines[50:52, LONG] < 128).all()


def test_lengths_grow_with_the_sheet(drawing: np.ndarray) -> None:
    assert (cleaned(np.ascontiguousarray(drawing[:256]), 0.7)[50:52, SHORT] < 128).all()


@pytest.mark.parametrize("tone", [0, 90, 255])
def test_an_even_sheet_is_blank(tone: int) -> None:
    assert (cleaned(np.full((40, 30), tone, np.uint8), 0.5) == 255).all()
