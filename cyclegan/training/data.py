"""Two folders → batches. Each sample is a function of the seed and its number, so that a run resumes exactly."""

from __future__ import annotations

import hashlib
import logging
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cyclegan import images
from cyclegan.config import MAX_DETAIL_SIDE, ConfigError, DataConfig
from cyclegan.drawing.coherent_lines import coherent_lines
from cyclegan.drawing.inking import Drawing
from cyclegan.drawing.tracing import WORK_SIZE, trace
from cyclegan.training.augmentation import TrainingSample, paired_sample, pasted, scene_sample, unpaired_sample

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
"""``sketch``, ``lines``, ``photo``, ``traced``, ``hints``, ``colour_map``: B×3×H×W in [-1, 1], as
``augmentation.TrainingSample`` describes them; ``paired``, ``coloured``, ``background``: B booleans; ``detail``,
``sketch_detail``: B float32."""

IMAGES = ("sketch", "lines", "photo", "traced", "hints", "colour_map")
FLAGS = ("paired", "coloured", "background")
AMOUNTS = ("detail", "sketch_detail")
SCENE_SCALES = (1.0, 1.5, 2.1, 3.0, 4.0)
"""How many times as long as a sheet the longer side of a scene is: networks have to know photos of any scale."""
MIN_SCENE_SIDE = 256
"""Pixels that a sheet at least spans when lines are looked for: fewer show too little."""


class UnpairedImages(Dataset[Batch]):
    """Samples without end, by number: photos in a new random order each epoch, each with a drawing.

    The drawing is made from the photo (``paired_prob`` of the samples, and all of them when there is no sketch folder),
    or is any one of the sketch folder: real CycleGAN data, which no photo belongs to.
    """

    def __init__(self, config: DataConfig, seed: int, held_out: bool = False):
        """``held_out``: the files kept back for evaluation instead of those to train on.

        Raises:
            ConfigError: a folder is missing or has no image for this.
        """
        self.config, self.seed = config, seed
        photos = _files(config.photos, "data.photos", config.held_out, held_out)
        self.photos = photos if held_out else _balanced(photos, config.folder_balance)
        self.sketches: list[Path] = []
        if config.sketches and config.paired_prob < 1:
            self.sketches = _files(config.sketches, "data.sketches", config.held_out, held_out)
        self.scenes: list[Path] = []
        if config.scenes and config.scene_prob:
            self.scenes = _files(config.scenes, "data.scenes", config.held_out, held_out)
        self._scene_lines: dict[tuple[Path, int], Drawing] = {}  # 0.3 s to find, some 100 kB to keep
        self._drawings: dict[Path, Drawing] = {}  # 40 ms to trace, some 20 kB to keep

    def __getitem__(self, number: int) -> Batch:
        """Sample ``number`` (0, 1, 2, …) without the batch dimension."""
        rng = np.random.default_rng((self.seed, number))
        if self.scenes and rng.random() < self.config.scene_prob:
            return _tensors(self._scene(rng))
        path = self.photo(number)
        photo = self._opened(path)
        if self.sketches and rng.random() >= self.config.paired_prob:
            sketch = self._opened(self.sketches[rng.integers(len(self.sketches))])
            sample = unpaired_sample(sketch, photo, self.config, rng)
        else:
            sample = paired_sample(photo, self._drawing(path), self.config, rng)
        return _tensors(sample)

    def _scene(self, rng: np.random.Generator) -> TrainingSample:
        """A random scene at a random scale."""
        path, side = self.scenes[rng.integers(len(self.scenes))], max(self.config.size, MIN_SCENE_SIDE)
        if rng.random() < self.config.fine_prob:
            side *= 2
        longer = round(side * float(rng.choice([s for s in SCENE_SCALES if side * s <= MAX_DETAIL_SIDE] or [1.0])))
        photo = images.to_rgb(images.open_image(path))
        left, top, right, bottom = images.square_box(*photo.size, longer)
        pixels = np.asarray(images.resize(photo, (right - left, bottom - top)))
        if (path, longer) not in self._scene_lines:
            self._scene_lines[path, longer] = coherent_lines(pixels, longer)
        lines = self._scene_lines[path, longer]
        if rng.random() < self.config.paste_prob:
            thing = self.photos[rng.integers(len(self.photos))]
            if self._drawing(thing).has_silhouette:
                pixels, lines = pasted(pixels, lines, np.asarray(self._opened(thing)), self._drawing(thing), rng)
        return scene_sample(pixels, lines, side, self.config.size, rng)

    def photo(self, number: int) -> Path:
        """The file of sample ``number``'s photo."""
        epoch, place = divmod(number, len(self.photos))
        return self.photos[_order(self.seed, epoch, len(self.photos))[place]]

    def _opened(self, path: Path) -> Image.Image:
        return images.fit_square(images.to_rgb(images.open_image(path)), max(self.config.size, WORK_SIZE))

    def _drawing(self, path: Path) -> Drawing:
        if path not in self._drawings:
            self._drawings[path] = trace(np.asarray(self._opened(path)))
        return self._drawings[path]


