"""The benchmark of training compares like with like, and accounts for all of a step."""

import pytest

from cyclegan.config import GeneratorConfig, LossConfig, TrainConfig
from cyclegan.devices import pick_device
from cyclegan.training.data import Batch, UnpairedImages, batches
from cyclegan.training.trainer import CycleGAN
from tests.bench_training import differences, parts_timed

pytest_plugins = ["tests.training_fixtures"]


@pytest.fixture
def plain(config: TrainConfig) -> TrainConfig:
    """CycleGAN as in its paper, tiny."""
    loss = LossConfig(identity_every=1, alternate_cycles=False, stop_gradient=False, drawing_noise=0)
    bare = {"colour_map": False, "noise_input": False, "coarse_to_fine": False}
    generator = GeneratorConfig.model_validate(config.generator.model_dump() | bare)
    return config.model_copy(update={"loss": loss, "generator": generator})


@pytest.fixture
def data(plain: TrainConfig) -> list[Batch]:
    unpaired = plain.data.model_copy(update={"sketches": plain.data.photos, "paired_prob": 0, "match_names": False})
    return list(batches(UnpairedImages(unpaired, 0), 0, 4))


@pytest.mark.parametrize("gan_mode", ["vanilla", "lsgan"])
def test_the_plain_loop_gives_the_same_losses(plain: TrainConfig, data: list[Batch], gan_mode: str) -> None:
    """Also once the pools are full; another weight, and they part."""
    config = plain.model_copy(update={"loss": plain.loss.model_copy(update={"gan_mode": gan_mode})})
    found = differences(config, data)
    assert len(found) == 8
    assert max(found.values()) < 1e-3
    assert max(differences(config, data, plain.model_copy(update={"learning_rate": 2e-3})).values()) > 1e-2


def test_parts_add_up_to_the_step(plain: TrainConfig, data: list[Batch]) -> None:
    model = CycleGAN(plain, pick_device())
    with parts_timed(model) as spent:
        model.step(data[0])
    assert list(spent) == [
        "generators, forward",
        "generators, backward",
        "generators, update",
        "discriminators, forward",
        "discriminators, backward",
        "discriminators, update",
        "averages and the rest",
    ]
    before = dict(spent)
    model.step(data[1])  # no longer timed
    assert spent == before
