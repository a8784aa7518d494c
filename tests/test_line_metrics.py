"""The scores of line drawings, against pictures worked out by hand."""

import numpy as np
import pytest

from cyclegan.evaluation import line_metrics
from cyclegan.evaluation.line_metrics import LineScores, mean_scores


def rows(*runs: tuple[int, int, int], shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    """H×W booleans, true along horizontal runs (row, first column, length)."""
    mask = np.zeros(shape, bool)
    for row, start, length in runs:
        mask[row, start : start + length] = True
    return mask


@pytest.mark.parametrize(("away", "found"), [(0, 0.5), (4, 0.5), (5, 0.0)])
def test_recall_counts_edges_with_ink_within_four_pixels(away, found):
    strong = rows((50, 20, 100))
    ink = rows((50 + away, 20, 50))
    if away == 0:  # four pixels of the edge beyond the ink's end are near, too
        found += 0.04
    assert line_metrics.recall(ink, strong) == pytest.approx(found)


def test_precision_counts_lines_with_an_edge_within_four_pixels():
    lines = rows((50, 20, 60), (90, 20, 20))
    assert line_metrics.precision(lines, rows((54, 0, 160))) == pytest.approx(60 / 80)
    assert line_metrics.precision(lines, rows((10, 0, 160))) == 0


def test_clutter_is_the_share_of_lines_in_dense_surroundings():
    # 0.12 of 49 × 49 pixels are 288.12. In the middle, 19 of the 25 lines have 7 lines around them, which is enough
    # where 42 columns and more are on the sheet, 166 of 200; two lines have 6, enough with all 49 columns, at 152.
    dense = np.zeros((200, 200), bool)
    dense[::8] = True
    assert line_metrics.clutter(dense) == pytest.approx((19 * 166 + 2 * 152) / (25 * 200))
    sparse = np.zeros((200, 200), bool)
    sparse[::10] = True
    assert line_metrics.clutter(sparse) == 0


def test_dashes_are_pieces_of_fewer_than_48_pixels():
    assert line_metrics.dashes(rows((10, 0, 47), (50, 0, 48), (90, 0, 105))) == pytest.approx(47 / 200)
    joined = rows((10, 0, 47), (11, 47, 40))  # they touch at a corner
    assert line_metrics.dashes(joined) == 0


def test_frame_is_the_share_of_ink_within_three_pixels_of_the_border():
    assert line_metrics.frame(np.ones((20, 20), bool)) == pytest.approx((400 - 14 * 14) / 400)
    assert line_metrics.frame(rows((2, 10, 50), (3, 10, 50))) == 0.5


def test_crisp_counts_grey_pixels_for_each_pixel_of_ink():
    drawing = np.full((10, 10), 255, np.uint8)
    drawing[4], drawing[5], drawing[3, :5], drawing[6] = 0, 127, 60, 201
    # 20 + 5 pixels of ink (0, 127 and 60); 10 + 5 grey ones (127 and 60), 201 is paper
    assert line_metrics.crisp(drawing) == pytest.approx(15 / 25)
    drawing[drawing > 0] = 255
    assert line_metrics.crisp(drawing) == 0


def test_short_edges_are_no_edges():
    photo = np.full((120, 160, 3), 255, np.uint8)
    photo[20:24, 20:24] = 0  # an outline of some 20 pixels
    photo[60:100, 40:120] = 0  # one of some 240
    assert line_metrics.edges(photo, 15, 40, 8)[15:30, 15:30].any()
    strong = line_metrics.edges(photo, 60, 140, 40)
    assert not strong[15:30, 15:30].any()
    assert 200 < strong.sum() < 280


def test_a_drawing_of_all_edges_is_perfect_and_an_empty_one_tells_nothing():
    photo = np.full((200, 240, 3), 220, np.uint8)
    photo[60:140, 60:180] = 40
    drawing = np.full((200, 240), 255, np.uint8)
    drawing[59:141, 59:181] = 0
    drawing[61:139, 61:179] = 255
    assert line_metrics.line_scores(photo, drawing) == LineScores(1, 1, 0, 0, 0, 0)
    empty = line_metrics.line_scores(photo, np.full((200, 240), 255, np.uint8))
    assert (empty.recall, empty.precision, empty.clutter, empty.dashes, empty.frame) == (0, 1, 0, 0, 0)


def test_a_photo_without_edges_asks_for_nothing():
    photo = np.full((64, 64, 3), 128, np.uint8)
    assert line_metrics.line_scores(photo, np.full((64, 64), 255, np.uint8)) == LineScores(1, 1, 0, 0, 0, 0)


def test_every_drawing_counts_alike_in_the_mean():
    one, other = LineScores(1, 1, 0, 0, 0, 0.5), LineScores(0, 0.5, 1, 0.5, 0.25, 0)
    assert mean_scores([one, other]) == LineScores(0.5, 0.75, 0.5, 0.25, 0.125, 0.25)
