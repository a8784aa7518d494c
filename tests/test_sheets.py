"""Drawings as strokes (demo/sheets.py), inked (drawing/canvas.py) as the page's canvas does."""

from __future__ import annotations

import math
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from cyclegan.demo.data_urls import JPEG_URL, MAX_CHARACTERS, PNG_URL, data_url
from cyclegan.demo.sheets import MAX_DRAWINGS, MAX_PICTURES, MAX_POINTS, Drawing, Drawings
from cyclegan.drawing.canvas import HATCH, Sheet
from cyclegan.drawing.empty import EMPTY
from cyclegan.images import ImageError
from tests.browser import decode

pytest_plugins = ["tests.browser_fixtures"]

WEB = Path(__file__).parents[1] / "cyclegan" / "demo" / "web"
SIDE = 512
LINE = {"colour": "#000000", "width": 4, "points": [1000, 2500, 3000, 0]}
PNG = data_url(Image.new("RGB", (SIDE, SIDE)))
JPEG = data_url(Image.new("RGB", (64, 64)), "JPEG")


def drawn(*strokes: dict[str, Any]) -> np.ndarray:
    drawing = Drawing()
    drawing.add(list(strokes))
    return drawing.picture()


# --- as the browser -------------------------------------------------------------------------------------------------


def strokes_of_a_hand(count: int, seed: int) -> list[dict[str, Any]]:
    """In ink.js's form: wavering lines and dots of all pens, some with pressure, some over the edge of the sheet."""
    random, strokes = Random(seed), []
    for number in range(count):
        colour = random.choice(["#000000"] * 4 + ["#d62828", "#1d6fd1", "#ffffff", "#d6def0"])
        factor = {"#000000": 1, "#ffffff": 6}.get(colour, 3.5)
        x, y, angle, points = random.uniform(20, 490), random.uniform(20, 490), random.uniform(0, 6), []
        for step in range(random.choice([1, 2, 3, 30, 60])):
            angle += random.gauss(0, 0.35)
            length = random.choice([2, 5, 60])
            x, y = x + length * math.cos(angle), y + length * math.sin(angle)
            pressure = [round(0.4 + 1.2 * abs(math.sin(step / 9)), 1)] if number % 3 == 0 else []
            points.append([round(x, 1), round(y, 1), *pressure])
        strokes.append({"colour": colour, "width": random.choice([1, 2, 4, 8]) * factor, "points": points})
    return strokes


INKED = """async ([ink, sending, readback, strokes]) => {
  const address = (source) => URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const inkAddress = address(ink);
  const { newSheet, newLayer, ink: draw, flatten } = await import(inkAddress);
  const named = sending.replace("./ink.js", inkAddress).replace("./readback.js", address(readback));
  const { since, endOf } = await import(address(named));
  const [sheet, paper] = [newSheet(), newLayer()];
  draw(sheet, strokes);
  flatten(sheet, paper);
  const [grown, parts] = [[], []];
  let end;
  for (const stroke of strokes) {
    grown.push({ ...stroke, points: [] });
    while (grown.at(-1).points.length < stroke.points.length) {
      grown.at(-1).points.push(...stroke.points.slice(grown.at(-1).points.length).slice(0, 7));
      const open = grown.at(-1).points.length < stroke.points.length;
      parts.push(since(grown, end, open));
      end = endOf(grown, open);
    }
  }
  return { picture: paper.canvas.toDataURL(), whole: since(strokes), parts };
}"""


SOURCES = [(WEB / name).read_text(encoding="utf-8") for name in ("ink.js", "sending.js", "readback.js")]
HANDS = [strokes_of_a_hand(count, seed) for seed, count in enumerate((2, 4, 12, 30), start=1)]


@pytest.fixture(scope="module")
def inked(browser: Browser) -> list[dict[str, Any]]:
    """Drawings as Chromium inks them, as they are sent at once, and as they are sent frame by frame."""
    page = browser.new_page()
    results = [page.evaluate(INKED, [*SOURCES, strokes]) for strokes in HANDS]
    page.close()
    return results


def assert_the_same_pixels(one: dict[str, Any]) -> None:
    theirs = decode(one["picture"]).astype(int)
    assert (theirs < 255).any()
    difference = np.abs(drawn(*one["whole"]) - theirs).max(axis=2)
    assert difference.mean() < 0.5
    assert (difference > 64).mean() < 0.001


