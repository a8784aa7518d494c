"""Frames of the canvas (demo/draw.py), which anyone may have made; the page itself has test_canvas.py."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from cyclegan.images import ImageError
from cyclegan.inference import Translator
from demo.draw import MAX_FRAME_CHARACTERS, PNG_URL, answer_frame

pytest_plugins = ["tests.browser_fixtures"]


def png_url(image: Image.Image, kind: str = "PNG") -> str:
    buffer = BytesIO()
    image.save(buffer, kind)
    return PNG_URL + base64.b64encode(buffer.getvalue()).decode()


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
