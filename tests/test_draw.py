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
from cyclegan.demo.draw import (
    JPEG_URL,
    MAX_FRAME_CHARACTERS,
    MAX_MOMENTS,
    PNG_URL,
    answer_film,
    answer_frame,
    answer_vary,
    data_url,
    draw_tab,
    open_photo,
    prepare,
)
from cyclegan.demo.menu import Menu, discriminators_of
from cyclegan.demo.page import EXAMPLES
from cyclegan.drawing.normalise import normalise
from cyclegan.images import ImageError, fit_square
from cyclegan.inference import Translator
from tests.browser import decode

pytest_plugins = ["tests.browser_fixtures"]


# --- frames ---------------------------------------------------------------------------------------------------------


def png_url(image: Image.Image, kind: str = "PNG") -> str:
    buffer = BytesIO()
    image.save(buffer, kind)
    return PNG_URL + base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def small() -> Image.Image:
    """A small drawing in a corner of the canvas."""
    sheet = Image.new("RGB", (512, 512), "white")
    bag = Image.open(EXAMPLES / "sketches" / "bag.png").convert("RGB")
    sheet.paste(bag.resize((200, 200), Image.Resampling.LANCZOS), (30, 40))
    return sheet


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (None, "PNG data URL"),
        (["data:image/png;base64,"], "PNG data URL"),
        ({"image": 3}, "PNG data URL"),
        ({"image": "data:image/svg+xml;base64,AAAA"}, "PNG data URL"),
        ({"image": PNG_URL + "A" * MAX_FRAME_CHARACTERS}, "too large"),
        ({"image": PNG_URL + "Ä"}, "base64"),
        ({"image": PNG_URL + "AAAA"}, "not an image"),
        ({"image": PNG_URL}, "empty"),
        ({"image": png_url(Image.new("RGB", (512, 511)))}, "512×512"),
        ({"image": png_url(Image.new("RGB", (512, 512)), "JPEG")}, "PNG"),
    ],
)
def test_frames_of_strangers(translator: Translator, frame: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        answer_frame(translator, frame)


def test_empty_frame_has_no_photo(translator: Translator) -> None:
    assert answer_frame(translator, {"image": png_url(Image.new("RGB", (512, 512), "white"))}) == {"photo": None}
    assert answer_frame(translator, {"image": png_url(Image.new("RGBA", (512, 512)))}) == {"photo": None}


@pytest.mark.parametrize("tidy", [False, None, 0])
def test_untidied_is_exactly_raw(translator: Translator, small: Image.Image, tidy: Any) -> None:
    sheet = fit_square(small, 64)
    photo, returned = translator.round_trip(sheet, "sketch_to_photo")
    answer = answer_frame(translator, {"image": png_url(small), "final": True, "tidy": tidy})
    assert np.array_equal(decode(answer["photo"]), np.asarray(photo))
    assert np.array_equal(decode(answer["returned"]), np.asarray(returned))
    assert np.array_equal(decode(answer["sheet"]), np.asarray(sheet))
    assert answer["remark"] == ""


def test_a_sheet_keeps_the_colours_of_its_seed(translator: Translator, small: Image.Image) -> None:
    frame = {"image": png_url(small), "final": True, "tidy": False}
    seven, photo = (answer_frame(translator, frame | {"seed": seed})["photo"] for seed in (7, "7"))
    assert np.array_equal(
        decode(seven), np.asarray(translator.sketch_to_photo(fit_square(small, 64), 7, normalise=False))
    )
    assert np.array_equal(decode(photo), np.asarray(translator.sketch_to_photo(fit_square(small, 64), normalise=False)))


@pytest.mark.parametrize("tidy", [False, True])
def test_a_photo_gives_its_colours_to_its_drawing(translator: Translator, tidy: bool) -> None:
    """The drawing lies where the photo does, in the middle of the sheet; what the sheet has beside it stays white."""
    sheet = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(sheet).rectangle((40, 180, 460, 330), outline="black", width=4)
    photo = Image.new("RGB", (100, 50), (200, 60, 40))
    frame: dict[str, Any] = {"image": png_url(sheet), "tidy": tidy, "colours": data_url(photo, "JPEG")}
    answer = answer_frame(translator, frame | {"final": True})
    made = decode(answer["photo"])
    assert made.shape == (512, 512, 3)
    assert (made[:127] == 255).all()
    assert (made[130:380] < 255).any()
    prepared = prepare(sheet, 64, tidy, photo)
    assert prepared.region == (0, 128, 512, 384)
    expected = translator.sketch_to_photo(prepared.sketch, colours=open_photo(frame["colours"]), normalise=False)
    assert expected.size == (64, 32)
    assert np.array_equal(made[128:384], np.asarray(expected.resize((512, 256), Image.Resampling.LANCZOS)))
    live = answer_frame(translator, frame)
    assert np.abs(decode(live["photo"]).astype(int) - made).mean() < 8
    other = answer_frame(translator, frame | {"colours": data_url(Image.new("RGB", (100, 50), "blue"), "JPEG")})
    assert np.abs(decode(other["photo"]).astype(int) - made).mean() > 1
    blank = answer_frame(translator, frame | {"image": png_url(Image.new("RGB", (512, 512), "white"))})
    assert blank["photo"]


@pytest.mark.parametrize(
    ("colours", "sentence"),
    [
        (3, "JPEG data URL"),
        (png_url(Image.new("RGB", (8, 8))), "JPEG data URL"),
        (JPEG_URL + "AAAA", "not an image"),
        (data_url(Image.new("RGB", (513, 64)), "JPEG"), "at most 512"),
    ],
)
def test_colours_of_strangers(translator: Translator, small: Image.Image, colours: Any, sentence: str) -> None:
    for ask in (answer_frame, answer_vary):
        with pytest.raises(ImageError, match=sentence):
            ask(translator, {"image": png_url(small), "colours": colours})


def test_six_more_of_a_photo_are_six_tints_of_it(translator: Translator, small: Image.Image) -> None:
    photo = Image.new("RGB", (60, 90), (180, 90, 60))
    six = answer_vary(translator, {"image": png_url(small), "colours": data_url(photo, "JPEG")})["variations"]
    assert len({one["name"] for one in six}) == len({one["colours"] for one in six}) == 6
    for one in six:
        assert one["sketch"] is None
        assert decode(one["photo"]).shape == (512, 512, 3)
        assert decode(one["colours"]).shape == (90, 60, 3)


def test_tidied_is_treated_and_put_back(translator: Translator, small: Image.Image) -> None:
    normalised = normalise(small, 64)
    photo, returned = translator.round_trip(normalised.sheet, "sketch_to_photo")
    answer = answer_frame(translator, {"image": png_url(small), "final": True, "tidy": True})
    assert np.array_equal(decode(answer["sheet"]), np.asarray(normalised.sheet))
    assert np.array_equal(decode(answer["photo"]), np.asarray(normalised.put_back(photo)))
    assert np.array_equal(decode(answer["returned"]), np.asarray(normalised.put_back(returned)))
    assert answer["remark"] == normalised.remark != ""
    live = answer_frame(translator, {"image": png_url(small), "tidy": True})
    assert live.keys() == {"photo", "took"}
    assert live["photo"].startswith(JPEG_URL)
    assert np.abs(decode(live["photo"]).astype(int) - np.asarray(normalised.put_back(photo))).mean() < 8


def test_discriminators_are_asked_when_the_pen_is_up(translator: Translator, small: Image.Image) -> None:
    discriminators = discriminators_of(translator)
    frame = {"image": png_url(small), "final": True, "judge": True}
    answer = answer_frame(translator, frame, discriminators)
    assert "opinion" in answer["opinion"]["sentence"]
    for name in ("photo", "returned"):
        assert decode(answer["opinion"][name]).shape == decode(answer[name]).shape
        assert not np.array_equal(decode(answer["opinion"][name]), decode(answer[name]))
    assert "opinion" not in answer_frame(translator, frame | {"judge": False}, discriminators)
    assert "opinion" not in answer_frame(translator, frame | {"final": False}, discriminators)
    assert "opinion" not in answer_frame(translator, frame, None)


def test_no_discriminators_without_their_files(weights_folder: Path) -> None:
    assert discriminators_of(Translator.from_pretrained(weights_folder)) is not None
    (weights_folder / "discriminator_D_Y.pth").unlink()
    assert discriminators_of(Translator.from_pretrained(weights_folder)) is None


# --- variations, time-lapse -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tidy", [True, False])
def test_six_variations_are_seeds_with_their_photos(translator: Translator, small: Image.Image, tidy: bool) -> None:
    others = answer_vary(translator, {"image": png_url(small), "tidy": tidy, "seed": 3})["variations"]
    assert len({one["name"] for one in others}) == len({one["photo"] for one in others}) == 6
    for number, one in enumerate(others):
        assert (one["sketch"], one["seed"]) == (None, 4 + number)
        frame = {"image": png_url(small), "tidy": tidy, "seed": one["seed"], "final": True}
        photo = decode(answer_frame(translator, frame)["photo"])
        assert np.abs(decode(one["photo"]).astype(int) - photo).mean() < (8 if tidy else 0.1)


@pytest.mark.parametrize("tidy", [True, False])
def test_of_coloured_drawings_they_are_drawings(translator: Translator, small: Image.Image, tidy: bool) -> None:
    coloured = small.copy()
    ImageDraw.Draw(coloured).line((140, 150, 160, 150), fill=(0, 160, 0), width=12)
    others = answer_vary(translator, {"image": png_url(coloured), "tidy": tidy})["variations"]
    assert len({one["name"] for one in others}) == len({one["photo"] for one in others}) == 6
    for one in others:
        sketch = Image.fromarray(decode(one["sketch"]))
        assert sketch.size == (512, 512)
        assert np.abs(np.asarray(sketch).astype(int) - np.asarray(small)).mean() < 8  # where it was drawn
        if not tidy:
            assert np.array_equal(
                decode(one["photo"]), np.asarray(translator.sketch_to_photo(fit_square(sketch, 64), normalise=False))
            )


def test_film(small: Image.Image, make_photo: Callable[..., Image.Image]) -> None:
    photo = data_url(make_photo((64, 64)), "JPEG")
    film = answer_film([[png_url(Image.new("RGB", (512, 512), "white")), photo], [png_url(small), photo]])["film"]
    image: Any = Image.open(BytesIO(base64.b64decode(film.removeprefix("data:image/gif;base64,"))))
    assert (image.format, image.n_frames) == ("GIF", 2)


PAPER, PHOTO = png_url(Image.new("RGB", (512, 512))), data_url(Image.new("RGB", (64, 64)), "JPEG")


@pytest.mark.parametrize(
    ("moments", "sentence"),
    [
        (None, "moments"),
        ([], "moments"),
        ([[PAPER, PHOTO]] * (MAX_MOMENTS + 1), "moments"),
        ([PAPER, PHOTO], "drawing and its photo"),
        ([[PAPER, PHOTO, PHOTO]], "drawing and its photo"),
        ([[PHOTO, PAPER]], "PNG data URL"),
        ([[PAPER, PAPER]], "JPEG data URL"),
        ([[PAPER, JPEG_URL + "AAAA"]], "not an image"),
        ([[PAPER, JPEG_URL + PAPER.removeprefix(PNG_URL)]], "must be a JPEG"),
        ([[PAPER, data_url(Image.new("RGB", (1024, 1024)), "JPEG")]], "limit is 262144 pixels"),
        ([[PAPER, data_url(Image.new("RGB", (513, 32)), "JPEG")]], "at most 512"),
    ],
)
def test_films_of_strangers(moments: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        answer_film(moments)


def test_one_extra_at_a_time_and_live_frames_beside_it(
    translator: Translator, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    frame = {"image": png_url(small)}
    first = threading.Thread(target=tab.vary, args=[frame])  # type: ignore[attr-defined]
    first.start()
    assert begun.wait(30)
    assert tab.vary(frame) == tab.film([]) == {"busy": True}  # type: ignore[attr-defined]
    assert "photo" in tab.redraw(frame)  # type: ignore[attr-defined]
    go_on.set()
    first.join()
    assert tab.vary(frame) == {"variations": []}  # type: ignore[attr-defined]
    assert "moments" in tab.film([])["error"]  # type: ignore[attr-defined]
