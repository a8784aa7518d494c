"""A pack gives the samples of the folders that it was made of."""

import pickle
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.config import ConfigError
from cyclegan.drawing import tracing
from cyclegan.training import data as training_data
from cyclegan.training import pack as packs
from cyclegan.training import packing
from cyclegan.training.data import UnpairedImages, batches
from cyclegan.training.files import find_images
from cyclegan.training.pack import INDEX, Pack
from cyclegan.training.packing import pack
from tests.pictures import encoded, save
from tests.training_fixtures import data_config
from train.pack import main

MakePhoto = Callable[..., Image.Image]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def folder(tmp_path: Path, make_photo: MakePhoto) -> Path:
    """Photos of all sizes and kinds of file, large ones among them, in two folders, one with a name of its own."""
    root = tmp_path / "photos"
    save(make_photo((300, 220), 1), root / "things" / "large.png")
    save(make_photo((600, 500), 2), root / "things" / "huge.jpg", quality=95)
    save(make_photo((80, 60), 3), root / "été\tü" / "small.png")
    save(make_photo((80, 60), 4).convert("CMYK"), root / "été\tü" / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    save(make_photo((200, 120), 5), root / "things" / "turned.jpg", exif=exif)
    return root


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(training_data, "SCENE_SCALES", (1.0,))
    scene = np.full((200, 300, 3), (90, 140, 200), np.uint8)
    scene[60:140, 100:220] = (180, 60, 40)
    save(Image.fromarray(scene), tmp_path / "scenes" / "house.png")
    return tmp_path / "scenes"


@pytest.fixture
def sketches(tmp_path: Path, make_drawing: Callable[..., Image.Image]) -> Path:
    for number in range(2):
        save(make_drawing((50 + 300 * number, 70)), tmp_path / "sketches" / f"{number}.png")
    return tmp_path / "sketches"


@pytest.mark.parametrize("size", [64, 320])
def test_without_loss_samples_are_those_of_the_folders_bit_for_bit(
    folder: Path, scenes: Path, sketches: Path, tmp_path: Path, size: int
) -> None:
    out = tmp_path / "out"
    pack(folder, out, sketches, scenes, size=size, lossless=True, workers=1)
    settings = data_config(folder, sketches=sketches, paired_prob=0.6, scenes=scenes, scene_prob=0.3, paste_prob=0.5)
    settings = settings.model_copy(update={"size": size})
    found, packed = find_images(settings), find_images(settings.model_copy(update={"photos": out}))
    assert found.fingerprint == packed.fingerprint
    assert packed.layout == f"{found.layout}, packed"
    one, other = (UnpairedImages(settings, 0, one.training) for one in (found, packed))
    assert all(equal(one[number], other[number]) for number in range(12))


def test_with_loss_samples_are_nearly_those_of_the_folder(folder: Path, tmp_path: Path) -> None:
    """The same lines, and photos within 2 of 255 on average."""
    pack(folder, tmp_path / "out", workers=1)
    settings = {"hint_prob": 0, "size": 128}
    one, other = (UnpairedImages(data_config(photos, **settings), 0) for photos in (folder, tmp_path / "out"))
    for number in range(8):
        here, there = one[number], other[number]
        assert 127.5 * (here["photo"] - there["photo"]).abs().mean() < 2
        assert torch.equal(here["traced"], there["traced"])
    sizes = {path.name: len(other.listing.pack.open(path).getvalue()) for path in other.photos if other.listing.pack}
    assert sizes["huge.jpg"] < (folder / "things" / "huge.jpg").stat().st_size / 4


def test_nothing_is_traced_again(folder: Path, scenes: Path, tmp_path: Path, monkeypatch) -> None:
    pack(folder, tmp_path / "out", scenes=scenes, workers=1)

    def traced(*_: object) -> None:
        raise AssertionError("traced")

    monkeypatch.setattr(training_data, "trace_at_work_size", traced)
    monkeypatch.setattr(training_data, "coherent_lines", traced)
    monkeypatch.setattr(tracing, "trace", traced)
    data = UnpairedImages(data_config(tmp_path / "out", scenes=Path("elsewhere"), fine_prob=0.5, paste_prob=1), 0)
    assert len([data[number] for number in range(16)]) == 16
    assert not data._drawings


def test_workers_map_the_pack_for_themselves(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "out", workers=1)
    settings = data_config(tmp_path / "out")
    data = UnpairedImages(settings, 0)
    assert len(pickle.dumps(data.listing.pack)) < 1000
    (batch,) = batches(UnpairedImages(settings.model_copy(update={"workers": 1}), 0), 0, 1)
    assert equal(batch, next(batches(data, 0, 1)))


@pytest.mark.parametrize("side", [64, 400])
def test_layouts_are_known_again(tmp_path: Path, make_photo: MakePhoto, side: int) -> None:
    """Two unpaired domains; pictures A|B, the halves of large ones reduced each by itself; pairs by name."""
    for split in ("trainA", "trainB", "testA", "testB"):
        save(make_photo((40, 40)), tmp_path / "domains" / split / f"{split}.jpg")
    both = Image.new("RGB", (2 * side, side), "white")
    both.paste(make_photo((side, side)), (side, 0))
    for number in range(3):
        save(both, tmp_path / "both" / "train" / f"{number}.png")
        save(both, tmp_path / "both" / "val" / f"{number}.png")
    for root, settings in (("domains", {"paired_prob": 0}), ("both", {})):
        pack(tmp_path / root, tmp_path / f"{root}.pack", lossless=True, workers=1)
        found, packed = (find_images(data_config(tmp_path / name, **settings)) for name in (root, f"{root}.pack"))
        assert packed.layout == f"{found.layout}, packed"
        assert len(packed.held_out.photos) == len(found.held_out.photos) > 0
        one, other = (UnpairedImages(data_config(tmp_path), 0, listing.training) for listing in (found, packed))
        assert all(equal(one[number], other[number]) for number in range(4))


@pytest.fixture
def rows(tmp_path: Path, make_photo: MakePhoto, make_drawing, monkeypatch) -> Callable[[str], Path]:
    """rows(kind): pairs by ``kind`` of list, two to train on and one held out."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    pictures = [(make_photo((300 + n, 280), n), make_drawing((300 + n, 280))) for n in range(3)]

    def make(kind: str) -> Path:
        if kind == "CSV":
            lines = ["photo,sketch,split"]
            for number, both in enumerate(pictures):
                paths = [tmp_path / part / str(number) / "same.png" for part in ("photos", "drawn")]
                for picture, path in zip(both, paths, strict=True):
                    save(picture, path)
                names = [path.relative_to(tmp_path).as_posix() for path in paths]
                lines.append(",".join((*names, "test" if number == 2 else "train")))
            (tmp_path / "list.csv").write_text("\n".join(lines))
            return tmp_path / "list.csv"
        features = datasets.Features({"photo": datasets.Image(), "sketch": datasets.Image()})
        for split, some in (("train", pictures[:2]), ("test", pictures[2:])):
            columns = {"photo": [photo for photo, _ in some], "sketch": [sketch for _, sketch in some]}
            (tmp_path / "set").mkdir(exist_ok=True)
            datasets.Dataset.from_dict(columns, features).to_parquet(tmp_path / "set" / f"{split}.parquet")
        return tmp_path / "set"

    return make


@pytest.mark.parametrize("kind", ["CSV", "dataset"])
def test_rows_are_packed_as_pairs_with_what_is_held_out(rows, tmp_path: Path, kind: str) -> None:
    photos = rows(kind)
    pack(photos, tmp_path / "pack", size=320, lossless=True, workers=1)
    found, packed = (find_images(data_config(folder)) for folder in (photos, tmp_path / "pack"))
    assert packed.layout == "pairs: each photo with the sketch of its name, those of test held out, packed"
    for part in ("training", "held_out"):
        one, other = (UnpairedImages(data_config(tmp_path), 0, getattr(both, part)) for both in (found, packed))
        assert len(one.photos) == len(other.photos) == len(other.listing.sketch_of.keys() & {*other.photos})
        assert all(equal(one[number], other[number]) for number in range(4))
    with pytest.raises(ConfigError, match=r"has sketches of its own, so that .* would not be used"):
        pack(photos, tmp_path / "both", tmp_path, workers=1)


def test_rows_without_pairs_are_packed_as_two_domains(rows, tmp_path: Path) -> None:
    photos = rows("CSV")
    _, *lines = photos.read_text().splitlines()
    photo, sketch, held_out = (line.split(",") for line in lines)
    split = [f"{photo[0]},,train", f",{sketch[1]},train", f"{held_out[0]},,test", f",{held_out[1]},test"]
    photos.write_text("\n".join(["photo,sketch,split", *split]))
    pack(photos, tmp_path / "pack", workers=1)
    found = find_images(data_config(tmp_path / "pack"))
    assert "unpaired" in found.layout
    for listing, of in ((found.training, "train"), (found.held_out, "test")):
        assert [path.parent.name for path in (*listing.photos, *listing.sketches)] == [f"{of}B", f"{of}A"]


def test_a_row_without_an_image_is_left_out(tmp_path: Path, make_photo: MakePhoto, monkeypatch, caplog) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    features = datasets.Features({"image": datasets.Image()})
    cells = {"image": [make_photo((80, 60)), None]}
    datasets.Dataset.from_dict(cells, features).save_to_disk(str(tmp_path / "saved"))
    pack(tmp_path / "saved", tmp_path / "pack", workers=1)
    assert "Left out:\n  Row 1 of image" in caplog.text
    assert len(find_images(data_config(tmp_path / "pack")).training.photos) == 1


def test_what_cannot_be_opened_is_left_out_and_named(folder: Path, tmp_path: Path, make_photo, caplog) -> None:
    whole = encoded(make_photo((80, 60)), "JPEG").getvalue()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    with caplog.at_level("INFO"):
        assert main([str(folder), str(tmp_path / "out"), "--workers", "1"]) == 0
    assert "Left out:\n  “cut.jpg” is damaged or cut short and cannot be decoded." in caplog.text
    assert "6 photos in" in caplog.text
    assert len(find_images(data_config(tmp_path / "out")).training.photos) == 5


def test_a_log_reads_how_far_it_is(folder: Path, tmp_path: Path, monkeypatch, caplog, capsys) -> None:
    monkeypatch.setattr(packing, "LINE_SECONDS", -1)
    with caplog.at_level("INFO"):
        pack(folder, tmp_path / "pack", workers=1)
    assert "5 of 5 pictures, 0:00:00 left." in caplog.text
    assert "pictures" not in capsys.readouterr().err  # no bar


def test_a_pack_of_smaller_photos_says_so(folder: Path, tmp_path: Path, caplog) -> None:
    pack(folder, tmp_path / "out", workers=1)
    find_images(data_config(tmp_path / "out", size=512))
    assert "The pack's photos have 256 pixels, fewer than the 512 to train at" in caplog.text


def test_a_pack_is_of_many_files_and_shut_at_an_error(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(packs, "SHARD_BYTES", 1000)
    out = tmp_path / "out"
    pack(folder, out, workers=1)
    assert len(list(out.iterdir())) > 3
    one, other = (UnpairedImages(data_config(photos, hint_prob=0), 0) for photos in (folder, out))
    assert (one[3]["photo"] - other[3]["photo"]).abs().mean() < 0.02
    with pytest.raises(ConfigError, match="is not empty"):
        pack(folder, out, workers=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packs, "save", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        pack(folder, tmp_path / "full", workers=1)
    assert not list((tmp_path / "full").iterdir())


def test_a_damaged_pack_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(folder, out, workers=1)
    for name in (INDEX, "00000.safetensors"):
        whole = (out / name).read_bytes()
        for damaged in (whole[:-1], whole[:4], b"", b"\xff" * 100, None):
            if damaged is None:
                (out / name).unlink()
            else:
                (out / name).write_bytes(damaged)
            if name == INDEX and damaged is None:
                continue  # never finished: no pack
            with pytest.raises(
                ConfigError, match=r"is a damaged pack \(.*\): make it again with python -m train\.pack"
            ):
                find_images(data_config(out))
        (out / name).write_bytes(whole)
    assert find_images(data_config(out)).training.photos


def test_a_damaged_picture_is_replaced_by_others(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(folder, out, workers=1)
    victim, file = out / "photos" / "things" / "huge.jpg", out / "00000.safetensors"
    there, whole = Pack(out), file.read_bytes()
    parts = {"“huge.jpg” is not an image": there.open(victim).getvalue()}
    parts["The lines of “huge.jpg”"] = there._read(packs._drawing_name("photos/things/huge.jpg", 256)) or b""
    del there  # some systems keep files that are mapped from being changed
    for sentence, part in parts.items():
        assert whole.count(part) == 1
        file.write_bytes(whole.replace(part, b"\xff" * len(part)))
        data = UnpairedImages(data_config(out), 0)
        (problem,) = {problem for number in range(10) for problem in data.sample(number)[1]}
        assert problem.startswith(sentence)
        del data
