"""Folders → batches: what is skipped, what is kept back, and that a sample depends on its number alone."""

import logging
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.colour.palettes import COLOURWAYS
from cyclegan.config import ConfigError, DataConfig
from cyclegan.training import data as data_module
from cyclegan.training.data import UnpairedImages, batches, held_out, samples, worker_count
from cyclegan.training.files import find_images
from tests.pictures import encoded, white_png


@pytest.fixture
def photos(tmp_path: Path, make_photo: Callable[..., Image.Image]) -> Path:
    folder = tmp_path / "photos"
    for number in range(6):
        path = folder / f"kind{number % 2}" / "deeper" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_photo((80, 60), number).save(path)
    return folder


@pytest.fixture
def sketches(tmp_path: Path, make_drawing: Callable[..., Image.Image]) -> Path:
    folder = tmp_path / "sketches"
    folder.mkdir()
    make_drawing((50, 70)).save(folder / "a.png")
    return folder


def config(photos: Path, **settings) -> DataConfig:
    return DataConfig(**{"photos": photos, "size": 64, "batch": 2, "workers": 0, "held_out": 0} | settings)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_has_images_in_range_and_flags(photos: Path) -> None:
    batch = next(batches(UnpairedImages(config(photos), 0), 0, 1))
    for name in ("sketch", "lines", "photo", "traced"):
        assert batch[name].shape == (2, 3, 64, 64)
        assert batch[name].dtype == torch.float32
        assert -1 <= batch[name].min() < batch[name].max() <= 1
    assert batch["paired"].tolist() == [True, True]


