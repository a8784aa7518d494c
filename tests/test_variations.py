"""Variations: other colours where the drawing tells none, else small changes; each sketch gives its photo."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cyclegan.colour.palettes import COLOURWAYS
from cyclegan.demo.variations import variations
from cyclegan.inference import Translator
from cyclegan.weights import StateDict, Weights
from tests.conftest import TINY

CHANGES = ["mirrored", "thicker", "tilted", "smaller", "leaning", "shifted"]


@pytest.fixture(scope="module")
def told(states: dict[str, StateDict]) -> Translator:
    """Weights that are told colours."""
    return Translator(Weights(TINY, {name: states[name] for name in "GF"}, "tests/"), "cpu", torch.float32)


def ball(side: int = 512, stroke: tuple[int, int, int] | None = None) -> Image.Image:
    sheet = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(sheet)
    pen.ellipse([side // 8, side // 8, side * 7 // 8, side * 7 // 8], outline="black", width=4)
    if stroke:
        pen.line([side * 3 // 8, side // 2, side * 5 // 8, side // 2], fill=stroke, width=side // 32)
    return sheet


def test_a_drawing_without_colours_takes_the_next_six(told: Translator) -> None:
    drawing = ball()
    six = variations(drawing, told, seed=3)
    assert [one.seed for one in six] == [4, 5, 6, 7, 8, 9]
    assert [one.name for one in six] == [way.name for way in COLOURWAYS[4:10]]
    assert all(one.sketch is drawing for one in six)
    assert len({one.photo.tobytes() for one in six}) == 6
    assert variations(drawing, told, seed=9)[0].name == COLOURWAYS[10].name  # once more: six others


def test_a_drawing_with_colours_keeps_them_and_its_lines_change(told: Translator) -> None:
    drawing = ball(stroke=(0, 160, 0))
    six = {one.name: np.asarray(one.sketch, int).min(2) for one in variations(drawing, told, seed=3)}
    before = np.asarray(drawing, int).min(2)
    assert list(six) == CHANGES
    assert np.array_equal(six["mirrored"], before[:, ::-1])
    assert (six["thicker"] < 128).sum() > 1.5 * (before < 128).sum()


def test_weights_that_are_told_no_colours_see_small_changes(told: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = TINY.generator.model_copy(update={"colour_map": False})
    monkeypatch.setattr(told, "config", TINY.model_copy(update={"generator": generator}))
    monkeypatch.setattr(told, "sketch_to_photo", lambda sketch, *_, **__: sketch)
    assert [one.name for one in variations(ball(), told)] == CHANGES


@pytest.mark.parametrize("side", [64, 512])
@pytest.mark.parametrize("stroke", [None, (0, 160, 0)])
def test_each_sketch_gives_its_photo(told: Translator, side: int, stroke: tuple[int, int, int] | None) -> None:
    for one in variations(ball(side, stroke), told):
        assert one.sketch.size == (side, side)
        alone = told.sketch_to_photo(one.sketch, one.seed, normalise=False)
        assert np.array_equal(np.asarray(one.photo), np.asarray(alone))


@pytest.mark.parametrize("stroke", [None, (0, 160, 0)])
def test_empty_parts_move_with_the_lines(told: Translator, stroke: tuple[int, int, int] | None) -> None:
    """The left half of a ball."""
    x = np.arange(512)[None]
    empty = (np.asarray(ball(stroke=stroke)).min(2) == 255) & (x < 256) & (np.hypot(x - 256, x.T - 256) < 190)
    for one in variations(ball(stroke=stroke), told, empty=empty):
        assert one.empty is not None
        lines = np.asarray(one.sketch, int).min(2) < 100
        assert not (lines & one.empty).any()
        assert one.empty.sum() > 0.5 * empty.sum()
        assert (one.name == "mirrored") == (one.empty[:, 256:].sum() > one.empty[:, :256].sum())
        alone = told.sketch_to_photo(one.sketch, one.seed, normalise=False, empty=one.empty)
        assert np.array_equal(np.asarray(one.photo), np.asarray(alone))


def test_a_blank_sheet_has_none(told: Translator) -> None:
    assert variations(Image.new("RGB", (64, 64), "white"), told) == []


def test_tints_of_a_photo_leave_the_drawing_as_it_is(told: Translator) -> None:
    """A drawing that is not to be tidied, here in a pen that would be thinned, is not."""
    drawing = Image.new("RGB", (96, 64), "white")
    ImageDraw.Draw(drawing).ellipse((20, 10, 76, 54), outline="black", width=7)
    six = variations(drawing, told, colours=Image.new("RGB", (96, 64), (180, 90, 60)))
    assert len({one.name for one in six}) == 6
    for one in six:
        alone = told.sketch_to_photo(drawing, one.seed, one.colours, normalise=False)
        assert one.sketch is drawing
        assert np.array_equal(np.asarray(one.photo), np.asarray(alone))
    assert not np.array_equal(np.asarray(alone), np.asarray(told.sketch_to_photo(drawing, 0, one.colours)))
