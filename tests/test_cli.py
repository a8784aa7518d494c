"""`python -m cyclegan` as users call it: files, folders, bad files among good ones, exit codes, --help."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from cyclegan.__main__ import main
from cyclegan.inference import Translator

Make = Callable[..., Image.Image]
TRANSLATIONS = ["sketch-to-photo", "photo-to-sketch"]


@pytest.fixture
def photos(tmp_path: Path, make_photo: Make) -> Path:
    """Two levels of good images; notes that are no images are no failures."""
    folder = tmp_path / "photos"
    (folder / "bags" / "small").mkdir(parents=True)
    make_photo((64, 48), 1).save(folder / "shoe.jpg")
    make_photo((48, 64), 2).save(folder / "bags" / "bag.PNG")
    make_photo((64, 64), 3).save(folder / "bags" / "small" / "purse.webp")
    (folder / "notes.txt").write_text("not an image")
    return folder


def found(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("command", TRANSLATIONS)
def test_one_file(command: str, tmp_path: Path, weights_folder: Path, make_photo: Make) -> None:
    photo, result = tmp_path / "in.png", tmp_path / "new" / "out.png"
    make_photo((90, 50)).save(photo)
    assert main([command, str(photo), str(result), "--weights", str(weights_folder)]) == 0
    translate = getattr(Translator.from_pretrained(weights_folder), command.replace("-", "_"))
    assert Image.open(result).tobytes() == translate(Image.open(photo)).tobytes()


def test_the_seed_chooses_the_colours(tmp_path: Path, weights_folder: Path, make_drawing: Make) -> None:
    make_drawing().save(tmp_path / "in.png")
    for seed in (1, 2):
        out = str(tmp_path / f"{seed}.png")
        arguments = [str(tmp_path / "in.png"), out, "--seed", str(seed), "--weights", str(weights_folder)]
        assert main(["sketch-to-photo", *arguments]) == 0
    assert (tmp_path / "1.png").read_bytes() != (tmp_path / "2.png").read_bytes()


def test_out_may_be_a_folder_or_another_format(tmp_path: Path, weights_folder: Path, make_photo: Make) -> None:
    make_photo().save(tmp_path / "shoe.jpg")
    for out in ("results", "shoe-drawn.jpg"):
        arguments = [str(tmp_path / "shoe.jpg"), str(tmp_path / out), "--weights", str(weights_folder)]
        assert main(["photo-to-sketch", *arguments]) == 0
    assert Image.open(tmp_path / "results" / "shoe.png").format == "PNG"
    assert Image.open(tmp_path / "shoe-drawn.jpg").format == "JPEG"


def test_folder_keeps_its_shape(photos: Path, tmp_path: Path, weights_folder: Path) -> None:
    assert main(["photo-to-sketch", str(photos), str(tmp_path / "out"), "--weights", str(weights_folder)]) == 0
    assert found(tmp_path / "out") == ["bags/bag.png", "bags/small/purse.png", "shoe.png"]
    assert Image.open(tmp_path / "out" / "bags" / "bag.png").size == (48, 64)


def test_bad_files_are_reported_and_the_rest_go_on(
    photos: Path, tmp_path: Path, weights_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "bags" / "broken.png").write_bytes(b"nonsense")
    (photos / "empty.jpg").touch()
    assert main(["photo-to-sketch", str(photos), str(tmp_path / "out"), "--weights", str(weights_folder)]) == 1
    assert len(found(tmp_path / "out")) == 3
    printed = capsys.readouterr()
    assert "3 of 5 images done" in printed.out
    lines = printed.err.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["bags/broken.png", "empty.jpg"]


def test_a_result_that_cannot_be_written_is_one_failure(photos: Path, tmp_path: Path, weights_folder: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bags").write_text("in the way")
    assert main(["photo-to-sketch", str(photos), str(tmp_path / "out"), "--weights", str(weights_folder)]) == 1
    assert "shoe.png" in found(tmp_path / "out")


def test_two_images_of_one_name_both_get_a_result(photos: Path, tmp_path: Path, make_photo: Make) -> None:
    make_photo().save(photos / "shoe.png")
    assert main(["make-sketches", str(photos), str(tmp_path / "out")]) == 0
    assert {"shoe.jpg.png", "shoe.png.png"} <= set(found(tmp_path / "out"))


def test_results_inside_the_folder_are_not_taken_for_input(photos: Path) -> None:
    for _ in range(2):
        assert main(["make-sketches", str(photos), str(photos / "sketches")]) == 0
    assert len(found(photos / "sketches")) == 3


def test_make_sketches_draws_each_photo_by_its_name_and_seed(photos: Path, tmp_path: Path, make_photo: Make) -> None:
    def drawn(out: str, *options: str) -> dict[str, bytes]:
        assert main(["make-sketches", str(photos), str(tmp_path / out), *options]) == 0
        return {name: (tmp_path / out / name).read_bytes() for name in found(tmp_path / out)}

    first = drawn("first", "--per-photo", "2")
    assert sorted(first) == [f"{stem}-{n}.png" for stem in ("bags/bag", "bags/small/purse", "shoe") for n in (1, 2)]
    assert Image.open(tmp_path / "first" / "shoe-1.png").size == (64, 48)
    assert len(set(first.values())) == 6
    make_photo((64, 64), 9).save(photos / "another.png")
    again = drawn("again", "--per-photo", "2")
    assert {name: again[name] for name in first} == first
    assert drawn("other", "--per-photo", "2", "--seed", "1")["shoe-1.png"] != first["shoe-1.png"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sketch-to-photo"],
        ["paint", "a.png", "b.png"],
        ["sketch-to-photo", "missing.png", "out.png"],
        ["sketch-to-photo", "shoe.png", "shoe.png"],
        ["make-sketches", ".", "."],
        ["make-sketches", ".", "shoe.png"],
        ["make-sketches", ".", "out", "--per-photo", "0"],
    ],
)
def test_wrong_usage_changes_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_photo: Make
) -> None:
    monkeypatch.chdir(tmp_path)
    make_photo().save("shoe.png")
    before = Path("shoe.png").read_bytes()
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert Path("shoe.png").read_bytes() == before
    assert found(tmp_path) == ["shoe.png"]


def test_no_images_and_no_weights_are_failures_in_one_sentence(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["make-sketches", str(tmp_path / "empty"), str(tmp_path / "out")]) == 1
    assert "There are no images" in capsys.readouterr().err
    assert main(["sketch-to-photo", str(photos), str(tmp_path / "out"), "--weights", str(tmp_path / "none")]) == 1
    assert "Three ways to get weights" in capsys.readouterr().err


def test_as_a_program() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cyclegan", "--help"], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert all(command in run.stdout for command in [*TRANSLATIONS, "make-sketches", "examples:"])


def test_drawings_as_svg_and_in_less_detail(weights_folder: Path, tmp_path: Path, make_photo: Make) -> None:
    make_photo().save(tmp_path / "photo.png")
    command = ["photo-to-sketch", str(tmp_path / "photo.png"), "--weights", str(weights_folder)]
    assert main([*command[:2], str(tmp_path / "drawing.svg"), *command[2:], "--detail", "0.2"]) == 0
    assert main([*command[:2], str(tmp_path / "out"), *command[2:], "--svg"]) == 0
    for path in (tmp_path / "drawing.svg", tmp_path / "out" / "photo.svg"):
        assert path.read_text(encoding="utf-8").startswith("<svg ")
    with pytest.raises(SystemExit, match="2"):
        main([*command[:2], str(tmp_path / "x.png"), "--detail", "2"])
    with pytest.raises(SystemExit):
        main([*command[:2], str(tmp_path / "x.png"), "--pen", "9"])
    assert main([*command[:2], str(tmp_path / "bold.svg"), *command[2:], "--pen", "3"]) == 0


def test_colours_come_from_a_photo(weights_folder: Path, tmp_path: Path, make_drawing: Make, capsys) -> None:
    make_drawing().save(tmp_path / "drawing.png")
    for colour in ("red", "blue"):
        Image.new("RGB", (80, 80), colour).save(tmp_path / f"{colour}.png")
        command = ["sketch-to-photo", str(tmp_path / "drawing.png"), str(tmp_path / f"{colour}-photo.png")]
        assert main([*command, "--weights", str(weights_folder), "--colours", str(tmp_path / f"{colour}.png")]) == 0
    assert (tmp_path / "red-photo.png").read_bytes() != (tmp_path / "blue-photo.png").read_bytes()
    assert main([*command, "--weights", str(weights_folder), "--colours", str(tmp_path / "none.png")]) == 1
    assert "“none.png” was not found" in capsys.readouterr().err


def test_drawings_are_normalised_unless_raw_and_empty_pages_are_failures(
    weights_folder: Path, tmp_path: Path, make_drawing: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    source, translator = tmp_path / "drawings", Translator.from_pretrained(weights_folder)
    source.mkdir()
    night = ImageOps.invert(make_drawing((90, 90)))
    night.save(source / "night.png")
    command = ["sketch-to-photo", str(source), "--weights", str(weights_folder)]
    for options, normalise in (([], True), (["--raw"], False)):
        out = tmp_path / f"out{len(options)}"
        assert main([*command[:2], str(out), *command[2:], *options]) == 0
        expected = translator.sketch_to_photo(night, normalise=normalise)
        assert Image.open(out / "night.png").tobytes() == expected.tobytes()
    Image.new("RGB", (90, 90), "white").save(source / "empty.png")
    assert main([*command[:2], str(tmp_path / "out"), *command[2:]]) == 1
    printed = capsys.readouterr()
    assert "1 of 2 images done" in printed.out
    assert "empty.png: There are no lines in this picture;" in printed.err
