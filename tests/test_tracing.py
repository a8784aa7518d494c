"""Photo → drawing → sheet, on shapes drawn on the spot."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from cyclegan.colour.hints import colour_hints
from cyclegan.drawing.inking import CANONICAL, Detail, Drawing, Stroke, StrokeKind, Style, ink, ink_alike
from cyclegan.drawing.tracing import sketch, trace


def paper(size: int = 128, value: int = 255) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def ellipse() -> np.ndarray:
    return cv2.ellipse(paper(), (64, 60), (40, 25), 20, 0, 360, (200, 40, 60), -1, cv2.LINE_AA)


def ring() -> np.ndarray:
    return cv2.circle(cv2.circle(paper(), (64, 64), 50, (40, 60, 160), -1), (64, 64), 25, (255, 255, 255), -1)


def kinds(drawing: Drawing) -> list[str]:
    return [stroke.kind for stroke in drawing.strokes]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ink_share(sheet: np.ndarray) -> float:
    return float(1 - sheet.mean() / 255)


def line(width: int = 256) -> Drawing:
    points = np.stack([np.linspace(width * 0.1, width * 0.9, 60), np.full(60, width / 2)], 1).astype(np.float32)
    return Drawing((width, width), (Stroke(points, "outline"),))


@pytest.mark.parametrize("ground", [255, 235, 30])
def test_an_ellipse_gives_one_closed_outline_along_its_edge(ground: int) -> None:
    photo = ellipse()
    inside = photo[..., 1] < 150
    photo[~inside] = ground
    drawing = trace(photo)
    assert kinds(drawing) == ["outline"]
    assert drawing.strokes[0].closed
    found = drawing.mask() > 0
    assert (found & inside).sum() / (found | inside).sum() > 0.95


def test_a_ring_gives_outline_and_hole() -> None:
    drawing = trace(ring())
    assert kinds(drawing) == ["outline", "hole"]
    for stroke, radius in zip(drawing.strokes, (50, 25), strict=True):
        assert np.linalg.norm(stroke.points - 64.5, axis=1) == pytest.approx(radius, abs=2)
    assert drawing.mask()[64, 64] == 0
    assert drawing.mask()[64, 24] == 255


def test_a_pale_object_does_not_vanish() -> None:
    photo = cv2.rectangle(paper(256), (50, 80), (200, 180), (247, 247, 246), -1)
    x, y, width, height = cv2.boundingRect(trace(photo).mask())
    assert (x, y, x + width, y + height) == pytest.approx((50, 80, 201, 181), abs=3)


def test_a_soft_shadow_is_not_part_of_a_dark_object() -> None:
    shadow = cv2.GaussianBlur(cv2.ellipse(paper(256), (128, 200), (70, 8), 0, 0, 360, (190, 190, 190), -1), (0, 0), 9)
    photo = cv2.rectangle(shadow, (60, 60), (196, 196), (40, 50, 60), -1)
    _, y, _, height = cv2.boundingRect(trace(photo).mask())
    assert y + height == pytest.approx(197, abs=5)


def test_inner_edges_are_found_once_though_a_line_has_two_sides() -> None:
    photo = cv2.rectangle(paper(256), (30, 30), (225, 225), (210, 190, 90), -1)
    photo = cv2.line(photo, (60, 128), (196, 128), (40, 30, 30), 3)
    inner = trace(photo).strokes[1:]
    assert [stroke.kind for stroke in inner] == ["edge"]
    assert inner[0].points[:, 1] == pytest.approx(128.5, abs=3)


def test_a_pattern_does_not_become_a_clot() -> None:
    photo = paper(256)
    pattern = np.kron(np.indices((36, 36)).sum(0) % 2, np.ones((5, 5)))
    photo[38:218, 38:218] = np.where(pattern[..., None] > 0, (180, 30, 30), (240, 220, 60))
    assert ink_share(ink(trace(photo), CANONICAL, rng())) < 0.08


def test_without_plain_ground_there_are_edges_and_no_frame() -> None:
    y, x = np.mgrid[:256, :256]
    photo = np.stack([x, y, 255 - x], 2).astype(np.uint8) // 2 + 60
    drawing = trace(cv2.circle(photo, (128, 128), 60, (250, 240, 20), -1))
    assert "outline" not in kinds(drawing)
    points = np.concatenate([stroke.points for stroke in drawing.strokes])
    assert np.linalg.norm(points - 128, axis=1) == pytest.approx(60, abs=4)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (7, 300), (256, 256)])
def test_one_colour_gives_an_empty_sheet(value: int, shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), value, np.uint8)
    drawing = trace(photo)
    assert drawing == Drawing(shape[::-1], ())
    sheet = ink(drawing, Style.random(rng()), rng())
    assert sheet.shape == shape
    assert (sheet == 255).all()
    assert colour_hints(photo, drawing, rng()).shape == photo.shape


@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (2, 3), (5, 400), (300, 200)])
def test_noise_of_any_size_is_drawn_without_error(shape: tuple[int, int]) -> None:
    photo = rng().integers(0, 256, (*shape, 3), np.uint8)
    for seed in range(5):
        drawing = trace(photo).unfinished(seed / 4)
        sheet = ink(drawing, Style.random(rng(seed)), rng(seed))
        assert sheet.shape == shape
        assert colour_hints(photo, drawing, rng(seed)).shape == photo.shape


def test_equal_seeds_give_equal_sheets_and_others_do_not() -> None:
    style = replace(CANONICAL, wobble=3, slip=1, overshoot=4, lifts=0.5, doubled=0.3, width_variation=0.3, grain=0.3)
    first, again, other = (ink(trace(ring()), style, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert Style.random(rng(3)) == Style.random(rng(3)) != Style.random(rng(4))


@pytest.mark.parametrize("seed", range(30))
def test_every_random_style_draws_the_ring_near_its_lines(seed: int) -> None:
    sheet = ink(trace(ring()).resized((256, 256)), Style.random(rng(seed)), rng(seed))
    y, x = np.nonzero(sheet < 200)
    assert len(x) > 300
    radius = np.hypot(x - 128, y - 128)
    assert np.minimum(abs(radius - 100), abs(radius - 50)).max() < 20


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [128, 256, 600])
def test_the_pen_is_as_wide_as_asked(width: int, size: int) -> None:
    sheet = ink(line(size), replace(CANONICAL, width=width), rng())
    assert (255 - sheet[:, size // 2]).sum() / 255 == pytest.approx(width * size / 256, abs=0.3)


def test_the_inked_line_lies_where_the_stroke_is() -> None:
    column = 255.0 - ink(line(), replace(CANONICAL, width=4), rng())[:, 128]
    assert (column * (np.arange(256) + 0.5)).sum() / column.sum() == pytest.approx(128, abs=0.2)


@pytest.mark.parametrize(("detail", "rows"), [("contour", [1]), ("main", [1, 2]), ("detailed", [1, 2, 3])])
def test_detail_decides_which_strokes_are_drawn(detail: Detail, rows: list[int]) -> None:
    kinds: tuple[StrokeKind, ...] = ("outline", "edge", "detail")
    ends = [np.array([[20, 50 * row + 25], [230, 50 * row + 25]], np.float32) for row in (1, 2, 3)]
    drawing = Drawing((256, 256), tuple(map(Stroke, ends, kinds)))
    drawn = np.flatnonzero(ink(drawing, Style(detail=detail), rng())[:, 128] < 128)
    assert np.unique(drawn // 50).tolist() == rows


def test_grey_pencil_is_grey() -> None:
    assert 95 <= ink(line(), Style(tone=100, width=4), rng()).min() <= 105


def test_transformed_moves_strokes_and_mask_alike() -> None:
    drawing = trace(ring())
    moved = drawing.transformed(np.array([[-0.5, 0, 64], [0, 0.5, 0]]), (64, 64))
    assert moved.size == (64, 64)
    assert moved.length == pytest.approx(drawing.length / 2, rel=1e-3)
    expected = cv2.resize(drawing.mask()[:, ::-1], (64, 64), interpolation=cv2.INTER_AREA) > 127
    assert ((moved.mask() > 0) != expected).mean() < 0.03


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_unfinished_is_the_first_part_by_length(fraction: float) -> None:
    drawing = trace(ring())
    part = drawing.unfinished(fraction)
    assert part.length == pytest.approx(fraction * drawing.length, abs=1e-2)
    for stroke, whole in zip(part.strokes[:-1], drawing.strokes, strict=False):
        assert stroke is whole
    if 0 < fraction < 1:
        assert not part.strokes[-1].closed
        assert np.array_equal(part.strokes[-1].points[:3], drawing.strokes[len(part.strokes) - 1].points[:3])


@pytest.mark.parametrize("seed", range(8))
def test_hints_lie_inside_and_have_the_local_colour(seed: int) -> None:
    photo = paper(256)
    photo[60:200, 40:128], photo[60:200, 128:216] = (220, 30, 40), (20, 90, 210)
    hinted = colour_hints(photo, trace(photo), rng(seed))
    y, x = np.nonzero((hinted != 255).any(2))
    assert len(x) > 15
    assert 38 <= x.min() <= x.max() <= 217
    assert 58 <= y.min() <= y.max() <= 201
    solid = hinted[y, x][hinted[y, x].min(1) < 45].astype(int)
    to_red, to_blue = (np.abs(solid - colour).max(1) for colour in ((220, 30, 40), (20, 90, 210)))
    assert np.median(np.minimum(to_red, to_blue)) < 10
    assert np.array_equal(hinted, colour_hints(photo, trace(photo), rng(seed)))


def test_black_objects_give_no_hints() -> None:
    photo = ellipse()
    assert (colour_hints(photo, trace(photo), rng()) < 255).any()
    black = np.where(photo < 255, 8, photo).astype(np.uint8)
    assert (colour_hints(black, trace(black), rng()) == 255).all()


def test_sketch_keeps_the_photos_size() -> None:
    photo = Image.fromarray(ellipse()).resize((301, 177))
    drawn = sketch(photo, Style.random(rng()), seed=3)
    assert (drawn.size, drawn.mode) == ((301, 177), "RGB")
    assert np.asarray(drawn).min() < 150


def test_the_same_lines_in_two_pens_are_those_of_each_pen_alone() -> None:
    """If the second has no chance of its own: an even pen without grain."""
    drawing = trace(ring())
    for seed in range(6):
        hand = Style.random(rng(seed))
        even = replace(hand, width=3.0, width_variation=0.0, taper=0.0, tone=0, grain=0.0)
        alone = [ink(drawing, pen, rng(seed)) for pen in (hand, even)]
        together = ink_alike(drawing, (hand, even), rng(seed))
        assert all((one == other).all() for one, other in zip(alone, together, strict=True))
