"""What stays paper: the parts that a mark is in, in arrays and under a real mouse."""

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from cyclegan.drawing.empty import EMPTY, leave_empty, with_marks, without_marks
from tests.browser import PHOTO, RETURNED, canvas, draw, picture

pytest_plugins = ["tests.browser_fixtures"]


@pytest.fixture
def ring() -> np.ndarray:
    """Two circles about one point: a closed handle."""
    sheet = np.full((256, 256, 3), 255, np.uint8)
    for radius in (40, 90):
        cv2.circle(sheet, (128, 128), radius, (0, 0, 0), 3, cv2.LINE_AA)
    return sheet


def marked(sheet: np.ndarray, *places: tuple[int, int]) -> np.ndarray:
    """With slanting lines at ``places``, below all others, as the page draws them."""
    marks = np.full_like(sheet, 255)
    for x, y in places:
        for k in range(-8, 9, 4):
            cv2.line(marks, (x - 6 + k, y + 6), (x + 6 + k, y - 6), EMPTY, 2)
    return np.where((sheet == 255).all(axis=2, keepdims=True), marks, sheet)


def test_a_sheet_without_marks_is_as_it_was(ring: np.ndarray) -> None:
    clean, parts = without_marks(ring)
    assert clean is ring
    assert parts is None
    photo = Image.new("RGB", (64, 64), "red")
    assert leave_empty(photo, None) is photo


def test_a_mark_empties_what_lines_enclose_around_it(ring: np.ndarray) -> None:
    clean, parts = without_marks(marked(ring, (128, 128)))
    assert np.array_equal(clean, ring)
    assert parts is not None
    y, x = np.mgrid[:256, :256]
    away = np.hypot(x - 128, y - 128)
    assert parts[away < 37].all()
    assert not parts[away > 43].any()
    photo = np.asarray(leave_empty(Image.new("RGB", (512, 512), (200, 30, 30)), parts))
    assert (photo[226:286, 226:286] == 255).all()
    assert (photo[256, :150] == (200, 30, 30)).all()


def test_marks_can_be_made_of_parts(ring: np.ndarray) -> None:
    _, parts = without_marks(marked(ring, (128, 128)))
    clean, again = without_marks(with_marks(ring, parts))
    assert parts is not None
    assert again is not None
    assert np.array_equal(clean, ring)
    assert np.array_equal(again, parts)
    assert with_marks(ring, None) is ring


def test_a_mark_between_open_lines_empties_no_more_than_itself(ring: np.ndarray) -> None:
    ring[120:136, 160:230] = 255  # a gap in both circles
    _, parts = without_marks(marked(ring, (128, 128)))
    assert parts is not None
    assert parts[128, 128]
    assert 80 < parts.sum() < 800


def test_what_is_not_marked_stays(ring: np.ndarray) -> None:
    """Lines that a mark crosses, colour strokes, soft pencils."""
    cv2.line(ring, (150, 128), (210, 128), (220, 30, 40), 12)
    cv2.line(ring, (60, 200), (200, 200), (120, 120, 120), 4)
    clean, parts = without_marks(marked(ring, (128, 88), (128, 128)))
    assert parts is not None
    assert np.abs(clean.astype(int) - ring).max() <= 255 - 160
    assert (clean[128, 160:200] == (220, 30, 40)).all()
    assert (clean[ring.max(axis=2) < 100] == ring[ring.max(axis=2) < 100]).all()


def test_the_brush_leaves_a_part_of_the_photo_empty(page: Page) -> None:
    box = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.19)]
    draw(page, box)
    before = picture(page, PHOTO)
    picture(page, RETURNED)
    lines = (canvas(page).max(axis=2) < 128).sum()
    page.get_by_role("button", name="leave empty").click()
    old = page.locator(PHOTO).get_attribute("src")
    draw(page, [(0.45, 0.5), (0.55, 0.5)])
    page.wait_for_function(
        "old => { const now = document.querySelector('.photo img').src; return now !== old && now.includes('png'); }",
        arg=old,
    )
    shown = canvas(page)
    assert (shown == EMPTY).all(axis=2).sum() > 100
    assert (shown.max(axis=2) < 128).sum() == lines
    after = picture(page, PHOTO)
    inner = slice(round(0.3 * len(after)), round(0.7 * len(after)))
    assert (after[inner, inner] == 255).all()
    assert (before[inner, inner] < 250).any()
    change = np.abs(after[:4].astype(int) - before[:4])
    assert change.max() <= 2  # far from it the photo is nearly what it was
    assert change.mean() < 0.5
    expect(page.get_by_role("button", name="leave empty")).to_have_attribute("aria-pressed", "true")
