"""Which images there are to learn from: found by their headers, in the layouts that data sets come in.

=========================================  ===========================================================================
``photos``                                 what is read
=========================================  ===========================================================================
a folder                                   photos, of any nesting; sketches from ``sketches``, if given
the same names in ``photos``, ``sketches``  pairs: each photo with the sketch of its name, whatever their suffixes
``trainA``, ``trainB`` in a folder         sketches and photos, unpaired (CycleGAN); held out: ``testA``, ``testB``
pictures twice as wide as high             pairs A|B (pix2pix): the sketch on the left, the photo on the right
``train`` with ``val`` or ``test``         either of these; held out: ``val`` or ``test``
a CSV file                                 columns ``photo``, ``sketch`` (a pair if both are given), ``split``
Parquet or Arrow files, or                 a dataset of the Hugging Face Hub: a column of photos or one of sketches, too
``hf://datasets/OWNER/NAME``               (pairs, unless ``match_names`` is false); held out: ``test``
what ``train.pack`` made of any of these   the same, its sketches and scenes instead of ``sketches`` and ``scenes``
=========================================  ===========================================================================
"""

from __future__ import annotations

import csv
import gc
import hashlib
import logging
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image

from cyclegan import images
from cyclegan.config import ConfigError, DataConfig
from cyclegan.hub import dataset_folder, dataset_id
from cyclegan.training.headers import Headers, Index, PackedIndex
from cyclegan.training.image_table import ImageTable, is_image_table
from cyclegan.training.pack import Pack, is_pack

log = logging.getLogger(__name__)

MAX_NAMED = 50
"""Skipped files named in the log; more are only counted."""
MIN_PAIRED = 0.9
"""Share of the photos that need a sketch of their name for the folders to be pairs."""

Half = Literal["left", "right"]


@dataclass(frozen=True)
class Listing:
    """The images of one split."""

    photos: list[Path]
    sketches: list[Path] = field(default_factory=list)
    scenes: list[Path] = field(default_factory=list)
    sketch_of: dict[Path, Path] = field(default_factory=dict)
    """The sketch that belongs to a photo."""
    side_by_side: bool = False
    """Whether every file is a picture A|B: photos are the right halves, sketches the left ones of the same files."""
    pack: Pack | ImageTable | None = None
    """Where those of the images lie that are below its folder."""


