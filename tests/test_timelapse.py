"""A drawing replayed: inked like the canvas does it, growing evenly, beside its photo; strangers' strokes refused."""

import json
import math
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cyclegan import timelapse
from cyclegan.images import ImageError, fit_square
from cyclegan.inference import Direction, Translator
from cyclegan.timelapse import CANVAS, GAP, SIDE, frames, grow, read, save_gif
from cyclegan.weights import StateDict, Weights
from tests.conftest import TINY

Make = Callable[..., Image.Image]
EXAMPLES = Path(__file__).parents[1] / "examples" / "sketches"
LINE: dict[str, Any] = {"width": 8, "points": [[100, 256], [400, 256]]}


@pytest.fixture(scope="module")
def translator(states: dict[str, StateDict]) -> Translator:
    return Translator(Weights(TINY, {name: states[name] for name in "GF"}, "tests/"), "cpu", torch.float32)


def inked(*strokes: dict[str, Any]) -> np.ndarray:
    """The finished sheet: CANVAS×CANVAS×3 integers."""
    *_, last = grow(read(list(strokes)))
    return np.asarray(last, int)


def ink(sheet: np.ndarray) -> float:
    """Area of black ink in pixels."""
    return float((255 - sheet[..., 1]).sum() / 255)


# --- ink ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 28, 48])
@pytest.mark.parametrize("angle", [0.0, 0.3, 0.785, 1.2])
def test_a_line_is_as_long_and_wide_as_asked_with_round_ends(width: int, angle: float) -> None:
    along = 100 * np.array([math.cos(angle), math.sin(angle)])
    sheet = inked({"width": width, "points": [list(256 - along), list(256 + along)]})
    assert ink(sheet) == pytest.approx(200 * width + math.pi * width**2 / 4, rel=0.03)
    y, x = np.indices(sheet.shape[:2]) + 0.5
    weights = (255.0 - sheet[..., 1]) / (255 - sheet[..., 1]).sum()
    assert ((x * weights).sum(), (y * weights).sum()) == pytest.approx((256, 256), abs=0.25)


def test_a_point_is_a_dot() -> None:
    assert ink(inked({"width": 20, "points": [[100, 100]]})) == pytest.approx(math.pi * 100, rel=0.03)


def test_pressure_is_a_factor_of_the_width() -> None:
    sheet = inked({"width": 10, "points": [[100, 256, 0.5], [250, 256, 0.5], [260, 256, 1.5], [400, 256, 1.5]]})
    assert [(255 - sheet[:, x, 1]).sum() / 255 for x in (150, 350)] == pytest.approx([5, 15], abs=0.3)


def test_curves_run_from_midpoint_to_midpoint() -> None:
    """Of a corner's quadratic curve the middle lies at ¼ start + ½ corner + ¼ end."""
    sheet = inked({"width": 4, "points": [[100, 100], [300, 100], [300, 300]]})
    assert sheet[125, 275].max() < 128  # from (200, 100) round (300, 100) to (300, 200)
    assert sheet[100, 300].min() == 255
    assert sheet[250, 300].max() < 128


def test_black_lies_over_colours_and_white_erases_both() -> None:
    red = {"colour": "#d62828", "width": 30, "points": [[256, 100], [256, 400]]}
    before, after = inked(LINE, red), inked(red, LINE)
    assert np.array_equal(before, after)
    assert before[256, 256].tolist() == [0, 0, 0]
    assert before[200, 256].tolist() == [214, 40, 40]
    erased = inked(red, LINE, {"colour": "#ffffff", "width": 60, "points": [[256, 200], [256, 260]]})
    assert erased[256, 256].tolist() == erased[200, 256].tolist() == [255, 255, 255]
    assert erased[380, 256].tolist() == [214, 40, 40]
    assert erased[256, 120].tolist() == [0, 0, 0]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_ink_is_the_browsers(path: Path) -> None:
    """The PNG beside each example is what Chromium made of it."""
    drawn = inked(*json.loads(path.read_text()))
    browsers = np.asarray(Image.open(path.with_suffix(".png")).convert("RGB"), int)
    assert ink(drawn) == pytest.approx(ink(browsers), rel=0.02)
    assert np.abs(drawn - browsers).mean() < 1
    assert (np.abs(drawn - browsers) > 96).mean() < 5e-4


# --- time -----------------------------------------------------------------------------------------------------------


