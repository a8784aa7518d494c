"""Datasets as the Hugging Face Hub has them: read from a folder, and downloaded by their id."""

import sys
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from PIL import Image

from cyclegan.config import ConfigError
from cyclegan.training.data import UnpairedImages, batches, samples
from cyclegan.training.files import find_images
from tests.hub_server import Hub
from tests.training_fixtures import data_config

pytest_plugins = ["tests.hub_fixtures"]

Rows = Callable[..., datasets.Dataset]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")


@pytest.fixture
def rows(make_photo: Callable[..., Image.Image], make_drawing: Callable[..., Image.Image]) -> Rows:
    """rows(count, photo="image", …): a dataset with that many photos, sketches and labels in columns so called."""

    def make(count: int, **columns: str) -> datasets.Dataset:
        made = {
            "photo": [make_photo((48, 40), number) for number in range(count)],
            "sketch": [make_drawing((48, 40)) for _ in range(count)],
        }
        images = {column: made[kind] for kind, column in columns.items()}
        features = datasets.Features(
            {"label": datasets.Value("int32"), **{column: datasets.Image() for column in images}}
        )
        return datasets.Dataset.from_dict({"label": [0] * count, **images}, features)

    return make


def parquet(folder: Path, **splits: datasets.Dataset) -> Path:
    """As the Hub lays them out."""
    (folder / "data").mkdir(parents=True)
    for name, split in splits.items():
        split.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


def test_a_saved_dataset_of_photos_is_split_by_hash_and_read_by_workers(tmp_path: Path, rows: Rows) -> None:
    rows(40, photo="image").save_to_disk(str(tmp_path / "saved"))
    config = data_config(tmp_path / "saved", held_out=0.25, workers=1)
    found = find_images(config, tmp_path / "index.json")
    assert str(found) == (
        f"{len(found.training.photos)} photos to train on, {len(found.held_out.photos)} photos kept back "
        "(photos of a dataset)."
    )
    assert 4 < len(found.held_out.photos) < 18
    assert len(found.training.photos) + len(found.held_out.photos) == 40
    assert samples(config, 0, found)["photo"].shape == (8, 3, 64, 64)
    (batch,) = batches(UnpairedImages(config, 0, found.training), 0, 1)
    assert batch["photo"].std() > 0.1


@pytest.mark.parametrize(
    ("photo", "sketch"), [("photo", "sketch"), ("image", "conditioning_image"), ("imageB", "imageA")]
)
def test_two_columns_are_pairs_and_the_test_split_is_held_out(
    tmp_path: Path, rows: Rows, photo: str, sketch: str
) -> None:
    columns = {"photo": photo, "sketch": sketch}
    folder = parquet(tmp_path / "pairs", train=rows(3, **columns), test=rows(2, **columns))
    config = data_config(folder)
    found = find_images(config)
    assert found.layout == f"pairs of a dataset: {sketch} are sketches, {photo} photos, those of test held out"
    assert [len(found.training.photos), len(found.held_out.photos)] == [3, 2]
    first = found.training.photos[0]
    assert found.training.sketch_of[first] == folder / "train" / sketch / first.name
    assert UnpairedImages(config, 0, found.training)[0]["paired"]
    unpaired = UnpairedImages(data_config(folder, match_names=False, paired_prob=0.0), 0)
    assert not unpaired.listing.sketch_of
    assert not unpaired[0]["paired"]


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, rows: Rows, monkeypatch) -> None:
    three = parquet(tmp_path / "three", train=rows(2, photo="left", sketch="right"))
    with pytest.raises(ConfigError, match="called photo and sketch; it has left, right"):
        find_images(data_config(three))
    none = parquet(tmp_path / "none", train=rows(2))
    with pytest.raises(ConfigError, match="it has none"):
        find_images(data_config(none))
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "train.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ConfigError, match="cannot be read"):
        find_images(data_config(damaged))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match="pip install datasets"):
        find_images(data_config(none))


def test_an_image_that_is_missing_or_damaged_costs_a_warning(tmp_path: Path, rows: Rows) -> None:
    good = rows(6, photo="image").cast_column("image", datasets.Image(decode=False))
    cells = [*good["image"][:4], {"bytes": b"no image", "path": None}, None]
    features = datasets.Features({"image": datasets.Image()})
    folder = parquet(tmp_path / "some", train=datasets.Dataset.from_dict({"image": cells}, features))
    data = UnpairedImages(data_config(folder), 0)
    problems = {problem for number in range(12) for problem in data.sample(number)[1]}
    assert len(problems) == 2
    assert any("has no image" in problem for problem in problems)
    assert any(problem.startswith("“train, row ") for problem in problems)


def test_a_dataset_of_the_hub_by_its_id(tmp_path: Path, rows: Rows, hub: Hub) -> None:
    folder = parquet(tmp_path / "here", train=rows(5, photo="image"))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")}
    hub.add("datasets/shoes/photos", files)
    config = data_config(Path("hf://datasets/shoes/photos"))
    for _ in range(2):
        assert len(find_images(config).training.photos) == 5
    assert hub.count("GET", "parquet") == 1
    with pytest.raises(ConfigError, match="the dataset “shoes/none” is neither"):
        find_images(data_config(Path("hf://datasets/shoes/none")))
