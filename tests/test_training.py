"""The step, and the loop: resumed equals uninterrupted, stops politely, notices divergence."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan import training
from cyclegan.checkpoint import load_checkpoint, save_checkpoint
from cyclegan.config import ConfigError, DataConfig, DiscriminatorConfig, GeneratorConfig, LossConfig, TrainConfig
from cyclegan.data import Batch
from cyclegan.training import CycleGAN, NonFiniteLossError, train

CPU = torch.device("cpu")
LAST = "last.3.weight"  # the last convolution of the tiny generator
LOSSES = LossConfig(paired=1, colour=1, spread=1, steady=1, feature_matching=1)


@pytest.fixture
def config(tmp_path: Path, make_photo: Callable[..., Image.Image]) -> TrainConfig:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        make_photo((48, 48), number).save(photos / f"{number}.png")
    return TrainConfig(
        data=DataConfig(photos=photos, size=32, batch=2, workers=0, held_out=0),
        loss=LOSSES,
        generator=GeneratorConfig(widths=(4, 8), top_width=4, bottleneck_blocks=1, decoder_blocks=(0,)),
        discriminator=DiscriminatorConfig(widths=(4,)),
        run=tmp_path / "run",
        steps=4,
        pool=3,
        log_every=2,
        bfloat16=False,
    )


def random_batch(paired: bool = True) -> Batch:
    generator = torch.Generator().manual_seed(5)
    pictures = {
        name: torch.rand(3, 3, 32, 32, generator=generator) * 2 - 1
        for name in ("sketch", "lines", "photo", "traced", "hints")
    }
    mask = torch.rand(3, 1, 32, 32, generator=generator) > 0.5
    told = {"paired": torch.tensor([paired, paired, False]), "coloured": torch.tensor([paired, False, False])}
    return pictures | {"mask": mask} | told


def changed(config: TrainConfig, **loss) -> TrainConfig:
    return config.model_copy(update={"loss": config.loss.model_copy(update=loss)})


def same(one, other) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_a_step_trains_all_four_networks_and_names_its_losses(config: TrainConfig) -> None:
    model = CycleGAN(config, CPU)
    before = {name: [p.clone() for p in network.parameters()] for name, network in model.networks.items()}
    found = model.step(random_batch())
    for name, network in model.networks.items():
        assert not any(torch.equal(p, q) for p, q in zip(before[name], network.parameters(), strict=True)), name
    assert all(p.requires_grad for network in model.networks.values() for p in network.parameters())
    assert set(found) == {
        *("adversarial/photo", "adversarial/sketch", "critic/photo", "critic/sketch", "cycle/sketch"),
        *("identity/photo", "identity/sketch", "paired/photo", "paired/sketch", "colour/photo"),
        *("feature_matching/photo", "feature_matching/sketch"),
        "spread/photo",
    }
    assert "steady/photo" in model.step(random_batch())


def test_cycles_alternate_and_identity_comes_now_and_then(config: TrainConfig) -> None:
    model = CycleGAN(config, CPU)
    found = [model.step(random_batch()) for _ in range(6)]
    assert ["cycle/sketch" in step for step in found] == [True, False] * 3
    assert ["cycle/photo" in step for step in found] == [False, True] * 3
    assert ["identity/photo" in step for step in found] == [True, False, False, False, False, True]
    both = CycleGAN(changed(config, alternate_cycles=False), CPU).step(random_batch())
    assert {"cycle/sketch", "cycle/photo"} <= both.keys()


def test_plain_cyclegan_has_its_six_generator_and_critic_losses_only(config: TrainConfig) -> None:
    plain = changed(
        config, paired=0, colour=0, spread=0, steady=0, feature_matching=0, alternate_cycles=False, kind="vanilla"
    )
    kinds = {name.partition("/")[0] for name in CycleGAN(plain, CPU).step(random_batch())}
    assert kinds == {"adversarial", "cycle", "identity", "critic"}


def test_unpaired_samples_give_no_paired_terms(config: TrainConfig) -> None:
    found = CycleGAN(config, CPU).step(random_batch(paired=False))
    assert not {"paired/photo", "colour/photo", "feature_matching/photo"} & found.keys()


@pytest.mark.parametrize(("stop_gradient", "reaches_F"), [(True, False), (False, True)])
def test_the_photo_cycle_teaches_f_only_without_stop_gradient(
    config: TrainConfig, stop_gradient: bool, reaches_F: bool
) -> None:
    only = dict.fromkeys(
        ("adversarial", "cycle_sketch", "identity", "paired", "colour", "feature_matching", "spread", "steady"), 0.0
    )
    model = CycleGAN(changed(config, **only, stop_gradient=stop_gradient, alternate_cycles=False), CPU)
    before = [p.clone() for p in model.F.parameters()]
    model.step(random_batch())
    assert reaches_F != all(torch.equal(p, q) for p, q in zip(before, model.F.parameters(), strict=True))


def test_running_statistics_are_those_of_the_inputs_that_a_generator_is_for(config: TrainConfig) -> None:
    """Of drawings for G and photos for F, whatever else goes through them in the step."""
    model, batch = CycleGAN(changed(config, alternate_cycles=False, identity_every=1), CPU), random_batch()
    twin = CycleGAN(config, CPU)
    model.step(batch)
    twin.G(batch["sketch"]), twin.F(batch["photo"])
    for name in "GF":
        buffers = dict(model.networks[name].named_buffers())
        for key, expected in twin.networks[name].named_buffers():
            assert "num_batches" in key or torch.equal(buffers[key], expected), key


def test_the_shown_generators_are_moving_averages(config: TrainConfig) -> None:
    """A short average at first, then a longer one: (1 + n) / (10 + n), at most ``ema``."""
    model = CycleGAN(config.model_copy(update={"ema": 0.2}), CPU)
    expected = torch.empty(0)
    for step in range(4):
        model.step(random_batch())
        weight = model.G.state_dict()[LAST].clone()
        decay = (0, 2 / 11, 0.2, 0.2)[step]
        expected = weight if step == 0 else decay * expected + (1 - decay) * weight
    shown = model.shown_G.module.state_dict()[LAST]
    assert torch.allclose(shown, expected, atol=1e-7)
    assert not torch.equal(shown, weight)


def test_the_learning_rate_is_constant_then_falls_to_zero(config: TrainConfig) -> None:
    model = CycleGAN(config.model_copy(update={"steps": 10, "decay_from": 0.5, "learning_rate": 1.0}), CPU)
    rates = []
    for model.number in range(11):
        model._set_learning_rate()
        rates.append(model.critics.param_groups[0]["lr"])
    assert rates == pytest.approx([1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0])


def test_resumed_equals_uninterrupted_bit_for_bit(config: TrainConfig, tmp_path: Path) -> None:
    whole = train(config)
    first = config.model_copy(update={"run": tmp_path / "halves"})
    stopped_early(first, after=2)
    resumed = train(first, resume=True)
    assert same(whole.state_dict(), resumed.state_dict())
    losses = [(folder / "losses.csv").read_text() for folder in (config.run, first.run)]
    assert losses[0] == losses[1]


def stopped_early(config: TrainConfig, after: int) -> None:
    """Train as a run that is told to stop, as by Ctrl-C, during step ``after``."""
    step = CycleGAN.step

    def stopping(model: CycleGAN, batch: Batch) -> dict[str, float]:
        if model.number == after - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(model, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CycleGAN, "step", stopping)
        assert train(config).number == after


def test_ctrl_c_saves_and_gives_the_signal_back(config: TrainConfig) -> None:
    before = signal.getsignal(signal.SIGINT)
    stopped_early(config, after=1)
    assert signal.getsignal(signal.SIGINT) is before
    assert (config.run / "checkpoint.pt").exists()


def test_a_run_leaves_curves_rows_and_samples(config: TrainConfig) -> None:
    train(config)
    with (config.run / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(float(row["critic/photo"]) > 0 for row in rows)
    with Image.open(config.run / "losses.png") as curves, Image.open(config.run / "samples" / "0000004.jpg") as sheet:
        blue = (np.asarray(curves.convert("RGB")) == (31, 119, 180)).all(2)  # the first line's colour
        assert blue.any()
        assert sheet.width > 6 * 32
    assert TrainConfig.model_validate_json((config.run / "config.json").read_text()) == config


def test_a_loss_that_is_not_finite_stops_the_run_by_name_and_step(config: TrainConfig) -> None:
    model = CycleGAN(config, CPU)
    model.step(random_batch())
    batch = random_batch()
    batch["photo"][0, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteLossError, match=r"adversarial/sketch became nan at step 1"):
        model.step(batch)


def test_a_run_is_not_overwritten_nor_resumed_from_nothing(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="no run to resume"):
        train(config, resume=True)
    train(config)
    with pytest.raises(ConfigError, match="already holds a run"):
        train(config)


def test_a_checkpoint_of_other_networks_is_refused(config: TrainConfig) -> None:
    path = config.run / "checkpoint.pt"
    save_checkpoint(path, CycleGAN(config, CPU))
    other = config.model_copy(update={"discriminator": DiscriminatorConfig(widths=(5,))})
    with pytest.raises(ConfigError, match="does not fit the config's networks"):
        load_checkpoint(path, CycleGAN(other, CPU))


def test_an_interrupted_save_keeps_the_old_checkpoint(config: TrainConfig, monkeypatch) -> None:
    path, model = config.run / "checkpoint.pt", CycleGAN(config, CPU)
    save_checkpoint(path, model)
    before = path.read_bytes()

    def dies(state, file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model)
    assert path.read_bytes() == before


def test_fine_tuning_starts_from_given_networks(config: TrainConfig) -> None:
    given = {name: network.state_dict() for name, network in CycleGAN(config, CPU).networks.items()}
    model = CycleGAN(config.model_copy(update={"seed": 9}), CPU)
    model.start_from(given)
    assert all(same(dict(network.state_dict()), dict(given[name])) for name, network in model.networks.items())
    assert same(dict(model.shown_G.module.state_dict()), dict(given["G"]))


def test_the_perceptual_loss_takes_its_network_from_a_file(config: TrainConfig, tmp_path: Path) -> None:
    from torchvision.models import mobilenet_v2

    torch.save(mobilenet_v2(weights=None).state_dict(), tmp_path / "features.pth")
    model = CycleGAN(changed(config, perceptual=1.0, perceptual_weights=tmp_path / "features.pth"), CPU)
    assert model.features is not None
    before = [p.clone() for p in model.features.parameters()]
    assert model.step(random_batch())["perceptual/photo"] > 0
    assert all(torch.equal(p, q) for p, q in zip(before, model.features.parameters(), strict=True))
    with pytest.raises(ConfigError, match=r"loss\.perceptual_weights: .*nothing\.pth"):
        CycleGAN(changed(config, perceptual=1.0, perceptual_weights=tmp_path / "nothing.pth"), CPU)


def test_the_device_is_the_cpu_where_there_is_nothing_faster(monkeypatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert training.pick_device() == CPU
