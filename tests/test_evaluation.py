"""Evaluation end to end on tiny networks: what is kept back, what is reported, what the command writes and says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import mobilenet_v2

from cyclegan.__main__ import main
from cyclegan.config import ConfigError
from cyclegan.evaluation import features, held_out, metrics, report
from cyclegan.evaluation.held_out import HeldOut
from cyclegan.images import to_lab
from cyclegan.inference import Translator
from cyclegan.training.data import held_out as is_held_out
from tests.conftest import TINY

Make = Callable[..., Image.Image]
SHARE = 0.4
CONFIG = TINY.model_copy(update={"training": {"data": {"held_out": SHARE}}})


@pytest.fixture
def photos(tmp_path: Path, make_photo: Make) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(12):
        make_photo((72, 64), seed).save(folder / f"{seed}.png")
    (folder / "broken.png").write_bytes(b"nonsense")
    return folder


@pytest.fixture
def sketches(tmp_path: Path, make_drawing: Make) -> Path:
    folder = tmp_path / "sketches"
    folder.mkdir()
    for number in range(3):
        make_drawing((64, 64 + number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def material(photos: Path, sketches: Path) -> HeldOut:
    return held_out.gather(TINY, photos, sketches, count=4, everything=True)


@pytest.fixture
def translator(weights_folder: Path) -> Translator:
    return Translator.from_pretrained(weights_folder, "cpu", torch.float32)


class Mean(nn.Module):
    """Mean, deviation and their product of each channel: features enough for a small test."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.dtype == torch.uint8
        mean, deviation = (f(images.float() / 255, dim=(2, 3)) for f in (torch.mean, torch.std))
        return torch.cat((mean, deviation, mean * deviation), dim=1)


# --- what it is made with --------------------------------------------------------------------------------------------


def test_what_was_trained_on_is_the_reference_only(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_image = held_out.images.open_image

    def watched(path: Path) -> Image.Image:
        opened.append(path.name)
        return open_image(path)

    monkeypatch.setattr(held_out.images, "open_image", watched)
    material = held_out.gather(CONFIG, photos)
    kept_back = {path.name for path in photos.iterdir() if is_held_out(path, SHARE)}
    usable = kept_back - {"broken.png"}
    assert 2 <= len(usable) <= 10
    assert len(material.photos) == len(usable)
    assert set(opened[: len(kept_back)]) == kept_back
    assert not kept_back & set(opened[len(kept_back) :])


def test_weights_that_know_nothing_of_a_folder_are_measured_on_the_share_asked_for(photos: Path) -> None:
    kept_back = [path for path in photos.iterdir() if is_held_out(path, 0.2) and path.name != "broken.png"]
    assert len(kept_back) != sum(is_held_out(path, SHARE) for path in photos.iterdir())
    assert len(held_out.gather(CONFIG, photos, share=0.2).photos) == len(kept_back)


def test_parts_belong_together_and_sketches_to_none(material: HeldOut) -> None:
    assert material.photos.shape == material.lines.shape == material.traced.shape == (4, 64, 64, 3)
    assert material.others.shape == material.others_traced.shape == (4, 64, 64, 3)
    assert material.sketches is not None
    assert len(material.sketches) == 3
    inside = metrics.foreground(material.photos)
    for mask, seen in zip(material.masks, inside, strict=True):
        assert (mask & seen).sum() > 0.9 * (mask | seen).sum()
    assert not any((photo == other).all() for photo in material.photos for other in material.others)


def test_the_same_files_give_the_same_material(photos: Path, tmp_path: Path, material: HeldOut) -> None:
    moved = photos.rename(tmp_path / "elsewhere")
    again = held_out.gather(TINY, moved, count=4, everything=True)
    assert np.array_equal(again.lines, material.lines)
    assert np.array_equal(again.hinted(again.photos), material.hinted(material.photos))
    assert np.array_equal(again.turned(), material.turned())


def test_turned_hues_keep_lightness_and_grey() -> None:
    photo = np.array([[(150, 110, 120), (90, 90, 90), (255, 255, 255)]], np.uint8)
    turned = held_out.turned_hues(photo, 120)
    before, after = to_lab(photo)[0], to_lab(turned)[0]
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=0.5)
    np.testing.assert_allclose(turned[0, 1:], photo[0, 1:], atol=1)
    cosine = after[0, 1:] @ before[0, 1:] / (np.linalg.norm(after[0, 1:]) * np.linalg.norm(before[0, 1:]))
    assert cosine == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize("said", [{}, {"data": {}}, {"data": {"held_out": "much"}}, {"data": 5}])
