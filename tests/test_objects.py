"""Several objects on one sheet: what is cut apart, what stays together, and how it is put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from cyclegan.demo.pictures import translate
from cyclegan.drawing.normalise import objects_of
from cyclegan.drawing.objects import side_by_side
from cyclegan.images import Box
from cyclegan.inference import Translator

pytest_plugins = ["tests.browser_fixtures"]

SIZE = 128
CELL = 200
Paint = Callable[[ImageDraw.ImageDraw, Box], object]


def house(pen: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    pen.rectangle(box, outline="black", width=4)
    pen.line((left, bottom, right, top), fill="black", width=4)
    pen.line((left, top, right, bottom), fill="black", width=4)


def circle(pen: ImageDraw.ImageDraw, box: Box) -> None:
    pen.ellipse(box, outline="black", width=4)


def banner(things: Sequence[Paint] = (house, house, house), margin: int = 20, upright: bool = False) -> Image.Image:
    """Things in square cells one after the other, `margin` pixels inside them."""
    sheet = Image.new("RGB", (CELL * len(things), CELL), "white")
    pen = ImageDraw.Draw(sheet)
    for number, thing in enumerate(things):
        thing(pen, (number * CELL + margin, margin, (number + 1) * CELL - margin, CELL - margin))
    return sheet.transpose(Image.Transpose.ROTATE_90) if upright else sheet


def photographed(sheet: Image.Image) -> Image.Image:
    """On grey paper under a light that falls off, with the camera's noise."""
    light = np.linspace(215, 165, sheet.width)[None, :, None] / 255
    noise = np.random.default_rng(0).normal(0, 2, (sheet.height, sheet.width, 1))
    return Image.fromarray((np.asarray(sheet) * light + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "sheet",
    [
        banner(),
        ImageOps.invert(banner()),
        photographed(banner()),
        banner().resize((180, 60), Image.Resampling.LANCZOS),
        banner().resize((2400, 800)),
        banner(upright=True),
    ],
    ids=["digital", "white on black", "photographed", "tiny", "large", "upright"],
)
def test_objects_apart_are_cut_amid_the_white(sheet: Image.Image) -> None:
    boxes = objects_of(sheet, SIZE)
    assert len(boxes) == 3
    turned = sheet.height > sheet.width
    cuts = [0, *(box[3 if turned else 2] for box in boxes)]
    assert cuts == pytest.approx([0, *(max(sheet.size) * part / 3 for part in (1, 2, 3))], abs=max(sheet.size) / 60)
    assert all(box[2 if turned else 3] == min(sheet.size) for box in boxes)


def grid(rows: Sequence[Sequence[Paint]], heights: Sequence[int]) -> Image.Image:
    """Rows of things, each row as high as given and its things as wide, in a sheet as wide as the widest of them."""
    widths = [len(row) * height for row, height in zip(rows, heights, strict=True)]
    sheet, top = Image.new("RGB", (max(widths), sum(heights)), "white"), 0
    pen = ImageDraw.Draw(sheet)
    for row, height in zip(rows, heights, strict=True):
        for number, thing in enumerate(row):
            left = number * height
            thing(pen, (left + 20, top + 20, left + height - 20, top + height - 20))
        top += height
    return sheet


@pytest.mark.parametrize(
    ("sheet", "count"),
    [
        (grid([[house] * 3] * 2, [200] * 2), 6),
        (photographed(grid([[house] * 3] * 2, [200] * 2)), 6),
        (grid([[house] * 2] * 2, [200] * 2), 4),
        (grid([[house] * 8] * 2, [200] * 2), 16),
        (grid([[house] * 3, [house] * 2], [200] * 2), 5),
        (grid([[house] * 2, [house] * 4], [300, 160]), 6),
    ],
    ids=["2×3", "photographed", "2×2", "2×8", "3 and 2", "large above small"],
)
def test_rows_of_objects_are_cut_apart(sheet: Image.Image, count: int) -> None:
    boxes = objects_of(sheet, SIZE)
    assert len(boxes) == count
    covered = np.zeros((sheet.height, sheet.width), int)
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] += 1
        assert (np.asarray(sheet.convert("L"))[top:bottom, left:right] < 100).any()
    assert (covered == 1).all()