def test_an_epoch_shows_every_photo_once_in_an_order_of_its_own(photos: Path) -> None:
    data = UnpairedImages(config(photos), 0)
    epochs = [[data.photo(6 * epoch + place) for place in range(6)] for epoch in range(3)]
    assert all(set(epoch) == set(data.photos) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_small_folders_come_more_often(photos: Path, make_photo: Callable[..., Image.Image]) -> None:
    for number in range(6, 15):  # 12 of one kind, 3 of the other
        make_photo((40, 40), number).save(photos / "kind0" / "deeper" / f"{number}.png")
    shares = []
    for folder_balance in (0, 0.5, 1):
        shown = UnpairedImages(config(photos, folder_balance=folder_balance), 0).photos
        shares.append([sum(f"kind{kind}" in str(path) for path in shown) for kind in (0, 1)])
    assert shares == [[12, 3], [12, 6], [12, 12]]


def test_a_sample_depends_on_seed_and_number_alone(photos: Path) -> None:
    settings = config(photos)
    one, other = UnpairedImages(settings, 7), UnpairedImages(settings, 7)
    other[3]
    assert equal(one[8], other[8])
    assert not equal(one[8], UnpairedImages(settings, 8)[8])


def test_batches_can_start_anywhere_and_do_not_depend_on_workers(photos: Path) -> None:
    settings = config(photos)
    whole = list(batches(UnpairedImages(settings, 0), 0, 4))
    later = list(batches(UnpairedImages(config(photos, workers=2), 0), 2, 4))
    assert len(whole) == 4
    assert all(equal(one, other) for one, other in zip(whole[2:], later, strict=True))


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_start_by_every_method(photos: Path, method: str) -> None:
    """macOS, Windows and Linux from Python 3.14 do not fork: what a worker needs is pickled."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(method, force=True)
    try:
        (batch,) = batches(UnpairedImages(config(photos, workers=1), 0), 0, 1)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert equal(batch, next(batches(UnpairedImages(config(photos), 0), 0, 1)))


def test_files_that_are_no_images_are_named_once_a_line_each_with_the_reason(photos: Path, caplog) -> None:
    (photos / "notes.txt").write_text("not an image")
    (photos / "empty.png").touch()
    (photos / "dot.png").write_bytes(encoded(Image.new("RGB", (2, 2))).getvalue())
    (photos / "bomb.png").write_bytes(white_png(20_000, 10_000))
    with caplog.at_level(logging.WARNING):
        assert len(UnpairedImages(config(photos), 0).photos) == 6
    (record,) = caplog.records
    assert record.getMessage().splitlines() == [
        "data.photos: skipped 4 of 10 files:",
        "  “bomb.png” has too many pixels; the limit is 16 megapixels.",
        "  “dot.png” has only 2×2 pixels; each side needs at least 16.",
        "  “empty.png” is empty (0 bytes); choose another file.",
        "  “notes.txt” is not an image that can be read; use PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF.",
    ]


def test_empty_and_missing_folders_are_clear_errors(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.photos: there is no folder"):
        UnpairedImages(config(tmp_path / "nowhere"), 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"data\.photos: .*empty has no images to train on"):
        UnpairedImages(config(tmp_path / "empty"), 0)
    with pytest.raises(ConfigError, match=r"data\.sketches: "):
        UnpairedImages(config(photos, sketches=tmp_path / "empty", paired_prob=0.5), 0)


def test_unpaired_sketches_come_as_they_are(photos: Path, sketches: Path) -> None:
    data = UnpairedImages(config(photos, sketches=sketches, paired_prob=0), 0)
    sample = data[0]
    assert not sample["paired"]
    assert not sample["coloured"]
    assert torch.equal(sample["sketch"], sample["lines"])
    assert sample["sketch"].std(dim=0).max() < 1e-6  # black on white


def test_the_split_is_a_function_of_the_name(photos: Path) -> None:
    names = [Path(f"{number:05}.jpg") for number in range(4000)]
    kept = {name for name in names if held_out(name, 0.05)}
    assert 150 < len(kept) < 250
    assert all(held_out(Path("elsewhere") / name, 0.05) for name in kept)
    found = find_images(config(photos, held_out=0.5))
    train, test = found.training.photos, found.held_out.photos
    assert not set(train) & set(test)
    assert len(train) + len(test) == 6


def test_samples_to_look_at_are_fixed(photos: Path) -> None:
    settings = config(photos, held_out=0.5)
    found = find_images(settings)
    assert equal(samples(settings, 0, found, 3), samples(settings, 0, found, 3))
    assert samples(config(photos), 0, find_images(config(photos)), 3)["photo"].shape == (
        3,
        3,
        64,
        64,
    )  # none held out: training files


def test_hints_colour_the_sketch_and_never_the_lines(photos: Path) -> None:
    data = UnpairedImages(config(photos, hint_prob=1, unfinished_prob=0), 0)
    found = [data[number] for number in range(6)]
    assert any(sample["coloured"] for sample in found)
    for sample in found:
        chroma = sample["sketch"].std(dim=0).max() > 0.05
        assert bool(chroma) == bool(sample["coloured"])
        assert sample["lines"].std(dim=0).max() < 1e-6
    plain = UnpairedImages(config(photos, hint_prob=0), 0)
    assert not any(plain[number]["coloured"] for number in range(6))


def test_photo_and_traced_drawing_move_together(tmp_path: Path) -> None:
    """Wherever the object lands, its drawing lies around it."""
    sheet = np.full((256, 256, 3), 255, np.uint8)
    sheet[60:200, 90:170] = (200, 30, 30)
    (tmp_path / "photos").mkdir()
    Image.fromarray(sheet).save(tmp_path / "photos" / "block.png")
    data = UnpairedImages(config(tmp_path / "photos", size=128, hint_prob=0, min_scale=0.5), 0)
    for number in range(8):
        sample = data[number]
        object_rows = (sample["photo"][1] < 0.8).any(1).nonzero().flatten()
        line_rows = (sample["traced"][0] < 0).any(1).nonzero().flatten()
        assert abs(int(object_rows[0] - line_rows[0])) <= 2
        assert abs(int(object_rows[-1] - line_rows[-1])) <= 2


def test_a_bare_drawing_comes_with_the_colours_of_its_photo(tmp_path: Path) -> None:
    """The photo's own or those of a colourway: the colour map has those of each region either way."""
    (tmp_path / "photos").mkdir()
    for name, colour in {"red": (200, 30, 30), "blue": (30, 60, 190), "grey": (120, 120, 120)}.items():
        sheet = np.full((256, 256, 3), 255, np.uint8)
        sheet[60:200, 90:170] = colour
        sheet[80:84, 110:150] = 0
        Image.fromarray(sheet).save(tmp_path / "photos" / f"{name}.png")
    data = UnpairedImages(config(tmp_path / "photos", size=128, hint_prob=0, colourways=True), 0)
    told = []
    for number in range(12):
        sample = data[number]
        photo = sample["photo"]
        body = (photo.mean(0) < 0.9) & (sample["colour_map"] < 1).any(dim=0)  # the bar with it: its part's mean is told
        asked = sample["colour_map"][:, body].median(dim=1).values
        assert (photo[:, body].mean(dim=1) - asked).abs().max() < 0.35
        assert not sample["coloured"]
        told.append(tuple((127.5 * asked + 127.5).round().int().tolist()))
    assert any(way.main in told for way in COLOURWAYS)
    assert not all(colour in [way.main for way in COLOURWAYS] for colour in told)


def test_scenes_may_have_finer_lines(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    scene = np.full((600, 600, 3), 220, np.uint8)
    for row in range(40, 560, 22):
        scene[row : row + 6, 40:560] = 30
    Image.fromarray(scene).save(tmp_path / "scenes" / "shelf.png")
    lengths = []
    for fine_prob in (0, 1):
        settings = config(photos, scenes=tmp_path / "scenes", scene_prob=1, fine_prob=fine_prob, size=256)
        samples_of = UnpairedImages(settings, 0)
        lengths.append(np.mean([float((samples_of[number]["lines"] < 0).float().mean()) for number in range(8)]))
    assert lengths[1] > 1.15 * lengths[0]


def test_objects_may_be_pasted_onto_scenes(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    Image.new("RGB", (200, 300), (90, 140, 200)).save(tmp_path / "scenes" / "sky.png")
    thing = np.full((256, 256, 3), 255, np.uint8)
    thing[40:216, 60:196] = (200, 40, 30)
    (tmp_path / "things").mkdir()
    Image.fromarray(thing).save(tmp_path / "things" / "box.png")
    seen = []
    for paste_prob in (0, 1):
        settings = config(tmp_path / "things", scenes=tmp_path / "scenes", scene_prob=1, paste_prob=paste_prob)
        samples_of = UnpairedImages(settings, 0)
        seen.append([(samples_of[number]["traced"] < 0).any().item() for number in range(6)])
    assert not any(seen[0])
    assert any(seen[1])


def test_a_bare_drawing_may_come_with_its_photo_blurred(photos: Path) -> None:
    settings = {"hint_prob": 0, "unfinished_prob": 0, "size": 128}
    data = UnpairedImages(config(photos, smooth_prob=1, **settings), 0)
    for number in range(6):
        sample = data[number]
        assert (sample["colour_map"] - sample["photo"]).abs().mean() < 0.15
        assert not sample["coloured"]


def test_scenes_are_crops_with_their_lines_and_their_own_colours(photos: Path, tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    scene = np.full((200, 300, 3), (90, 140, 200), np.uint8)
    scene[60:140, 100:220] = (180, 60, 40)
    Image.fromarray(scene).save(scenes / "house.png")
    data = UnpairedImages(config(photos, scenes=scenes, scene_prob=1, vary_detail=True), 0)
    crops = [data[number] for number in range(8)]
    assert equal(crops[3], UnpairedImages(data.config, 0)[3])
    margins = []
    for crop in crops:
        assert crop["photo"].shape == (3, 64, 64)
        assert crop["paired"]
        assert not crop["coloured"]
        assert (crop["colour_map"] - crop["photo"]).abs().mean() < 0.2
        margin = (crop["colour_map"] == 1).all(dim=0)
        assert margin.equal((crop["photo"] == 1).all(dim=0))
        margins.append(bool(margin.any()))
        assert crop["sketch_detail"] == crop["detail"]
        assert crop["colour_map"].std() <= crop["photo"].std() + 1e-3
        assert 0 <= crop["detail"] <= 1
    assert any((crop["traced"] < 0).any() for crop in crops)
    assert set(margins) == {False, True}  # all of the photo, or a crop that fills the sheet
    assert len({float(crop["detail"]) for crop in crops}) > 3
    plain = UnpairedImages(config(photos), 0)[0]
    assert plain["detail"] == 1
    assert batches(UnpairedImages(config(photos), 0), 0, 1).__next__()["detail"].dtype == torch.float32


def test_images_travel_as_bytes_and_arrive_as_floats(photos: Path) -> None:
    """On any device: here PyTorch's own that computes shapes alone."""
    data = UnpairedImages(config(photos), 0)
    bytes_, _ = data.sample(0)
    assert {bytes_[name].dtype for name in ("sketch", "lines", "photo", "traced", "hints", "colour_map")} == {
        torch.uint8
    }
    assert torch.equal(data[0]["photo"], bytes_["photo"].permute(2, 0, 1) / 127.5 - 1)
    batch = next(batches(data, 0, 1))
    assert batch["photo"].is_contiguous(memory_format=torch.channels_last)
    there = next(batches(data, 0, 1, device=torch.device("meta")))
    assert there["photo"].device.type == "meta"
    assert there["photo"].shape == (2, 3, 64, 64)
    assert there["photo"].dtype == torch.float32
    assert there["paired"].tolist() == [True, True]  # which decides what is computed: no device has to be waited for


def test_an_accelerator_gets_all_cores_but_one(photos: Path, monkeypatch) -> None:
    monkeypatch.setattr(data_module, "usable_cpus", lambda: 16)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    settings, cuda = config(photos, workers=None), torch.device("cuda", 1)
    assert worker_count(settings, torch.device("cpu")) == 1
    assert worker_count(settings, cuda) == 15
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert worker_count(settings, cuda) == 1
    assert worker_count(config(photos, workers=3), cuda) == 3
