"""G and F on their device: a batch of images in, a batch out, as fast as the processor allows."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from queue import PriorityQueue
from typing import Literal

import torch
from torch import Tensor, nn

from cyclegan import engine
from cyclegan.config import WeightsConfig
from cyclegan.devices import fastest_dtype, pick_device, usable_cpus
from cyclegan.engine import EngineError
from cyclegan.images import ImageError
from cyclegan.models import Generator, fold_batch_norms
from cyclegan.weights import Weights, WeightsError

log = logging.getLogger(__name__)

LIVE_SECONDS = 0.06
"""What a photo at full size may take if it is to follow a pen: eight or more a second, with all that is around it."""

Network = Callable[..., Tensor]
Direction = Literal["sketch_to_photo", "photo_to_sketch"]
NAMES: dict[Direction, Literal["G", "F"]] = {"sketch_to_photo": "G", "photo_to_sketch": "F"}


class Generators:
    """Both generators in eval mode, without gradients; for any number of threads."""

    def __init__(self, weights: Weights, device: str = "auto", dtype: torch.dtype | None = None) -> None:
        """``device``, ``dtype``: as for `cyclegan.Translator`.

        Raises:
            WeightsError: the weights give no finite picture.
        """
        self.config: WeightsConfig = weights.config
        self.device = pick_device(device)
        self.dtype = dtype or fastest_dtype(self.device)
        if self.device.type == "cpu":  # a container's quota, not the host's processors: more threads only throttle
            torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))
        self._networks = {direction: self._ready(name, weights) for direction, name in NAMES.items()}
        self._compiled: dict[tuple[Direction, tuple[int, ...]], Network] = {}  # by what it is for: images of one shape
        # One thread for all: concurrent calls would compete for the same cores, and each computing thread keeps buffers
        # and OpenMP threads of its own.
        self._worker = ThreadPoolExecutor(1, "generators")
        self._waiting: PriorityQueue[tuple[bool, int, Future[Tensor], Callable[[], Tensor]]] = PriorityQueue()
        self._numbers = count()
        self._full_seconds = self._warm_up()  # that a photo at full size takes

    @property
    def follows_pen(self) -> bool:
        """Whether photos at full size do: as measured when this was made or compiled, while nothing else waits. If not,
        previews should."""
        return self._full_seconds <= LIVE_SECONDS and self._waiting.empty()

    def translate(self, direction: Direction, *inputs: Tensor, begun: bool = False) -> Tensor:
        """Images, N×3×H×W in [-1, 1], and their condition, if the generator takes one, N×C×H×W → the images translated.

        G with super-resolution leaves that out of images which are not `config.photo_side` wide: a preview.

        ``begun``: this belongs to something whose first part was translated already, and goes before what waits.

        Raises:
            ImageError: there is not enough memory.
        """
        return self._in_turn(begun, self._network(direction, tuple(inputs[0].shape)), *inputs)

    def compile(self) -> None:
        """Let an inference engine translate single sheets of G's sizes from now on, where that is faster: in float32 on
        a CPU, if OpenVINO is installed. Takes some seconds, for a process that translates many; pictures change by
        2/255 at most. Others may translate meanwhile.
        """
        if self.device.type != "cpu" or self.dtype != torch.float32 or not engine.is_installed():
            return
        for direction, side in self._usual_sheets():
            shape = (1, 3, side, side)
            network, inputs = self._network(direction, shape), self._noise(direction, side)
            try:
                compiled = engine.compile_network(network, *inputs)
                difference = (compiled(*inputs) - self._in_turn(False, network, *inputs)).abs().max() / 2
                before, after = self._race((network, compiled), inputs)
            except (EngineError, ImageError) as error:
                log.warning("translating without OpenVINO: %s", error)
                return
            if difference > engine.MAX_DIFFERENCE or after >= before:
                continue
            self._compiled[direction, shape] = compiled
            if direction == "sketch_to_photo" and side == self.config.photo_side > self.config.image_size:
                self._full_seconds = after
        log.info("translating with OpenVINO" if self._compiled else "OpenVINO is not faster here")

    def _ready(self, name: Literal["G", "F"], weights: Weights) -> nn.Module:
        network: nn.Module = Generator(weights.config.generator.of(name))
        network.load_state_dict(weights.networks[name])
        network = fold_batch_norms(network.eval().requires_grad_(False))
        return network.to(self.device, self.dtype).to(memory_format=torch.channels_last)

    def _network(self, direction: Direction, shape: tuple[int, ...]) -> Network:
        """What translates images of a shape, N×3×H×W, given their condition if it takes one."""
        if compiled := self._compiled.get((direction, shape)):
            return compiled
        network = self._networks[direction]
        if direction == "sketch_to_photo" and shape[-1] != self.config.photo_side:
            return partial(network, preview=True)
        return network

    def _in_turn(self, begun: bool, network: Network, *inputs: Tensor) -> Tensor:
        """`_compute` by the worker: first come, first served, but what is ``begun`` does not wait in line once more."""
        future: Future[Tensor] = Future()
        self._waiting.put((not begun, next(self._numbers), future, partial(self._compute, network, *inputs)))
        self._worker.submit(self._next)
        return future.result()

    def _next(self) -> None:
        _, _, future, compute = self._waiting.get()
        try:
            future.set_result(compute())
        except BaseException as error:
            future.set_exception(error)

    @torch.inference_mode()
    def _compute(self, network: Network, *inputs: Tensor) -> Tensor:
        try:
            return network(*(one.to(self.device, self.dtype, memory_format=torch.channels_last) for one in inputs))
        except (MemoryError, RuntimeError) as error:  # on the CPU PyTorch has no type of its own for it
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            raise ImageError("There is not enough memory for this picture; use a smaller one.") from None

    def _warm_up(self) -> float:
        """The first run at a shape selects kernels and fills caches: better now than while somebody waits.

        Returns the seconds that the super-resolution's photo then takes, 0 if there is none.
        """
        for direction, side in self._usual_sheets():
            file = f"generator_{NAMES[direction]}"
            for _ in range(2):
                start = time.perf_counter()
                try:
                    finite = self.translate(direction, *self._noise(direction, side)).isfinite().all()
                except ImageError:
                    raise WeightsError(f"There is not enough memory for {file} at {side} pixels.") from None
                if not finite:
                    raise WeightsError(f"{file} computes values that are not finite from noise; train it again.")
                took = time.perf_counter() - start
        return took if self.config.photo_side > self.config.image_size else 0.0

    def _usual_sheets(self) -> list[tuple[Direction, int]]:
        """Directions and sides of what the page asks for all the time; photos at full size come last."""
        small, full = self.config.image_size, self.config.photo_side
        sheets: list[tuple[Direction, int]] = [("sketch_to_photo", small), ("photo_to_sketch", small)]
        return sheets + ([("sketch_to_photo", full)] if full > small else [])

    def _noise(self, direction: Direction, side: int) -> list[Tensor]:
        """An image of noise, 1×3×side×side, and the condition that the network takes with it, if it takes one."""
        random = torch.Generator().manual_seed(0)
        channels = (3, self.config.generator.of(NAMES[direction]).condition_channels)
        return [torch.rand(1, count, side, side, generator=random) * 2 - 1 for count in channels if count]

    def _race(self, networks: Sequence[Network], inputs: Sequence[Tensor], rounds: int = 5) -> list[float]:
        """The seconds that each takes at best; they take turns, so that other work falls on all of them alike."""
        best = [math.inf] * len(networks)
        for number, network in list(enumerate(networks)) * rounds:
            start = time.perf_counter()
            self._in_turn(False, network, *inputs)
            best[number] = min(best[number], time.perf_counter() - start)
        return best