def _tensors(sample: TrainingSample) -> Batch:
    tensors = {name: images.to_batch(getattr(sample, name)[None])[0] for name in IMAGES}
    flags = {name: torch.tensor(getattr(sample, name)) for name in FLAGS}
    amounts = {name: torch.tensor(getattr(sample, name), dtype=torch.float32) for name in AMOUNTS}
    return tensors | flags | amounts


def batches(config: DataConfig, seed: int, start: int, stop: int) -> Iterator[Batch]:
    """Batches number ``start`` to ``stop``; the same whatever came before and however many workers there are."""
    numbers = range(start * config.batch, stop * config.batch)
    loader = DataLoader(
        UnpairedImages(config, seed),
        batch_size=config.batch,
        sampler=numbers,
        num_workers=config.workers,
        worker_init_fn=_as_worker,
    )
    return iter(loader)


def samples(config: DataConfig, seed: int, count: int = 8) -> Batch:
    """A fixed batch of samples to look at: held-out ones, or where the folder is too small for any, training ones."""
    dataset = UnpairedImages(config, seed, held_out=True)
    if not dataset.photos:
        dataset = UnpairedImages(config, seed)
    return default_collate([dataset[number] for number in range(count)])


def held_out(path: Path, share: float) -> bool:
    """Whether a file is kept back from training: by a hash of its name, so that moves and additions change nothing."""
    digest = hashlib.sha256(path.name.encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def _files(folder: Path, setting: str, share: float, kept_back: bool) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"{setting}: there is no folder {folder}.")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    with ThreadPoolExecutor() as threads:
        usable = list(threads.map(_usable, paths))
    if bad := [path.name for path, good in zip(paths, usable, strict=True) if not good]:
        log.warning("%s: skipped %d files that are not usable images: %s", setting, len(bad), ", ".join(bad))
    chosen = [path for path, good in zip(paths, usable, strict=True) if good and held_out(path, share) == kept_back]
    if not chosen and not kept_back:
        raise ConfigError(f"{setting}: {folder} has no images to train on.")
    return chosen


def _balanced(photos: list[Path], balance: float) -> list[Path]:
    """``photos`` with those of small folders repeated, as `DataConfig.folder_balance` says."""
    counts = Counter(path.parent for path in photos)
    largest = max(counts.values())
    return [path for path in photos for _ in range(round((largest / counts[path.parent]) ** balance))]


def _usable(path: Path) -> bool:
    try:
        images.open_image(path)
    except images.ImageError:
        return False
    return True


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch, count)).permutation(count)


def _as_worker(_: int) -> None:
    """One thread each, so that the other cores are left to the networks. SIGINT and SIGTERM, which reach all processes
    of a run, are left to the loop: it ends its workers once the current step is saved."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
