"""Variations: colour goes inside, user's own stays, each sketch gives its photo; without hints small changes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cyclegan import variations as room
from cyclegan.images import fit_square
from cyclegan.inference import Direction, Translator
from cyclegan.variations import PALETTE, find_places, variations
from cyclegan.weights import StateDict, Weights
from tests.conftest import TINY

Make = Callable[..., Image.Image]
CHANGES = ["mirrored", "thicker", "tilted", "smaller", "leaning", "shifted"]


def translator_of(states: dict[str, StateDict], hints: bool) -> Translator:
    config = TINY.model_copy(update={"colour_hints": hints})
    return Translator(Weights(config, {name: states[name] for name in "GF"}, "tests/"), "cpu", torch.float32)


@pytest.fixture(scope="module")
def colourful(states: dict[str, StateDict]) -> Translator:
    return translator_of(states, True)


@pytest.fixture(scope="module")
def colourless(states: dict[str, StateDict]) -> Translator:
    return translator_of(states, False)


def drawn(*shapes: tuple[str, tuple[int, ...]], side: int = 512, gap: int = 0) -> Image.Image:
    """A sheet with outlines in PIL's words; `gap` pixels are missing at the right of everything."""
    sheet = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(sheet)
    for shape, box in shapes:
        getattr(pen, shape)(box, **({"fill": "black"} if shape == "line" else {"outline": "black"}), width=4)
    if gap:
        pen.rectangle((300, side // 2 - gap // 2, side, side // 2 + gap // 2), fill="white")
    return sheet


BALL = ("ellipse", (56, 56, 456, 456))
TWO = (("rectangle", (40, 150, 250, 350)), ("rectangle", (260, 150, 470, 350)))


def coloured(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image, dtype=int)
    return pixels.max(2) - pixels.min(2) >= room.COLOURFUL


@pytest.mark.parametrize("gap", [0, 8])
def test_six_colours_inside_the_outline(colourful: Translator, gap: int) -> None:
    drawing = drawn(BALL, gap=gap)
    six = variations(drawing, colourful)
    assert [one.name for one in six] == list(PALETTE)
    for one in six:
        hint = coloured(one.sketch)
        y, x = np.nonzero(hint)
        assert len(x) > 500
        assert np.hypot(x - 256, y - 256).max() < 190
        assert np.median(np.asarray(one.sketch)[hint], axis=0).tolist() == list(PALETTE[one.name])
        assert np.array_equal(np.asarray(one.sketch)[~hint].min(1) < 100, np.asarray(drawing)[~hint].min(1) < 100)
    assert len({one.photo.tobytes() for one in six}) == 6


@pytest.mark.parametrize("side", [64, 512])
@pytest.mark.parametrize("hints", [True, False])
def test_each_sketch_gives_its_photo(colourful: Translator, colourless: Translator, hints: bool, side: int) -> None:
    translator = colourful if hints else colourless
    for one in variations(
        drawn(("ellipse", (side // 8, side // 8, side * 7 // 8, side * 7 // 8)), side=side), translator
    ):
        assert one.sketch.size == (side, side)
        alone = translator.sketch_to_photo(fit_square(one.sketch, TINY.image_size))
        assert one.photo.size == alone.size
        assert np.abs(np.asarray(one.photo, int) - np.asarray(alone, int)).max() <= 1


def test_all_are_made_in_one_batch(colourful: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[int] = []
    translate = colourful.translate_sheets

    def counted(batch: torch.Tensor, direction: Direction, seeds: list[int] | None) -> torch.Tensor:
        shapes.append(len(batch))
        return translate(batch, direction, seeds)

    monkeypatch.setattr(colourful, "translate_sheets", counted)
    assert len(variations(drawn(BALL), colourful, 4)) == 4
    assert shapes == [1, 4]  # the photo as it is, to see what is paper in it


def test_a_part_that_has_a_colour_keeps_it(colourful: Translator) -> None:
    drawing = drawn(*TWO)
    ImageDraw.Draw(drawing).line((100, 250, 180, 260), fill=(0, 160, 0), width=12)
    left = np.s_[:, :254]
    for one in variations(drawing, colourful):
        assert np.array_equal(np.asarray(one.sketch)[left], np.asarray(drawing)[left])
        assert coloured(one.sketch)[:, 260:].any()


def test_when_all_parts_have_a_colour_the_lines_change(colourful: Translator) -> None:
    drawing = drawn(BALL)
    ImageDraw.Draw(drawing).line((200, 250, 300, 260), fill=(0, 160, 0), width=12)
    assert [one.name for one in variations(drawing, colourful)] == CHANGES


def test_an_open_drawing_is_coloured_within_its_hull(colourful: Translator) -> None:
    drawing = drawn(("line", (100, 400, 100, 100, 400, 100)))
    y, x = np.nonzero(coloured(variations(drawing, colourful)[0].sketch))
    assert len(x) > 100
    assert (x + y).max() < 500
    assert min(x.min(), y.min()) > 104


def test_a_lone_line_and_a_dot_have_small_changes_and_a_blank_sheet_none(colourful: Translator) -> None:
    assert [one.name for one in variations(drawn(("line", (100, 100, 400, 400))), colourful)] == CHANGES
    assert [one.name for one in variations(drawn(("ellipse", (250, 250, 254, 254))), colourful)] == CHANGES
    assert variations(drawn(), colourful) == []


def test_places_are_far_apart_and_roomy() -> None:
    lines, colours = room._ink(np.asarray(drawn(*TWO)))
    places = find_places(room._small(lines), room._small(colours))
    assert {place.x > 128 for place in places[:2]} == {False, True}
    assert all(place.radius == pytest.approx(48, abs=4) for place in places[:2])
    for place in places:
        others = [other for other in places if other is not place]
        assert all(np.hypot(place.x - other.x, place.y - other.y) > place.radius for other in others)


def test_what_the_photo_leaves_as_paper_is_not_coloured() -> None:
    hole, body = room.Place(64, 64, 20), room.Place(64, 192, 40)
    photo = Image.new("RGB", (256, 256), "white")
    assert room._on_object([body, hole], photo) == [body, hole]  # nothing else to go by
    photo.paste("brown", (0, 128, 256, 256))
    assert room._on_object([body, hole], photo) == [body]


def test_without_hints_six_small_changes(colourless: Translator) -> None:
    drawing = drawn(("ellipse", (60, 100, 300, 400)))
    six = {one.name: np.asarray(one.sketch, int).min(2) for one in variations(drawing, colourless)}
    before = np.asarray(drawing, int).min(2)
    assert list(six) == CHANGES
    assert np.array_equal(six["mirrored"], before[:, ::-1])
    assert (six["thicker"] < 128).sum() > 1.5 * (before < 128).sum()
    for name, sheet in six.items():
        assert not np.array_equal(sheet, before)
        assert sheet[[0, -1]].min() == sheet[:, [0, -1]].min() == 255, name  # paper comes in from outside
