"""Coherent lines of pictures made on the spot."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from cyclegan.drawing.coherent_lines import (
    BUDGET,
    WINDOW,
    at_detail,
    coherent_lines,
    flow,
    flow_dog,
    joined,
    within_budget,
)
from cyclegan.drawing.inking import CANONICAL, Drawing, Stroke, ink

SIDE = 256


def hills(contrast: float = 60.0) -> np.ndarray:
    """A ground that is nowhere plain, and without an edge."""
    x = np.linspace(0, 1, SIDE)
    return np.repeat((120 + contrast * np.add.outer(x, -x))[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    photo = hills()
    cv2.circle(photo, (128, 128), 60, (10, 20, 30), cv2.FILLED, cv2.LINE_AA)
    return photo


def test_a_disc_has_one_closed_line_along_its_edge(disc):
    drawing = coherent_lines(disc, SIDE)
    longest = max(drawing.strokes, key=lambda stroke: stroke.length)
    assert longest.closed
    distance = np.linalg.norm(longest.points - (128.5, 128.5), axis=1)
    assert np.abs(distance - 60).max() < 4
    assert longest.length == pytest.approx(2 * np.pi * 60, rel=0.1)
    assert longest.length > 0.9 * drawing.length


def test_an_object_on_a_plain_ground_keeps_its_silhouette():
    photo = np.full((SIDE, SIDE, 3), 255, np.uint8)
    cv2.rectangle(photo, (70, 60), (190, 200), (200, 40, 40), cv2.FILLED)
    cv2.line(photo, (100, 130), (160, 130), (20, 20, 20), 4)
    drawing = coherent_lines(photo, SIDE)
    assert drawing.strokes[0].kind == "outline"
    assert {stroke.kind for stroke in at_detail(drawing, 0).strokes} == {"outline"}
    inner = [stroke for stroke in drawing.strokes if stroke.kind == "edge"]
    assert inner  # the line inside
    assert all(abs(stroke.points[:, 1].mean() - 130) < 6 for stroke in inner)  # no doubles of the outline


def test_strokes_are_in_the_photos_own_pixels(disc):
    large = cv2.resize(disc, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
    drawing = coherent_lines(large, SIDE)
    assert drawing.size == (2 * SIDE, 2 * SIDE)
    longest = max(drawing.strokes, key=lambda stroke: stroke.length)
    assert np.linalg.norm(longest.points - (257, 257), axis=1) == pytest.approx(120, abs=8)


def test_texture_gets_few_lines():
    rng = np.random.default_rng(0)
    photo = hills()
    noise = cv2.resize(rng.integers(0, 256, (SIDE // 4, SIDE // 4), np.uint8), (SIDE, SIDE))
    photo[:, : SIDE // 2] = noise[:, : SIDE // 2, None]
    drawing = coherent_lines(photo, SIDE)
    assert drawing.strokes
    assert drawing.length / (SIDE * SIDE / 2) < 1.2 * BUDGET


def test_no_line_runs_along_the_border():
    photo = hills()
    photo[:] = 255 - photo
    cv2.rectangle(photo, (0, 0), (SIDE - 1, SIDE - 1), (0, 0, 0), 3)  # a frame in the photo itself
    sheet = ink(coherent_lines(photo, SIDE), CANONICAL, np.random.default_rng(0))
    framed = np.ones(sheet.shape, bool)
    framed[2:-2, 2:-2] = False
    assert not (sheet[framed] < 128).any()


def test_more_detail_only_adds_strokes():
    rng = np.random.default_rng(1)
    photo = hills()
    for _ in range(25):
        x, y = rng.integers(20, SIDE - 20, 2).tolist()
        cv2.circle(photo, (x, y), int(rng.integers(6, 30)), rng.integers(0, 256, 3).tolist(), 3, cv2.LINE_AA)
    drawing = coherent_lines(photo, SIDE)
    drawn = [at_detail(drawing, detail).strokes for detail in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(less == more[: len(less)] for less, more in pairwise(drawn))
    assert 0 < len(drawn[0]) < len(drawn[2]) < len(drawn[4])
    assert drawn[4] == drawing.strokes


def test_silhouettes_are_always_drawn():
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32)
    strokes = tuple(Stroke(square, kind, closed=True) for kind in ("outline", "edge", "edge", "edge", "edge", "hole"))
    drawing = Drawing((10, 10), strokes)
    assert [stroke.kind for stroke in at_detail(drawing, 0).strokes] == ["outline", "hole"]
    assert [stroke.kind for stroke in at_detail(drawing, 0.5).strokes] == ["outline", "edge", "edge", "hole"]
    assert at_detail(drawing, 1).strokes == strokes


def test_the_flow_runs_along_stripes():
    light = np.tile(0.5 + 0.5 * np.sin(np.arange(64, dtype=np.float32) / 3), (64, 1)).astype(np.float32)
    tangent = flow(light)
    assert np.abs(tangent[8:-8, 8:-8, 1]) == pytest.approx(1, abs=0.01)
    assert np.abs(flow(np.ascontiguousarray(light.T))[8:-8, 8:-8, 0]) == pytest.approx(1, abs=0.01)


def test_the_response_is_dark_on_a_dark_line_and_blank_on_an_even_surface():
    photo = np.full((96, 96, 3), 180, np.uint8)
    photo[:, 47:50] = 30
    response, contrast = flow_dog(photo)
    assert response[10:-10, 48].max() < 0.05
    assert response[:, :30].min() > 0.99
    assert contrast[10:-10, 48].min() > 10 * contrast[:, :30].max()


def along(x0: int, y0: int, dx: int, dy: int, count: int) -> np.ndarray:
    return np.array([x0, y0]) + np.arange(count)[:, None] * (dx, dy)


def test_paths_that_go_on_behind_a_gap_are_joined():
    paths = [along(0, 10, 1, 0, 20), along(50, 10, -1, 0, 20), along(60, 40, 1, 1, 20)]
    first, second = sorted(joined(paths), key=len, reverse=True)
    assert sorted(map(tuple, first)) == [(x, 10) for x in range(51)]
    assert (np.abs(np.diff(first, axis=0)).max(axis=1) == 1).all()  # in order, the gap filled
    assert np.array_equal(second, paths[2])


def test_paths_round_a_corner_are_not_joined():
    assert len(joined([along(0, 10, 1, 0, 20), along(28, 12, 0, 1, 20)])) == 2


def test_four_sides_of_a_ring_are_joined_once():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.rint(60 + 50 * np.stack((np.cos(angle), np.sin(angle)), 1)).astype(int)
    quarters = [ring[start : start + 94] for start in range(0, 400, 100)]
    (whole,) = joined(quarters)
    assert len(whole) >= 4 * 94
    assert np.abs(whole[0] - whole[-1]).max() <= 2


def test_the_weaker_lines_of_a_crowd_are_left_out():
    paths = [along(20, y, 1, 0, 80) for y in range(20, 100, 2)]  # half of the pixels
    kept = within_budget(paths, (120, 120))
    assert 2 <= len(kept) <= len(paths) / 2
    assert kept[0] is paths[0]  # the ones that come first
    far = along(20, 300, 1, 0, 80)
    assert within_budget([*paths, far], (330, 120))[-1] is far
    assert WINDOW % 2
