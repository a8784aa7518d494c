"""Training: pictures a second, where a step's time goes, how long it waits for data; and the same against a plain loop.

    python -m tests.bench_training [--size 128] [--batch 4] [--steps 5] [--rounds 5] [--compile]

The plain loop is a step as CycleGAN's authors publish it (github.com/junyanz/pytorch-CycleGAN-and-pix2pix,
models/cycle_gan_model.py), of the same networks, batches and losses, in float32; only that each discriminator sees real
and generated pictures in one batch, as its batch norm needs here. That both give the same losses is checked first. The
two take turns, so that other work on the machine falls on both alike.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cyclegan.config import TrainConfig, load_train_config
from cyclegan.devices import fastest_dtype, pick_device
from cyclegan.models import Discriminator
from cyclegan.training.data import Batch, UnpairedImages, batches, worker_count
from cyclegan.training.files import find_images
from cyclegan.training.image_pool import ImagePool
from cyclegan.training.trainer import CycleGAN

CONFIG, OBJECTS = Path("train/configs/plain.toml"), Path("train/configs/objects.toml")
TOLERANCE = 1e-3
"""Largest relative difference of a loss, both in float32, in the first two steps."""
GENTLE = 0.25
"""Of the learning rate, in these steps: Adam's first moves each weight as far, even where its gradient is rounding."""


