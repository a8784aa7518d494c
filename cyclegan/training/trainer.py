"""One training step of CycleGAN; the loop around it is in `loop`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn import functional
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cyclegan import losses
from cyclegan.colour.colour_map import colour_maps, condition, without_colour_strokes
from cyclegan.config import ConfigError, TrainConfig
from cyclegan.devices import training_dtype, training_format
from cyclegan.models import Discriminator, Generator, Window
from cyclegan.training.data import Batch
from cyclegan.training.image_pool import ImagePool
from cyclegan.training.perceptual import PerceptualFeatures
from cyclegan.training.processes import ALONE, Processes, synchronise_norms
from cyclegan.training.projected import ProjectedDiscriminator
from cyclegan.training.schedule import Schedule, learning_rate
from cyclegan.training.windows import corners_about, cut_to_windows, windows_at

TEXTURE_LAYERS = 3
"""How many of the ImageNet network's feature maps, from the shallowest, are fine enough to tell a texture."""

COMPILED = 32
"""How many versions of a network are compiled at most: with and without gradients, condition, frozen batch norm, …"""

DECIDING = ("paired", "coloured")
"""What of a batch says which terms there are: it stays on the CPU, or each decision would wait for the device."""

BatchNorm = nn.BatchNorm2d | nn.SyncBatchNorm
Images = dict[str, Tensor]
"""``fake_photo``, ``fake_sketch`` and, in their steps, ``cycled_sketch``, ``cycled_photo``, ``same_photo``,
``same_sketch``: B×3×H×W in [-1, 1]."""
Features = dict[str, list[Tensor]]
"""Feature maps of the ImageNet network, shallow to deep, by what takes them: ``perceptual``, ``projected``."""
Judged = dict[str, tuple[list[Tensor], list[Tensor]]]
"""A discriminator's feature maps of the fakes and of the reals, by domain."""
Losses = dict[str, Tensor]
"""Scalars by term and image scored: ``cycle/sketch``."""


