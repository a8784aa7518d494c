"""What an evaluation is made with: images held out from training, and drawings of them in randomised styles."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cyclegan import images
from cyclegan.colour.hints import colour_hints
from cyclegan.config import ConfigError, DataConfig, WeightsConfig
from cyclegan.drawing.inking import CANONICAL, Drawing, Style, ink
from cyclegan.drawing.tracing import WORK_SIZE, trace
from cyclegan.evaluation.metrics import Masks, Pictures
from cyclegan.training.data import held_out

log = logging.getLogger(__name__)

FEWEST = 2


@dataclass(frozen=True)
class HeldOut:
    """Photos, and by the same numbers what was made from them; ``others`` and ``sketches`` belong to nothing.

    Pictures (N×S×S×3 uint8 RGB) and masks have the networks' size S.
    """

    photos: Pictures
    drawings: list[Drawing]
    masks: Masks
    lines: Pictures
    """The drawings, each in a style of its own."""
    traced: Pictures
    """The drawings clean and complete: F's target."""
    others: Pictures
    """Photos of the same kinds of objects, as a reference."""
    others_traced: Pictures
    sketches: Pictures | None
    """Drawings from elsewhere."""

    def hinted(self, photos: Pictures) -> Pictures:
        """``lines`` with strokes in the colours of ``photos``, which show the same objects."""
        together = enumerate(zip(photos, self.drawings, strict=True))
        hints = [colour_hints(*parts, _rng(f"hints {number}")) for number, parts in together]
        return np.minimum(self.lines, np.stack(hints))

    def turned(self) -> Pictures:
        """The photos with all hues turned, each by another angle, so that no colour can be guessed."""
        return np.stack([turned_hues(p, _rng(f"hue {n}").uniform(60, 300)) for n, p in enumerate(self.photos)])


def gather(
    config: WeightsConfig,
    photos: Path,
    sketches: Path | None = None,
    count: int = 200,
    everything: bool = False,
    share: float | None = None,
) -> HeldOut:
    """At most ``count`` photos and as many sketches of those kept back from training, chosen by their names' hash.

    The reference is as many photos of those trained on. ``share``: how many were kept back; None: what the weights say.
    With ``everything`` no file counts as trained on, and every other photo is the reference.

    Raises:
        ConfigError: a folder is missing or has too few images.
    """
    share = 1.0 if everything else share or held_out_share(config)
    size = config.image_size
    paths = _image_files(photos, "--photos")
    tested = [path for path in paths if held_out(path, share)]
    rest = paths[len(tested) :]
    if everything:
        tested, rest = paths[::2], paths[1::2]
    seen = _opened(tested, count, size)
    others = [photo for _, photo in _opened(rest, max(len(seen), FEWEST), size)]
    if min(len(seen), len(others)) < FEWEST:
        raise ConfigError(f"--photos: {photos} has too few images kept back from training; --all takes every one.")
    foreign = None
    if sketches:
        drawn = held_out_paths(sketches, "--sketches", share)
        foreign = _resized([sketch for _, sketch in _opened(drawn, count, size)], size)
        if len(foreign) < FEWEST:
            raise ConfigError(f"--sketches: {sketches} has too few images kept back from training.")
    names, large = zip(*seen, strict=True)
    drawings, others_drawings = ([trace(p).resized((size, size)) for p in photos] for photos in (large, others))
    return HeldOut(
        photos=_resized(large, size),
        drawings=drawings,
        masks=np.stack([drawing.mask() > 0 for drawing in drawings]),
        lines=np.stack([drawn_by(Style.random(_rng(n)), d, n) for n, d in zip(names, drawings, strict=True)]),
        traced=np.stack([drawn_by(CANONICAL, drawing) for drawing in drawings]),
        others=_resized(others, size),
        others_traced=np.stack([drawn_by(CANONICAL, drawing) for drawing in others_drawings]),
        sketches=foreign,
    )


def drawn_by(style: Style, drawing: Drawing, seed: str = "") -> Pictures:
    """The inked drawing: H×W×3 uint8."""
    return np.asarray(cv2.cvtColor(ink(drawing, style, _rng(seed)), cv2.COLOR_GRAY2RGB), np.uint8)


def turned_hues(photo: Pictures, degrees: float) -> Pictures:
    """H×W×3 uint8 RGB with every hue turned by an angle in CIELAB; lightness stays, and so does grey."""
    rgb = images.from_lab(images.rotate_hues(images.to_lab(photo), np.deg2rad(degrees)))
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def held_out_share(config: WeightsConfig) -> float:
    """The share that the weights' training kept back; the usual one where they do not say."""
    data = config.training.get("data")
    share = data.get("held_out") if isinstance(data, dict) else None
    usual = DataConfig(photos=Path()).held_out
    return share if isinstance(share, float) and 0 < share < 1 else usual


def held_out_paths(folder: Path, option: str, share: float) -> list[Path]:
    """The images of ``folder`` that a held-out ``share`` keeps back. Raises ConfigError, naming ``option``."""
    return [path for path in _image_files(folder, option) if held_out(path, share)]


def _image_files(folder: Path, option: str) -> list[Path]:
    """The folder's images in the order of the hash by which `data.held_out` keeps files back: those come first."""
    if not folder.is_dir():
        raise ConfigError(f"{option}: there is no folder {folder}.")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in images.SUFFIXES and path.is_file()]
    return sorted(paths, key=lambda path: (hashlib.sha256(path.name.encode()).digest(), path.as_posix()))


def _opened(paths: list[Path], count: int, size: int) -> list[tuple[str, Pictures]]:
    """Names and pictures of the first ``count`` usable images, large enough to be traced."""
    found: list[tuple[str, Pictures]] = []
    for path in paths:
        if len(found) == count:
            break
        try:
            image = images.to_rgb(images.open_image(path))
        except images.ImageError as error:
            log.warning("skipped: %s", error)
            continue
        found.append((path.name, np.asarray(images.fit_square(image, max(size, WORK_SIZE)))))
    return found


def _resized(pictures: Sequence[Pictures], size: int) -> Pictures:
    sheets = [np.asarray(images.resize(Image.fromarray(picture), (size, size))) for picture in pictures]
    return np.stack(sheets) if sheets else np.empty((0, size, size, 3), np.uint8)


def _rng(seed: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(seed.encode()))