def test_the_same_pixels_as_in_the_browser(inked: list[dict[str, Any]]) -> None:
    """Chromium snaps edges to quarters of a pixel, so some pixels along them differ."""
    for one in inked:
        assert_the_same_pixels(one)


def test_frame_by_frame_the_same_pixels_as_at_once(inked: list[dict[str, Any]]) -> None:
    drawings = Drawings()
    for one in inked:
        name = None
        for part in one["parts"]:
            kept = drawings.drawn(name, part)
            assert kept is not None
            name, drawing = kept
        difference = np.abs(drawing.picture().astype(int) - drawn(*one["whole"]))
        assert difference.max() <= 3  # each frame rounds to whole numbers
        assert sum(len(str(part)) for part in one["parts"]) < 30_000


# --- layers ---------------------------------------------------------------------------------------------------------


def test_lines_lie_over_colours_and_the_eraser_takes_both() -> None:
    red = LINE | {"colour": "#d62828", "width": 20, "points": [1000, 2560, 3000, 0]}
    over = drawn(LINE | {"points": [2000, 1000, 0, 3000]}, red)
    assert over[256, 200].tolist() == [0, 0, 0]
    assert over[256, 150].tolist() == [0xD6, 0x28, 0x28]
    assert over[150, 200].tolist() == [0, 0, 0]
    erased = drawn(LINE, red, red | {"colour": "#ffffff", "width": 40})
    assert (erased == 255).all()


def test_leaving_empty_is_hatched() -> None:
    marked = drawn({"colour": "#d6def0", "width": 40, "points": [1000, 2560, 3000, 0]})[246:266, 150:350]
    assert {tuple(colour) for colour in marked.reshape(-1, 3)} == {EMPTY, (255, 255, 255)}
    assert (marked == EMPTY).all(axis=2).mean() == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(marked[:, HATCH:], marked[:, :-HATCH])


def test_widths_points_and_dots() -> None:
    """Coverage adds up to the area: of a line its width times its length, and the round ends."""
    for width, pressure in ((1, 10), (4, 10), (8, 4), (28, 16)):
        stroke = {"colour": "#000000", "width": width, "points": [1003, 2507, 1000, 1000], "pressures": [pressure] * 2}
        real = width * pressure / 10
        area = (1 - drawn(stroke) / 255).mean(axis=2).sum()
        assert area == pytest.approx(real * math.hypot(100, 100) + math.pi * real**2 / 4, rel=0.07)
    dot = (1 - drawn(LINE | {"width": 8, "points": [2560, 2560]}) / 255).mean(axis=2)
    assert dot.sum() == pytest.approx(math.pi * 16, rel=0.03)
    assert (drawn(LINE | {"points": [-9000, -9000, 100, 100]}) == 255).all()