class CycleGAN:
    """The four networks and all that trains them; `step` is the method."""

    def __init__(self, config: TrainConfig, device: torch.device, processes: Processes = ALONE):
        torch.manual_seed(config.seed)
        self.config, self.device, self.processes, self.global_step = config, device, processes, 0
        self.G, self.F = (Generator(config.generator.of(name)) for name in "GF")
        self.D_X, self.D_Y = (Discriminator(config.discriminator) for _ in "XY")
        self.discriminators: dict[str, Discriminator] = {"photo": self.D_X, "sketch": self.D_Y}
        self.features = None
        if config.loss.perceptual or config.loss.texture or config.loss.projected:
            self.features = PerceptualFeatures(config.loss.perceptual_weights).to(device)
        judged = self.features.channels if self.features and config.loss.projected else ()
        self.D_features = ProjectedDiscriminator(judged)
        for network in (*self.networks.values(), self.D_features):
            network.to(device).to(memory_format=training_format(device))
        average = _moving_average(config.ema)
        self.G_ema, self.F_ema = (
            AveragedModel(network, multi_avg_fn=average, use_buffers=True) for network in (self.G, self.F)
        )
        if processes.count > 1:
            for network in (*self.networks.values(), self.D_features):
                synchronise_norms(network)
        self.judge = {domain: network.features for domain, network in self.discriminators.items()}
        if config.compile:
            torch._dynamo.config.recompile_limit = COMPILED
            for network in (self.G, self.F, self.D_features):
                network.compile()
            self.judge = {domain: torch.compile(features) for domain, features in self.judge.items()}
        self.generator_optimizer, self.discriminator_optimizer = (
            Adam(chain(*(n.parameters() for n in group)), config.learning_rate, config.betas, fused=True)
            for group in ((self.G, self.F), (self.D_X, self.D_Y, self.D_features))
        )
        if config.super_resolution_only:
            for part in self._all_but_super_resolution():
                part.requires_grad_(False)
        self.precision: torch.dtype = getattr(torch, config.precision) if config.precision else training_dtype(device)
        self.scaler = GradScaler(device.type, enabled=self.precision == torch.float16)
        self.pools = {
            domain: ImagePool(config.pool, config.seed + 1 + n, device) for n, domain in enumerate(self.discriminators)
        }
        self.noise = torch.Generator(device).manual_seed(config.seed + 3)
        self.gradient_norms: Losses = {}
        """Of ``generators`` and ``discriminators`` in the newest step, before clipping; on the device, too."""

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.G, "F": self.F, "D_X": self.D_X, "D_Y": self.D_Y}

    def step(self, batch: Batch) -> Losses:
        """Update generators, then discriminators, on this process's share of a `data.Batch`.

        Returns the losses by name, ``cycle/sketch``. They stay on the device: to read one is to wait for it. Those of
        the whole batch are their means over the processes.
        """
        self._prepare_networks()
        schedule = Schedule.of(self.config.loss, self.global_step)
        parts = self._parts_of(batch, schedule)
        fakes: list[Images] = []
        real_features: list[Features] = []
        generator_losses: list[Losses] = []
        discriminator_losses: list[Losses] = []
        resting = [network for d, network in (("photo", self.G), ("sketch", self.F)) if d not in schedule.domains]
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            with _frozen(self.D_X, self.D_Y, self.D_features, *resting):
                for part in parts:
                    images = self._forward(part, schedule)
                    real_features.append(self._real_features(part, schedule))
                    terms = self._generator_losses(images, part, real_features[-1], schedule)
                    self._backward(terms)
                    generator_losses.append(terms)
                    fakes.append({d: images[f"fake_{d}"].detach() for d in schedule.domains})
                self._update("generators")
            pooled = self._through_pools(fakes)
            for part, fake, features in zip(parts, pooled, real_features, strict=True):
                terms = self._discriminator_losses(fake, part, features)
                self._backward(terms)
                discriminator_losses.append(terms)
            self._update("discriminators")
        self.scaler.update()
        self.G_ema.update_parameters(self.G)
        self.F_ema.update_parameters(self.F)
        self.global_step += 1
        return _mean(generator_losses) | _mean(discriminator_losses)

    def _parts_of(self, batch: Batch, schedule: Schedule) -> list[Batch]:
        """``batch`` on the device, in the parts that gradients are accumulated of, with the noise of drawings.

        A part with twice as many pairs as the others weighs twice in what is a mean over pairs: ``paired_weight`` and
        ``coloured_weight`` say so.
        """
        count = self.config.accumulate
        whole = {name: tensor if name in DECIDING else tensor.to(self.device) for name, tensor in batch.items()}
        whole |= {
            name: tensor.contiguous(memory_format=training_format(self.device))
            for name, tensor in whole.items()
            if tensor.ndim == 4
        }
        if schedule.cycle_photo:
            whole["drawing_noise"] = self._drawing_noise(whole["photo"])
        if self.config.super_resolution_only:
            count, seed = self.config.windows, self.config.seed + self.global_step
            whole["corners"] = corners_about(batch["lines"], count, self.config.window, seed)
        parts = [
            dict(zip(whole, part, strict=True)) for part in zip(*(t.chunk(count) for t in whole.values()), strict=True)
        ]
        if self.config.super_resolution_only:
            parts = [cut_to_windows(part, windows_at(part["corners"], self.config.window), DECIDING) for part in parts]
        pairs = torch.tensor([[part[name].sum() for name in DECIDING] for part in parts], dtype=torch.float32)
        mean = self.processes.add_up(pairs.sum(0)) / (count * self.processes.count)
        for part, own in zip(parts, pairs / mean, strict=True):
            part |= {f"{name}_weight": weight for name, weight in zip(DECIDING, own, strict=True)}
        return parts

    def _forward(self, batch: Batch, schedule: Schedule) -> Images:
        """Fakes from both generators and, if this step has them, cycled and identity-mapped images."""
        sketch, lines, photo, colours = batch["sketch"], batch["lines"], batch["photo"], batch["colour_map"]
        images = {}
        if "photo" in schedule.domains or schedule.cycle_sketch:
            windows = windows_at(batch["corners"], self.config.window) if "corners" in batch else None
            images["fake_photo"] = self._paint(sketch, colours, batch["background"], windows)
        if "sketch" in schedule.domains or schedule.cycle_photo:
            images["fake_sketch"] = self._draw(photo, batch["detail"])
        with _running_statistics_kept(self.G, self.F):
            if schedule.cycle_sketch:
                images["cycled_sketch"] = self._draw(images["fake_photo"], batch["sketch_detail"])
            if schedule.cycle_photo:
                drawn = images["fake_sketch"]
                drawn = (drawn.detach() if self.config.loss.stop_gradient else drawn) + batch["drawing_noise"]
                images["cycled_photo"] = self._paint(torch.minimum(drawn, batch["hints"]), colours, batch["background"])
            if schedule.identity:
                if "photo" in schedule.domains:
                    told = self._condition(colour_maps(photo), batch["background"])
                    images["same_photo"] = self.G(photo, told, preview=self.config.previews)
                if "sketch" in schedule.domains:
                    images["same_sketch"] = self._draw(lines)
        return images

    def _paint(
        self, sketch: Tensor, colours: Tensor, background: Tensor, windows: list[list[Window]] | None = None
    ) -> Tensor:
        """G(sketch), with the colour strokes in the colour map instead of the sketch if G takes one."""
        if not self.G.condition_channels:
            return self.G(sketch, preview=self.config.previews, windows=windows)
        told = self._condition(colours, background)
        sketch = without_colour_strokes(sketch, colours)
        return self.G(sketch, told, preview=self.config.previews, windows=windows)

    def _condition(self, colours: Tensor, background: Tensor) -> Tensor | None:
        channels = self.G.condition_channels
        return condition(colours, background, channels) if channels else None

    def _draw(self, photo: Tensor, detail: Tensor | None = None) -> Tensor:
        """F(photo), with ``detail`` (B numbers; None: every line) if F takes it."""
        if not self.F.condition_channels:
            return self.F(photo)
        amount = torch.ones(len(photo), device=photo.device) if detail is None else detail
        return self.F(photo, amount[:, None, None, None].expand_as(photo[:, :1]))

    def _generator_losses(self, images: Images, batch: Batch, real_features: Features, schedule: Schedule) -> Losses:
        reals: Images = {"photo": batch["photo"], "sketch": batch["traced"]}
        fake_features = self._image_features(images["fake_photo"]) if "photo" in schedule.domains else {}
        judged: Judged = {d: self._judge(d, images[f"fake_{d}"], reals[d]) for d in schedule.domains}
        return (
            self._adversarial_losses(judged, fake_features, real_features)
            | self._cycle_losses(images, batch)
            | self._identity_losses(images, batch)
            | self._paired_losses(images, reals, judged, fake_features, real_features, batch)
        )

    def _adversarial_losses(self, judged: Judged, fake_features: Features, real_features: Features) -> Losses:
        mode = self.config.loss.gan_mode
        terms = {f"adversarial/{d}": losses.adversarial(fake[-1], True, mode) for d, (fake, _) in judged.items()}
        if "projected" in fake_features:
            scores = self._feature_scores(fake_features, real_features)
            terms["projected/photo"] = losses.mean([losses.adversarial(fake, True, mode) for fake, _ in scores])
        return terms

    def _cycle_losses(self, images: Images, batch: Batch) -> Losses:
        reals = {"sketch": batch["lines"], "photo": batch["photo"]}
        cycled = {domain: images[f"cycled_{domain}"] for domain in reals if f"cycled_{domain}" in images}
        return {f"cycle/{domain}": losses.cycle(image, reals[domain]) for domain, image in cycled.items()}

    def _identity_losses(self, images: Images, batch: Batch) -> Losses:
        reals = {"photo": batch["photo"], "sketch": batch["lines"]}
        same = {domain: images[f"same_{domain}"] for domain in reals if f"same_{domain}" in images}
        return {f"identity/{domain}": losses.identity(image, reals[domain]) for domain, image in same.items()}

    def _paired_losses(
        self,
        images: Images,
        reals: Images,
        judged: Judged,
        fake_features: Features,
        real_features: Features,
        batch: Batch,
    ) -> Losses:
        """Terms of the samples whose drawing was made from their photo."""
        loss, pairs = self.config.loss, batch["paired"]
        terms: Losses = {}
        if not pairs.any():
            return terms
        for domain in judged:
            if loss.weight(f"paired/{domain}"):
                terms[f"paired/{domain}"] = losses.paired(images[f"fake_{domain}"][pairs], reals[domain][pairs])
        if loss.lines and "sketch" in judged:
            terms["lines/sketch"] = losses.lines(images["fake_sketch"][pairs], reals["sketch"][pairs])
        if loss.feature_matching:
            for domain, both in judged.items():
                fake, real = ([m[pairs] for m in maps[:-1]] for maps in both)
                terms[f"feature_matching/{domain}"] = losses.feature_matching(fake, real)
        if loss.luminance and "photo" in judged:
            terms["luminance/photo"] = losses.luminance(images["fake_photo"][pairs], reals["photo"][pairs])
        if "perceptual" in fake_features:
            fake, real = ([m[pairs] for m in maps["perceptual"]] for maps in (fake_features, real_features))
            if loss.perceptual:
                terms["perceptual/photo"] = losses.perceptual(fake, real)
            if loss.texture:
                terms["texture/photo"] = losses.texture(fake[:TEXTURE_LAYERS], real[:TEXTURE_LAYERS])
        terms = {name: batch["paired_weight"] * term for name, term in terms.items()}
        told = "paired" if self.G.condition_channels else "coloured"
        if loss.colour and "photo" in judged and batch[told].any():
            painted, given = (photos[batch[told]] for photos in (images["fake_photo"], reals["photo"]))
            terms["colour/photo"] = batch[f"{told}_weight"] * losses.colour(painted, given)
        return terms

    def _through_pools(self, fakes: list[Images]) -> list[Images]:
        """What the discriminators see instead of ``fakes``, by domain, of each part. The pools are the same in all
        processes, and exchange the fakes of all."""
        pooled: Images = {}
        for domain in fakes[0]:
            mine = self.processes.gather(torch.cat([part[domain] for part in fakes]))
            exchanged = self.pools[domain].exchange(mine)
            pooled[domain] = exchanged[self.processes.share(len(exchanged))]
        parts = zip(*(images.chunk(len(fakes)) for images in pooled.values()), strict=True)
        return [dict(zip(pooled, part, strict=True)) for part in parts]

    def _discriminator_losses(self, fakes: Images, batch: Batch, real_features: Features) -> Losses:
        """``fakes``: by domain."""
        mode, terms = self.config.loss.gan_mode, {}
        reals = {"photo": batch["photo"], "sketch": batch["lines"]}
        for domain, pooled in fakes.items():
            fake, real = self._judge(domain, pooled, reals[domain])
            terms[f"discriminator/{domain}"] = losses.discriminator(real[-1], fake[-1], mode)
            if domain == "photo" and self.config.loss.projected:
                with torch.no_grad():
                    fake_features = {"projected": self._projected_features(pooled)}
                scores = self._feature_scores(fake_features, real_features)
                terms["discriminator/features"] = losses.mean(
                    [losses.discriminator(real, fake, mode) for fake, real in scores]
                )
        return terms

    def _judge(self, domain: str, fake: Tensor, real: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The discriminator's feature maps of both, in one batch: normalised separately, their batch statistics alone
        would tell fake from real, and the discriminator would have nothing else to learn."""
        maps = self.judge[domain](torch.cat((fake, real)))
        return [m[: len(fake)] for m in maps], [m[len(fake) :] for m in maps]

    @torch.no_grad()
    def _real_features(self, batch: Batch, schedule: Schedule) -> Features:
        return self._image_features(batch["photo"]) if "photo" in schedule.domains else {}

    def _image_features(self, photo: Tensor) -> Features:
        """ImageNet features of ``photo`` by what takes them, computed once where both take the same."""
        loss, halvings = self.config.loss, self._halvings
        maps = {"perceptual": self.features(photo)} if self.features and (loss.perceptual or loss.texture) else {}
        if loss.projected:
            maps["projected"] = self._projected_features(photo) if halvings or not maps else maps["perceptual"]
        return maps

    def _projected_features(self, photo: Tensor) -> list[Tensor]:
        """What D_features judges: ``photo`` at the resolution of the U-Net, where light and shade are painted and a
        receptive field of the ImageNet network covers a whole object."""
        assert self.features is not None
        return self.features(functional.avg_pool2d(photo, 2**self._halvings) if self._halvings else photo)

    @property
    def _halvings(self) -> int:
        """From the photo's resolution to the U-Net's."""
        return self.config.generator.coarse_to_fine + self.config.super_resolution_only

    def _feature_scores(self, fake: Features, real: Features) -> list[tuple[Tensor, Tensor]]:
        """Each head's logits of both, again in one batch."""
        logits = self.D_features([torch.cat(both) for both in zip(fake["projected"], real["projected"], strict=True)])
        count = len(real["projected"][0])
        return [(score[:-count], score[-count:]) for score in logits]

    def _drawing_noise(self, like: Tensor) -> Tensor:
        """This process's share of the noise for the whole batch."""
        batch = len(like) * self.processes.count
        noise = torch.randn((batch, *like.shape[1:]), generator=self.noise, device=self.device)
        return self.config.loss.drawing_noise * noise[self.processes.share(batch)]

    def _prepare_networks(self) -> None:
        """Learning rates, noise and batch norm as this step has them: functions of the step, with no state to save."""
        self._set_learning_rate()
        if self.G.noise_input:
            self.G.noise_input.shift(torch.Generator().manual_seed(self.config.seed + self.global_step))
        frozen = self.global_step >= self.config.freeze_norms_from * self.config.steps
        resting: list[nn.Module] = [self.G] if frozen or not self.config.loss.photo_every else []
        resting += [self.F] if frozen or not self.config.loss.sketch_every else []
        if self.config.super_resolution_only:
            resting += self._all_but_super_resolution()
        for norm in _batch_norms(*resting):  # what never learns is what it is at inference
            norm.eval()

    def _all_but_super_resolution(self) -> list[nn.Module]:
        return [part for name, part in self.G.named_children() if name != "super_resolution"]

    def _backward(self, terms: Losses) -> None:
        """Add the gradients of a part's weighted losses to those of the parts before it, scaled for float16."""
        weighted = [self.config.loss.weight(name) * loss for name, loss in terms.items()]
        self.scaler.scale(torch.stack(weighted).sum() / self.config.accumulate).backward()

    def _update(self, who: Literal["generators", "discriminators"]) -> None:
        """One step of Adam along the gradients of the whole batch; none if float16 made one of them infinite."""
        optimizer = {"generators": self.generator_optimizer, "discriminators": self.discriminator_optimizer}[who]
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.processes.average_gradients(parameters)
        self.scaler.unscale_(optimizer)
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if self.config.max_gradient_norm:
            clip_grads_with_norm_(parameters, self.config.max_gradient_norm, norm)
        self.scaler.step(optimizer)
        optimizer.zero_grad(set_to_none=True)
        self.gradient_norms[who] = norm

    def _set_learning_rate(self) -> None:
        rate, ratio = learning_rate(self.config, self.global_step), self.config.discriminator_lr_ratio
        for optimizer, factor in ((self.generator_optimizer, 1.0), (self.discriminator_optimizer, ratio)):
            for group in optimizer.param_groups:
                group["lr"] = factor * rate

    def rates_and_norms(self) -> dict[str, float]:
        """Learning rates and gradient norms of the newest step: ``learning_rate/generators``. Waits for the device."""
        optimizers = {"generators": self.generator_optimizer, "discriminators": self.discriminator_optimizer}
        rates = {f"learning_rate/{who}": one.param_groups[0]["lr"] for who, one in optimizers.items()}
        return rates | {f"gradient_norm/{who}": norm.item() for who, norm in self.gradient_norms.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that an exact continuation needs; the learning rate and the data are functions of the step."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        return state | {
            "global_step": self.global_step,
            "noise": self.noise.get_state(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.global_step = state["global_step"]
        self.noise.set_state(state["noise"])
        if scaler := state.get("scaler"):  # only float16 has one
            self.scaler.load_state_dict(scaler)

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Fine-tune trained networks; optimizers and pools start afresh.

        A G that was trained at half the resolution has no local enhancer or super-resolution yet, and gets an untrained
        one. An F without detail control, or a G that was not told of backgrounds, gets it by input weights of zero.

        Raises:
            ConfigError: the networks are others than the config's.
        """
        for name, state in networks.items():
            own = self.networks[name].state_dict()
            new = {
                key: tensor for key, tensor in own.items() if key.startswith(("local_enhancer.", "super_resolution."))
            }
            noise = int(name == "G" and self.config.generator.noise_input)
            widened = {key: _with_inputs_of(own[key], tensor, noise) for key, tensor in state.items() if key in own}
            try:
                self.networks[name].load_state_dict(new | dict(state) | widened)
            except RuntimeError as error:
                raise ConfigError(
                    f"start_from: its {name} is not the one that the config describes ({error})."
                ) from None
        self.G_ema.module.load_state_dict(self.G.state_dict())
        self.F_ema.module.load_state_dict(self.F.state_dict())

    def _parts(self) -> dict[str, Any]:
        return self.networks | {
            "G_ema": self.G_ema,
            "F_ema": self.F_ema,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            "D_features": self.D_features,
            "photo_pool": self.pools["photo"],
            "sketch_pool": self.pools["sketch"],
        }


def _mean(parts: list[Losses]) -> Losses:
    """Of the losses of all parts of a batch; a term that a part has not is 0 there."""
    names = dict.fromkeys(name for terms in parts for name in terms)
    return {
        name: torch.stack([terms[name].detach() for terms in parts if name in terms]).sum() / len(parts)
        for name in names
    }


def _moving_average(decay: float) -> Callable[..., None]:
    """Exponential moving average that is short at first, or the random networks of the start would stay in it."""

    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        number = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + number) / (10 + number)))(averaged, current, count)

    return average


def _with_inputs_of(own: Tensor, given: Tensor, last: int) -> Tensor:
    """``given``, the weights of a convolution, with zeros for the inputs that only ``own`` has, before the ``last``."""
    if own.ndim != 4 or own.shape[1] <= given.shape[1]:
        return given
    zeros = given.new_zeros(len(given), own.shape[1] - given.shape[1], *given.shape[2:])
    before, after = given.split((given.shape[1] - last, last), dim=1)
    return torch.cat((before, zeros, after), dim=1)


@contextmanager
def _frozen(*networks: nn.Module) -> Iterator[None]:
    """While the generators learn, the gradients of the discriminators need not be computed."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)


def _batch_norms(*networks: nn.Module) -> list[BatchNorm]:
    return [module for network in networks for module in network.modules() if isinstance(module, BatchNorm)]


@contextmanager
def _running_statistics_kept(*networks: nn.Module) -> Iterator[None]:
    """Running statistics, which inference uses, are those of sketches for G and of photos for F: what else passes
    through them in training (photos through G, noisy drawings) must not update them."""
    norms = _batch_norms(*networks)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
