"""A folder → a pack: each picture decoded, resized, traced and encoded once."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from tqdm import tqdm

from cyclegan import images
from cyclegan.config import MAX_DETAIL_SIDE, ConfigError, DataConfig
from cyclegan.devices import usable_cpus
from cyclegan.drawing.coherent_lines import coherent_lines
from cyclegan.drawing.inking import Drawing
from cyclegan.drawing.tracing import WORK_SIZE, trace_at_work_size
from cyclegan.training.data import MIN_SCENE_SIDE, scene_lengths, scene_pixels
from cyclegan.training.files import Half, are_side_by_side, find_images, has_rows, images_in, open_photo
from cyclegan.training.headers import Headers, Index
from cyclegan.training.image_table import ImageTable
from cyclegan.training.pack import Packed, PackWriter

log = logging.getLogger(__name__)

Kind = Literal["photos", "sketches", "scenes"]
LINE_SECONDS = 60
T = TypeVar("T")
QUALITY = 80
"""Of WebP: photos of 256 pixels take 4 to 15 kB and are off by about 1 of 255."""


class Source(NamedTuple):
    """A picture to pack."""

    name: str
    """Where it is to lie below the pack."""
    kind: Kind
    path: Path


def pack(
    photos: Path,
    out: Path,
    sketches: Path | None = None,
    scenes: Path | None = None,
    size: int = WORK_SIZE,
    lossless: bool = False,
    workers: int = 0,
) -> None:
    """Write a pack of these pictures, of any layout in `files`, to the folder ``out``.

    ``size``: pixels of the longer side of photos and sketches, 256 at least; scenes keep up to `MAX_DETAIL_SIDE`.
    ``lossless``: samples are those of the folders bit for bit, if no scene is larger than that. ``workers``: processes;
    0 takes all cores.

    Raises:
        ConfigError: a folder is missing, empty or, for ``out``, not empty; or the disk is full.
    """
    table, side_by_side = None, False
    if has_rows(photos):
        sources, table = _in_rows(photos)
        if sketches and any(source.kind == "sketches" for source in sources):
            raise ConfigError(f"sketches: {photos} has sketches of its own, so that {sketches} would not be used.")
    else:
        sources, headers = _below(photos, "photos")
        side_by_side = not sketches and are_side_by_side(headers)
    if not sources:
        raise ConfigError(f"photos: {photos} has no images to pack.")
    more: dict[Kind, Path | None] = {"sketches": sketches, "scenes": scenes}
    for kind, folder in more.items():
        sources += _below(folder, kind)[0] if folder else []
    packing = Packing(max(size, WORK_SIZE), lossless, side_by_side)
    problems: list[str] = []

    def jobs() -> Iterator[Any]:
        for name, kind, path in sources:
            try:
                yield delayed(packing.packed)(name, kind, table.open(path) if table and path in table else path)
            except images.ImageError as error:
                problems.append(str(error))

    with PackWriter(out, size=packing.size, lossless=lossless) as writer:
        results = Parallel(n_jobs=workers or usable_cpus(), return_as="generator")(jobs())
        for packed in _counted(results, len(sources)):
            if isinstance(packed, str):
                problems.append(packed)
            else:
                writer.add(packed)
    if problems:
        log.warning("Left out:%s", "".join(f"\n  {problem}" for problem in problems))
    total = sum(file.stat().st_size for file in out.iterdir())
    counts = ", ".join(f"{count:,} {kind}" for kind, count in Counter(source.kind for source in sources).items())
    log.info("%s in %s: %.1f MB. Train on it: --set data.photos=%s", counts, out, total / 1e6, out)


def _counted(results: Iterable[T], total: int) -> Iterator[T]:
    """``results``, and how far it is: a bar in a terminal; elsewhere, as in a log file, a line a minute at most."""
    bar = tqdm(results, total=total, unit=" pictures", disable=None)
    begun = shown = time.monotonic()
    for number, result in enumerate(bar, start=1):
        yield result
        now = time.monotonic()
        if bar.disable and now - shown > LINE_SECONDS:
            shown = now
            left = timedelta(seconds=round((total - number) * (now - begun) / number))
            log.info("%s of %s pictures, %s left.", f"{number:,}", f"{total:,}", left)


def _below(folder: Path, kind: Kind) -> tuple[list[Source], Headers]:
    """Those of a folder, in the folders that they lie in."""
    headers = images_in(folder, kind, Index())
    return [Source(f"{kind}/{path.relative_to(folder).as_posix()}", kind, path) for path in headers], headers


def _in_rows(photos: Path) -> tuple[list[Source], ImageTable | None]:
    """Those of a CSV file or a dataset, in a layout of folders that says the same, and the dataset."""
    found = find_images(DataConfig(photos=photos, held_out=0))
    domains = bool(found.training.sketches) and not found.training.sketch_of
    sources: list[Source] = []
    for split, listing in (("train", found.training), ("test", found.held_out)):
        for number, photo in enumerate(listing.photos):
            name = f"{number:08d}-{photo.name}"
            sources.append(Source(f"photos/{split}B/{name}" if domains else f"photos/{split}/{name}", "photos", photo))
            if sketch := listing.sketch_of.get(photo):
                same = Path(name).with_suffix(sketch.suffix)
                sources.append(Source(f"sketches/{split}/{same}", "sketches", sketch))
        if domains:
            apart = [(f"{number:08d}-{path.name}", path) for number, path in enumerate(listing.sketches)]
            sources += [Source(f"photos/{split}A/{name}", "sketches", path) for name, path in apart]
    return sources, found.training.pack if isinstance(found.training.pack, ImageTable) else None


@dataclass(frozen=True)
class Packing:
    """How pictures are packed."""

    size: int = WORK_SIZE
    """Pixels of the longer side that photos and sketches are reduced to; scenes keep up to `MAX_DETAIL_SIDE`."""
    lossless: bool = False
    side_by_side: bool = False
    """Whether photos are pictures A|B, whose halves are reduced, each by itself."""

    def packed(self, name: str, kind: Kind, file: Path | BytesIO) -> Packed | str:
        """The picture in ``file`` with its lines, as ``name``; or why it cannot be."""
        cv2.setNumThreads(1)
        drawings: dict[int, Drawing] = {}
        try:
            if kind == "photos" and self.side_by_side:
                picture, side = self._both_halves(file), 2 * self.size
            else:
                side = MAX_DETAIL_SIDE if kind == "scenes" else self.size
                picture = open_photo(file, side)
            if kind == "scenes":
                sides = sorted({n for side in (1, 2) for n in scene_lengths(side * max(self.size, MIN_SCENE_SIDE))})
                drawings = {side: coherent_lines(scene_pixels(file, side), side) for side in sides}
            elif kind == "photos" and not self.side_by_side:
                square = images.fit_square(picture, self.size)  # as it was: lines are the folder's, loss or not
                drawings = {WORK_SIZE: trace_at_work_size(np.asarray(square))}
        except images.ImageError as error:
            return str(error)
        return Packed(name, self._encoded(file, picture, side, kind), _size(file), drawings)

    def _both_halves(self, file: Path | BytesIO) -> Image.Image:
        """A picture A|B, its halves reduced each by itself, so that neither bleeds into the other."""
        whole = open_photo(file, 2 * self.size)
        if max(whole.size) <= 2 * self.size:
            return whole
        both = Image.new("RGB", (2 * self.size, self.size))
        halves: dict[Half, int] = {"left": 0, "right": self.size}
        for half, left in halves.items():
            both.paste(images.fit_square(open_photo(file, self.size, half), self.size), (left, 0))
        return both

    def _encoded(self, file: Path | BytesIO, picture: Image.Image, side: int, kind: Kind) -> bytes:
        """The picture reduced to ``side``; the file as it is where that is no larger, or asked for without loss."""
        small = max(picture.size) <= side
        if not small:
            left, top, right, bottom = images.square_box(*picture.size, side)
            picture = images.resize(picture, (right - left, bottom - top))
        if small and self.lossless:
            return _bytes(file)
        encoded = BytesIO()
        picture.save(encoded, "WEBP", lossless=self.lossless or kind == "sketches", quality=QUALITY)
        return min(encoded.getvalue(), _bytes(file), key=len) if small else encoded.getvalue()


def _bytes(file: Path | BytesIO) -> bytes:
    return file.read_bytes() if isinstance(file, Path) else file.getvalue()


def _size(file: Path | BytesIO) -> tuple[int, int]:
    with Image.open(file, formats=images.FORMATS) as image:
        return image.size