def test_a_picture_is_lines_and_colours() -> None:
    """As it is, until a colour goes over it: that replaces its colours and leaves its lines."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    picture.paste((0xD6, 0x28, 0x28), (100, 200, 400, 300))
    picture.paste((128, 128, 128), (250, 100, 260, 400))
    assert np.array_equal(drawn({"image": data_url(picture)}), np.asarray(picture))
    blue = {"colour": "#1d6fd1", "width": 20, "points": [1500, 2500, 2000, 0]}
    over = drawn({"image": data_url(picture)}, blue)
    assert over[250, 200].tolist() == [0x1D, 0x6F, 0xD1]
    assert over[250, 255].tolist() == pytest.approx([0x1D / 2, 0x6F / 2, 0xD1 / 2], abs=1)


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_a_drawing_is_kept_and_undo_goes_back_to_an_earlier_one() -> None:
    drawings = Drawings()
    one, _ = drawings.drawn(None, [LINE]) or ("", None)
    other = LINE | {"points": [0, 0, 5000, 5000]}
    two, drawing = drawings.drawn(one, [other]) or ("", Drawing())
    assert np.array_equal(drawing.picture(), drawn(LINE, other))
    back = drawings.drawn(one, [])
    assert back is not None
    assert back[0] == one != two
    assert np.array_equal(back[1].picture(), drawn(LINE))


def test_the_stroke_under_the_pen_is_kept_once_and_reaches_the_pen() -> None:
    drawings = Drawings()
    begun, drawing = drawings.drawn(None, [LINE | {"points": [1000, 2560, 1000, 0], "open": True}]) or ("", Drawing())
    assert drawing.picture()[256, 199].tolist() == [0, 0, 0]
    ended = drawings.drawn(begun, [{"points": [3000, 2560]}])
    assert ended is not None
    assert np.array_equal(ended[1].picture(), drawn(LINE | {"points": [1000, 2560, 1000, 0, 1000, 0]}))
    assert drawings.drawn(begun, []) is None


def test_only_so_many_are_kept() -> None:
    drawings = Drawings(most=3)
    names = [(drawings.drawn(None, [LINE]) or ("", None))[0] for _ in range(3)]
    assert drawings.drawn(names[0], [])  # so it is the latest
    drawings.drawn(None, [LINE])
    assert [drawings.drawn(name, []) is None for name in names] == [False, True, False]
    assert Sheet.blank(SIDE).lines.nbytes + Sheet.blank(SIDE).colours.nbytes == 2**20
    assert MAX_DRAWINGS <= 100


@pytest.mark.parametrize("name", ["", "nobody's", 3, [], {"a": 1}])
def test_of_what_is_not_kept_the_page_sends_all(name: Any) -> None:
    assert Drawings().drawn(name, [LINE]) is None


def test_the_photo_whose_colours_it_has() -> None:
    drawing = Drawing()
    drawing.add([{"photo": JPEG}, {"image": PNG}])
    assert drawing.colours is not None
    assert drawing.colours.size == (64, 64)
    drawing.add([{"photo": None}])
    assert drawing.colours is None


# --- strangers ------------------------------------------------------------------------------------------------------


def encoded(size: tuple[int, int], kind: str = "PNG") -> str:
    buffer = BytesIO()
    Image.new("RGB", size).save(buffer, kind)
    return PNG_URL + b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    ("strokes", "sentence"),
    [
        (None, "list of strokes"),
        ("strokes", "list of strokes"),
        ([3], "list of strokes"),
        ([{}], "does not make"),
        ([{"points": [1, 2]}], "does not make"),
        ([LINE, {"points": [1, 2]}], "does not make"),
        ([LINE] * 6000, "too many strokes"),
        ([LINE | {"points": [1] * (2 * MAX_POINTS + 2)}], "too many strokes"),
        ([LINE | {"points": [0, 0, *[10**6, 10**6, -(10**6), -(10**6)] * 4000]}], "too long"),
        ([LINE | {"width": 64, "points": [0, 0, *[5000, 4000, -5000, -4000] * 4000]}], "too long"),
        ([LINE | {"points": [10**6] * 4}], "does not make"),
        *(
            ([LINE | {"points": points}], "does not make")
            for points in (
                None,
                3,
                "ab",
                [1],
                [1, 2, 3],
                [1.5, 2],
                [[1, 2]],
                [[1], 2],
                [10**30, 1],
                [None, 1],
            )
        ),
        *(
            ([LINE | {"pressures": pressures}], "does not make")
            for pressures in (None, [1], [0, 1], [1, 2, 3], [1000, 1], ["a", "b"])
        ),
        *(([LINE | {"colour": colour}], "does not make") for colour in (None, "red", "#FFF", "#12345g", [1, 2, 3])),
        *(([LINE | {"width": width}], "at most 64 pixels") for width in (None, 0, -1, 65, "4", math.nan, math.inf)),
        ([{"image": 3}], "PNG data URL"),
        ([{"image": "data:image/svg+xml;base64,AAAA"}], "PNG data URL"),
        ([{"image": PNG_URL + "A" * MAX_CHARACTERS}], "too large"),
        ([{"image": PNG_URL + "Ä"}], "base64"),
        ([{"image": PNG_URL + "AAAA"}], "not an image"),
        ([{"image": PNG_URL}], "empty"),
        ([{"image": encoded((512, 511))}], "512×512"),
        ([{"image": encoded((512, 512), "JPEG")}], "PNG"),
        ([{"image": PNG}] * (MAX_PICTURES + 1), "at most"),
        ([{"photo": 3}], "JPEG data URL"),
        ([{"photo": PNG}], "JPEG data URL"),
        ([{"photo": JPEG_URL + "AAAA"}], "not an image"),
        ([{"photo": data_url(Image.new("RGB", (513, 64)), "JPEG")}], "at most 512"),
    ],
)
def test_strokes_of_strangers(strokes: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        Drawing().add(strokes)