@dataclass(frozen=True)
class Found:
    """All that a config's folders hold."""

    training: Listing
    held_out: Listing
    layout: str
    """How the folders were understood."""

    def __str__(self) -> str:
        """Counts and layout, one sentence."""
        there = {"photos": self.training.photos, "sketches": self.training.sketches, "scenes": self.training.scenes}
        counts = [f"{len(paths):,} {name}" for name, paths in there.items() if paths]
        return f"{' and '.join(counts)} to train on, {len(self.held_out.photos):,} photos kept back ({self.layout})."

    @property
    def fingerprint(self) -> str:
        """Of the names to train on, which fix the order of samples."""
        listing = self.training
        names = "\n".join(path.name for path in (*listing.photos, *listing.sketches, *listing.scenes))
        return hashlib.sha256(os.fsencode(names)).hexdigest()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """While lists grow that hold no circles, the collector goes through all of them time and again: a third of the
    time that a hundred thousand known files take."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_garbage_collection()
def find_images(config: DataConfig, index: Path | None = None) -> Found:
    """List the images of ``config``'s folders; of each new file the header is read.

    ``index``: a file that keeps what the headers say; files of the same size and date are not opened again.

    A dataset of the Hub is downloaded first, whole.

    Files that cannot be used are named, each with the reason, in one warning a setting.

    Raises:
        ConfigError: a folder is missing, or has no image to train on.
    """
    if name := dataset_id(config.photos):
        config = config.model_copy(update={"photos": dataset_folder(name)})
    pack = Pack(config.photos) if is_pack(config.photos) else None
    if pack:
        _compare_sizes(config, pack)
        own = {name: config.photos / name for name in ("photos", "sketches", "scenes")}
        wanted = {name: path for name, path in own.items() if pack.has_folder(path)}
        if not config.scenes:
            wanted.pop("scenes", None)
        config = config.model_copy(update={"photos": own["photos"]} | wanted)
    headers, root = PackedIndex(pack, index) if pack else Index(index), config.photos
    table = ImageTable(root) if not pack and is_image_table(root) else None
    if table:
        found = _table(table, config, headers)
    elif _is_manifest(root):
        found = _manifest(root, headers)
    elif headers.has_folder(root / "trainA") and headers.has_folder(root / "trainB"):
        found = _cyclegan_layout(root, headers)
    else:
        found = _folders(config, headers)
    if not found.training.photos:
        raise ConfigError(f"data.photos: {root} has no images to train on.")
    if config.scenes and config.scene_prob:
        scenes = images_in(config.scenes, "data.scenes", headers)
        shown, kept_back = _by_hash(scenes, config.held_out)
        found = replace(
            found,
            training=replace(found.training, scenes=shown),
            held_out=replace(found.held_out, scenes=kept_back),
        )
        if not shown:
            raise ConfigError(f"data.scenes: {config.scenes} has no images to train on.")
    headers.save()
    training, kept = (replace(listing, pack=pack or table) for listing in (found.training, found.held_out))
    return Found(training, kept, f"{found.layout}, packed" if pack else found.layout)


def has_rows(photos: Path) -> bool:
    """Whether ``photos`` names its pictures by rows: a CSV file or a dataset, not a folder of pictures."""
    return bool(dataset_id(photos)) or is_image_table(photos) or _is_manifest(photos)


def _is_manifest(file: Path) -> bool:
    return file.suffix.lower() == ".csv" and file.is_file()


def _compare_sizes(config: DataConfig, pack: Pack) -> None:
    wanted = config.crop_from or config.size
    if wanted > pack.size:
        log.warning(
            "The pack's photos have %d pixels, fewer than the %d to train at: pack them with --size %d.",
            pack.size,
            wanted,
            wanted,
        )


def held_out(path: Path, share: float) -> bool:
    """Whether a file is kept back from training: by a hash of its name, so that moves and additions change nothing."""
    digest = hashlib.sha256(os.fsencode(path.name)).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def _by_hash(paths: Iterable[Path], share: float) -> tuple[list[Path], list[Path]]:
    """Those to train on and those held out."""
    parts: tuple[list[Path], list[Path]] = [], []
    for path in paths:
        parts[held_out(path, share)].append(path)
    return parts


def open_photo(source: Path | BytesIO, side: int, half: Half | None = None) -> Image.Image:
    """Upright RGB, at least ``side`` pixels long if the file is.

    A JPEG of twice that or more is decoded at a half, a quarter or an eighth of its size, in as much less time.

    Raises:
        ImageError: the file is gone or damaged.
    """
    image = _shrunk_jpeg(source, 2 * side if half else side) or images.to_rgb(images.open_image(source))
    if half is None:
        return image
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height) if half == "left" else (middle, 0, 2 * middle, image.height))


def _shrunk_jpeg(source: Path | BytesIO, side: int) -> Image.Image | None:
    try:
        with Image.open(source, formats=("JPEG",)) as image:
            scale = side / max(image.size)
            if scale > 0.5 or image.width * image.height > images.MAX_PIXELS:
                return None
            image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
            image.load()
            return images.to_rgb(image)
    except (OSError, SyntaxError, ValueError):  # no JPEG, or a damaged one: `open_image` says which
        return None
    finally:
        if isinstance(source, BytesIO):
            source.seek(0)


def _folders(config: DataConfig, headers: Index) -> Found:
    root = config.photos
    test = next((root / name for name in ("val", "test") if headers.has_folder(root / name)), None)
    if not headers.has_folder(root / "train"):
        test = None
    photos = images_in(root / "train" if test else root, "data.photos", headers)
    tested = images_in(test, "data.photos", headers) if test else {}
    held = "" if test is None else f", those of {test.name} held out"
    splits = _split(photos, tested, config)
    if not config.sketches and are_side_by_side(photos):
        both = [replace(one, sketches=one.photos, sketch_of=_same(one.photos), side_by_side=True) for one in splits]
        return Found(both[0], both[1], f"pictures A|B: the left halves are sketches, the right ones their photos{held}")
    sketches: Headers = {}
    if config.sketches and (config.match_names or config.paired_prob < 1):
        sketches = images_in(config.sketches, "data.sketches", headers)
    if config.sketches and sketches and config.match_names and config.paired_prob:
        drawn = {path.relative_to(config.sketches).with_suffix(""): path for path in sketches}
        pairs = _same_names(photos, (root, root / "train"), drawn)
        if len(pairs) > MIN_PAIRED * len(photos):
            if len(pairs) < len(photos):
                log.warning("data.photos: %d photos have no sketch of their name.", len(photos) - len(pairs))
            if test:
                pairs |= _same_names(tested, (root, test), drawn)
            paired = [[path for path in one.photos if path in pairs] for one in splits]
            both = [Listing(some, [pairs[path] for path in some], sketch_of=pairs) for some in paired]
            return Found(both[0], both[1], f"pairs: each photo with the sketch of its name{held}")
    return _unpaired(splits, sketches, config, held)


def _unpaired(splits: tuple[Listing, Listing], sketches: Headers, config: DataConfig, held: str) -> Found:
    """Photos, and where some drawings do not belong to them ``sketches``, of which a share is held out, too."""
    if config.paired_prob == 1 or (config.paired_prob and not config.sketches):
        return Found(splits[0], splits[1], f"photos{held}")
    if not config.sketches:
        raise ConfigError("data.sketches: unpaired training (data.paired_prob=0) needs a folder of sketches.")
    parts = _by_hash(sketches, config.held_out)
    if not parts[0]:
        raise ConfigError(f"data.sketches: {config.sketches} has no images to train on.")
    both = [replace(one, sketches=some) for one, some in zip(splits, parts, strict=True)]
    return Found(both[0], both[1], f"photos and sketches, unpaired{held}")


def _table(table: ImageTable, config: DataConfig, headers: Index) -> Found:
    held = f", those of {table.held_out} held out" if table.held_out else ""
    photos, tested = (table.paths(split, table.photos) for split in (table.training, table.held_out))
    splits = _split(photos, tested, config)
    if not table.sketches:
        sketches: Headers = {}
        if config.sketches and config.paired_prob < 1:
            sketches = images_in(config.sketches, "data.sketches", headers)
        return _unpaired(splits, sketches, config, f" of a dataset{held}")
    drawn = {
        photo: table.folder / photo.relative_to(table.folder).parts[0] / table.sketches / photo.name
        for one in splits
        for photo in one.photos
    }
    pairs = drawn if config.match_names and config.paired_prob else {}
    both = [replace(one, sketches=[drawn[path] for path in one.photos], sketch_of=pairs) for one in splits]
    kind = "pairs" if pairs else "photos and sketches, unpaired,"
    return Found(both[0], both[1], f"{kind} of a dataset: {table.sketches} are sketches, {table.photos} photos{held}")


def are_side_by_side(photos: Headers) -> bool:
    """Whether all are pictures A|B."""
    return len(photos) > 1 and all(one.width == 2 * one.height for one in photos.values())


def _split(photos: Iterable[Path], tested: Iterable[Path], config: DataConfig) -> tuple[Listing, Listing]:
    """Of training and held out: by name or, where there are any, as ``tested``."""
    if tested:
        return Listing(list(photos)), Listing(list(tested))
    shown, kept_back = _by_hash(photos, config.held_out)
    return Listing(shown), Listing(kept_back)


def _same(paths: list[Path]) -> dict[Path, Path]:
    return dict(zip(paths, paths, strict=True))


def _same_names(photos: Iterable[Path], tops: tuple[Path, Path], drawn: dict[Path, Path]) -> dict[Path, Path]:
    """The sketch of each photo's name below one of ``tops``, but for the suffix, where there is one; it is taken out
    of ``drawn``, the sketches by such names."""
    pairs = {}
    for photo in photos:
        for top in tops:
            if photo.is_relative_to(top) and (sketch := drawn.pop(photo.relative_to(top).with_suffix(""), None)):
                pairs[photo] = sketch
                break
    return pairs


def _cyclegan_layout(root: Path, headers: Index) -> Found:
    splits = []
    for split in ("train", "test"):
        there = all(headers.has_folder(root / f"{split}{domain}") for domain in "AB")
        a, b = (list(images_in(root / f"{split}{domain}", "data.photos", headers)) if there else [] for domain in "AB")
        splits.append(Listing(photos=b, sketches=a))
    if not splits[0].sketches:
        raise ConfigError(f"data.photos: {root / 'trainA'} has no images to train on.")
    return Found(
        splits[0],
        splits[1],
        "trainA are sketches (domain X), trainB photos (domain Y), unpaired; testA and testB held out",
    )


def _manifest(file: Path, headers: Index) -> Found:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError) as error:
        raise ConfigError(f"data.photos: {file} cannot be read: {error}.") from None
    if not rows or "photo" not in rows[0]:
        raise ConfigError(
            f"data.photos: {file} needs a first line with the columns photo and, if there are any, sketch."
        )
    named = {name: file.parent / name for row in rows for key in ("photo", "sketch") if (name := row.get(key))}
    good = _without_bad(headers.of(dict.fromkeys(named.values())), "data.photos")
    splits = []
    for kept in (False, True):
        photos, sketches, sketch_of = [], [], {}
        for row in rows:
            if ((row.get("split") or "train") != "train") == kept:
                photo, sketch = (named.get(row.get(key) or "") for key in ("photo", "sketch"))
                if photo in good:
                    photos.append(photo)
                if sketch in good:
                    sketches.append(sketch)
                if photo in good and sketch in good:
                    sketch_of[photo] = sketch
        if len(sketch_of) < len(photos):
            sketch_of = {}  # some photos have no sketch: all are unpaired
        splits.append(Listing(photos, sketches, [], sketch_of))
    kind = "pairs" if splits[0].sketch_of else "photos and sketches, unpaired" if splits[0].sketches else "photos"
    return Found(splits[0], splits[1], f"{kind} of {file.name}; rows whose split is not train held out")


def images_in(folder: Path, setting: str, headers: Index) -> Headers:
    """The images of ``folder``, of any nesting, by name."""
    if not headers.has_folder(folder):
        raise ConfigError(f"{setting}: there is no folder {folder}.")
    return _without_bad(headers.in_folder(folder), setting)


def _without_bad(found: Headers, setting: str) -> Headers:
    bad = [header.problem for header in found.values() if header.problem]
    if not bad:
        return found
    more = f"\n  … and {len(bad) - MAX_NAMED} more" if len(bad) > MAX_NAMED else ""
    lines = "".join(f"\n  {problem}" for problem in bad[:MAX_NAMED])
    log.warning("%s: skipped %d of %d files:%s%s", setting, len(bad), len(found), lines, more)
    return {path: header for path, header in found.items() if not header.problem}
