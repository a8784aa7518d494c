"""A picture in, a picture out: sketch → photo with G, photo → sketch with F.

The networks know objects on a square sheet of `config.image_size` pixels, so that is where they work: an image of any
size is fitted on a white sheet of that size, translated, cut out again and brought back to the size it came with. A
larger sheet would show them objects of a size they have never seen.
"""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cyclegan.colour_field import colour_fields, field_of, to_pictures, without_daubs
from cyclegan.config import GeneratorConfig, WeightsConfig
from cyclegan.doctor import is_photo
from cyclegan.hub import DEFAULT_FOLDER, load_weights
from cyclegan.images import fit_square, resize, size_within, square_box, to_image, to_rgb, to_tensor
from cyclegan.models import Generator
from cyclegan.weights import StateDict, Weights, WeightsError

log = logging.getLogger(__name__)

MAX_RESULT_PIXELS = 2048 * 2048
"""A result has the size that came in, or the largest of that shape with so many pixels."""

Direction = Literal["sketch_to_photo", "photo_to_sketch"]
BACK: dict[Direction, Direction] = {"sketch_to_photo": "photo_to_sketch", "photo_to_sketch": "sketch_to_photo"}
MAKERS: dict[Direction, str] = {"sketch_to_photo": "generator_G", "photo_to_sketch": "generator_F"}


