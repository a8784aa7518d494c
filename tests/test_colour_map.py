"""The colours that drawings ask for: with strokes of colour, and without."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from cyclegan.colour.colour_map import (
    colour_map,
    colour_maps,
    has_colour_strokes,
    in_colourway,
    regions,
    smooth_colour_map,
    without_colour_strokes,
)
from cyclegan.colour.palettes import COLOURWAYS
from cyclegan.config import GeneratorConfig
from cyclegan.models import Generator

RED, BLUE, BLACK, GREY, WHITE = (220, 30, 30), (30, 60, 210), (0, 0, 0), (128, 128, 128), (255, 255, 255)


def sheet(*ellipses: tuple[int, int, int, int], pen: int = 3, side: int = 128) -> np.ndarray:
    """A white sheet with outlines of ellipses: centre x, y, half axes."""
    picture = np.full((side, side, 3), 255, np.uint8)
    for x, y, a, b in ellipses:
        cv2.ellipse(picture, (x, y), (a, b), 0, 0, 360, BLACK, pen, cv2.LINE_AA)
    return picture


def stroked(picture: np.ndarray, x: int, colour: tuple[int, int, int]) -> np.ndarray:
    return cv2.line(picture.copy(), (x, 56), (x, 72), colour, 4, cv2.LINE_AA)


def tensor(*pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 127.5 - 1


def away(colours: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """H×W largest difference of any channel from ``colour``, of 255."""
    return np.abs(colours.astype(int) - colour).max(axis=2)


def bag(pen: int = 3) -> np.ndarray:
    """A large region between 20 and 108, a smaller one on it around (64, 48), a button around (86, 86)."""
    return sheet((64, 64, 44, 44), (64, 48, 18, 14), (86, 86, 8, 8), pen=pen)


def test_without_strokes_each_part_takes_a_colour_of_the_colourway_by_its_size() -> None:
    for seed in (0, 5):
        _, main, second, accent = COLOURWAYS[seed]
        colours = colour_map(bag(), seed)
        assert colours.shape == (128, 128, 3)
        for place, colour in {(64, 95): main, (64, 48): second, (86, 86): accent, (4, 4): WHITE}.items():
            assert tuple(colours[place[::-1]]) == colour


def test_the_seed_alone_chooses_the_colourway_and_without_one_the_drawing_does() -> None:
    other = sheet((64, 64, 20, 40))
    assert np.array_equal(colour_map(bag(), 3), colour_map(bag(), 3 + len(COLOURWAYS)))
    assert not np.array_equal(colour_map(bag(), 3), colour_map(bag(), 4))
    assert tuple(colour_map(bag(), 3)[70, 64]) == tuple(colour_map(other, 3)[70, 64])
    assert np.array_equal(colour_map(bag()), colour_map(bag()))
    found = {tuple(colour_map(sheet((64, 64, 20 + n, 40)))[70, 64]) for n in range(12)}
    assert len(found) > 4


def test_colours_stay_while_details_are_drawn_and_whatever_the_pen() -> None:
    outline, one = sheet((64, 64, 44, 44)), colour_map(bag(), 1)
    assert np.array_equal(colour_map(outline, 1)[70:100, 50:70], one[70:100, 50:70])
    for pen in (2, 5, 7):
        same = away(colour_map(bag(pen), 1), (0, 0, 0)) == away(one, (0, 0, 0))
        assert same.mean() > 0.95


def test_parts_meet_in_their_lines_and_open_ones_are_none() -> None:
    labels = regions(bag(pen=5))
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert labels[64, 16] == 0
    assert labels[64, 24] == 1
    assert (labels[48:80, 24:] > 0).sum() > 0.8 * 32 * 84  # lines inside belong to one region or another
    opened = bag()
    opened[:30, 60:70] = 255
    assert regions(opened)[64, 95] == 0
    assert not regions(np.full((40, 40, 3), 255, np.uint8)).any()


def test_parts_are_numbered_by_size() -> None:
    areas = np.bincount(regions(bag()).ravel())[1:]
    assert (np.diff(areas) < 0).all()
    assert (in_colourway(np.zeros((4, 4), int), 2) == COLOURWAYS[2].main).all()


def test_one_stroke_colours_all_of_it() -> None:
    assert away(colour_map(stroked(bag(), 50, RED)), RED)[regions(bag()) > 0].max() < 30


def test_outside_of_what_is_closed_is_paper() -> None:
    """Of an open drawing nobody knows what is outside, even if some small region of it is closed."""
    for drawing in (bag(), stroked(bag(), 50, RED)):
        assert (colour_map(drawing, 1)[regions(drawing) == 0] == WHITE).all()
        opened = drawing.copy()
        opened[:30, 60:70] = 255
        assert regions(opened).any()
        assert not (colour_map(opened, 1) == WHITE).all(axis=2).any()


def test_two_strokes_share_a_part_and_lines_bound_them() -> None:
    colours = colour_map(stroked(stroked(sheet((64, 64, 50, 20)), 36, RED), 92, BLUE))
    assert away(colours, RED)[58:70, 24:56].max() < 30
    assert away(colours, BLUE)[58:70, 72:104].max() < 30
    row = colours[64, 36:92, 0].astype(int)
    assert (np.diff(row) <= 2).all()  # from red to blue without a way back
    assert np.diff(row).min() > -80  # nor at one step
    parted = stroked(stroked(sheet((40, 64, 22, 30), (88, 64, 22, 30)), 52, RED), 76, BLUE)
    colours = colour_map(parted)
    assert away(colours, RED)[50:78, 24:56].max() < 30
    assert away(colours, BLUE)[50:78, 72:104].max() < 30


@pytest.mark.parametrize("colour", [BLACK, GREY])
def test_black_and_grey_ask_for_nothing(colour: tuple[int, int, int]) -> None:
    drawing = stroked(sheet((64, 64, 40, 20)), 40, RED)
    bare, marked = colour_map(drawing), colour_map(stroked(drawing, 90, colour))
    assert (np.abs(bare.astype(int) - marked).max(axis=2) > 5).sum() < 5  # floods meet elsewhere by a place


def test_only_coloured_strokes_tell_colours() -> None:
    assert not has_colour_strokes(bag())
    assert not has_colour_strokes(stroked(bag(), 50, GREY))
    assert has_colour_strokes(stroked(bag(), 50, RED))


@pytest.mark.parametrize("pen", [2, 6])
def test_parts_are_the_same_whatever_the_pen(pen: int) -> None:
    """A ring of 10 px is hardly there between lines of 6, and still the region that it is."""
    rings = sheet((64, 64, 50, 50), (64, 64, 40, 40), pen=pen)
    labels = regions(rings)
    assert labels[64, 64] == 1
    assert labels[64, 19] == 2
    assert (labels == 2).sum() == pytest.approx(np.pi * (50**2 - 40**2), rel=0.1)


def test_a_slim_part_has_the_colour_of_what_it_is_on() -> None:
    """A stem of 10 px on a sheet of 512, and four strings over frets, are hardly there on a grid of 128 cells."""
    flower = sheet((256, 140, 100, 100), pen=4, side=512)
    for x in (251, 261):
        cv2.line(flower, (x, 242), (x, 460), BLACK, 4, cv2.LINE_AA)
    cv2.line(flower, (251, 460), (261, 460), BLACK, 4, cv2.LINE_AA)
    _, main, _, _ = COLOURWAYS[0]
    assert away(colour_map(flower, 0), main)[244:456, 256].max() < 30
    assert away(colour_map(flower, 0), WHITE)[244:500, 272:].max() < 30
    red = cv2.line(flower.copy(), (200, 140), (312, 140), RED, 16)
    assert away(colour_map(np.asarray(red), 0), RED)[244:456, 256].max() < 30

    guitar = sheet((256, 370, 120, 100), pen=4, side=512)
    for x in (244, 252, 260, 268):
        cv2.line(guitar, (x, 100), (x, 270), BLACK, 2, cv2.LINE_AA)
    for y in range(100, 270, 16):
        cv2.line(guitar, (244, y), (268, y), BLACK, 2, cv2.LINE_AA)
    assert away(colour_map(guitar, 0), main)[104:256, 250:264].max() < 30

    cv2.rectangle(flower, (252, 300), (280, 410), WHITE, -1)  # open on one side
    assert away(colour_map(flower, 0), WHITE)[320:400, 256].max() < 30


def test_an_empty_sheet_and_odd_sizes_have_a_colour_map() -> None:
    for height, width in ((32, 32), (37, 50), (33, 256), (300, 200)):
        white = np.full((height, width, 3), 255, np.uint8)
        for drawing in (white, 0 * white, cv2.line(white.copy(), (3, 3), (20, 25), RED, 3)):
            assert colour_map(np.asarray(drawing, np.uint8)).shape == drawing.shape


def test_colour_maps_of_tensors_are_those_of_arrays() -> None:
    drawings = bag(), stroked(bag(), 50, RED)
    assert torch.allclose(colour_maps(tensor(*drawings)), tensor(*map(colour_map, drawings)))


def test_the_generator_depends_on_its_colour_map() -> None:
    torch.manual_seed(0)
    config = GeneratorConfig(channels=(4, 8), top_channels=4, bottleneck_blocks=0, decoder_blocks=(0,))
    generator, image = Generator(config).eval(), tensor(sheet((32, 32, 20, 10), side=64))
    with torch.no_grad():
        assert not torch.equal(generator(image, colour_maps(image)), generator(image, -colour_maps(image)))


def stroked_sheet(line: int = 0) -> np.ndarray:
    """A box of lines in a grey of 0 to 255, a bold red stroke across one of them, and a fine blue one."""
    sheet = np.full((256, 256, 3), 255, np.uint8)
    cv2.rectangle(sheet, (40, 40), (216, 216), (line,) * 3, 2)
    cv2.line(sheet, (60, 200), (200, 60), (0, 60, 230), 2, cv2.LINE_AA)
    stroke = np.full_like(sheet, 255)
    cv2.line(stroke, (20, 128), (120, 128), (220, 30, 30), 12, cv2.LINE_AA)
    return np.minimum(sheet, stroke)


def sketch_for_g(sheet: np.ndarray) -> np.ndarray:
    drawing = torch.from_numpy(sheet).permute(2, 0, 1)[None] / 127.5 - 1
    seen = without_colour_strokes(drawing, colour_maps(drawing))
    return ((seen[0].permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8)


def test_a_bold_coloured_stroke_is_in_the_colour_map_alone_and_lines_stay() -> None:
    sheet = stroked_sheet()
    seen = sketch_for_g(sheet)
    assert (seen[110:147, 44:100] > 230).all()  # the stroke within the box: paper
    assert (seen[100:156, 40:41] < 40).all()  # the line under it
    away = np.r_[0:100, 160:256]
    assert (np.abs(seen[away].astype(int) - sheet[away]) <= 1).all()  # the fine blue line among others


def test_a_drawing_without_black_lines_keeps_all_its_strokes() -> None:
    sheet = stroked_sheet(line=255)
    assert (np.abs(sketch_for_g(sheet).astype(int) - sheet) <= 1).all()


def test_a_drawing_in_black_alone_stays_as_it_is() -> None:
    sheet = np.full((128, 96, 3), 255, np.uint8)
    cv2.circle(sheet, (48, 60), 30, (0, 0, 0), 9)
    assert (np.abs(sketch_for_g(sheet).astype(int) - sheet) <= 1).all()


def test_a_smooth_colour_map_is_the_photo_without_its_detail() -> None:
    photo = np.full((128, 128, 3), 255, np.uint8)
    photo[:, :64] = RED
    photo[::2] //= 2
    colours = smooth_colour_map(photo, blur=1 / 32).astype(int)
    assert np.abs(colours[60:68, 10] - np.array(RED) * 0.75).max() < 4
    assert np.ptp(colours[20:100, 20], axis=0).max() < 4  # the stripes are gone
    assert np.abs(colours[0, 0] - colours[1, 0]).max() < 12  # and no white comes in over the border
    assert (np.diff(colours[64, :, 1]) >= 0).all()  # the edge is a slope


def test_colour_strokes_lie_over_the_photo() -> None:
    """Also where a line crosses the stroke; lines themselves change nothing."""
    photo = np.full((128, 128, 3), (60, 90, 160), np.uint8)
    drawing = np.full_like(photo, 255)
    drawing[:, 30] = 0
    assert np.array_equal(smooth_colour_map(photo, drawing), photo)
    drawing[50:80, 40:110] = (230, 40, 30)
    colours = smooth_colour_map(photo, drawing).astype(int)
    assert np.abs(colours[65, 75] - (230, 40, 30)).max() <= 2
    assert np.abs(colours[20, 75] - (60, 90, 160)).max() <= 2


def test_colour_strokes_are_left_out_without_waiting_for_an_accelerator() -> None:
    """PyTorch's fake tensors compute shapes alone, and refuse whatever depends on a value."""
    with FakeTensorMode():
        drawings, maps = (torch.rand(2, 3, 64, 64, device="cuda") for _ in range(2))
        assert without_colour_strokes(drawings, maps).shape == (2, 3, 64, 64)


def test_regions_meet_softly_but_paper_sharply() -> None:
    """Steps of the grid between two regions would be painted; at the outline, softness would be a halo."""
    colours = colour_map(np.asarray(cv2.resize(bag(), (512, 512)), np.uint8), seed=0).astype(int)
    flap = colours[192, 150:240]  # across the border of the smaller region
    paper = colours[256, 60:110]  # across the outline
    assert np.abs(np.diff(flap, axis=0)).max() < 0.15 * np.ptp(flap, axis=0).max()
    assert np.abs(np.diff(paper, axis=0)).max() > 0.2 * np.ptp(paper, axis=0).max()
