"""One step of CycleGAN; the loop around it is in `loop`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cyclegan import losses
from cyclegan.colour_field import without_daubs
from cyclegan.config import TrainConfig
from cyclegan.data import Batch
from cyclegan.models import Discriminator, Generator
from cyclegan.perceptual import PerceptualFeatures
from cyclegan.pool import ImagePool
from cyclegan.projected import ProjectedDiscriminator

TEXTURED = 3
"""Of the fixed network's maps, shallow to deep, those in which a texture is more than a few places."""

Maps = dict[str, list[Tensor]]
"""Feature maps, shallow to deep, by the loss that takes them: ``perceptual``, ``projected``."""


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite; the message names it and the step."""


class CycleGAN:
    """The four networks and all that trains them; ``step`` is the whole method."""

    def __init__(self, config: TrainConfig, device: torch.device):
        torch.manual_seed(config.seed)
        self.config, self.device, self.number = config, device, 0
        self.G, self.F = (Generator(config.generator.of(name)) for name in "GF")
        self.D_X, self.D_Y = (Discriminator(config.discriminator) for _ in "XY")
        self.features = None
        if config.loss.perceptual or config.loss.texture or config.loss.projected:
            self.features = PerceptualFeatures(config.loss.perceptual_weights).to(device)
        judged = self.features.channels if self.features and config.loss.projected else ()
        self.D_features = ProjectedDiscriminator(judged)
        for network in (*self.networks.values(), self.D_features):
            network.to(device).to(memory_format=torch.channels_last)
        average = _moving_average(config.ema)
        self.shown_G, self.shown_F = (
            AveragedModel(network, multi_avg_fn=average, use_buffers=True) for network in (self.G, self.F)
        )
        self.generators, self.critics = (
            Adam(chain(*(n.parameters() for n in group)), config.learning_rate, config.betas, fused=True)
            for group in ((self.G, self.F), (self.D_X, self.D_Y, self.D_features))
        )
        self.critics_of = {"photo": self.D_X, "sketch": self.D_Y}
        self.pools = {kind: ImagePool(config.pool, config.seed + 1 + n) for n, kind in enumerate(self.critics_of)}
        self.noise = torch.Generator(device).manual_seed(config.seed + 3)

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.G, "F": self.F, "D_X": self.D_X, "D_Y": self.D_Y}

    def step(self, batch: Batch) -> dict[str, float]:
        """Update generators, then discriminators, on one batch; returns the losses by name.

        ``batch`` is described at ``data.Batch``. Losses are named by kind and the image scored: ``cycle/sketch``.
        """
        self._set_learning_rate()
        if self.G.grain:
            self.G.grain.shift(self.noise)
        if self.number >= self.config.fixed_norms_from * self.config.steps:
            for norm in _norms(self.G, self.F):
                norm.eval()
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            with torch.no_grad():
                known = self._seen(batch["photo"])
            with _frozen(self.D_X, self.D_Y, self.D_features, *(() if self._sketch_turn else (self.F,))):
                fakes, generator_losses = self._generate(batch, known)
                self._update(self.generators, generator_losses)
            critic_losses = self._judge(batch, fakes, known)
            self._update(self.critics, critic_losses)
        self.shown_G.update_parameters(self.G)
        self.shown_F.update_parameters(self.F)
        self.number += 1
        return {name: loss.item() for name, loss in (generator_losses | critic_losses).items()}

    @property
    def _sketch_turn(self) -> bool:
        """Whether F and D_Y learn in this step; G and D_X always do."""
        every = self.config.loss.sketch_every
        return every > 0 and self.number % every == 0

    def _generate(self, batch: Batch, known: Maps) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What G and, in its turn, F make of the batch, and their losses; ``known`` are the photos' features."""
        sketch, lines, photo, field = batch["sketch"], batch["lines"], batch["photo"], batch["field"]
        loss, found = self.config.loss, {}
        told = batch["paired"] if self.config.generator.colour_field else batch["coloured"]
        fake_photo, fake_sketch = self.G(self._shown(sketch, field), field), self.F(photo)
        fakes = {"photo": fake_photo, "sketch": fake_sketch} if self._sketch_turn else {"photo": fake_photo}
        reals = {"photo": photo, "sketch": batch["traced"]}
        maps = {kind: self._beside(kind, fake, reals[kind]) for kind, fake in fakes.items()}
        for kind, (fake_maps, _) in maps.items():
            found[f"adversarial/{kind}"] = losses.adversarial(fake_maps[-1], True, loss.kind)
        seen = self._seen(fake_photo)
        if loss.projected:
            scores = self._scores(seen, known)
            found["projected/photo"] = losses.mean([losses.adversarial(fake, True, loss.kind) for fake, _ in scores])

        with _statistics_kept(self.G, self.F):
            if loss.cycle_sketch and not (loss.alternate_cycles and self.number % 2):
                found["cycle/sketch"] = losses.cycle(self.F(fake_photo), lines)
            if loss.cycle_photo and not (loss.alternate_cycles and self.number % 2 == 0):
                drawn = self._noisy(fake_sketch.detach() if loss.stop_gradient else fake_sketch)
                drawn = torch.minimum(drawn, batch["hints"])
                found["cycle/photo"] = losses.cycle(self.G(self._shown(drawn, field), field), photo)
            if loss.identity and self.number % loss.identity_every == 0:
                found["identity/photo"] = losses.identity(self.G(photo), photo)
                if "sketch" in fakes:
                    found["identity/sketch"] = losses.identity(self.F(lines), lines)

        if (pairs := batch["paired"]).any():
            for kind, fake in fakes.items():
                if loss.weight(f"paired/{kind}"):
                    found[f"paired/{kind}"] = losses.paired(fake[pairs], reals[kind][pairs])
            if loss.colour and told.any():
                found["colour/photo"] = losses.colour(fake_photo[told], photo[told])
            if loss.feature_matching:
                for kind, both in maps.items():
                    fake_maps, real_maps = ([m[pairs] for m in side[:-1]] for side in both)
                    found[f"feature_matching/{kind}"] = losses.feature_matching(fake_maps, real_maps)
            if "perceptual" in seen:
                fake_maps, real_maps = ([m[pairs] for m in side["perceptual"]] for side in (seen, known))
                if loss.perceptual:
                    found["perceptual/photo"] = losses.perceptual(fake_maps, real_maps)
                if loss.texture:
                    found["texture/photo"] = losses.texture(fake_maps[:TEXTURED], real_maps[:TEXTURED])
        return fakes, found

    def _judge(self, batch: Batch, fakes: dict[str, Tensor], known: Maps) -> dict[str, Tensor]:
        reals, found = {"photo": batch["photo"], "sketch": batch["lines"]}, {}
        for kind, fake in fakes.items():
            remembered = self.pools[kind].exchange(fake)
            fake_maps, real_maps = self._beside(kind, remembered, reals[kind])
            found[f"critic/{kind}"] = losses.critic(real_maps[-1], fake_maps[-1], self.config.loss.kind)
            if kind == "photo" and self.config.loss.projected:
                with torch.no_grad():
                    seen = {"projected": self._projected(remembered)}
                scores = self._scores(seen, known)
                found["critic/features"] = losses.mean(
                    [losses.critic(real, fake, self.config.loss.kind) for fake, real in scores]
                )
        return found

    def _beside(self, kind: str, fake: Tensor, real: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The critic's feature maps of both, seen as one batch: normalised apart, their statistics would tell which is
        which, and the critic would need to learn nothing else."""
        maps = self.critics_of[kind].features(torch.cat((fake, real)))
        return [m[: len(fake)] for m in maps], [m[len(fake) :] for m in maps]

    def _seen(self, photo: Tensor) -> Maps:
        """Feature maps of ``photo`` by the loss that takes them; computed once where both take the same."""
        loss, refined = self.config.loss, self.config.generator.refined
        maps = {"perceptual": self.features(photo)} if self.features and (loss.perceptual or loss.texture) else {}
        if loss.projected:
            maps["projected"] = self._projected(photo) if refined or not maps else maps["perceptual"]
        return maps

    def _projected(self, photo: Tensor) -> list[Tensor]:
        """What the critic of features sees: ``photo`` at the resolution at which G draws first, where light and shade
        are made and whole objects fit into the fields of the fixed network."""
        assert self.features is not None
        return self.features(functional.avg_pool2d(photo, 2) if self.config.generator.refined else photo)

    def _scores(self, fake: Maps, real: Maps) -> list[tuple[Tensor, Tensor]]:
        """Each head's logits of both, again as one batch."""
        logits = self.D_features([torch.cat(both) for both in zip(fake["projected"], real["projected"], strict=True)])
        count = len(real["projected"][0])
        return [(score[:-count], score[-count:]) for score in logits]

    def _shown(self, drawings: Tensor, fields: Tensor) -> Tensor:
        return without_daubs(drawings, fields) if self.config.generator.colour_field else drawings

    def _noisy(self, drawn: Tensor) -> Tensor:
        noise = torch.randn(drawn.shape, generator=self.noise, device=drawn.device)
        return drawn + self.config.loss.drawing_noise * noise

    def _update(self, optimizer: Adam, found: dict[str, Tensor]) -> None:
        for name, loss in found.items():
            if not torch.isfinite(loss):
                raise NonFiniteLossError(
                    f"The loss {name} became {loss.item()} at step {self.number}; lower the learning rate."
                )
        optimizer.zero_grad(set_to_none=True)
        torch.stack([self.config.loss.weight(name) * loss for name, loss in found.items()]).sum().backward()
        optimizer.step()

    def _set_learning_rate(self) -> None:
        """Constant, then linearly to zero (CycleGAN, section 4): a function of the step, with no state to save."""
        start = self.config.decay_from * self.config.steps
        left = (self.config.steps - self.number) / max(1, self.config.steps - start)
        rate = self.config.learning_rate * min(1.0, max(0.0, left))
        for optimizer, pace in ((self.generators, 1.0), (self.critics, self.config.critic_pace)):
            for group in optimizer.param_groups:
                group["lr"] = pace * rate

    def state_dict(self) -> dict[str, Any]:
        """All that continuing exactly takes; the learning rate and the data are functions of the step."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        return state | {"number": self.number, "noise": self.noise.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.number = state["number"]
        self.noise.set_state(state["noise"])

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over trained networks, for fine-tuning; optimizers and histories start afresh.

        A G that was trained at half the resolution has no refinement yet.
        """
        for name, state in networks.items():
            new = {
                key: value for key, value in self.networks[name].state_dict().items() if key.startswith("refinement.")
            }
            self.networks[name].load_state_dict(new | dict(state))
        self.shown_G.module.load_state_dict(self.G.state_dict())
        self.shown_F.module.load_state_dict(self.F.state_dict())

    def _parts(self) -> dict[str, Any]:
        return self.networks | {
            "shown_G": self.shown_G,
            "shown_F": self.shown_F,
            "generators": self.generators,
            "critics": self.critics,
            "D_features": self.D_features,
            "photo_pool": self.pools["photo"],
            "sketch_pool": self.pools["sketch"],
        }


def _moving_average(decay: float) -> Callable[..., None]:
    """Exponential moving average that is short at first, or the random networks of the start would stay in it."""

    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        number = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + number) / (10 + number)))(averaged, current, count)

    return average


@contextmanager
def _frozen(*networks: nn.Module) -> Iterator[None]:
    """While the generators learn, the critics' own gradients need not be computed."""
    for network in networks:
        network.requires_grad_(False)
    yield
    for network in networks:
        network.requires_grad_(True)


def _norms(*networks: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for network in networks for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@contextmanager
def _statistics_kept(*networks: nn.Module) -> Iterator[None]:
    """The generators' running statistics, used when they are shown, are those of drawings for G and of photos for F:
    what else passes through them while they learn (photos through G, noisy drawings) would spoil them."""
    norms = _norms(*networks)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    yield
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