class Translator:
    """Both generators, ready to use: no gradient, no state, one picture at a time; safe to call from many threads."""

    def __init__(self, weights: Weights, device: str = "auto", dtype: torch.dtype | None = None) -> None:
        """``device``: "auto" takes CUDA, then Apple's MPS, then the CPU. ``dtype``: None takes bfloat16 where the
        processor computes in it (three to four times the pace), else float32.

        Raises:
            WeightsError: the weights give no finite picture.
        """
        self.config: WeightsConfig = weights.config
        self.folder = weights.folder
        self._device = _pick_device(device)
        self._dtype = dtype or _fastest_dtype(self._device)
        if self._device.type == "cpu":  # a container's quota, not the host's processors: more threads only throttle
            torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))
        self._G, self._F = (self._ready(weights.config.generator.of(name), weights.networks[name]) for name in "GF")
        # One thread for all: calls side by side would fight for the same cores, and each thread that computes keeps
        # buffers and OpenMP helpers of its own. Its queue is also first come, first served, which a lock is not.
        self._worker = ThreadPoolExecutor(1, "translator")
        size = self.config.image_size
        version = self.config.sha256.get("generator_G.pth", "")[:8] or "unversioned"
        precision = str(self._dtype).removeprefix("torch.")
        self.description = f"{weights.origin} ({version}), {size}×{size} pixels, {self._device.type} in {precision}"
        self._warm_up()
        log.info("translating with %s", self.description)

    @classmethod
    def from_pretrained(
        cls, source: str | Path = DEFAULT_FOLDER, device: str = "auto", dtype: torch.dtype | None = None
    ) -> Self:
        """Load weights from a folder or a Hub id (see `load_weights`). Raises WeightsError."""
        return cls(load_weights(source), device, dtype)

    def sketch_to_photo(self, sketch: Image.Image, seed: int | None = None) -> Image.Image:
        """Line drawing (dark on light, any mode and size) → RGB photo of that size, at most MAX_RESULT_PIXELS.

        Where the drawing has no colours, they are those of the ``seed``'s colourway (`colour_field`).
        """
        return self._translate(sketch, "sketch_to_photo", seed)

    def photo_to_sketch(self, photo: Image.Image) -> Image.Image:
        """Photo (any mode and size) → RGB line drawing of that size, at most MAX_RESULT_PIXELS."""
        return self._translate(photo, "photo_to_sketch")

    def round_trip(
        self, image: Image.Image, direction: Direction, seed: int | None = None
    ) -> tuple[Image.Image, Image.Image]:
        """(translated, returned): there with ``direction`` and back again from the 8-bit picture that came out.

        A photo comes back in its own colours.
        """
        size = self.config.image_size
        image = to_rgb(image)
        sheet = fit_square(image, size)
        translated = self._on_sheet(sheet, image.size, direction, seed)
        back = fit_square(translated, size)
        field = None
        if direction == "photo_to_sketch" and self.config.generator.colour_field:
            field = field_of(np.asarray(sheet), np.asarray(back))
        return translated, self._on_sheet(back, translated.size, BACK[direction], seed, field)

    def translate_sheets(self, sheets: Tensor, direction: Direction, seeds: Sequence[int] | None = None) -> Tensor:
        """Many pictures at once: B×3×S×S in [-1, 1], S = `config.image_size` → the same, on the CPU in float32.

        ``seeds``: one for each picture, as for `sketch_to_photo`.
        """
        return self._run(sheets, direction, seeds).float().cpu()

    def _translate(self, image: Image.Image, direction: Direction, seed: int | None = None) -> Image.Image:
        image = to_rgb(image)
        return self._on_sheet(fit_square(image, self.config.image_size), image.size, direction, seed)

    def _on_sheet(
        self,
        sheet: Image.Image,
        size: tuple[int, int],
        direction: Direction,
        seed: int | None = None,
        field: NDArray[np.uint8] | None = None,
    ) -> Image.Image:
        """The S×S ``sheet``, which an image of ``size`` lies on, translated, cut out and brought to that size."""
        fields = None if field is None else to_tensor(Image.fromarray(field)).unsqueeze(0)
        sheets = to_tensor(sheet).unsqueeze(0)
        result = to_image(self._run(sheets, direction, None if seed is None else [seed], fields)[0])
        return resize(result.crop(square_box(*size, result.width)), size_within(*size, MAX_RESULT_PIXELS))

    def _run(
        self, sheets: Tensor, direction: Direction, seeds: Sequence[int] | None = None, fields: Tensor | None = None
    ) -> Tensor:
        """B×3×S×S → B×3×S×S, both in [-1, 1], as are ``fields``; without, the drawings or ``seeds`` tell colours."""
        if direction == "photo_to_sketch":
            return self._worker.submit(self._compute, self._F, sheets).result()
        if not self.config.generator.colour_field:
            return self._worker.submit(self._compute, self._G, sheets).result()
        if fields is None:
            fields = colour_fields(sheets, seeds)  # here: the worker is for what fills all cores
        whole = torch.tensor([is_photo(picture) for picture in to_pictures(sheets)])  # in the place of drawings
        shown = torch.where(whole[:, None, None, None], sheets, without_daubs(sheets, fields))
        return self._worker.submit(self._compute, self._G, shown, fields).result()

    @torch.inference_mode()
    def _compute(self, network: nn.Module, *sheets: Tensor) -> Tensor:
        return network(*(one.to(self._device, self._dtype, memory_format=torch.channels_last) for one in sheets))

    def _ready(self, config: GeneratorConfig, state: StateDict) -> nn.Module:
        network: nn.Module = Generator(config)
        network.load_state_dict(state)
        network = fold_norms(network.eval().requires_grad_(False))
        return network.to(self._device, self._dtype).to(memory_format=torch.channels_last)

    def _warm_up(self) -> None:
        """The first run at a shape picks kernels and fills caches; do it now rather than under the user's pen."""
        size = self.config.image_size
        for direction, name in MAKERS.items():
            for _ in range(2):
                if not self._run(torch.ones(1, 3, size, size), direction).isfinite().all():
                    raise WeightsError(f"{name} makes values that are not finite from a white sheet; train it again.")


def fold_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm (eval mode) into the convolution before it, in place: same function, less memory moved."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for index, (conv, norm) in enumerate(pairwise(list(module))):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[index], module[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


def usable_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors that this process may really use: its affinity, cut to its container's quota (cgroup v2 or v1)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / f"cpu/cpu.cfs_{part}_us").read_text() for part in ("quota", "period"))
        if quota != "max" and int(quota) > 0:
            cpus = min(cpus, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no cgroups here, so no quota
    return cpus


def _pick_device(device: str) -> torch.device:
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a CPU with instructions for it (elsewhere it is emulated, and slow), else float32."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    native = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32
