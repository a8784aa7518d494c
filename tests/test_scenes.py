"""Scenes: how well F's lines tell what they show, beside the teacher's and Canny's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cyclegan.config import ConfigError
from cyclegan.evaluation import scenes
from cyclegan.evaluation.report import Report
from cyclegan.inference import Translator
from cyclegan.weights import Weights
from tests.conftest import TINY, make_networks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scene = np.full((90, 160, 3), (110, 150, 200), np.uint8)
    scene[30:80, 40:110] = (150, 40, 30)
    for number in range(3):
        Image.fromarray(np.roll(scene, 5 * number, axis=1)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_scenes_add_six_numbers_and_a_sheet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "SIDE", 192)
    networks = make_networks()
    translator = Translator(Weights(TINY, {name: networks[name].state_dict() for name in "GF"}, "tests/"), "cpu")
    photos = scenes.read_scenes(folder, 1.0, 2)
    assert [photo.shape for photo in photos] == [(108, 192, 3)] * 2
    before = Report("tests/", 0, 0, {"sketch_to_photo": [], "photo_to_sketch": []}, {})
    report = scenes.with_scenes(before, translator, photos)
    rows = {row.name: row.columns for row in report.numbers["photo_to_sketch"]}
    assert set(rows) == {f"scenes: {name}" for name in ("recall", "precision", "clutter", "dashes", "frame", "crisp")}
    assert all(set(columns) == {"photos", "teacher", "Canny"} for columns in rows.values())
    assert rows["scenes: recall"]["teacher"] > 0.8
    assert rows["scenes: recall"]["Canny"] > 0.95
    assert report.sheets["scenes.jpg"].width > 5 * scenes.SHEET_SIDE


def test_redrawn_photos_are_held_against_the_photos(folder: Path) -> None:
    """The ceiling is the colours alone; with an extractor, features count too."""
    networks = make_networks()
    translator = Translator(Weights(TINY, {name: networks[name].state_dict() for name in "GF"}, "tests/"), "cpu")
    photos = scenes.read_scenes(folder, 1.0, 3)
    rows = {row.name: row.columns for row in scenes.redrawn_scores(translator, photos)}
    names = {f"scenes: {name}" for name in ("mean difference", "texture distance", "colour distance")}
    assert set(rows) == names
    for columns in rows.values():
        assert columns["floor"] == 0 < columns["ceiling"]
        assert columns["photos"] > 0
    difference = rows["scenes: mean difference"]
    assert difference["ceiling"] < difference["photos"] < 255  # an untrained G is worse than the colours

    def mean_colours(batch: torch.Tensor) -> torch.Tensor:
        return batch.float().mean(dim=(2, 3))

    extractor = nn.Module()
    extractor.forward = mean_colours  # type: ignore[method-assign]
    rows = {row.name: row.columns for row in scenes.redrawn_scores(translator, photos, extractor)}
    assert set(rows) == names | {"scenes: feature distance"}
    assert rows["scenes: feature distance"]["ceiling"] < 1e-3 < rows["scenes: feature distance"]["photos"]


def test_scenes_are_those_kept_back(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no images kept back"):
        scenes.read_scenes(folder, 0.0, 5)
    with pytest.raises(ConfigError, match="there is no folder"):
        scenes.read_scenes(folder / "nowhere", 0.5, 5)


def test_sharp_scenes_are_those_that_were_large_enough(tmp_path: Path) -> None:
    for name, size in (("small", (90, 160)), ("large", (300, 200))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    assert [scene.shape for scene in scenes.read_scenes(tmp_path, 1.0, 5, sharp=150)] == [(150, 225, 3)]
    assert scenes.read_scenes(tmp_path, 1.0, 5, sharp=400) == []
