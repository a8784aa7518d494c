"""What is found in users' folders: layouts, kinds of files, and how long it takes."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclegan import images
from cyclegan.config import ConfigError
from cyclegan.training import headers
from cyclegan.training.data import UnpairedImages, samples
from cyclegan.training.files import find_images, open_photo
from tests.pictures import encoded, save
from tests.training_fixtures import data_config

MakePhoto = Callable[..., Image.Image]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_headers_are_read_once_and_again_when_a_file_changed(
    tmp_path: Path, make_photo: MakePhoto, monkeypatch
) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index.json"
    for number in range(4):
        save(make_photo((40, 40), number), folder / f"{number}.png")
    (folder / "bad.jpg").write_text("no image")
    read, header = [], headers._read_header

    def counted(name: str, known: headers.Header) -> headers.Header:
        read.append(Path(name).name)
        return header(name, known)

    monkeypatch.setattr(headers, "_read_header", counted)
    for expected in (["0.png", "1.png", "2.png", "3.png", "bad.jpg"], []):
        read.clear()
        found = find_images(data_config(folder), index)
        assert sorted(read) == expected
        assert names(found.training.photos) == ["0.png", "1.png", "2.png", "3.png"]
    save(make_photo((60, 60)), folder / "bad.jpg")
    os.utime(folder / "0.png", ns=(1, 1))
    read.clear()
    assert len(find_images(data_config(folder), index).training.photos) == 5
    assert sorted(read) == ["0.png", "bad.jpg"]
    for damage in ("{", "[1]", '{"a": 1}'):
        index.write_text(damage)
        assert len(find_images(data_config(folder), index).training.photos) == 5


def test_no_pixel_is_decoded_to_list_files(tmp_path: Path, make_photo: MakePhoto, monkeypatch) -> None:
    save(make_photo((80, 60)), tmp_path / "a.png")
    save(make_photo((80, 60)), tmp_path / "b.jpg")

    def decoded(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(images, "open_image", decoded)
    assert len(find_images(data_config(tmp_path)).training.photos) == 2


def test_nested_linked_and_unicode_names(tmp_path: Path, make_photo: MakePhoto) -> None:
    elsewhere = save(make_photo(), tmp_path / "elsewhere" / "deep" / "c.png").parents[1]
    folder = tmp_path / "photos"
    save(make_photo(), folder / "一" / "二" / "été 🎨.png")
    save(make_photo(), folder / ".hidden" / "h.png")
    (folder / "link").symlink_to(elsewhere)
    (folder / "circle").symlink_to(folder)
    (folder / "file.png").symlink_to(elsewhere / "deep" / "c.png")
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    raw = os.fsencode(folder) + b"/latin-\xe9.png"
    Path(os.fsdecode(raw)).write_bytes(encoded(make_photo()).getvalue())
    found = find_images(data_config(folder), tmp_path / "index.json").training
    assert len(found.photos) == 4
    assert {"c.png", "file.png", "été 🎨.png"} < set(names(found.photos))
    assert find_images(data_config(folder), tmp_path / "index.json").fingerprint


def test_every_kind_of_picture_is_learnt_from(tmp_path: Path, make_photo: MakePhoto, caplog) -> None:
    photo = make_photo((80, 60))
    save(photo.convert("CMYK"), tmp_path / "cmyk.jpg")
    save(photo.convert("P"), tmp_path / "palette.png")
    save(Image.fromarray(np.full((60, 80), 40_000, np.uint16)), tmp_path / "deep.png")
    save(photo.convert("LA"), tmp_path / "alpha.png")
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    save(photo, tmp_path / "turned.jpg", exif=exif)
    save(photo, tmp_path / "moving.gif", save_all=True, append_images=[make_photo((80, 60), 1)])
    (tmp_path / "really_a_jpeg.png").write_bytes(encoded(photo, "JPEG").getvalue())
    whole = encoded(photo, "JPEG").getvalue()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) * 2 // 3])  # its header is whole
    with caplog.at_level(logging.WARNING):
        data = UnpairedImages(data_config(tmp_path), 0)
    assert not caplog.records
    assert len(data.photos) == 8
    assert {data[number]["photo"].shape for number in range(16)} == {(3, 64, 64)}
    problems = {problem for number in range(16) for problem in data.sample(number)[1]}
    assert problems == {"“truncated.jpg” is damaged or cut short and cannot be decoded."}
    assert open_photo(tmp_path / "turned.jpg", 64).size == (60, 80)


def test_a_large_jpeg_is_decoded_small(tmp_path: Path, make_photo: MakePhoto) -> None:
    path = save(make_photo((1600, 1200)), tmp_path / "large.jpg", quality=95)
    small = open_photo(path, 256)
    assert small.size == (400, 300)
    whole = images.resize(images.to_rgb(images.open_image(path)), small.size)
    assert np.abs(np.asarray(small, float) - np.asarray(whole, float)).mean() < 1
    assert open_photo(path, 801).size == (1600, 1200)
    with pytest.raises(images.ImageError, match="was not found"):
        open_photo(tmp_path / "gone.jpg", 256)


def test_trainA_and_trainB_are_two_unpaired_domains(tmp_path: Path, make_photo: MakePhoto) -> None:  # noqa: N802
    for split, count in (("train", 3), ("test", 2)):
        for domain in "AB":
            for number in range(count):
                save(make_photo((40, 40)), tmp_path / f"{split}{domain}" / f"{number}_{domain}.jpg")
    found = find_images(data_config(tmp_path, paired_prob=0))
    assert names(found.training.photos) == ["0_B.jpg", "1_B.jpg", "2_B.jpg"]
    assert names(found.training.sketches) == ["0_A.jpg", "1_A.jpg", "2_A.jpg"]
    assert names(found.held_out.photos) == ["0_B.jpg", "1_B.jpg"]
    assert str(found).startswith("3 photos and 3 sketches to train on, 2 photos kept back (trainA are sketches")


@pytest.mark.parametrize("crop_from", [None, 72])
def test_pictures_side_by_side_are_pairs(tmp_path: Path, crop_from: int | None) -> None:
    picture = Image.new("RGB", (128, 64), "white")
    picture.paste((200, 0, 0), (64, 0, 128, 64))
    for number in range(3):
        save(picture, tmp_path / "train" / f"{number}_AB.jpg", quality=100)
    save(picture, tmp_path / "val" / "9_AB.jpg")
    settings = data_config(tmp_path, crop_from=crop_from, min_scale=1)
    found = find_images(settings)
    assert str(found).startswith("3 photos and 3 sketches to train on, 1 photos kept back (pictures A|B")
    data = UnpairedImages(settings, 0, found.training)
    for number in range(4):
        sample = data[number]
        assert sample["paired"]
        assert sample["sketch"].min() > 0.7
        assert sample["photo"][1, 24:40, 24:40].max() < -0.9
        assert sample["photo"][0, 24:40, 24:40].min() > 0.4
    unpaired = UnpairedImages(settings.model_copy(update={"paired_prob": 0}), 0, found.training)
    assert not unpaired[0]["paired"]
    assert samples(settings, 0, found, 2)["paired"].all()


def test_same_names_in_two_folders_are_pairs(tmp_path: Path, make_photo: MakePhoto, make_drawing, caplog) -> None:
    for number in range(12):
        save(make_photo((40, 40), number), tmp_path / "photos" / "kind" / f"{number}.jpg")
        if number:
            save(make_drawing((40, 40)), tmp_path / "drawn" / "kind" / f"{number}.png")
    settings = data_config(tmp_path / "photos", sketches=tmp_path / "drawn", held_out=0.3)
    with caplog.at_level(logging.WARNING):
        found = find_images(settings)
    assert "1 photos have no sketch of their name" in caplog.text
    for listing in (found.training, found.held_out):
        assert listing.photos
        assert [path.stem for path in listing.sketches] == [path.stem for path in listing.photos]
    data = UnpairedImages(settings, 0, found.training)
    assert data[0]["paired"]
    assert data[0]["sketch"].equal(data[0]["traced"])
    apart = find_images(settings.model_copy(update={"match_names": False, "paired_prob": 0.5}))
    assert not apart.training.sketch_of
    assert "unpaired" in apart.layout


@pytest.mark.parametrize("splits", [("train", "test"), ("", "")])
def test_pairs_may_have_their_splits_in_both_folders(
    tmp_path: Path, make_photo: MakePhoto, make_drawing, splits: tuple[str, str]
) -> None:
    for number, split in ((0, "train"), (1, "train"), (2, "test")):
        save(make_photo((40, 40), number), tmp_path / "photos" / split / f"{number}.jpg")
        save(make_drawing((40, 40)), tmp_path / "drawn" / splits[split == "test"] / f"{number}.png")
    found = find_images(data_config(tmp_path / "photos", sketches=tmp_path / "drawn"))
    for listing, some in ((found.training, ["0", "1"]), (found.held_out, ["2"])):
        assert [path.stem for path in listing.photos] == [path.stem for path in listing.sketches] == some


def test_both_of_a_pair_move_alike(tmp_path: Path) -> None:
    block = Image.new("RGB", (64, 64), "white")
    block.paste((0, 0, 0), (20, 10, 40, 50))
    for folder in ("photos", "drawn"):
        save(block, tmp_path / folder / "a.png")
    for crop_from in (None, 80):
        data = UnpairedImages(data_config(tmp_path / "photos", sketches=tmp_path / "drawn", crop_from=crop_from), 0)
        for number in range(6):
            sample = data[number]
            assert (sample["photo"] - sample["sketch"]).abs().max() < 0.02
        assert not data[0]["photo"].equal(data[1]["photo"])


def test_a_manifest_names_photos_sketches_and_splits(tmp_path: Path, make_photo: MakePhoto, caplog) -> None:
    for name in ("a", "b", "c", "s"):
        save(make_photo((40, 40)), tmp_path / "deep" / f"{name}.png")
    file = tmp_path / "list.csv"
    file.write_text(
        "photo,sketch,split\ndeep/a.png,deep/s.png,train\ndeep/b.png,deep/s.png,\ndeep/c.png,deep/s.png,test\n"
    )
    found = find_images(data_config(file))
    assert names(found.training.photos) == ["a.png", "b.png"]
    assert names(found.held_out.photos) == ["c.png"]
    assert names(list(found.training.sketch_of.values())) == ["s.png", "s.png"]
    file.write_text("photo,sketch\ndeep/a.png,\ndeep/b.png,\n,deep/s.png\ndeep/gone.png,\n")
    with caplog.at_level(logging.WARNING):
        found = find_images(data_config(file))
    assert "“gone.png” cannot be read: No such file or directory." in caplog.text
    assert (names(found.training.photos), names(found.training.sketches)) == (["a.png", "b.png"], ["s.png"])
    assert not found.training.sketch_of
    file.write_text("image\nx.png\n")
    with pytest.raises(ConfigError, match=r"list\.csv needs a first line with the columns photo"):
        find_images(data_config(file))


def test_crops_are_of_the_resized_image_and_never_turned(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 128).astype(np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], np.uint8(77)), axis=-1)
    for folder in ("photos", "others"):
        save(Image.fromarray(picture), tmp_path / folder / "a.png")
    settings = data_config(
        tmp_path / "photos", sketches=tmp_path / "others", paired_prob=0, crop_from=72, match_names=False
    )
    data, mirrored = UnpairedImages(settings, 0), set()
    for number in range(12):
        sample = data[number]
        for name in ("photo", "sketch"):
            red, green = sample[name][0], sample[name][1]
            assert red.std(dim=0).max() < 0.02  # upright: red grows along one axis alone, green along the other
            assert green.std(dim=1).max() < 0.02
            assert green[0, 0] < green[-1, 0]
        mirrored.add(bool(sample["photo"][0, 0, 0] > sample["photo"][0, 0, -1]))
    assert mirrored == {True, False}
    with pytest.raises(ValueError, match="crop_from is 32, smaller than size, 64"):
        data_config(tmp_path, crop_from=32)


def test_without_sketches_all_drawings_are_made_and_unpaired_ones_are_missed(
    tmp_path: Path, make_photo: MakePhoto
) -> None:
    save(make_photo(), tmp_path / "1.png")
    found = find_images(data_config(tmp_path, paired_prob=0.9))
    assert (found.layout, found.training.sketches) == ("photos", [])
    with pytest.raises(ConfigError, match="needs a folder of sketches"):
        find_images(data_config(tmp_path, paired_prob=0.0))
