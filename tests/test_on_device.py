"""Photos made on a device, a batch at a time, are those that OpenCV makes one by one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.images import from_lab, to_lab
from cyclegan.training import augmentation, on_device, photo_transform
from cyclegan.training.data import UnpairedImages, batches
from tests.training_fixtures import data_config


@pytest.fixture
def folder(tmp_path: Path, make_photo: Callable[..., Image.Image], make_drawing: Callable[..., Image.Image]) -> Path:
    for number in range(6):
        for name, picture in (("photos", make_photo((200, 256), number)), ("sketches", make_drawing((90, 80)))):
            (tmp_path / name).mkdir(exist_ok=True)
            picture.save(tmp_path / name / f"{number}.png")
    (tmp_path / "scenes").mkdir()
    make_photo((300, 200), 3).save(tmp_path / "scenes" / "wide.png")
    return tmp_path


@pytest.mark.parametrize(
    "settings",
    [
        {"hint_prob": 1},
        {"hint_prob": 0, "colourways": True, "smooth_prob": 0.3},
        {"scenes": "scenes", "scene_prob": 1},
        {"sketches": "sketches", "paired_prob": 0, "match_names": False},
        {"sketches": "sketches"},
        {"sketches": "sketches", "crop_from": 200},
    ],
    ids=["hints", "colourways", "scenes", "unpaired", "given", "crops"],
)
def test_photos_are_the_same_as_those_of_a_worker(folder: Path, settings: dict) -> None:
    """On average within half a level of 255, and but for one in a thousand within 8; all else is the very same."""
    paths = {name: folder / name for name in ("scenes", "sketches") if name in settings}
    config = data_config(folder / "photos", size=144, batch=6, **settings | paths)
    here, there = (
        list(batches(UnpairedImages(config.model_copy(update={"on_device": one}), 0), 0, 2)) for one in (False, True)
    )
    for ours, theirs in zip(here, there, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            if name not in ("photo", "colour_map"):
                assert ours[name].equal(theirs[name])
                continue
            away = 127.5 * (ours[name] - theirs[name]).abs()
            assert away.mean((1, 2, 3)).max() < 0.5
            assert (away > 8).float().mean() < 1e-3
            assert theirs[name].is_contiguous(memory_format=torch.channels_last)
            assert theirs[name].stride() == ours[name].stride()


def test_colours_are_those_of_opencv() -> None:
    """Black, white and all between, within what its tables leave; what a screen cannot show is cut."""
    rgb = np.stack(np.meshgrid(*[np.linspace(0, 1, 18, dtype=np.float32)] * 3), axis=-1).reshape(1, -1, 3)
    lab = on_device.to_lab(torch.from_numpy(rgb).permute(2, 0, 1)[None])
    assert np.abs(lab[0].permute(1, 2, 0).numpy() - to_lab(rgb)).max() < 0.5
    stronger = lab * torch.tensor([1, 1.5, 1.5]).view(1, 3, 1, 1)
    expected = from_lab(stronger[0].permute(1, 2, 0).numpy()).clip(0, 1)
    assert np.abs(on_device.from_lab(stronger)[0].permute(1, 2, 0).numpy() - expected).max() < 0.01


def test_a_worker_then_looks_at_small_photos_alone(folder: Path, monkeypatch) -> None:
    sizes: list[int] = []
    moved = photo_transform.moved

    def watched(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
        sizes.append(size)
        return moved(picture, matrix, size)

    for module in (photo_transform, augmentation):
        monkeypatch.setattr(module, "moved", watched)
    data = UnpairedImages(data_config(folder / "photos", size=256, colourways=True), 0)
    for number in range(6):
        data.sample(number, raw=True)
    assert set(sizes) == {128}
    data.sample(0)
    assert set(sizes) == {128, 256}


def test_it_is_the_default_where_networks_are_on_an_accelerator(folder: Path, monkeypatch) -> None:
    raw: list[bool] = []
    sample = UnpairedImages.sample

    def watched(data: UnpairedImages, number: int, asked: bool = False) -> tuple:
        raw.append(asked)
        return sample(data, number, asked)

    monkeypatch.setattr(UnpairedImages, "sample", watched)
    for device, wanted in (("cpu", None), ("meta", None), ("cpu", True), ("meta", False)):
        data = UnpairedImages(data_config(folder / "photos", batch=1, on_device=wanted), 0)
        next(batches(data, 0, 1, device=torch.device(device)))
    assert raw == [False, True, True, False]
