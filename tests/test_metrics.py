"""Measures against answers known without them: the same twice, a known shift, a checkerboard, half a mask."""

import numpy as np
import pytest

from cyclegan.evaluation import metrics
from cyclegan.evaluation.metrics import Pictures
from cyclegan.images import to_lab

SIZE = 32


def plain(*colours: tuple[int, int, int]) -> Pictures:
    """One evenly coloured picture a colour."""
    return np.stack([np.full((SIZE, SIZE, 3), colour, np.uint8) for colour in colours])


def noise(count: int = 4, low: int = 0, high: int = 200, seed: int = 0, size: int = SIZE) -> Pictures:
    return np.random.default_rng(seed).integers(low, high, (count, size, size, 3), dtype=np.uint8)


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)
LEFT = np.zeros((1, SIZE, SIZE), bool)
LEFT[..., : SIZE // 2] = True


def test_lab_of_known_colours() -> None:
    colours = np.array([BLACK, WHITE, RED, (119, 119, 119)], np.uint8)
    expected = [(0, 0, 0), (100, 0, 0), (53.24, 80.09, 67.2), (50.03, 0, 0)]
    np.testing.assert_allclose(to_lab(colours), expected, atol=0.2)  # OpenCV's tables are that exact


def test_a_distance_from_itself_is_zero() -> None:
    pictures = noise()
    assert metrics.colour_distance(pictures, pictures) == 0
    assert metrics.texture_distance(pictures, pictures) == 0
    assert metrics.cycle_error(pictures, pictures) == 0


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection() -> None:
    """In one dimension the shift itself; in three the mean |cosine| with a direction is 1/2."""
    rng = np.random.default_rng(1)
    line, cloud = rng.random((500, 1), np.float32), rng.random((500, 3), np.float32)
    assert metrics.sliced_wasserstein(line, line + 3) == pytest.approx(3, abs=1e-4)
    assert metrics.sliced_wasserstein(cloud, cloud + np.array([0, 8, 0], np.float32)) == pytest.approx(4, rel=0.1)


def test_sliced_wasserstein_needs_no_equal_counts() -> None:
    few = np.array([[0.0], [1.0]], np.float32)
    assert metrics.sliced_wasserstein(few, np.repeat(few, 50, axis=0)) == 0
    assert metrics.sliced_wasserstein(few, np.zeros((7, 1), np.float32)) == pytest.approx(0.5)


def test_colour_distance_sees_the_foreground_alone() -> None:
    """Black and mid-grey are 50 apart in lightness; more or less white around them changes nothing."""
    grey, black = plain((119, 119, 119)), plain(BLACK)
    black[:, SIZE // 4 :] = 255
    assert metrics.colour_distance(grey, black) == pytest.approx(50 / 2, rel=0.1)
    assert metrics.colour_distance(plain(WHITE), plain(WHITE)) == 0


def test_texture_distance_ignores_colour_and_sees_scale() -> None:
    fine, again = noise(32), noise(32, seed=1)
    coarse = noise(32, seed=2).repeat(8, axis=1).repeat(8, axis=2)[:, :SIZE, :SIZE]
    assert metrics.texture_distance(fine, fine // 2 + 50) < 0.02
    assert metrics.texture_distance(fine, again) < metrics.texture_distance(fine, coarse) / 2


def test_laplacian_pyramid_halves_down_to_sixteen_and_keeps_a_plain_picture_in_the_rest() -> None:
    levels = metrics.laplacian_pyramid(np.full((64, 64, 3), 7, np.uint8))
    assert [level.shape for level in levels] == [(64, 64, 3), (32, 32, 3), (16, 16, 3)]
    assert not levels[0].any()
    assert not levels[1].any()
    np.testing.assert_allclose(levels[2], 7)


def test_a_checkerboard_is_all_high_frequency() -> None:
    """The finest level holds the whole amplitude; of larger squares, the edges only; of an even picture, nothing."""
    board = np.indices((SIZE, SIZE)).sum(axis=0) % 2
    board = (51 + 127 * board[..., None]).astype(np.uint8).repeat(3, axis=2)[None]
    amplitude = 127 / 2 / 255
    assert metrics.high_frequency(board) == pytest.approx(amplitude**2, rel=0.1)
    stretched = board.repeat(16, axis=1).repeat(16, axis=2)
    assert metrics.high_frequency(stretched) < amplitude**2 / 2
    assert metrics.high_frequency(plain(RED)) == pytest.approx(0, abs=1e-6)


def test_chroma_is_that_of_the_foreground() -> None:
    half = plain(RED)
    half[:, : SIZE // 2] = 255
    assert metrics.chroma(half) == pytest.approx(np.hypot(80.09, 67.2), rel=0.01)
    assert metrics.chroma(plain((90, 90, 90), WHITE)) == pytest.approx(0, abs=0.1)


def test_a_collapse_to_one_colour_shows() -> None:
    lively, brown = plain(BLACK, (119, 119, 119)), plain((120, 70, 40), (120, 70, 40))
    assert metrics.colour_spread(lively) == pytest.approx(25, abs=0.1)  # lightness 0 and 50
    assert metrics.colour_spread(brown) == 0
    assert metrics.colour_count(lively) == pytest.approx(2)
    assert metrics.colour_count(brown) == pytest.approx(1)
    assert metrics.colour_count(plain(RED, RED, RED, BLACK)) == pytest.approx(4 / 3**0.75)  # entropy of 3/4 and 1/4


def test_shade_is_smooth_and_highlights_are_small() -> None:
    mask = np.zeros((1, 128, 128), bool)
    mask[0, 16:112, 16:112] = True
    flat = np.full((1, 128, 128, 3), 255, np.uint8)
    flat[mask] = 120
    checked, lit, spot = flat.copy(), flat.copy(), flat.copy()
    checked[0, 16:112:2, 16:112:2] = checked[0, 17:112:2, 17:112:2] = 150
    lit[0, 16:112, 16:112] = np.linspace(80, 160, 96).astype(np.uint8)[:, None]
    spot[0, 50:60, 50:60] = 255
    assert metrics.shade(flat, mask) == pytest.approx(0, abs=1e-3)
    assert metrics.highlights(flat, mask) == metrics.highlights(lit, mask) == 0
    assert metrics.shade(checked, mask) < 0.5 < 5 < metrics.shade(lit, mask) < 12
    assert metrics.highlights(checked, mask) == 0
    assert 90 / 90**2 < metrics.highlights(spot, mask) < 200 / 90**2
    assert metrics.shade(flat, mask & False) == metrics.highlights(flat, mask & False) == 0


def test_filled_inside_and_clean_outside() -> None:
    photo, picture = plain(WHITE), plain(WHITE)
    photo[LEFT] = 100
    picture[LEFT & (np.arange(SIZE) % 2 == 0)] = 100  # every other column
    picture[0, :8, -1] = 0
    assert metrics.inside_filled(photo, photo, LEFT) == 1
    assert metrics.inside_filled(picture, photo, LEFT) == 0.5
    assert metrics.outside_clean(photo, LEFT) == 1
    assert metrics.outside_clean(picture, LEFT) == pytest.approx(1 - 8 / (SIZE * SIZE / 2))
    assert metrics.outside_clean(picture, np.ones_like(LEFT)) == 1


def test_cycle_error_of_white_and_black_is_one() -> None:
    assert metrics.cycle_error(plain(WHITE, WHITE), plain(BLACK, WHITE)) == pytest.approx(0.5)


def test_ink_and_smears() -> None:
    drawing = plain(WHITE, WHITE)
    drawing[0, :8] = 0
    assert metrics.ink_share(drawing) == pytest.approx(1 / 8)
    assert metrics.mid_grey_share(drawing) == 0
    drawing[1, :16] = 128
    assert metrics.mid_grey_share(drawing) == pytest.approx(1 / 4)


def test_pen_change_is_the_largest_of_any_channel_inside_the_mask() -> None:
    photos = plain((100, 100, 100), (100, 130, 90), (95, 100, 100))
    photos[:, :, SIZE // 2 :] = np.array([0, 128, 255], np.uint8)[:, None, None, None]
    assert metrics.pen_change(photos, LEFT[0]) == 30


def test_hint_regions_and_distance() -> None:
    bare = plain(WHITE)
    hinted = bare.copy()
    hinted[0, 10:14, 4:12] = RED
    hinted[0, 10:14, 12] = (255, 128, 128)  # an antialiased end
    hinted[0, 30, 30] = (0, 0, 255)  # too small for a hint
    ((number, colour, region),) = metrics.hint_regions(hinted, bare, LEFT, reach=2)
    assert number == 0
    np.testing.assert_allclose(colour, to_lab(np.array(RED, np.uint8)))
    rows, columns = np.nonzero(region)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 15, 2, 14)
    assert not region[10:14, 4:13].any()
    regions = [(0, colour, region)]
    assert metrics.hint_distance(plain(RED), regions) == pytest.approx(0, abs=1e-3)
    assert metrics.hint_distance(plain(WHITE), regions) == pytest.approx(
        np.linalg.norm([100 - 53.24, 80.09, 67.2]), rel=0.01
    )
    assert not metrics.hint_regions(hinted, hinted, LEFT, reach=2)