def test_the_usual_share_where_the_weights_do_not_say(said: dict[str, object], photos: Path) -> None:
    """5% of thirteen files are none or one: too few, and the user is told what to do."""
    with pytest.raises(ConfigError, match="--all takes every one"):
        held_out.gather(TINY.model_copy(update={"training": said}), photos)


def test_folders_that_are_not_there_or_too_small(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="--photos: there is no folder"):
        held_out.gather(TINY, tmp_path / "none")
    with pytest.raises(ConfigError, match=r"--photos: .*too few images"):
        held_out.gather(TINY, tmp_path / "empty", everything=True)
    with pytest.raises(ConfigError, match=r"--sketches: .*too few images"):
        held_out.gather(TINY, photos, tmp_path / "empty", everything=True)


# --- what comes out --------------------------------------------------------------------------------------------------


def test_every_number_has_its_columns_and_bounds(translator: Translator, material: HeldOut) -> None:
    result = report.evaluate(translator, material, Mean())
    photo = {number.name: number.columns for number in result.numbers["sketch_to_photo"]}
    sketch = {number.name: number.columns for number in result.numbers["photo_to_sketch"]}
    assert photo.keys() == {
        *report.PHOTO_METRICS,
        *report.FEATURE_METRICS,
        "shade ratio",
        "highlight ratio",
        "inside filled",
        "outside clean",
        "cycle error",
        "colour change by pen",
        "distance from hint",
    }
    assert sketch.keys() == {*report.DRAWING_METRICS, *report.FEATURE_METRICS, "cycle error"}
    assert list(photo["colour distance"]) == ["lines", "traced", "hints", "sketches", "floor", "ceiling"]
    for columns in (*photo.values(), *sketch.values()):
        assert {"floor", "ceiling"} <= columns.keys()
        assert np.isfinite(list(columns.values())).all()
    assert photo["shade ratio"]["floor"] == photo["inside filled"]["floor"] == 1
    assert photo["inside filled"]["ceiling"] < 0.5  # bare lines do not fill
    assert photo["distance from hint"]["floor"] < photo["distance from hint"]["ceiling"]
    assert photo["chroma ratio"]["ceiling"] < 0.1  # lines have no colour
    assert sketch["mid-grey ratio"]["floor"] == pytest.approx(1, abs=0.1)


def test_columns_are_made_by_the_network_of_their_direction(translator: Translator, material: HeldOut) -> None:
    fakes = report.translated(translator, material.lines, "sketch_to_photo")
    one_by_one = [
        np.asarray(translator.sketch_to_photo(Image.fromarray(sheet), normalise=False)) for sheet in material.lines
    ]
    np.testing.assert_allclose(fakes.astype(int), np.stack(one_by_one), atol=1)
    drawn = report.translated(translator, material.photos, "photo_to_sketch")
    expected = metrics.cycle_error(material.photos, report.translated(translator, drawn, "sketch_to_photo"))
    numbers, _ = report.photo_to_sketch(translator, material)
    assert next(n for n in numbers if n.name == "cycle error").columns["photos"] == expected


