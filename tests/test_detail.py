"""Photos drawn at their own scale, with as much detail as asked for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cyclegan import inference
from cyclegan.generators import Direction
from cyclegan.images import resize_lines
from cyclegan.inference import Translator
from cyclegan.weights import Weights
from tests.conftest import TINY, make_networks

Make = Callable[..., Image.Image]
DETAILED = TINY.model_copy(update={"generator": TINY.generator.model_copy(update={"detail": True})})


@pytest.fixture(scope="module")
def translator() -> Translator:
    networks = make_networks(DETAILED)
    return Translator(
        Weights(DETAILED, {name: networks[name].state_dict() for name in "GF"}, "tests/"), "cpu", torch.float32
    )


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (33, 97), (500, 25), (1, 1), (1500, 900)])
def test_a_drawing_has_the_size_of_its_photo(translator: Translator, make_photo: Make, size: tuple[int, int]) -> None:
    drawing = translator.photo_to_sketch(make_photo(size))
    assert (drawing.size, drawing.mode) == ((64, 64) if size == (1, 1) else size, "RGB")


def test_detail_changes_the_drawing(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    """F is asked for more of it, and short lines are dropped where little is wanted."""
    asked = []

    def copies(photo: torch.Tensor, plane: torch.Tensor) -> torch.Tensor:
        asked.append(float(plane.mean()))
        return photo

    monkeypatch.setitem(translator.generators._networks, "photo_to_sketch", copies)
    sheet = np.full((300, 300, 3), 255, np.uint8)
    sheet[100:102, 50:250] = sheet[200:202, 50:62] = 0
    photo = Image.fromarray(sheet)
    little, usual, much = (np.asarray(translator.photo_to_sketch(photo, d))[..., 0] for d in (0.0, 0.7, 1.0))
    assert [round(one, 3) for one in asked] == [0, round(0.7**0.5, 3), 1]
    assert (little[100:102, 50:250] == 0).all()
    assert (little[200:202] == 255).all()
    assert np.array_equal(usual, np.asarray(translator.photo_to_sketch(photo))[..., 0])
    assert np.array_equal(much, sheet[..., 0])
    for detail in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="detail must be between 0 and 1"):
            translator.photo_to_sketch(photo, detail)


def test_photos_are_drawn_at_their_own_scale_within_bounds(
    translator: Translator, make_photo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = []
    translate = translator.generators.translate

    def watched(direction: Direction, *inputs: Tensor, begun: bool) -> Tensor:
        sides.append(max(inputs[0].shape))
        return translate(direction, *inputs, begun=begun)

    monkeypatch.setattr(translator.generators, "translate", watched)
    monkeypatch.setattr(inference, "MAX_DETAIL_SIDE", 512)
    for side in (100, 320, 900):
        translator.photo_to_sketch(make_photo((side, side)))
    assert sides == [256 + 64, 320 + 64, 512 + 64]


def test_the_border_is_reflected_so_that_a_plain_photo_is_drawn_alike_everywhere(translator: Translator) -> None:
    """A white margin around a dark photo would be drawn as a frame."""
    drawing = np.asarray(translator.photo_to_sketch(Image.new("RGB", (256, 256), (40, 60, 90))), int)
    assert np.abs(drawing[:3] - drawing[100:103]).max() <= np.abs(drawing[96:160] - drawing[128]).max() + 2


def test_a_round_trip_goes_through_the_sheet_that_g_knows(translator: Translator, make_photo: Make) -> None:
    photo = make_photo((300, 200))
    drawing, cycled = translator.round_trip(photo, "photo_to_sketch")
    assert drawing.size == cycled.size == (300, 200)
    assert np.array_equal(np.asarray(drawing), np.asarray(translator.photo_to_sketch(photo)))


def test_a_redrawn_photo_goes_back_without_a_white_margin(
    translator: Translator, make_photo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F would draw its border as a frame."""
    shown = []

    def watched(photo: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        shown.append(photo)
        return photo

    monkeypatch.setitem(translator.generators._networks, "photo_to_sketch", watched)
    monkeypatch.setitem(
        translator.generators._networks, "sketch_to_photo", lambda sketch, _: torch.full_like(sketch, -0.5)
    )
    photo, back = translator.round_trip(Image.new("RGB", (300, 150), "white"), "sketch_to_photo", colours=make_photo())
    assert photo.size == back.size == (300, 150)
    assert shown[0].shape[-1] > shown[0].shape[-2]
    assert (shown[0] < 0).all()


def test_enlarged_lines_stay_crisp() -> None:
    sheet = np.full((64, 64, 3), 255, np.uint8)
    sheet[:, 30:34] = 0
    line = Image.fromarray(sheet)
    crisp, soft = (np.asarray(image)[128, :, 0] for image in (resize_lines(line, (256, 256)), line.resize((256, 256))))
    grey = [int(((row > 60) & (row < 200)).sum()) for row in (crisp, soft)]
    assert grey[0] <= 2 < grey[1]
    assert abs((crisp < 128).sum() - 16) <= 1
    assert resize_lines(line, (64, 64)) is line
