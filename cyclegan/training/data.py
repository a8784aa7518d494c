"""Two folders → batches. Each sample is a function of the seed and its number, so that a run resumes exactly."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Generator
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cyclegan import images
from cyclegan.config import MAX_DETAIL_SIDE, ConfigError, DataConfig
from cyclegan.devices import usable_cpus
from cyclegan.drawing.coherent_lines import coherent_lines
from cyclegan.drawing.inking import Drawing
from cyclegan.drawing.tracing import WORK_SIZE, trace_at_work_size
from cyclegan.images import RGBArray
from cyclegan.training.augmentation import (
    TrainingSample,
    cropped_sample,
    given_pair_sample,
    paired_sample,
    pasted,
    scene_sample,
    unpaired_sample,
)
from cyclegan.training.files import Found, Half, Listing, find_images, open_photo
from cyclegan.training.files import held_out as held_out
from cyclegan.training.on_device import applied, packed

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
"""``sketch``, ``lines``, ``photo``, ``traced``, ``hints``, ``colour_map``: B×3×H×W in [-1, 1], as
``augmentation.TrainingSample`` describes them; ``paired``, ``coloured``, ``background``: B booleans; ``detail``,
``sketch_detail``: B float32."""

CPU = torch.device("cpu")
DRAWN = ("sketch", "lines", "traced", "hints")
TRANSFORM = "transform/"
"""What the names of a transform's tensors begin with, on the way to the device."""
FLAGS = ("paired", "coloured", "background")
AMOUNTS = ("detail", "sketch_detail")
SCENE_SCALES = (1.0, 1.5, 2.1, 3.0, 4.0)
"""How many times as long as a sheet the longer side of a scene is: networks have to know photos of any scale."""
MAX_ATTEMPTS = 20
"""Images tried for one sample: more that fail in a row are a disk that is gone, not a few bad files."""
MAX_DRAWINGS = 10_000
"""Drawings that a worker remembers: some 200 MB."""
MIN_SCENE_SIDE = 256
"""Pixels that a sheet at least spans when lines are looked for: fewer show too little."""