def test_the_sheet_grows_evenly_to_the_whole() -> None:
    strokes = [LINE, {**LINE, "points": [[100, 300], [250, 300], [400, 300]]}]
    sheets = [np.asarray(sheet, int) for sheet in grow(read(strokes))]
    assert len(sheets) == timelapse.MAX_FRAMES
    amounts = [ink(sheet) for sheet in sheets]
    assert amounts == sorted(amounts)
    assert amounts[-1] == ink(inked(*strokes))
    assert all((later <= sooner).all() for sooner, later in pairwise(sheets))


def test_many_points_make_small_steps() -> None:
    points = [[100 + x, 256 + 50 * math.sin(x / 30)] for x in range(0, 300, 2)]
    amounts = np.array([ink(np.asarray(sheet, int)) for sheet in grow(read([{"width": 4, "points": points}]))])
    assert np.diff(amounts).max() < 3 * amounts[-1] / timelapse.MAX_FRAMES
    assert (np.diff(amounts) > 0).all()


def test_a_short_drawing_has_few_frames() -> None:
    assert len(list(grow(read([{"width": 4, "points": [[100, 100], [112, 100]]}])))) <= 4
    assert len(list(grow(read([{"width": 4, "points": [[100, 100]]}])))) == 1


def test_steps_are_strokes_and_what_was_cleared_is_left_out() -> None:
    dot: dict[str, Any] = {"width": 20, "points": [[50, 50]]}
    assert np.array_equal(inked(LINE), inked(*[dot, {"clear": True}, LINE]))
    *_, last = grow(read([[{"clear": True}, dot], [dot], [{"clear": True}, LINE]]))
    assert np.array_equal(np.asarray(last), inked(LINE))


def test_drawing_and_photo_side_by_side(translator: Translator) -> None:
    made = list(frames([LINE], translator))
    assert [frame.done for frame in made] == list(range(1, len(made) + 1))
    assert {frame.total for frame in made} == {len(made)}
    assert {(frame.image.size, frame.image.mode) for frame in made} == {((2 * SIDE + GAP, SIDE), "RGB")}
    drawing = Image.fromarray(inked(LINE).astype(np.uint8))
    photo = translator.sketch_to_photo(fit_square(drawing, TINY.image_size))
    left, right = (made[-1].image.crop((x, 0, x + SIDE, SIDE)) for x in (0, SIDE + GAP))
    assert np.array_equal(np.asarray(left), np.asarray(fit_square(drawing, SIDE)))
    assert np.abs(np.asarray(right, int) - np.asarray(fit_square(photo, SIDE), int)).max() <= 2


def test_frames_come_while_others_are_still_to_be_made(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    translate = translator.translate_sheets

    def counted(batch: torch.Tensor, direction: Direction) -> torch.Tensor:
        sizes.append(len(batch))
        return translate(batch, direction)

    monkeypatch.setattr(translator, "translate_sheets", counted)
    replay = frames([LINE, {**LINE, "points": [[100, 300], [400, 300]]}], translator)
    next(replay)
    assert sizes == [timelapse.BATCH]
    list(replay)
    assert sum(sizes) == timelapse.MAX_FRAMES
    assert max(sizes) == timelapse.BATCH


def test_a_treated_drawing_is_put_back(translator: Translator) -> None:
    class Turned(NamedTuple):
        sheet: Image.Image

        def put_back(self, photo: Image.Image) -> Image.Image:
            return photo.transpose(Image.Transpose.ROTATE_180)

    def treat(drawing: Image.Image, size: int) -> Turned:
        return Turned(fit_square(drawing, size).transpose(Image.Transpose.ROTATE_180))

    *_, last = frames([LINE], translator, treat)
    drawing = fit_square(Image.fromarray(inked(LINE).astype(np.uint8)), TINY.image_size)
    photo = translator.sketch_to_photo(drawing.transpose(Image.Transpose.ROTATE_180))
    expected = fit_square(photo.transpose(Image.Transpose.ROTATE_180), SIDE)
    shown = last.image.crop((SIDE + GAP, 0, 2 * SIDE + GAP, SIDE))
    assert np.abs(np.asarray(shown, int) - np.asarray(expected, int)).max() <= 2


def test_a_picture_is_lines_and_colours() -> None:
    picture = Image.new("RGB", (CANVAS, CANVAS), "white")
    picture.paste((60, 60, 60), (100, 100, 200, 200))
    picture.paste((250, 60, 60), (300, 100, 400, 200))
    strokes = read([{"image": "address"}, {"colour": "#1d6fd1", "width": 40, "points": [[100, 150], [400, 150]]}])
    *_, last = grow(strokes, {"address": picture}.__getitem__)
    assert [last.getpixel(at) for at in ((150, 110), (350, 110), (350, 150))] == [
        (60, 60, 60),
        (250, 60, 60),
        (29, 111, 209),
    ]
    assert max(last.getpixel((150, 150))) < 60  # type: ignore[type-var, arg-type] # grey ink over blue
    with pytest.raises(ImageError, match="512×512"):
        list(grow(strokes, lambda _: Image.new("RGB", (8, 8))))


# --- a stranger's strokes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "drawing",
    [
        None,
        "strokes",
        {"width": 4},
        [None],
        [[[LINE]]],
        [{**LINE, "surprise": 1}],
        [{**LINE, "width": 1000}],
        [{**LINE, "width": math.nan}],
        [{**LINE, "width": "wide"}],
        [{**LINE, "colour": "red"}],
        [{**LINE, "colour": "#00000"}],
        [{**LINE, "colour": "#000000\n"}],
        [{**LINE, "colour": ["#000000"]}],
        [{**LINE, "points": []}],
        [{**LINE, "points": [[1]]}],
        [{**LINE, "points": [[1, 2, 3, 4]]}],
        [{**LINE, "points": [[1, 2, 9]]}],
        [{**LINE, "points": [[1e9, 2]]}],
        [{**LINE, "points": [[math.nan, 2]]}],
        [{**LINE, "points": [[math.inf, 2]]}],
        [{**LINE, "points": "many"}],
        [{"width": 4}],
        [{"clear": False}],
        [{"image": 5}],
    ],
    ids=repr,
)
def test_what_the_canvas_does_not_make_is_refused(drawing: Any) -> None:
    with pytest.raises(ImageError, match=r"^This drawing cannot be replayed: it is not one that the canvas makes\.$"):
        read(drawing)


