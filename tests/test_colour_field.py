"""The colours that drawings ask for: with strokes of colour, and without."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from cyclegan.colour_field import colour_field, own_colour
from cyclegan.config import GeneratorConfig
from cyclegan.models import Generator

RED, BLUE, BLACK, GREY = (220, 30, 30), (30, 60, 210), (0, 0, 0), (128, 128, 128)


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


def away(field: Tensor, colour: tuple[int, int, int]) -> Tensor:
    """H×W largest difference of any channel from ``colour``, as a share of the range."""
    return (field - torch.tensor(colour)[:, None, None] / 127.5 + 1).abs().amax(0) / 2


def test_without_strokes_the_field_is_the_drawings_own_colour() -> None:
    drawings = tensor(sheet((64, 64, 40, 20)), sheet((64, 64, 20, 40)))
    field = colour_field(drawings)
    assert field.shape == drawings.shape
    assert torch.allclose(field, own_colour(drawings)[..., None, None].expand_as(field), atol=1e-5)


def test_one_stroke_colours_all_of_it() -> None:
    (field,) = colour_field(tensor(stroked(sheet((64, 64, 40, 20)), 50, RED)))
    assert away(field, RED).max() < 0.12


def test_two_strokes_share_it_and_each_keeps_its_place() -> None:
    (field,) = colour_field(tensor(stroked(stroked(sheet((64, 64, 50, 20)), 36, RED), 92, BLUE)))
    assert away(field, RED)[60:68, 34:38].max() < 0.12
    assert away(field, BLUE)[60:68, 90:94].max() < 0.12
    row = field[0, 64, 36:92]
    assert (row.diff() <= 0.02).all()  # from red to blue without a way back


@pytest.mark.parametrize("colour", [BLACK, GREY])
def test_black_and_grey_ask_for_nothing(colour: tuple[int, int, int]) -> None:
    drawing = stroked(sheet((64, 64, 40, 20)), 40, RED)
    bare, marked = colour_field(tensor(drawing, stroked(drawing, 90, colour)))
    assert (bare - marked).abs().max() < 0.01


def test_the_own_colour_follows_from_the_outline() -> None:
    """Not from the pen, the place or the side it looks to; nor does it change while details are drawn."""
    form = (64, 60, 40, 20)
    same = [
        sheet(form),
        sheet(form, pen=7),
        sheet((50, 70, 40, 20)),
        sheet(form, (50, 60, 10, 8))[:, ::-1],
        sheet(form, (50, 60, 10, 8), (80, 62, 12, 6)),
    ]
    *alike, other = own_colour(tensor(*same, sheet((64, 64, 20, 40))))
    for colour in alike:
        assert (colour - alike[0]).abs().max() < 0.12
    assert (other - alike[0]).abs().max() > 0.3


def test_an_empty_sheet_and_odd_sizes_have_a_field() -> None:
    for height, width in ((32, 32), (37, 50), (33, 256)):
        field = colour_field(torch.ones(2, 3, height, width))
        assert field.shape == (2, 3, height, width)
        assert field.isfinite().all()
        assert field.abs().max() <= 1


def test_the_generator_is_told_the_field() -> None:
    torch.manual_seed(0)
    config = GeneratorConfig(widths=(4, 8), top_width=4, bottleneck_blocks=0, decoder_blocks=(0,))
    generator, image = Generator(config).eval(), tensor(sheet((32, 32, 20, 10), side=64))
    with torch.no_grad():
        assert torch.equal(generator(image), generator(image, colour_field(image)))
        assert not torch.equal(generator(image), generator(image, -colour_field(image)))
        untold = Generator(config.model_copy(update={"colour_field": False})).eval()
        assert torch.equal(untold(image), untold(image, torch.zeros_like(image)))