class UnpairedImages(Dataset[Batch]):
    """Samples without end, by number: photos in a new random order each epoch, each with a drawing.

    The drawing belongs to the photo (``paired_prob`` of the samples, and all of them when there are no sketches): given
    with it, or traced. Or it is any sketch: real CycleGAN data, which no photo belongs to.
    """

    def __init__(self, config: DataConfig, seed: int, listing: Listing | None = None):
        """``listing``: what `find_images` found for training or kept back; None looks for what there is to train on.

        Raises:
            ConfigError: a folder is missing or has no image to train on.
        """
        self.config, self.seed = config, seed
        self.listing = listing or find_images(config).training
        self.photos = _balanced(self.listing.photos, config.folder_balance)
        self.sketches, self.scenes = self.listing.sketches, self.listing.scenes
        self._drawings: dict[tuple[Path, int], Drawing] = {}

    def __getitem__(self, number: int) -> Batch:
        """Sample ``number`` (0, 1, 2, …) without the batch dimension.

        Raises:
            ConfigError: not one of many images can be opened.
        """
        batch = _normalised(default_collate([self.sample(number)[0]]), CPU)
        return {name: tensor[0] for name, tensor in batch.items()}

    def sample(self, number: int, raw: bool = False) -> tuple[Batch, list[str]]:
        """Sample ``number``, its images H×W×3 uint8, and why images that were wanted for it could not be opened: others
        took their place. ``raw``: with the photo's transform, as `on_device` takes it, in the photo's place.

        Raises:
            ConfigError: not one of many images can be opened.
        """
        problems: list[str] = []
        for attempt in range(MAX_ATTEMPTS):
            rng = np.random.default_rng((self.seed, number, attempt) if attempt else (self.seed, number))
            wanted = int(rng.integers(len(self.photos))) if attempt else number
            try:
                return _tensors(self._sample(wanted, rng), self.config, raw), problems
            except images.ImageError as error:
                problems.append(str(error))
        raise ConfigError(f"{MAX_ATTEMPTS} images in a row cannot be opened; are they still there? {problems[-1]}")

    def _sample(self, number: int, rng: np.random.Generator) -> TrainingSample:
        if self.scenes and rng.random() < self.config.scene_prob:
            return self._scene(rng)
        path, sketches = self.photo(number), self.sketches
        photo = self._opened(path, "right")
        unpaired = bool(sketches) and rng.random() >= self.config.paired_prob
        sketch_path = sketches[rng.integers(len(sketches))] if unpaired else self.listing.sketch_of.get(path)
        if not sketch_path:
            return paired_sample(photo, self._traced(path, photo), self.config, rng)
        sketch = self._opened(sketch_path, "left")
        if self.config.crop_from:
            return cropped_sample(sketch, photo, self.config, rng, not unpaired)
        return (unpaired_sample if unpaired else given_pair_sample)(sketch, photo, self.config, rng)

    def _scene(self, rng: np.random.Generator) -> TrainingSample:
        """A random scene at a random scale."""
        path, side = self.scenes[rng.integers(len(self.scenes))], max(self.config.size, MIN_SCENE_SIDE)
        if rng.random() < self.config.fine_prob:
            side *= 2
        longer = int(rng.choice(scene_lengths(side)))
        pixels = scene_pixels(self._source(path), longer)
        lines = self._lines(path, longer, lambda: coherent_lines(pixels, longer))
        if rng.random() < self.config.paste_prob:
            path = self.photos[rng.integers(len(self.photos))]
            thing = self._opened(path, "right")
            if (drawing := self._traced(path, thing)).has_silhouette:
                pixels, lines = pasted(pixels, lines, np.asarray(thing), drawing, rng)
        return scene_sample(pixels, lines, side, self.config.size, rng, self.config.steady)

    def photo(self, number: int) -> Path:
        """The file of sample ``number``'s photo."""
        epoch, place = divmod(number, len(self.photos))
        return self.photos[_order(self.seed, epoch, len(self.photos))[place]]

    def _opened(self, path: Path, half: Half) -> Image.Image:
        """Square: stretched if it is to be cropped, else on a white sheet."""
        side = self.config.crop_from or max(self.config.size, WORK_SIZE)
        picture = open_photo(self._source(path), side, half if self.listing.side_by_side else None)
        return images.resize(picture, (side, side)) if self.config.crop_from else images.fit_square(picture, side)

    def thumbnail(self, path: Path, side: int, half: Half) -> RGBArray:
        """side×side pixels of a photo or, if ``half`` of the files are sketches, of one of them; raises ImageError."""
        picture = open_photo(self._source(path), side, half if self.listing.side_by_side else None)
        return np.asarray(images.resize(picture, (side, side)))

    def _source(self, path: Path) -> Path | BytesIO:
        pack = self.listing.pack
        return pack.open(path) if pack and path in pack else path

    def _traced(self, path: Path, photo: Image.Image) -> Drawing:
        drawing = self._lines(path, WORK_SIZE, lambda: trace_at_work_size(np.asarray(photo)))
        return drawing.resized(photo.size)

    def _lines(self, path: Path, side: int, draw: Callable[[], Drawing]) -> Drawing:
        """The lines of a picture of ``side`` pixels: from the pack or, found by ``draw``, those of the pictures seen
        last. They take 40 ms to find (scenes 0.3 s) and some 20 kB to keep (scenes 100 kB). A pack's are of photos that
        are not stretched."""
        pack, key = self.listing.pack, (path, side)
        if pack and path in pack and not self.config.crop_from and (drawing := pack.drawing(path, side)):
            return drawing
        drawing = self._drawings.pop(key, None) or draw()
        self._drawings[key] = drawing
        if len(self._drawings) > MAX_DRAWINGS:
            del self._drawings[next(iter(self._drawings))]
        return drawing


def scene_lengths(side: int) -> list[int]:
    """Pixels along the longer side that a scene may have, of which a sheet spans ``side``."""
    return [round(side * scale) for scale in SCENE_SCALES if side * scale <= MAX_DETAIL_SIDE] or [side]


def scene_pixels(source: Path | BytesIO, longer: int) -> RGBArray:
    """The scene with ``longer`` pixels along its longer side, H×W×3.

    Raises:
        ImageError: the file is gone or damaged.
    """
    photo = open_photo(source, longer)
    left, top, right, bottom = images.square_box(*photo.size, longer)
    return np.asarray(images.resize(photo, (right - left, bottom - top)))


def _tensors(sample: TrainingSample, config: DataConfig, raw: bool) -> Batch:
    """Images as they are, H×W×3 uint8: a quarter of the bytes to hand on."""
    arrays = {name: getattr(sample, name) for name in DRAWN}
    flags = {name: torch.tensor(getattr(sample, name)) for name in FLAGS}
    amounts = {name: torch.tensor(getattr(sample, name), dtype=torch.float32) for name in AMOUNTS}
    if raw:
        tensors = {TRANSFORM + name: tensor for name, tensor in packed(sample.transform, config).items()}
        arrays["colour_map"] = sample.colours
    else:
        tensors = {}
        arrays |= {"photo": sample.photo, "colour_map": sample.colour_map}
    return {name: torch.from_numpy(array) for name, array in arrays.items()} | tensors | flags | amounts


