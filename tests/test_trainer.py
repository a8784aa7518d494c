"""The step: which losses, which networks, which statistics; divergence is noticed."""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import cast

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch._functorch.aot_autograd import make_boxed_func
from torchvision.models import mobilenet_v2

from cyclegan import losses
from cyclegan.colour.colour_map import without_colour_strokes
from cyclegan.config import ConfigError, DiscriminatorConfig, TrainConfig
from cyclegan.models import Generator
from cyclegan.training.checkpoint import load_checkpoint, save_checkpoint
from cyclegan.training.data import Batch
from cyclegan.training.trainer import CycleGAN
from tests.training_fixtures import CPU, same

pytest_plugins = ["tests.training_fixtures"]

LAST = "last.3.weight"  # the last convolution of the tiny generator


def random_batch(paired: bool = True, side: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(5)
    pictures = {
        name: torch.rand(3, 3, side, side, generator=generator) * 2 - 1
        for name in ("sketch", "lines", "photo", "traced", "hints", "colour_map")
    }
    flags = {"paired": torch.tensor([paired, paired, False]), "coloured": torch.tensor([paired, False, False])}
    flags["background"] = torch.tensor([False, True, False])
    flags["detail"] = torch.tensor([0.0, 0.7, 1.0])
    flags["sketch_detail"] = torch.tensor([0.0, 1.0, 1.0])
    return pictures | flags


def changed(config: TrainConfig, **loss) -> TrainConfig:
    return config.model_copy(update={"loss": config.loss.model_copy(update=loss)})


def test_a_step_trains_all_four_networks_and_names_its_losses(config: TrainConfig) -> None:
    model = CycleGAN(config, CPU)
    before = {name: [p.clone() for p in network.parameters()] for name, network in model.networks.items()}
    losses = model.step(random_batch())
    model.step(random_batch())  # local_enhancer begins with its last layer
    for name, network in model.networks.items():
        assert not any(torch.equal(p, q) for p, q in zip(before[name], network.parameters(), strict=True)), name
    assert all(p.requires_grad for network in model.networks.values() for p in network.parameters())
    assert set(losses) == {
        *("adversarial/photo", "adversarial/sketch", "discriminator/photo", "discriminator/sketch", "cycle/sketch"),
        *("identity/photo", "identity/sketch", "paired/photo", "paired/sketch", "colour/photo"),
        *("feature_matching/photo", "feature_matching/sketch"),
    }


def test_cycles_alternate_and_identity_comes_now_and_then(config: TrainConfig) -> None:
    model = CycleGAN(config, CPU)
    losses = [model.step(random_batch()) for _ in range(6)]
    assert ["cycle/sketch" in step for step in losses] == [True, False] * 3
    assert ["cycle/photo" in step for step in losses] == [False, True] * 3
    assert ["identity/photo" in step for step in losses] == [True, False, False, False, False, True]
    both = CycleGAN(changed(config, alternate_cycles=False), CPU).step(random_batch())
    assert {"cycle/sketch", "cycle/photo"} <= both.keys()


def test_plain_cyclegan_has_its_six_generator_and_discriminator_losses_only(config: TrainConfig) -> None:
    plain = changed(
        config,
        paired_sketch=0,
        paired_photo=0,
        colour=0,
        feature_matching=0,
        alternate_cycles=False,
        gan_mode="vanilla",
    )
    kinds = {name.partition("/")[0] for name in CycleGAN(plain, CPU).step(random_batch())}
    assert kinds == {"adversarial", "cycle", "identity", "discriminator"}


def test_discriminators_see_real_and_generated_as_one_batch(config: TrainConfig) -> None:
    """Shifted as a whole, one of two like pictures is not told from the other by its batch's statistics alone."""
    model = CycleGAN(config, CPU)
    picture = torch.rand(2, 3, 32, 32) * 2 - 1
    one, other = (maps[-1] for maps in model._judge("photo", picture, picture))
    assert torch.allclose(one, other, atol=1e-5)
    one, other = (maps[-1] for maps in model._judge("photo", picture / 2 + 0.4, picture))
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize(("every", "rests"), [(2, (False, True)), (0, (True, True))])
def test_the_sketch_networks_can_rest(config: TrainConfig, every: int, rests: tuple[bool, ...]) -> None:
    model = CycleGAN(changed(config, sketch_every=every, identity_every=1), CPU)
    for resting in rests:
        before = {name: next(network.parameters()).clone() for name, network in model.networks.items()}
        losses = model.step(random_batch())
        assert ("adversarial/sketch" in losses) != resting
        still = {name for name, network in model.networks.items() if before[name].equal(next(network.parameters()))}
        assert still == ({"F", "D_Y"} if resting else set())


@pytest.mark.parametrize(("setting", "name"), [("photo_every", "G"), ("sketch_every", "F")])
def test_a_network_that_never_learns_keeps_its_statistics(config: TrainConfig, setting: str, name: str) -> None:
    model = CycleGAN(changed(config, **{setting: 0}), CPU)
    before = {key: value.clone() for key, value in model.networks[name].state_dict().items()}
    for _ in range(2):
        model.step(random_batch())
    assert all(value.equal(before[key]) for key, value in model.networks[name].state_dict().items())


def test_unpaired_samples_give_no_paired_terms(config: TrainConfig) -> None:
    losses = CycleGAN(config, CPU).step(random_batch(paired=False))
    assert not {"paired/photo", "colour/photo", "feature_matching/photo"} & losses.keys()


@pytest.mark.parametrize(("stop_gradient", "reaches_F"), [(True, False), (False, True)])
def test_the_photo_cycle_teaches_f_only_without_stop_gradient(
    config: TrainConfig, stop_gradient: bool, reaches_F: bool
) -> None:
    others = ("cycle_sketch", "identity", "paired_sketch", "paired_photo", "colour", "feature_matching")
    only = dict.fromkeys(("adversarial_sketch", "adversarial_photo", *others), 0.0)
    model = CycleGAN(changed(config, **only, stop_gradient=stop_gradient, alternate_cycles=False), CPU)
    before = [p.clone() for p in model.F.parameters()]
    model.step(random_batch())
    assert reaches_F != all(torch.equal(p, q) for p, q in zip(before, model.F.parameters(), strict=True))


def test_running_statistics_are_those_of_the_inputs_that_a_generator_is_for(config: TrainConfig) -> None:
    """Of drawings for G and photos for F, whatever else goes through them in the step."""
    model, batch = CycleGAN(changed(config, alternate_cycles=False, identity_every=1), CPU), random_batch()
    twin = CycleGAN(config, CPU)
    model.step(batch)
    twin._prepare_networks()
    twin.G(without_colour_strokes(batch["sketch"], batch["colour_map"]), batch["colour_map"]), twin.F(batch["photo"])
    for name in "GF":
        buffers = dict(model.networks[name].named_buffers())
        for key, expected in twin.networks[name].named_buffers():
            assert "num_batches" in key or torch.equal(buffers[key], expected), key


def test_every_step_shifts_the_noise(config: TrainConfig) -> None:
    """So that no place has marks of its own; shown generators have it where it always is."""
    model, batch = CycleGAN(config, CPU), random_batch()
    tiles: list[torch.Tensor] = []
    for _ in range(4):
        model.step(batch)
        assert model.G.noise_input
        assert model.G.noise_input.shifted is not None
        tiles.append(model.G.noise_input.shifted)
        assert cast(Generator, model.G_ema.module).noise_input.shifted is None  # type: ignore[union-attr]
    assert not any(one.equal(other) for one, other in combinations(tiles, 2))


def test_the_ema_generators_are_moving_averages(config: TrainConfig) -> None:
    """A short average at first, then a longer one: (1 + n) / (10 + n), at most ``ema``."""
    model = CycleGAN(config.model_copy(update={"ema": 0.2}), CPU)
    expected = torch.empty(0)
    for step in range(4):
        model.step(random_batch())
        weight = model.G.state_dict()[LAST].clone()
        decay = (0, 2 / 11, 0.2, 0.2)[step]
        expected = weight if step == 0 else decay * expected + (1 - decay) * weight
    shown = model.G_ema.module.state_dict()[LAST]
    assert torch.allclose(shown, expected, atol=1e-7)
    assert not torch.equal(shown, weight)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0]),
        ({"schedule": "cosine"}, [1, 1, 1, 1, 1, 1, 0.9045, 0.6545, 0.3455, 0.0955, 0]),
        ({"warm_up": 0.4}, [0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0]),
        ({"decay_from": 1.0, "discriminator_lr_ratio": 2.0}, [2] * 10 + [0]),
    ],
)
def test_learning_rates(config: TrainConfig, settings: dict, expected: list[float]) -> None:
    """Constant, then falling to zero; the discriminators' by a factor of the generators'."""
    given = {"steps": 10, "decay_from": 0.5, "learning_rate": 1.0} | settings
    model = CycleGAN(config.model_copy(update=given), CPU)
    rates = []
    for model.global_step in range(11):
        model._set_learning_rate()
        rates.append(model.discriminator_optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(expected, abs=1e-4)
    assert model.generator_optimizer.param_groups[0]["lr"] == pytest.approx(
        expected[-1] / given.get("discriminator_lr_ratio", 1)
    )


def test_a_checkpoint_of_other_networks_is_refused(config: TrainConfig) -> None:
    path = config.run / "checkpoint.pt"
    save_checkpoint(path, CycleGAN(config, CPU).state_dict())
    other = config.model_copy(update={"discriminator": DiscriminatorConfig(channels=(5,))})
    with pytest.raises(ConfigError, match="does not fit the config's networks"):
        load_checkpoint(path, CycleGAN(other, CPU))


def test_a_checkpoint_is_read_to_the_cpu_whatever_the_device(config: TrainConfig) -> None:
    """Random generators take their states from the CPU alone; the rest copies to its own device."""
    path, model = config.run / "checkpoint.pt", CycleGAN(config, CPU)
    model.step(random_batch())
    save_checkpoint(path, model.state_dict())
    other = CycleGAN(config, CPU)
    other.device = torch.device("meta")
    load_checkpoint(path, other)
    assert same(model.state_dict(), other.state_dict())


def test_networks_thaw_after_an_error(config: TrainConfig, monkeypatch) -> None:
    model = CycleGAN(config, CPU)

    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(losses, "cycle", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.step(random_batch())
    assert all(p.requires_grad for network in model.networks.values() for p in network.parameters())
    norms = [module for module in model.G.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_gradients_of_parts_are_those_of_the_batch(config: TrainConfig, accumulate: int) -> None:
    """Pairs that are in one part count as in the whole batch. Batch norm is at rest, as it knows the part alone."""
    batch = random_batch()
    still = config.model_copy(update={"freeze_norms_from": 0.0, "max_gradient_norm": None})
    whole, parts = (CycleGAN(still.model_copy(update={"accumulate": n}), CPU) for n in (1, accumulate))
    for network in (n for model in (whole, parts) for n in (model.D_X, model.D_Y)):
        network.eval()
    for _ in range(3):
        expected, found = whole.step(batch), parts.step(batch)
        assert found.keys() == expected.keys()
        for name, loss in expected.items():
            assert loss.item() == pytest.approx(found[name].item(), rel=2e-3), name
        for who, norm in whole.gradient_norms.items():
            assert norm.item() == pytest.approx(parts.gradient_norms[who].item(), rel=2e-3), who


def test_gradients_are_cut_to_a_norm(config: TrainConfig, monkeypatch) -> None:
    """The norms that are told are those of before."""
    cut = []
    step = torch.optim.Adam.step

    def watched(optimizer: torch.optim.Adam) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        cut.append(torch.nn.utils.get_total_norm(gradients).item())
        step(optimizer)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    model = CycleGAN(config.model_copy(update={"max_gradient_norm": 0.01}), CPU)
    model.step(random_batch())
    assert cut == pytest.approx([0.01, 0.01], rel=1e-3)
    assert model.gradient_norms["generators"] > 0.1


def test_compiled_networks_learn_the_same(config: TrainConfig, monkeypatch) -> None:
    """Within 1e-5. That the noise is shifted at every step compiles nothing anew, and no gradient is one that the
    compiler knows in a wrong memory format (`models.ReplicatePaddedConv`)."""
    operations: set[str] = set()

    def recorded(graph: torch.fx.GraphModule, _: object) -> Callable:
        operations.update(str(node.target) for node in graph.graph.nodes)
        return make_boxed_func(graph.forward)

    backend = aot_autograd(fw_compiler=recorded, bw_compiler=recorded)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 8)
    torch._dynamo.reset()
    small = config.model_copy(update={"generator": config.generator.model_copy(update={"coarse_to_fine": False})})
    alone = changed(small, sketch_every=0, cycle_sketch=0, cycle_photo=0, identity=0)
    eager, compiled = (CycleGAN(alone.model_copy(update={"compile": one}), CPU) for one in (False, True))
    before = counters["stats"]["unique_graphs"]
    for _ in range(3):
        ours, theirs = compiled.step(random_batch()), eager.step(random_batch())
        assert {name: loss.item() for name, loss in ours.items()} == pytest.approx(
            {name: loss.item() for name, loss in theirs.items()}, rel=1e-5
        )
    assert counters["stats"]["unique_graphs"] - before == 3  # G, and D_X frozen and learning
    assert not any("replication_pad" in name for name in operations)
    assert any("convolution_backward" in name for name in operations)


def test_float16_learns_with_scaled_losses(config: TrainConfig, tmp_path: Path) -> None:
    """About as float32 does; where a gradient overflows the step is left out and the scale halved, which is saved."""
    still = changed(config, drawing_noise=0)
    half, exact = (CycleGAN(still.model_copy(update={"precision": one}), CPU) for one in ("float16", "float32"))
    ours, theirs = half.step(random_batch()), exact.step(random_batch())
    assert {name: loss.item() for name, loss in ours.items()} == pytest.approx(
        {name: loss.item() for name, loss in theirs.items()}, rel=0.01
    )
    assert {loss.dtype for name, loss in ours.items() if "feature" not in name} == {torch.float32}
    half.scaler.update(2.0**40)
    before = half.G.state_dict()[LAST].clone()
    half.step(random_batch())
    assert half.scaler.get_scale() == 2.0**39
    assert half.G.state_dict()[LAST].equal(before)
    half.scaler.update(2.0**8)
    half.step(random_batch())
    assert half.scaler.get_scale() == 2.0**8
    assert not half.G.state_dict()[LAST].equal(before)
    save_checkpoint(tmp_path / "checkpoint.pt", half.state_dict())
    resumed = CycleGAN(half.config, CPU)
    load_checkpoint(tmp_path / "checkpoint.pt", resumed)
    assert same(resumed.state_dict(), half.state_dict())
    assert resumed.scaler.get_scale() == 2.0**8
    load_checkpoint(tmp_path / "checkpoint.pt", exact)  # another precision goes on without it
    save_checkpoint(tmp_path / "checkpoint.pt", exact.state_dict())
    load_checkpoint(tmp_path / "checkpoint.pt", resumed)


def test_an_interrupted_save_keeps_the_old_checkpoint(config: TrainConfig, monkeypatch) -> None:
    path, model = config.run / "checkpoint.pt", CycleGAN(config, CPU)
    save_checkpoint(path, model.state_dict())
    before = path.read_bytes()

    def dies(state, file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model.state_dict())
    assert path.read_bytes() == before


def test_fine_tuning_starts_from_given_networks(config: TrainConfig) -> None:
    given = {name: network.state_dict() for name, network in CycleGAN(config, CPU).networks.items()}
    model = CycleGAN(config.model_copy(update={"seed": 9}), CPU)
    model.start_from(given)
    assert all(same(dict(network.state_dict()), dict(given[name])) for name, network in model.networks.items())
    assert same(dict(model.G_ema.module.state_dict()), dict(given["G"]))


def test_features_have_a_discriminator_of_their_own(config: TrainConfig, tmp_path: Path) -> None:
    """It learns, goes into the checkpoint and comes back; the feature network stays as it is."""
    torch.save(mobilenet_v2().state_dict(), tmp_path / "features.pth")
    settings = changed(config, projected=1.0, perceptual_weights=tmp_path / "features.pth")
    model = CycleGAN(settings, CPU)
    assert model.features is not None
    frozen = [tensor.clone() for tensor in model.features.state_dict().values()]
    before = [p.clone() for p in model.D_features.parameters()]
    losses = model.step(random_batch(side=64))
    assert {"projected/photo", "discriminator/features"} <= losses.keys()
    assert "perceptual/photo" not in losses
    assert not any(torch.equal(p, q) for p, q in zip(before, model.D_features.parameters(), strict=True))
    assert same(frozen, list(model.features.state_dict().values()))
    save_checkpoint(tmp_path / "checkpoint.pt", model.state_dict())
    other = CycleGAN(settings, CPU)
    load_checkpoint(tmp_path / "checkpoint.pt", other)
    assert same(model.state_dict(), other.state_dict())


def test_refinement_can_be_added_to_a_trained_generator(config: TrainConfig) -> None:
    coarse = config.model_copy(update={"generator": config.generator.model_copy(update={"coarse_to_fine": False})})
    given = {name: network.state_dict() for name, network in CycleGAN(coarse, CPU).networks.items()}
    model = CycleGAN(config.model_copy(update={"seed": 9}), CPU)
    model.start_from(given)
    assert same(dict(given["G"]), {key: model.G.state_dict()[key] for key in given["G"]})
    assert model.G.local_enhancer is not None
    assert list(model.G.local_enhancer.parameters())[-2].count_nonzero() == 0


def test_the_perceptual_loss_takes_its_network_from_a_file(config: TrainConfig, tmp_path: Path) -> None:
    torch.save(mobilenet_v2(weights=None).state_dict(), tmp_path / "features.pth")
    model = CycleGAN(changed(config, perceptual=1.0, perceptual_weights=tmp_path / "features.pth"), CPU)
    assert model.features is not None
    before = [p.clone() for p in model.features.parameters()]
    losses = model.step(random_batch())
    assert losses["perceptual/photo"] > 0
    assert "texture/photo" not in losses
    assert all(torch.equal(p, q) for p, q in zip(before, model.features.parameters(), strict=True))
    with pytest.raises(ConfigError, match=r"loss\.perceptual_weights: .*nothing\.pth"):
        CycleGAN(changed(config, perceptual=1.0, perceptual_weights=tmp_path / "nothing.pth"), CPU)


def test_texture_may_be_the_only_use_of_that_network(config: TrainConfig, tmp_path: Path) -> None:
    torch.save(mobilenet_v2(weights=None).state_dict(), tmp_path / "features.pth")
    losses = CycleGAN(changed(config, texture=1.0, perceptual_weights=tmp_path / "features.pth"), CPU).step(
        random_batch()
    )
    assert losses["texture/photo"] > 0
    assert not {"perceptual/photo", "projected/photo"} & losses.keys()


def test_luminance_is_a_term_of_pairs_alone(config: TrainConfig) -> None:
    batch = random_batch()
    losses = CycleGAN(changed(config, luminance=1.0), CPU).step(batch)
    assert losses["luminance/photo"] > 0
    unpaired = batch | {"paired": torch.zeros_like(batch["paired"])}
    assert "luminance/photo" not in CycleGAN(changed(config, luminance=1.0), CPU).step(unpaired)


def test_norms_are_fixed_for_the_last_steps(config: TrainConfig) -> None:
    model = CycleGAN(config.model_copy(update={"steps": 4, "freeze_norms_from": 0.5}), CPU)
    moved, learnt = [], []
    for _ in range(4):
        means, weights = (
            [key for key in model.G.state_dict() if key.endswith(end)] for end in ("running_mean", ".weight")
        )
        before = {key: tensor.clone() for key, tensor in model.G.state_dict().items()}
        model.step(random_batch())
        changed_keys = {key for key, tensor in model.G.state_dict().items() if not torch.equal(tensor, before[key])}
        moved.append(bool(changed_keys & set(means)))
        learnt.append(bool(changed_keys & set(weights)))
    assert moved == [True, True, False, False]
    assert learnt == [True] * 4


def test_F_is_conditioned_on_detail_and_learns_alone_if_asked_for(config: TrainConfig) -> None:  # noqa: N802
    generator = config.generator.model_copy(update={"detail": True})
    settings = changed(config, photo_every=0, lines=1.0, paired_sketch=0, stop_gradient=False, alternate_cycles=False)
    model = CycleGAN(settings.model_copy(update={"generator": generator}), CPU)
    before = {name: next(network.parameters()).clone() for name, network in model.networks.items()}
    losses = model.step(random_batch())
    assert {"lines/sketch", "adversarial/sketch", "cycle/photo", "cycle/sketch"} <= losses.keys()
    assert not {"adversarial/photo", "discriminator/photo", "paired/photo", "colour/photo"} & losses.keys()
    still = {name for name, network in model.networks.items() if before[name].equal(next(network.parameters()))}
    assert still == {"G", "D_X"}
    model.F.eval()
    photo = random_batch()["photo"]
    drawings = [model._draw(photo, torch.full((3,), detail)) for detail in (0.0, 1.0)]
    assert not torch.equal(*drawings)
    assert torch.equal(model._draw(photo), drawings[1])


def test_a_generator_without_detail_gets_it_with_weights_of_zero(config: TrainConfig) -> None:
    given = {name: network.state_dict() for name, network in CycleGAN(config, CPU).networks.items()}
    generator = config.generator.model_copy(update={"detail": True})
    model = CycleGAN(config.model_copy(update={"generator": generator, "seed": 9}), CPU)
    model.start_from(given)
    plain = Generator(config.generator.of("F"))
    plain.load_state_dict(given["F"])
    photo = random_batch()["photo"]
    for network in (model.F, plain):
        network.eval()
    with torch.no_grad():
        assert torch.allclose(model._draw(photo, torch.tensor([0.0, 0.5, 1.0])), plain(photo), atol=1e-6)


def test_a_generator_that_is_told_of_backgrounds_starts_as_one_that_was_not(config: TrainConfig) -> None:
    coarse_to_fine = config.generator.model_copy(update={"coarse_to_fine": True})
    before = CycleGAN(config.model_copy(update={"generator": coarse_to_fine}), CPU)
    generator = coarse_to_fine.model_copy(update={"background": True})
    model = CycleGAN(config.model_copy(update={"generator": generator, "seed": 9}), CPU)
    model.start_from({name: network.state_dict() for name, network in before.networks.items()})
    batch = random_batch(side=64)
    drawings, colours, background = batch["sketch"], batch["colour_map"], batch["background"]
    condition = model._condition(colours, background)
    assert condition is not None
    assert condition.shape == (3, 4, 64, 64)
    for network in (model.G, before.G):
        network.eval()
    with torch.no_grad():
        told, untold = (one._paint(drawings, colours, background) for one in (model, before))
    assert torch.allclose(told, untold, atol=1e-6)
    model.G.train()
    kinds = {name.partition("/")[0] for name in model.step(batch)}
    assert {"adversarial", "cycle", "identity", "discriminator"} <= kinds
    with torch.no_grad():
        whole, paper = (model._paint(drawings, colours, torch.full((3,), one)) for one in (True, False))
    assert not torch.equal(whole, paper)


def test_fine_tuning_from_other_networks_is_one_sentence(config: TrainConfig) -> None:
    generator = config.generator.model_copy(update={"detail": True})
    given = CycleGAN(config.model_copy(update={"generator": generator}), CPU).networks
    with pytest.raises(ConfigError, match="start_from: its F is not the one that the config describes"):
        CycleGAN(config, CPU).start_from({name: network.state_dict() for name, network in given.items()})


@pytest.mark.parametrize("native", [False, True])
def test_a_cpu_that_would_emulate_bfloat16_computes_in_float32(config: TrainConfig, monkeypatch, native: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native}, raising=False)
    default = config.model_copy(update={"precision": None})
    assert CycleGAN(default, CPU).precision == (torch.bfloat16 if native else torch.float32)
    asked = config.model_copy(update={"precision": "bfloat16"})
    assert CycleGAN(asked, CPU).precision == torch.bfloat16


@pytest.mark.parametrize("wide", [False, True])
def test_images_and_weights_are_laid_out_as_the_processor_is_fast_with(config: TrainConfig, monkeypatch, wide) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": wide}, raising=False)
    model = CycleGAN(config, CPU)
    seen: list[torch.Tensor] = []
    inner = [module for module in model.G.encoder.modules() if isinstance(module, torch.nn.Conv2d)][1]
    inner.register_forward_hook(lambda conv, inputs, _: seen.extend((conv.weight, *inputs)))
    model.step(random_batch())
    assert len(seen) > 1
    assert {tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen} == {wide}