def test_too_much_is_refused() -> None:
    for drawing in (
        [LINE] * (timelapse.MAX_STROKES + 1),
        [{**LINE, "points": [[1, 2]] * (timelapse.MAX_POINTS + 1)}],
        [{**LINE, "points": [[1, 2]] * (timelapse.MAX_POINTS // 2)}] * 3,
    ):
        with pytest.raises(ImageError, match=r"^The drawing is too long to be replayed; 1000 strokes and 60000 points"):
            read(drawing)
        read([*drawing, {"clear": True}, LINE])
    with pytest.raises(ImageError, match="too many pictures"):
        read([{"image": "address"}] * 5)


def test_nothing_drawn_and_pictures_that_nobody_opens(translator: Translator) -> None:
    white = {**LINE, "colour": "#ffffff"}
    outside = {**LINE, "points": [[-200, -200], [-100, -300]]}
    for drawing in ([], [LINE, {"clear": True}], [LINE, {**white, "width": 40}], [outside]):
        with pytest.raises(ImageError, match="Draw something first"):
            next(frames(drawing, translator))
    with pytest.raises(ImageError, match="picture on it cannot be replayed"):
        next(frames([{"image": "address"}], translator))


# --- the GIF --------------------------------------------------------------------------------------------------------


def test_the_gif_plays_all_frames_and_holds_the_last() -> None:
    images = []
    for step in range(1, 9):
        image = Image.linear_gradient("L").resize((64, 32)).convert("RGB")
        image.paste("white", (0, 0, 64, 8))
        ImageDraw.Draw(image).rectangle((0, 10, 7 * step, 20), fill=(20 * step, 40, 200))
        images.append(image)
    buffer = BytesIO()
    save_gif(images, buffer)
    gif = Image.open(buffer)
    assert (gif.n_frames, gif.size, gif.info["loop"]) == (8, (64, 32), 0)  # type: ignore[attr-defined]
    for number, image in enumerate(images):
        gif.seek(number)
        assert gif.info["duration"] == (timelapse.HOLD_MS if number == 7 else timelapse.FRAME_MS)
        shown = np.asarray(gif.convert("RGB"), int)
        assert np.abs(shown - np.asarray(image, int)).mean() < 4
        assert shown[:8].min() == 255
    assert timelapse.FRAME_MS * timelapse.MAX_FRAMES + timelapse.HOLD_MS <= 6000


def test_one_frame_and_a_white_one_make_a_gif() -> None:
    buffer = BytesIO()
    save_gif([Image.new("RGB", (32, 16), "white")], buffer)
    assert Image.open(buffer).convert("RGB").getextrema() == ((255, 255),) * 3
