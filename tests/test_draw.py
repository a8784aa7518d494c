"""What the Draw tab answers (cyclegan/demo/draw.py) to whatever it is asked; the page itself has test_canvas.py."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image, ImageDraw

from cyclegan.demo import draw
from cyclegan.demo.data_urls import JPEG_URL, data_url
from cyclegan.demo.draw import MAX_MOMENTS, answer_drawn_back, answer_film, answer_frame, answer_vary, draw_tab, prepare
from cyclegan.demo.menu import Menu, discriminators_of
from cyclegan.demo.page import EXAMPLES
from cyclegan.demo.realism import Discriminators
from cyclegan.demo.sheets import Drawing
from cyclegan.drawing.normalise import normalise
from cyclegan.images import ImageError, fit_square
from cyclegan.inference import Translator
from tests.browser import decode

pytest_plugins = ["tests.browser_fixtures"]


# --- frames ---------------------------------------------------------------------------------------------------------


def answered(
    translator: Translator,
    sheet: Image.Image,
    discriminators: Discriminators | None = None,
    colours: Image.Image | None = None,
    **frame: Any,
) -> dict[str, Any]:
    """`answer_frame` of a picture on the canvas and, if the pen is up, `answer_drawn_back` after it."""
    drawing = Drawing.of(sheet, colours)
    answer = answer_frame(translator, drawing, frame)
    if frame.get("final") and answer["photo"]:
        answer |= answer_drawn_back(translator, discriminators, drawing, frame)
    return answer


@pytest.fixture
def small() -> Image.Image:
    """A small drawing in a corner of the canvas."""
    sheet = Image.new("RGB", (512, 512), "white")
    bag = Image.open(EXAMPLES / "sketches" / "bag.png").convert("RGB")
    sheet.paste(bag.resize((200, 200), Image.Resampling.LANCZOS), (30, 40))
    return sheet


def test_empty_frame_has_no_photo(translator: Translator) -> None:
    for final in (False, True):
        assert answer_frame(translator, Drawing(), {"final": final}) == {"photo": None}
    assert answer_drawn_back(translator, None, Drawing(), {}) == {"returned": None}
    assert answered(translator, Image.new("RGB", (512, 512), "white")) == {"photo": None}


@pytest.mark.parametrize("tidy", [False, None, 0])
def test_untidied_is_exactly_raw(translator: Translator, small: Image.Image, tidy: Any) -> None:
    sheet = fit_square(small, 64)
    photo, returned = translator.round_trip(sheet, "sketch_to_photo")
    answer = answered(translator, small, final=True, tidy=tidy)
    assert np.array_equal(decode(answer["photo"]), np.asarray(photo))
    assert np.array_equal(decode(answer["returned"]), np.asarray(returned))
    assert np.array_equal(decode(answer["sheet"]), np.asarray(sheet))
    assert answer["remark"] == ""


def test_a_sheet_keeps_the_colours_of_its_seed(translator: Translator, small: Image.Image) -> None:
    seven, photo = (answered(translator, small, final=True, seed=seed)["photo"] for seed in (7, "7"))
    assert np.array_equal(
        decode(seven), np.asarray(translator.sketch_to_photo(fit_square(small, 64), 7, normalise=False))
    )
    assert np.array_equal(decode(photo), np.asarray(translator.sketch_to_photo(fit_square(small, 64), normalise=False)))


def test_a_photo_is_drawn_back_without_being_painted_again(
    translator: Translator, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted, drawing = [], Drawing.of(small)
    paint = Translator.sketch_to_photo

    def watched(self: Translator, *arguments: Any, **options: Any) -> Image.Image:
        painted.append(arguments[1])
        return paint(self, *arguments, **options)

    monkeypatch.setattr(Translator, "sketch_to_photo", watched)
    frame = {"final": True, "tidy": True, "seed": 3}
    answer_frame(translator, drawing, frame)
    first = answer_drawn_back(translator, None, drawing, frame)["returned"]
    assert painted == [3]
    assert drawing.painting is None
    assert answer_drawn_back(translator, None, drawing, frame)["returned"] == first  # asked for once more
    assert painted == [3, 3]
    answer_frame(translator, drawing, frame)
    other = answer_drawn_back(translator, None, drawing, frame | {"seed": 4})["returned"]
    assert painted == [3, 3, 3, 4]
    assert other != first
    answer_frame(translator, drawing, frame)
    assert drawing.copy().painting is None


@pytest.mark.parametrize("tidy", [False, True])
def test_a_photo_gives_its_colours_to_its_drawing(translator: Translator, tidy: bool) -> None:
    """The drawing lies where the photo does, in the middle of the sheet; what the sheet has beside it stays white."""
    sheet = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(sheet).rectangle((40, 180, 460, 330), outline="black", width=4)
    photo = Image.new("RGB", (100, 50), (200, 60, 40))
    answer = answered(translator, sheet, colours=photo, tidy=tidy, final=True)
    made = decode(answer["photo"])
    assert made.shape == (512, 512, 3)
    assert (made[:127] == 255).all()
    assert (made[130:380] < 255).any()
    prepared = prepare(sheet, 64, tidy, photo)
    assert prepared.region == (0, 128, 512, 384)
    expected = translator.sketch_to_photo(prepared.sketch, colours=photo, normalise=False)
    assert expected.size == (64, 32)
    assert np.array_equal(made[128:384], np.asarray(expected.resize((512, 256), Image.Resampling.LANCZOS)))
    live = answered(translator, sheet, colours=photo, tidy=tidy)
    assert np.abs(decode(live["photo"]).astype(int) - made).mean() < 8
    other = answered(translator, sheet, colours=Image.new("RGB", (100, 50), "blue"), tidy=tidy)
    assert np.abs(decode(other["photo"]).astype(int) - made).mean() > 1
    assert answered(translator, Image.new("RGB", (512, 512), "white"), colours=photo, tidy=tidy)["photo"]


def test_six_more_of_a_photo_are_six_tints_of_it(translator: Translator, small: Image.Image) -> None:
    photo = Image.new("RGB", (60, 90), (180, 90, 60))
    six = answer_vary(translator, Drawing.of(small, photo), {})["variations"]
    assert len({one["name"] for one in six}) == len({one["colours"] for one in six}) == 6
    for one in six:
        assert one["sketch"] is None
        assert decode(one["photo"]).shape == (512, 512, 3)
        assert decode(one["colours"]).shape == (90, 60, 3)


def test_tidied_is_treated_and_put_back(translator: Translator, small: Image.Image) -> None:
    normalised = normalise(small, 64)
    photo, returned = translator.round_trip(normalised.sheet, "sketch_to_photo")
    answer = answered(translator, small, final=True, tidy=True)
    assert np.array_equal(decode(answer["sheet"]), np.asarray(normalised.sheet))
    assert np.array_equal(decode(answer["photo"]), np.asarray(normalised.put_back(photo)))
    assert np.array_equal(decode(answer["returned"]), np.asarray(normalised.put_back(returned)))
    assert answer["remark"] == normalised.remark != ""
    live = answered(translator, small, tidy=True)
    assert live.keys() == {"photo", "took"}
    assert live["photo"].startswith(JPEG_URL)
    assert np.abs(decode(live["photo"]).astype(int) - np.asarray(normalised.put_back(photo))).mean() < 8


def test_discriminators_are_asked_when_the_pen_is_up(translator: Translator, small: Image.Image) -> None:
    discriminators = discriminators_of(translator)
    answer = answered(translator, small, discriminators, final=True, judge=True)
    assert "opinion" in answer["opinion"]["sentence"]
    for name in ("photo", "returned"):
        assert decode(answer["opinion"][name]).shape == decode(answer[name]).shape
        assert not np.array_equal(decode(answer["opinion"][name]), decode(answer[name]))
    assert "opinion" not in answered(translator, small, discriminators, final=True, judge=False)
    assert "opinion" not in answered(translator, small, discriminators, final=False, judge=True)
    assert "opinion" not in answered(translator, small, None, final=True, judge=True)


def test_no_discriminators_without_their_files(weights_folder: Path) -> None:
    assert discriminators_of(Translator.from_pretrained(weights_folder)) is not None
    (weights_folder / "discriminator_D_Y.pth").unlink()
    assert discriminators_of(Translator.from_pretrained(weights_folder)) is None


# --- variations, time-lapse -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tidy", [True, False])
def test_six_variations_are_seeds_with_their_photos(translator: Translator, small: Image.Image, tidy: bool) -> None:
    others = answer_vary(translator, Drawing.of(small), {"tidy": tidy, "seed": 3})["variations"]
    assert len({one["name"] for one in others}) == len({one["photo"] for one in others}) == 6
    for number, one in enumerate(others):
        assert (one["sketch"], one["seed"]) == (None, 4 + number)
        photo = decode(answered(translator, small, tidy=tidy, seed=one["seed"], final=True)["photo"])
        photo = np.asarray(Image.fromarray(photo).resize((512, 512), Image.Resampling.LANCZOS))
        assert np.abs(decode(one["photo"]).astype(int) - photo).mean() < (8 if tidy else 0.1)


@pytest.mark.parametrize("tidy", [True, False])
def test_of_coloured_drawings_they_are_drawings(translator: Translator, small: Image.Image, tidy: bool) -> None:
    coloured = small.copy()
    ImageDraw.Draw(coloured).line((140, 150, 160, 150), fill=(0, 160, 0), width=12)
    others = answer_vary(translator, Drawing.of(coloured), {"tidy": tidy})["variations"]
    assert len({one["name"] for one in others}) == len({one["photo"] for one in others}) == 6
    for one in others:
        sketch = Image.fromarray(decode(one["sketch"]))
        assert sketch.size == (512, 512)
        assert np.abs(np.asarray(sketch).astype(int) - np.asarray(small)).mean() < 8  # where it was drawn
        if not tidy:
            assert np.array_equal(decode(one["photo"]), np.asarray(translator.sketch_to_photo(sketch, normalise=False)))


LINE = {"colour": "#000000", "width": 4, "points": [1000, 2500, 3000, 0]}


def test_film(make_photo: Callable[..., Image.Image]) -> None:
    """A moment has what is new in it; the stroke of one goes on in the next."""
    photo = data_url(make_photo((64, 64)), "JPEG")
    film = answer_film([[[LINE | {"open": True}], photo], [[{"points": [4000, 4000]}], photo]])["film"]
    image: Any = Image.open(BytesIO(base64.b64decode(film.removeprefix("data:image/gif;base64,"))))
    assert (image.format, image.n_frames) == ("GIF", 2)
    ink = []
    for number in range(2):
        image.seek(number)
        ink.append((np.asarray(image.convert("L"))[:, :256] < 128).sum())
    assert 0 < ink[0] < ink[1] / 1.3


PNG, PHOTO = data_url(Image.new("RGB", (512, 512))), data_url(Image.new("RGB", (64, 64)), "JPEG")


@pytest.mark.parametrize(
    ("moments", "sentence"),
    [
        (None, "moments"),
        ([], "moments"),
        ([[[LINE], PHOTO]] * (MAX_MOMENTS + 1), "moments"),
        ([[LINE], PHOTO], "what was drawn and its photo"),
        ([[[LINE], PHOTO, PHOTO]], "what was drawn and its photo"),
        ([[PHOTO, [LINE]]], "list of strokes"),
        ([[[LINE], PNG]], "JPEG data URL"),
        ([[[LINE], JPEG_URL + "AAAA"]], "not an image"),
        ([[[LINE], JPEG_URL + PNG.partition(",")[2]]], "must be a JPEG"),
        ([[[LINE], data_url(Image.new("RGB", (1024, 1024)), "JPEG")]], "limit is 262144 pixels"),
        ([[[LINE], data_url(Image.new("RGB", (513, 32)), "JPEG")]], "at most 512"),
    ],
)
def test_films_of_strangers(moments: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        answer_film(moments)


def test_one_extra_at_a_time_and_live_frames_beside_it(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: Any) -> list[Any]:
        begun.set()
        assert go_on.wait(30)
        return []

    monkeypatch.setattr(draw, "variations", slow)
    with gr.Blocks(analytics_enabled=False) as demo:
        menu = Menu.of(translator)
        draw_tab(menu, menu.get(), [])
    (tab,) = (block for block in demo.blocks.values() if isinstance(block, gr.HTML))
    frame = {"onto": None, "strokes": [LINE]}
    first = threading.Thread(target=tab.vary, args=[frame])  # type: ignore[attr-defined]
    first.start()
    assert begun.wait(30)
    assert tab.vary(frame) == tab.film([]) == {"busy": True}  # type: ignore[attr-defined]
    assert "photo" in tab.redraw(frame)  # type: ignore[attr-defined]
    go_on.set()
    first.join()
    assert tab.vary(frame)["variations"] == []  # type: ignore[attr-defined]
    assert "moments" in tab.film([])["error"]  # type: ignore[attr-defined]
