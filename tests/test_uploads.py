"""What a visitor's files become: one picture, many at once, names in a ZIP; the page itself is in test_app.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
from PIL import Image, ImageOps

from cyclegan.demo import batch
from cyclegan.demo.batch import translate_all
from cyclegan.demo.pictures import detail_of, pen_of, redrawn, safe_name, save_png, svg_of, translate, uploaded_file
from cyclegan.drawing.normalise import normalise
from cyclegan.generators import Direction
from cyclegan.images import ImageError
from cyclegan.inference import Translator

pytest_plugins = ["tests.browser_fixtures"]

DIRECTIONS: list[Direction] = ["sketch_to_photo", "photo_to_sketch"]
Make = Callable[..., Image.Image]


def upload(folder: Path, name: str, content: bytes | Image.Image) -> dict[str, Any]:
    """A file as Gradio's page sends it: in a folder of its own below Gradio's."""
    path = folder / f"upload{len(list(folder.iterdir()))}" / name
    path.parent.mkdir()
    content.save(path) if isinstance(content, Image.Image) else path.write_bytes(content)
    return {"path": str(path), "orig_name": name, "meta": {"_type": "gradio.FileData"}}


# --- one picture ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_untidied_is_raw(translator: Translator, make_drawing: Make, direction: Direction) -> None:
    drawing = make_drawing((90, 60))
    result, returned, remark = translate(translator, drawing, direction, tidy=False)
    expected = translator.round_trip(drawing, direction)
    assert (result.tobytes(), returned.tobytes(), remark) == (expected[0].tobytes(), expected[1].tobytes(), "")


def test_a_tidied_drawing_has_seen_the_doctor(translator: Translator, make_drawing: Make) -> None:
    drawing = ImageOps.invert(make_drawing((300, 200)))
    tidied = translate(translator, drawing, "sketch_to_photo", tidy=True)
    treatment = normalise(drawing, 64)
    photo, returned = translator.round_trip(treatment.sheet, "sketch_to_photo")
    assert tidied.remark == treatment.remark != ""
    assert tidied.result.tobytes() == treatment.put_back(photo).tobytes()
    assert tidied.returned.tobytes() == treatment.put_back(returned).tobytes()
    assert tidied.result.size == (300, 200)


@pytest.mark.parametrize("tidy", [True, False])
def test_a_page_without_lines_is_not_done(
    translator: Translator, make_drawing: Make, tmp_path: Path, tidy: bool
) -> None:
    files = [upload(tmp_path, "empty.png", Image.new("RGB", (90, 60), "white"))]
    files += [upload(tmp_path, "shoe.png", make_drawing((90, 60)))]
    *_, end = translate_all(translator, "sketch_to_photo", tidy, files, str(tmp_path))
    assert end.translated() == 1
    assert end.errors == ["There are no lines in “empty.png”; choose one with a drawing on it."]


def test_a_photo_is_never_tidied(translator: Translator, make_photo: Make) -> None:
    photo = make_photo((80, 80))
    tidied, raw = (translate(translator, photo, "photo_to_sketch", tidy) for tidy in (True, False))
    assert tidied.result.tobytes() == raw.result.tobytes()


NO_FILES: list[Any] = [
    None, [], "x", 7, [[[]]], {}, {"path": None}, {"path": ""}, {"path": 7}, {"path": ["a"]}, {"path": "/etc/passwd"},
    {"path": "x/../../y"}, {"path": "a\0b"}, {"path": "\ud800"}, {"path": "a" * 9000},
]  # fmt: skip


@pytest.mark.parametrize("payload", NO_FILES)
def test_only_gradios_own_files_are_opened(tmp_path: Path, payload: Any) -> None:
    with pytest.raises(ImageError, match="did not arrive"):
        uploaded_file(payload, str(tmp_path))


def test_saved_pictures_do_not_overwrite_each_other(tmp_path: Path) -> None:
    paths = [Path(save_png(Image.new("RGB", (9, 9), colour), str(tmp_path), "a.png")) for colour in ("red", "blue")]
    assert [path.name for path in paths] == ["a.png"] * 2
    assert [Image.open(path).getpixel((0, 0)) for path in paths] == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("shoe 1", "shoe 1"),
        ("Schöne Äpfel", "Schöne Äpfel"),
        ("../../etc/passwd", "etc_passwd"),
        ("..\\..\\evil", "evil"),
        ("/", "picture"),
        ("", "picture"),
        ("a\nb\0c:d", "a_b_c_d"),
        ("x" * 300, "x" * 80),
    ],
)
def test_names_are_safe(stem: str, name: str) -> None:
    assert safe_name(stem, set()) == name


def test_names_are_unlike_each_other_wherever_they_are_unpacked() -> None:
    taken: set[str] = set()
    assert [safe_name(stem, taken) for stem in ("a", "A", "a (2)", "a")] == ["a", "A (2)", "a (2) (2)", "a (3)"]


# --- many at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_batch_makes_a_zip_and_names_what_failed(
    translator: Translator, make_drawing: Make, tmp_path: Path, direction: Direction
) -> None:
    drawing = make_drawing((90, 60))
    files = [
        upload(tmp_path, "shoe.png", drawing),
        upload(tmp_path, "notes.txt", b"hello"),
        upload(tmp_path, "shoe.jpg", drawing),
        upload(tmp_path, "dot.png", Image.new("RGB", (1, 1))),
        {"path": "/etc/passwd"},
    ]
    steps = [(step.done, step.name) for step in translate_all(translator, direction, False, files, str(tmp_path))]
    assert [done for done, _ in steps] == [1, 2, 3, 4, 5]
    assert steps[1][1] == "notes.txt"
    *_, end = translate_all(translator, direction, False, files, str(tmp_path))
    assert [sentence.split(" ")[0] for sentence in end.errors] == ["“notes.txt”", "“dot.png”", "The"]
    assert all(sentence.endswith(".") and str(tmp_path) not in sentence for sentence in end.errors)
    assert end.translated() == 2
    with ZipFile(end.path) as archive:
        names = ["shoe", "shoe (2)"]
        suffixes = (".png", ".svg") if direction == "photo_to_sketch" else (".png",)
        assert archive.namelist() == [name + suffix for name in names for suffix in suffixes]
        assert {info.compress_type for info in archive.infolist()} == {ZIP_STORED}
        assert archive.testzip() is None
        made = Image.open(archive.open("shoe.png")).convert("RGB")
    assert made.tobytes() == translate(translator, drawing, direction, tidy=False).result.tobytes()
    assert [name for _, name in end.pictures] == ["shoe", "shoe (2)"]


def test_a_batch_that_is_stopped_leaves_no_file(translator: Translator, make_photo: Make, tmp_path: Path) -> None:
    files = [upload(tmp_path, f"{number}.png", make_photo()) for number in range(3)]
    before = sorted(tmp_path.rglob("*"))
    steps = translate_all(translator, "photo_to_sketch", False, files, str(tmp_path))
    path = next(iter(steps)).path
    assert path.stat().st_size > 0
    steps.close()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_batch_without_a_result_leaves_no_file(translator: Translator, tmp_path: Path) -> None:
    files = [upload(tmp_path, "notes.txt", b"hello")]
    before = sorted(tmp_path.rglob("*"))
    *_, end = translate_all(translator, "photo_to_sketch", False, files, str(tmp_path))
    assert (end.translated(), end.pictures, len(end.errors)) == (0, [], 1)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("count", "sentence"), [(0, "no pictures yet"), (batch.MAX_FILES + 1, "51 files; 50 at most")])
def test_no_files_and_too_many(translator: Translator, tmp_path: Path, count: int, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        next(translate_all(translator, "photo_to_sketch", False, [{"path": "x"}] * count, str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_bytes_beyond_the_limit_are_refused_and_the_rest_is_done(
    translator: Translator, make_photo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_BYTES", 5_000_000)
    heavy = b"\x89PNG" + bytes(4_990_000)
    files = [upload(tmp_path, "a.png", make_photo()), upload(tmp_path, "heavy.png", heavy)]
    files += [upload(tmp_path, "b.bmp", make_photo((100, 100)))]
    *_, end = translate_all(translator, "photo_to_sketch", False, files, str(tmp_path))
    assert end.translated() == 1
    assert end.errors[1] == "“b.bmp” is beyond the 5 MB that go at once."


def test_only_a_few_small_pictures_stay_in_memory(translator: Translator, make_photo: Make, tmp_path: Path) -> None:
    files = [upload(tmp_path, "large.png", make_photo((400, 300)))] * (batch.GALLERY_SIZE + 2)
    *_, end = translate_all(translator, "photo_to_sketch", False, files, str(tmp_path))
    assert {picture.size for picture, _ in end.pictures} == {(batch.THUMBNAIL_SIDE, batch.THUMBNAIL_SIDE * 3 // 4)}
    assert len(end.pictures) == batch.GALLERY_SIZE
    with ZipFile(end.path) as archive:
        assert len(archive.namelist()) == 2 * len(files)  # PNG and SVG
        assert Image.open(archive.open("large.png")).size == (400, 300)


def test_a_pen_is_a_number_within_bounds(make_drawing: Callable[..., Image.Image]) -> None:
    assert pen_of(1) == 1.0
    for value in (None, "1", 0, 0.2, 5, float("nan"), [1]):
        with pytest.raises(ImageError, match=r"^The width of the pen is a number from 0\.5 to 4\.$"):
            pen_of(value)
    drawing = make_drawing((200, 200))
    assert redrawn(drawing, 1) is drawing
    bold = redrawn(drawing, 3)
    assert np.asarray(bold).mean() < np.asarray(drawing).mean()
    found = [re.search(r'stroke-width="([\d.]+)"', svg_of(drawing, pen)) for pen in (1, 3)]
    widths = [float(one.group(1)) for one in found if one]
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.02)


def test_detail_is_a_number_from_0_to_1() -> None:
    assert detail_of(1) == 1.0
    assert detail_of(0.25) == 0.25
    values: list[Any] = [None, "0.5", -0.1, 1.01, float("nan"), [0.5], {}]
    for value in values:
        with pytest.raises(ImageError, match="a number from 0 to 1"):
            detail_of(value)