def test_titles_below_the_objects_of_a_banner_stay_with_them() -> None:
    sheet = Image.new("RGB", (600, 250), "white")
    sheet.paste(banner())
    pen = ImageDraw.Draw(sheet)
    for left in (40, 240, 440):
        pen.line((left, 225, left + 120, 225), fill="black", width=4)
    assert [box[1::2] for box in objects_of(sheet, SIZE)] == [(0, 250)] * 3


def face(pen: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    house(pen, (left + 10, top + 60, left + 70, top + 120))
    house(pen, (right - 70, top + 60, right - 10, top + 120))
    circle(pen, (left - 140, top, right + 140, bottom))


def dumbbell(pen: ImageDraw.ImageDraw, box: Box) -> None:
    house(pen, (20, 20, 180, 180))
    house(pen, (420, 20, 580, 180))
    pen.line((180, 100, 420, 100), fill="black", width=4)


def nothing(pen: ImageDraw.ImageDraw, box: Box) -> None:
    pass


def small(pen: ImageDraw.ImageDraw, box: Box) -> None:
    house(pen, (box[0] + 60, box[1] + 60, box[0] + 100, box[1] + 100))


@pytest.mark.parametrize(
    "sheet",
    [
        banner([house]),
        banner([house, nothing, nothing]),
        banner([nothing, face, nothing]),
        banner([dumbbell, nothing, nothing]),
        banner([circle, circle]),
        banner([house, small]),
        banner([house, circle, house]),
        banner(margin=5),
        banner([house, house]).crop((0, 0, 2 * CELL, CELL)).resize((320, 200)),
        grid([[circle] * 2, [circle] * 2], [200] * 2),
        grid([[house, house], [house]], [200] * 2),
        grid([[house, nothing], [nothing, house]], [200] * 2),
        grid([[house, small], [small, house]], [200] * 2),
        Image.new("RGB", (600, 200), "white"),
        Image.merge("RGB", [Image.linear_gradient("L").resize((600, 200))] * 3),
    ],
    ids=[
        "one", "one beside white", "eyes in a face", "joined", "the glasses of spectacles", "an object and its mark",
        "a stroke among them", "too near", "a sheet hardly wide",
        "four rings", "a row with one", "two in corners", "four, some small", "blank", "a photo",
    ],
)  # fmt: skip
def test_what_may_belong_together_stays(sheet: Image.Image) -> None:
    assert objects_of(sheet, SIZE) == []


def test_a_strip_costs_no_more_than_a_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enlarged until objects could be seen, 1000 × 3 pixels took 28 seconds and gigabytes."""
    monkeypatch.setattr("cyclegan.drawing.normalise._read", lambda picture, side: pytest.fail(f"{side} pixels"))
    assert objects_of(Image.new("RGB", (1000, 3)), 256) == []


def test_side_by_side() -> None:
    boxes = [(0, 0, 30, 20), (30, 0, 80, 20)]
    pictures = [Image.new("RGB", (6, 4), "red"), Image.new("RGB", (50, 20), "blue")]
    sheet = np.asarray(side_by_side(pictures, boxes, (160, 40)))
    assert (sheet[:, :60] == (255, 0, 0)).all()
    assert (sheet[:, 60:] == (0, 0, 255)).all()


def test_each_object_has_the_photo_that_it_has_alone(translator: Translator) -> None:
    sheet = banner([house, house])
    photo = translator.sketch_to_photo(sheet, seed=1)
    alone = translator.sketch_to_photo(banner([house]), seed=1)
    assert photo.size == sheet.size
    for left in (0, CELL):
        part = np.asarray(photo.crop((left, 0, left + CELL, CELL)), int)
        assert np.abs(part - np.asarray(alone, int)).mean() < 2
    both = translate(translator, sheet, "sketch_to_photo", seed=1)
    assert np.abs(np.asarray(both.result, int) - np.asarray(photo, int)).mean() < 2
    assert both.returned.size == sheet.size
    assert both.remark == "Each of the 2 objects was painted by itself."
    raw = translator.sketch_to_photo(sheet, seed=1, normalise=False)
    assert np.abs(np.asarray(raw, int) - np.asarray(photo, int)).mean() > 3


def test_with_a_photos_colours_the_sheet_is_one_scene(translator: Translator) -> None:
    sheet = banner([house, house])
    coloured = translate(translator, sheet, "sketch_to_photo", colours=sheet)
    assert "objects" not in coloured.remark
    assert np.array_equal(np.asarray(coloured.result), np.asarray(translator.sketch_to_photo(sheet, colours=sheet)))
