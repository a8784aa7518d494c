"""A run of tiny networks on a few small photos, for the tests of training."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cyclegan.config import DataConfig, DiscriminatorConfig, GeneratorConfig, LossConfig, TrainConfig

CPU = torch.device("cpu")
LOSSES = LossConfig(paired_sketch=1, paired_photo=1, colour=1, feature_matching=1)


def data_config(photos: Path, **settings: Any) -> DataConfig:
    """Of ``photos``, all of them to train on, small and without workers; ``settings`` change that."""
    return DataConfig(**{"photos": photos, "size": 64, "batch": 2, "workers": 0, "held_out": 0} | settings)


@pytest.fixture
def config(tmp_path: Path, make_photo: Callable[..., Image.Image]) -> TrainConfig:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        make_photo((48, 48), number).save(photos / f"{number}.png")
    return TrainConfig(
        data=DataConfig(photos=photos, size=32, batch=2, workers=0, held_out=0),
        loss=LOSSES,
        generator=GeneratorConfig(channels=(4, 8), top_channels=4, bottleneck_blocks=1, decoder_blocks=(0,)),
        discriminator=DiscriminatorConfig(channels=(4,)),
        run=tmp_path / "run",
        steps=4,
        pool=3,
        log_every=2,
        precision="float32",
    )


@pytest.fixture(scope="module")
def start_process() -> Iterator[Callable[..., BaseProcess]]:
    """start(function, *arguments) in a process of its own, from a server that has PyTorch loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cyclegan.training.loop", "tests.training_fixtures"])
    started: list[BaseProcess] = []

    def start(function: Callable[..., None], *arguments: object) -> BaseProcess:
        started.append(context.Process(target=function, args=arguments))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


def same(one, other) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