class PlainLoop:
    """A step as it is published, names included: A are sketches, B photos."""

    def __init__(self, config: TrainConfig, model: CycleGAN):
        """``model``: whose networks to start from."""
        self.config, self.device = config, model.device
        other = CycleGAN(config, model.device)
        for name, network in other.networks.items():
            network.load_state_dict(model.networks[name].state_dict())
            network.to(memory_format=torch.contiguous_format)
        self.netG_A, self.netG_B, self.netD_A, self.netD_B = other.G, other.F, other.D_X, other.D_Y
        self.generators = [*self.netG_A.parameters(), *self.netG_B.parameters()]
        self.discriminators = [*self.netD_A.parameters(), *self.netD_B.parameters()]
        self.optimizer_G, self.optimizer_D = (
            torch.optim.Adam(parameters, config.learning_rate, config.betas)
            for parameters in (self.generators, self.discriminators)
        )
        self.fake_B_pool, self.fake_A_pool = (ImagePool(config.pool, config.seed + 1 + n, self.device) for n in (0, 1))

    def criterion(self, prediction: Tensor, real: bool) -> Tensor:
        if self.config.loss.gan_mode == "vanilla":
            return functional.binary_cross_entropy_with_logits(prediction, torch.full_like(prediction, float(real)))
        return functional.mse_loss((1 + prediction) / 2, torch.full_like(prediction, float(real)))

    def predictions(self, network: Discriminator, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        fake_prediction, real_prediction = network.logits(torch.cat((fake, real))).chunk(2)
        return real_prediction, fake_prediction

    def step(self, batch: Batch) -> dict[str, float]:
        loss, real_A, real_B = self.config.loss, batch["sketch"].to(self.device), batch["photo"].to(self.device)
        fake_B = self.netG_A(real_A)
        rec_A = self.netG_B(fake_B)
        fake_A = self.netG_B(real_B)
        rec_B = self.netG_A(fake_A)
        for parameter in self.discriminators:
            parameter.requires_grad = False
        self.optimizer_G.zero_grad()
        losses = {
            "identity/photo": functional.l1_loss(self.netG_A(real_B), real_B),
            "identity/sketch": functional.l1_loss(self.netG_B(real_A), real_A),
            "adversarial/photo": self.criterion(self.predictions(self.netD_A, real_B, fake_B)[1], True),
            "adversarial/sketch": self.criterion(self.predictions(self.netD_B, real_A, fake_A)[1], True),
            "cycle/sketch": functional.l1_loss(rec_A, real_A),
            "cycle/photo": functional.l1_loss(rec_B, real_B),
        }
        sum(loss.weight(name) * value for name, value in losses.items()).backward()  # type: ignore[union-attr]
        self.optimizer_G.step()
        for parameter in self.discriminators:
            parameter.requires_grad = True
        self.optimizer_D.zero_grad()
        for name, network, real, fake in (
            ("discriminator/photo", self.netD_A, real_B, self.fake_B_pool.exchange(fake_B)),
            ("discriminator/sketch", self.netD_B, real_A, self.fake_A_pool.exchange(fake_A)),
        ):
            real_prediction, fake_prediction = self.predictions(network, real, fake)
            losses[name] = (self.criterion(real_prediction, True) + self.criterion(fake_prediction, False)) * 0.5
            losses[name].backward()
        self.optimizer_D.step()
        return {name: value.item() for name, value in losses.items()}


def differences(config: TrainConfig, data: list[Batch], of_plain: TrainConfig | None = None) -> dict[str, float]:
    """Largest relative difference of each loss between the two in float32, over the steps of ``data``.

    ``of_plain``: other settings for the plain loop.
    """
    exact = config.model_copy(update={"precision": "float32"})
    model = CycleGAN(exact, pick_device())
    plain = PlainLoop(of_plain or exact, model)
    found: dict[str, float] = defaultdict(float)
    for batch in data:
        ours, theirs = model.step(batch), plain.step(batch)
        for name in ours.keys() | theirs.keys():
            one, other = float(ours[name]), float(theirs[name])
            found[name] = max(found[name], abs(one - other) / abs(other))
    return dict(found)


def milliseconds(step: Callable[[Batch], object], data: list[Batch]) -> float:
    """Of a step, on average over ``data``."""
    start = _now()
    for batch in data:
        step(batch)
    return 1000 * (_now() - start) / len(data)


@contextmanager
def parts_timed(model: CycleGAN) -> Iterator[dict[str, float]]:
    """Milliseconds of the steps within by part, all together: told apart by PyTorch's own calls, not by ours."""
    spent: dict[str, float] = defaultdict(float)
    whose, mark = "generators", _now()

    def ends(part: str) -> None:
        nonlocal mark
        now = _now()
        spent[part] += 1000 * (now - mark)
        mark = now

    def backward(loss: Tensor, *arguments: object, **named: object) -> None:
        ends(f"{whose}, forward")
        original(loss, *arguments, **named)  # type: ignore[arg-type]
        ends(f"{whose}, backward")

    def stepped(owner: str) -> Callable[..., None]:
        def done(*_: object) -> None:
            nonlocal whose
            ends(f"{owner}, update")
            whose = "discriminators" if owner == "generators" else "generators"

        return done

    def step(batch: Batch) -> object:
        nonlocal mark
        mark = _now()
        losses = unpatched(batch)
        ends("averages and the rest")
        return losses

    original, unpatched = Tensor.backward, model.step
    hooks = [
        optimizer.register_step_post_hook(stepped(owner))
        for owner, optimizer in (
            ("generators", model.generator_optimizer),
            ("discriminators", model.discriminator_optimizer),
        )
    ]
    with patch.object(Tensor, "backward", backward), patch.object(model, "step", step):
        yield spent
    for hook in hooks:
        hook.remove()


def sample_milliseconds(data: UnpairedImages, raw: bool, count: int = 40) -> float:
    """Of a core for a sample whose drawing is known, as from a pack; ``raw``: photos are left to the device."""
    for number in range(count):
        data.sample(number, raw)
    start = time.process_time()
    for number in range(count):
        data.sample(number, raw)
    return 1000 * (time.process_time() - start) / count


def matrix_peak(dtype: torch.dtype, side: int = 2048) -> float:
    """GFLOP/s of the largest kind of work there is: the product of two matrices, best of five."""
    one, other = (torch.randn(side, side, device=pick_device(), dtype=dtype) for _ in range(2))
    times = []
    for _ in range(5):
        start = _now()
        one @ other
        times.append(_now() - start)
    return 2 * side**3 / min(times) / 1e9


def peak_memory() -> float:
    """Megabytes: of the accelerator, or of this process without one."""
    if pick_device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _now() -> float:
    if pick_device().type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", default="examples/photos", help="a folder or a pack")
    parser.add_argument("--sketches", default="examples/sketches")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with TemporaryDirectory() as run:
        settings = {"run": run} | {
            f"data.{name}": vars(options)[name] for name in ("size", "batch", "photos", "sketches")
        }
        config = load_train_config(CONFIG, [f"{name}={value}" for name, value in settings.items()])
    bfloat16 = fastest_dtype(torch.device("cpu")) == torch.bfloat16 or pick_device().type == "cuda"
    config = config.model_copy(update={"precision": "bfloat16" if bfloat16 else "float32"})
    dataset = UnpairedImages(config.data, config.seed, find_images(config.data).training)
    with closing(batches(dataset, 0, options.steps, device=pick_device())) as loaded:
        data = list(loaded)

    print = lambda *words: sys.stdout.write(" ".join(map(str, words)) + "\n")  # noqa: E731
    print(f"{torch.get_num_threads()} threads, {pick_device()}, {options.size} px, batches of {options.batch}")
    gentle = config.model_copy(update={"learning_rate": GENTLE * config.learning_rate})
    worst = max(differences(gentle, data[:2]).items(), key=lambda pair: pair[1])
    print(f"losses of both in float32: the same within {worst[1]:.1e} ({worst[0]})")
    if worst[1] > TOLERANCE:
        sys.exit("The two loops do not compute the same.")

    model = CycleGAN(config, pick_device())
    steps: dict[str, Callable[[Batch], object]] = {"plain loop, float32": PlainLoop(config, model).step}
    exact = CycleGAN(config.model_copy(update={"precision": "float32"}), pick_device())
    steps["float32"] = exact.step
    if bfloat16:
        steps["bfloat16"] = model.step
    if options.compile:
        steps["compiled"] = CycleGAN(config.model_copy(update={"compile": True}), pick_device()).step
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step(data[0])
    for _ in range(options.rounds):
        for name, step in steps.items():
            times[name].append(milliseconds(step, data))
    plain = statistics.median(times["plain loop, float32"])
    for name, some in times.items():
        median = statistics.median(some)
        rate = 1000 * options.batch / median
        print(f"  {name:<22} {median:8.1f} ms a step {rate:7.1f} pictures a second {plain / median:6.2f}×")

    with parts_timed(model) as spent:
        for batch in data:
            model.step(batch)
    whole = sum(spent.values())
    for part, time_spent in spent.items():
        print(f"  {part:<28} {time_spent / len(data):8.1f} ms {time_spent / whole:6.1%}")

    waited, start = 0.0, _now()
    with closing(batches(dataset, 0, 2 * options.steps, device=pick_device())) as loaded:
        for number in itertools.count():
            before = _now()
            batch_or_none = next(loaded, None)
            if batch_or_none is None:
                break
            if number == 1:  # the first waits for the workers to start
                waited, start = 0.0, before
            waited += _now() - before
            model.step(batch_or_none)
    workers = worker_count(config.data, pick_device())
    print(f"waiting for data: {waited / (_now() - start):.1%} of the time, workers: {workers}")

    objects = load_train_config(
        OBJECTS, [f"run={run}", f"data.photos={options.photos}", f"data.sketches={options.sketches}"]
    ).data
    drawn = UnpairedImages(objects, config.seed, find_images(objects).training)
    cost, left = (statistics.median(sample_milliseconds(drawn, raw) for _ in range(3)) for raw in (False, True))
    print(f"a sample of {OBJECTS.stem}, 256 px: {cost:.1f} ms of a core, {left:.1f} with photos made on the device")

    counter = FlopCounterMode(display=False)
    with counter:
        model.step(data[0])
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    done = counter.get_total_flops() / (whole / len(data) / 1000) / 1e9
    peak = matrix_peak(dtype)
    print(
        f"{done:.0f} GFLOP/s, {done / peak:.0%} of the {peak:.0f} of a matrix product; {peak_memory():.0f} MB at most"
    )


if __name__ == "__main__":
    main()
