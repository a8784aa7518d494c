"""A folder → a pack: each picture decoded, resized, traced and encoded once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from tqdm import tqdm

from cyclegan import images
from cyclegan.config import MAX_DETAIL_SIDE, ConfigError
from cyclegan.devices import usable_cpus
from cyclegan.drawing.coherent_lines import coherent_lines
from cyclegan.drawing.tracing import WORK_SIZE, trace_at_work_size
from cyclegan.training.data import MIN_SCENE_SIDE, scene_lengths, scene_pixels
from cyclegan.training.files import Half, are_side_by_side, images_in, open_photo
from cyclegan.training.headers import Index
from cyclegan.training.pack import Packed, PackWriter

log = logging.getLogger(__name__)

Kind = Literal["photos", "sketches", "scenes"]
QUALITY = 80
"""Of WebP: photos of 256 pixels take 4 to 15 kB and are off by about 1 of 255."""


def pack(
    photos: Path,
    out: Path,
    sketches: Path | None = None,
    scenes: Path | None = None,
    size: int = WORK_SIZE,
    lossless: bool = False,
    workers: int = 0,
) -> None:
    """Write a pack of the pictures in these folders, of any layout in `files` but a CSV, to the folder ``out``.

    ``size``: pixels of the longer side of photos and sketches, 256 at least; scenes keep up to `MAX_DETAIL_SIDE`.
    ``lossless``: samples are those of the folders bit for bit, if no scene is larger than that. ``workers``: processes;
    0 takes all cores.

    Raises:
        ConfigError: a folder is missing, empty or, for ``out``, not empty; or the disk is full.
    """
    given: dict[Kind, Path | None] = {"photos": photos, "sketches": sketches, "scenes": scenes}
    folders = {kind: folder for kind, folder in given.items() if folder}
    found = {kind: images_in(folder, kind, Index()) for kind, folder in folders.items()}
    if not found["photos"]:
        raise ConfigError(f"photos: {photos} has no images to pack.")
    packing = Packing(max(size, WORK_SIZE), lossless, not sketches and are_side_by_side(found["photos"]))
    jobs = [
        delayed(packing.packed)(f"{kind}/{path.relative_to(folders[kind]).as_posix()}", path, kind, header[2:4])
        for kind, some in found.items()
        for path, header in some.items()
    ]
    problems = []
    with PackWriter(out, size=packing.size, lossless=lossless) as writer:
        results = Parallel(n_jobs=workers or usable_cpus(), return_as="generator")(jobs)
        for packed in tqdm(results, total=len(jobs), unit=" pictures", disable=None):
            if isinstance(packed, str):
                problems.append(packed)
            else:
                writer.add(packed)
    if problems:
        log.warning("Left out:%s", "".join(f"\n  {problem}" for problem in problems))
    total = sum(file.stat().st_size for file in out.iterdir())
    counts = ", ".join(f"{len(some):,} {kind}" for kind, some in found.items())
    log.info("%s in %s: %.1f MB. Train on it: --set data.photos=%s", counts, out, total / 1e6, out)


@dataclass(frozen=True)
class Packing:
    """How pictures are packed."""

    size: int = WORK_SIZE
    """Pixels of the longer side that photos and sketches are reduced to; scenes keep up to `MAX_DETAIL_SIDE`."""
    lossless: bool = False
    side_by_side: bool = False
    """Whether photos are pictures A|B, whose halves are reduced, each by itself."""

    def packed(self, name: str, path: Path, kind: Kind, size: tuple[int, int]) -> Packed | str:
        """Picture ``path``, ``size`` pixels large, as ``name``; or why it cannot be."""
        cv2.setNumThreads(1)
        try:
            if kind == "scenes":
                data = self._encoded(path, open_photo(path, MAX_DETAIL_SIDE), MAX_DETAIL_SIDE, kind)
                sides = sorted({n for side in (1, 2) for n in scene_lengths(side * max(self.size, MIN_SCENE_SIDE))})
                drawings = {side: coherent_lines(scene_pixels(path, side), side) for side in sides}
            elif kind == "photos" and not self.side_by_side:
                picture = open_photo(path, self.size)
                data = self._encoded(path, picture, self.size, kind)
                square = images.fit_square(picture, self.size)  # as it was: lines are the folder's, loss or not
                drawings = {WORK_SIZE: trace_at_work_size(np.asarray(square))}
            elif kind == "photos":
                data, drawings = self._encoded(path, self._both_halves(path), 2 * self.size, kind), {}
            else:
                data, drawings = self._encoded(path, open_photo(path, self.size), self.size, kind), {}
        except images.ImageError as error:
            return str(error)
        return Packed(name, data, size, drawings)

    def _both_halves(self, path: Path) -> Image.Image:
        """A picture A|B, its halves reduced each by itself, so that neither bleeds into the other."""
        whole = open_photo(path, 2 * self.size)
        if max(whole.size) <= 2 * self.size:
            return whole
        both = Image.new("RGB", (2 * self.size, self.size))
        halves: dict[Half, int] = {"left": 0, "right": self.size}
        for half, left in halves.items():
            both.paste(images.fit_square(open_photo(path, self.size, half), self.size), (left, 0))
        return both

    def _encoded(self, path: Path, picture: Image.Image, side: int, kind: Kind) -> bytes:
        """The picture reduced to ``side``; the file as it is where that is no larger, or asked for without loss."""
        small = max(picture.size) <= side
        if not small:
            left, top, right, bottom = images.square_box(*picture.size, side)
            picture = images.resize(picture, (right - left, bottom - top))
        if small and self.lossless:
            return path.read_bytes()
        file = BytesIO()
        picture.save(file, "WEBP", lossless=self.lossless or kind == "sketches", quality=QUALITY)
        data = file.getvalue()
        if small and path.stat().st_size <= len(data):
            return path.read_bytes()
        return data