def test_weights_without_hints_are_not_asked_for_them(
    translator: Translator, material: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator, "config", TINY.model_copy(update={"colour_hints": False}))
    numbers, sheets = report.sketch_to_photo(translator, material)
    assert "distance from hint" not in {number.name for number in numbers}
    assert all("hints" not in number.columns for number in numbers)
    assert sheets.keys() == {"sketch-to-photo.jpg", "sketches-to-photos.jpg"}


# --- KID and FID -----------------------------------------------------------------------------------------------------


def test_kid_and_fid_know_the_same_from_another() -> None:
    rng = torch.Generator().manual_seed(0)
    points, again = torch.randn(2, 60, 4, generator=rng)
    for distance in (features.kid, features.fid):
        assert distance(points, again) < 0.1 * distance(points, again + 3)
    assert features.fid(points, points + 3) == pytest.approx(4 * 3**2, rel=0.01)  # |μ − ν|², equal covariances
    state = torch.get_rng_state()
    assert features.kid(points, again) == features.kid(points, again)
    assert torch.equal(torch.get_rng_state(), state)


def test_mobilenet_from_a_file_makes_1280_features(tmp_path: Path) -> None:
    torch.save(mobilenet_v2(weights=None).state_dict(), tmp_path / "features.pth")
    extractor = features.load_extractor(tmp_path / "features.pth")
    with torch.inference_mode():
        made = extractor(torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8))
    assert made.shape == (2, 1280)
    assert made.isfinite().all()


def test_a_file_that_is_no_mobilenet(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "features.pth")
    for name in ("features.pth", "missing.pth"):
        with pytest.raises(features.FeaturesError, match=f"No KID and FID: --features: .*{name}"):
            features.load_extractor(tmp_path / name)


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(
    weights_folder: Path, photos: Path, sketches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(out: str) -> dict[str, object]:
        paths = ["--weights", weights_folder, "--photos", photos, "--sketches", sketches, "--out", tmp_path / out]
        assert main(["evaluate", *map(str, paths), "--features", "none", "--all", "--count", "3"]) == 0
        return json.loads((tmp_path / out / "evaluation.json").read_text(encoding="utf-8"))

    first = run("new/first")
    printed = capsys.readouterr().out
    assert "3 photos, 3 sketches" in printed
    for name in (*report.PHOTO_METRICS, *report.DRAWING_METRICS, "floor", "ceiling"):
        assert name in printed
    assert first["photos"] == 3
    assert run("second") == first
    sheets = sorted(path.name for path in (tmp_path / "second").glob("*.jpg"))
    assert sheets == ["photo-to-sketch.jpg", "sketch-to-photo.jpg", "sketches-to-photos.jpg"]
    assert Image.open(tmp_path / "second" / "sketch-to-photo.jpg").width > 6 * 64


def test_without_an_extractor_the_rest_is_measured(
    weights_folder: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def missing(weights: Path | None) -> nn.Module:
        raise features.FeaturesError("No KID and FID: a package is missing")

    monkeypatch.setattr(features, "load_extractor", missing)
    arguments = ["evaluate", "--weights", str(weights_folder), "--photos", str(photos), "--all", "--count", "2"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "No KID and FID" in printed
    assert "colour distance" in printed
    assert "KID ×1000" not in printed
    assert main([*arguments, "--out", str(tmp_path / "other"), "--features", "gone.pth"]) == 1
    assert not (tmp_path / "other").exists()


def test_failures_are_one_sentence(weights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--weights", str(weights_folder), "--photos", str(tmp_path / "none"), "--features", "none"]
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"--photos: there is no folder {tmp_path / 'none'}.\n"


def test_only_the_metrics_that_need_it_import_torchmetrics() -> None:
    """`features` itself is imported without the packages of the extra `train`."""
    lines = Path(features.__file__).read_text(encoding="utf-8").splitlines()
    assert not [
        line for line in lines if line.startswith(("from torchm", "import torchm", "from cyclegan.training.perceptual"))
    ]