def _normalised(batch: Batch, device: torch.device) -> Batch:
    """Images of B×H×W×3 uint8, and photos still to be made, as a `Batch` has them, on ``device``; what is small stays
    where it is."""
    transform = {name.removeprefix(TRANSFORM): batch[name] for name in batch if name.startswith(TRANSFORM)}
    rest = {name: tensor for name, tensor in batch.items() if not name.startswith(TRANSFORM)}
    there = {name: rest[name].to(device, non_blocking=True) for name in (*DRAWN, "photo", "colour_map") if name in rest}
    done = {name: images.normalised(pictures) for name, pictures in there.items()}
    if transform:
        done["photo"], done["colour_map"] = (
            made.contiguous(memory_format=torch.channels_last)
            for made in applied(transform, done["colour_map"], device)
        )
    return rest | done


def batches(
    dataset: UnpairedImages, start: int, stop: int, share: slice = slice(None), device: torch.device = CPU
) -> Generator[Batch]:
    """Batches number ``start`` to ``stop``; the same whatever came before and however many workers there are.

    ``share``: which samples of each batch, for a process of several. ``device``: where their images are made floats.
    They go there as bytes, from pinned memory where that is of use, so that the copy waits for nothing; photos are made
    there, too, if `DataConfig.on_device` says so.

    Images that can no longer be opened are named once, and others take their place. Close the generator
    (`contextlib.closing`) to end the workers.

    Raises:
        ConfigError: not one of many images can be opened.
    """
    config = dataset.config
    size = config.batch
    numbers = ([*range(number * size, (number + 1) * size)[share]] for number in range(start, stop))
    loader = iter(
        DataLoader(
            _Reported(dataset, device.type != "cpu" if config.on_device is None else config.on_device),
            batch_sampler=numbers,
            num_workers=worker_count(config, device),
            collate_fn=_collate,
            worker_init_fn=_as_worker,
            pin_memory=device.type in ("cuda", "xpu"),
        )
    )
    named: set[str] = set()
    try:
        for batch, problems in loader:
            for problem in problems:
                if problem not in named:
                    log.warning("%s Other images take its place.", problem)
                    named.add(problem)
            if batch is None:
                raise ConfigError(problems[-1])
            yield _normalised(batch, device)
    finally:
        _end_workers(loader)


def worker_count(config: DataConfig, device: torch.device) -> int:
    """How many processes prepare samples for networks on ``device``: see `DataConfig.workers`."""
    if config.workers is not None:
        return config.workers
    if device.type == "cpu":
        return 1
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # torchrun's processes on this machine
    return max((usable_cpus() - 1) // beside, 1)


class _Reported(Dataset[tuple[Batch | None, list[str]]]):
    """Samples with what went wrong: errors would cross from a worker with its traceback for a message."""

    def __init__(self, dataset: UnpairedImages, raw: bool):
        self.dataset, self.raw = dataset, raw

    def __getitem__(self, number: int) -> tuple[Batch | None, list[str]]:
        try:
            return self.dataset.sample(number, self.raw)
        except ConfigError as error:
            return None, [str(error)]


def _collate(samples: list[tuple[Batch | None, list[str]]]) -> tuple[Batch | None, list[str]]:
    problems = [problem for _, some in samples for problem in some]
    tensors = [batch for batch, _ in samples if batch is not None]
    return (default_collate(tensors) if len(tensors) == len(samples) else None), problems


def _end_workers(loader: Any) -> None:
    """At once, whatever they do: they ignore polite signals, and the process would wait for them as it ends."""
    if workers := getattr(loader, "_workers", ()):
        loader._shutdown_workers()  # which `del` would do, were there not the traceback of an error to hold on to it
        for worker in workers:
            worker.kill()


def samples(config: DataConfig, seed: int, found: Found, count: int = 8) -> Batch:
    """A fixed batch of samples to look at: held-out ones, or where the folder is too small for any, training ones."""
    dataset = UnpairedImages(config, seed, found.held_out if found.held_out.photos else found.training)
    return default_collate([dataset[number] for number in range(count)])


def _balanced(photos: list[Path], balance: float) -> list[Path]:
    """``photos`` with those of small folders repeated, as `DataConfig.folder_balance` says."""
    if not balance:
        return photos
    counts = Counter(path.parent for path in photos)
    largest = max(counts.values())
    return [path for path in photos for _ in range(round((largest / counts[path.parent]) ** balance))]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch, count)).permutation(count)


def _as_worker(_: int) -> None:
    """One thread each, so that the other cores are left to the networks. Signals to stop, which reach all processes of
    a run, are left to the loop: it ends its workers once the current step is saved, and they end with its process."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """PyTorch's workers look for their parent, too, but as they end they wait for a queue that nobody reads."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
