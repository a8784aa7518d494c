"""The losses: pure functions of tensors, each a scalar mean, the formula beside it.

Images are B×3×H×W in [-1, 1], logits B×1×h×w, feature maps lists of B×C×h×w.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

GANMode = Literal["vanilla", "lsgan"]
LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""


def adversarial(logits: Tensor, real: bool, gan_mode: GANMode) -> Tensor:
    """How far the discriminator's ``logits`` are from saying "real" (or, with ``real=False``, "generated").

    vanilla   -log σ(l) for real, -log(1 - σ(l)) for generated (Goodfellow et al., "Generative Adversarial Nets",
              NeurIPS 2014, eq. 1; G's side the non-saturating one of section 3), computed from the logits.
    lsgan     (s - 1)² for real, s² for generated, with the score s = (1 + l) / 2 (Mao et al., "Least Squares
              Generative Adversarial Networks", ICCV 2017, eq. 9; CycleGAN, ICCV 2017, section 4). Written so,
              a logit of 0 means undecided in both kinds and σ(l) stays a sensible probability.
    """
    logits = logits.float()  # autocast's bfloat16 would round a third of the small gradients near the target to zero
    if gan_mode == "vanilla":
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
    return ((1 + logits) / 2 - float(real)).square().mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor, gan_mode: GANMode) -> Tensor:
    """½ (adversarial(real, "real") + adversarial(fake, "generated")); the half as in CycleGAN, appendix 7.1."""
    return (adversarial(real_logits, True, gan_mode) + adversarial(fake_logits, False, gan_mode)) / 2


def cycle(cycled: Tensor, image: Tensor) -> Tensor:
    """‖F(G(x)) - x‖₁ or ‖G(F(y)) - y‖₁ (CycleGAN, eq. 2)."""
    return functional.l1_loss(cycled, image)


def identity(same: Tensor, image: Tensor) -> Tensor:
    """‖G(y) - y‖₁ or ‖F(x) - x‖₁: an image already in the target domain stays (CycleGAN, section 5.2)."""
    return functional.l1_loss(same, image)


def paired(fake: Tensor, real: Tensor) -> Tensor:
    """‖G(x) - y‖₁ for a drawing x made from the known photo y (pix2pix, eq. 3)."""
    return functional.l1_loss(fake, real)


def lines(fake: Tensor, real: Tensor, ink_weight: float = 0.8) -> Tensor:
    """mean of w·|F(y) - x| and w·|B(F(y)) - B(x)| with w = 1 + ink_weight·(1 - x) / 2 and B the mean over 3×3 pixels.

    A drawing is mostly paper: unweighted, a white sheet would be a good answer. Blurred, a line one pixel off is nearly
    right instead of twice wrong.
    """
    weight = 1 + ink_weight * (1 - real) / 2
    sharp = (weight * (fake - real).abs()).mean()
    blurred = [functional.avg_pool2d(one, 3, stride=1, padding=1, count_include_pad=False) for one in (fake, real)]
    return (sharp + (weight * (blurred[0] - blurred[1]).abs()).mean()) / 2


def colour(fake: Tensor, real: Tensor, pool: int = 8) -> Tensor:
    """‖P(G(x)) - P(y)‖₁ with P the mean over pool×pixel squares: the colour of a region, whatever its texture."""
    return functional.l1_loss(functional.avg_pool2d(fake, pool), functional.avg_pool2d(real, pool))


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """mean over layers i of ‖D⁽ⁱ⁾(G(x)) - D⁽ⁱ⁾(y)‖₁ (Wang et al., pix2pixHD, CVPR 2018, eq. 4), the reals fixed."""
    return mean([functional.l1_loss(a, b.detach()) for a, b in zip(fake, real, strict=True)])


def perceptual(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """mean over layers i of ‖φᵢ(G(x)) - φᵢ(y)‖₁ / mean |φᵢ(y)|: each layer counts alike.

    Features of a fixed ImageNet network instead of pixels: Johnson et al., "Perceptual Losses for Real-Time Style
    Transfer and Super-Resolution", ECCV 2016, section 3.2.
    """
    return mean([functional.l1_loss(a, b) / b.abs().mean().clamp(min=1e-6) for a, b in zip(fake, real, strict=True)])


def texture(fake: Sequence[Tensor], real: Sequence[Tensor], squares: int = 8) -> Tensor:
    """mean over layers i of ‖σ(φᵢ(G(x))) - σ(φᵢ(y))‖₁ / mean σ(φᵢ(y)), σ the deviation within each of squares² places.

    How much grain, weave or gloss there is locally, wherever exactly it lies. Compared position by position, details
    that nothing predicts would be averaged away. Deviations of features as style: Huang and Belongie, "Arbitrary Style
    Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017, eq. 13.
    """
    places = partial(functional.adaptive_avg_pool2d, output_size=squares)
    terms = []
    for a, b in zip(fake, real, strict=True):
        ours, theirs = _deviation(a, places), _deviation(b, places)
        terms.append(functional.l1_loss(ours, theirs) / theirs.mean())
    return mean(terms)


def luminance(fake: Tensor, real: Tensor) -> Tensor:
    """sum over squares of a 16th, 8th and 4th of the side of ‖σ(L(G(x))) - σ(L(y))‖₁ + ‖max L(G(x)) - max L(y)‖₁.

    L is the luminance, σ its deviation within each square, max the largest of its means over 3×3 pixels there.

    Light, shade and highlights, wherever in a square they lie; each square overlaps the next by half.
    """
    ours, theirs = (_luminance(image) for image in (fake, real))
    smooth = [functional.avg_pool2d(one, 3, 1, 1) for one in (ours, theirs)]
    terms = []
    for parts in (16, 8, 4):
        side = max(real.shape[-1] // parts, 2)
        squares = partial(functional.avg_pool2d, kernel_size=side, stride=side // 2)
        brightest = partial(functional.max_pool2d, kernel_size=side, stride=side // 2)
        terms.append(functional.l1_loss(_deviation(ours, squares), _deviation(theirs, squares)))
        terms.append(functional.l1_loss(brightest(smooth[0]), brightest(smooth[1])))
    return torch.stack(terms).sum()


def _luminance(image: Tensor) -> Tensor:
    image = image.float()
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def _deviation(maps: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """B×C×h×w → B×C×n×m, the deviation within each of the squares over which ``pool`` takes means."""
    centre = pool(maps)
    variance = pool(maps.square()) - centre.square()
    return (variance.clamp(min=0) + 1e-4).sqrt()  # the root of nothing has no gradient


def mean(terms: Sequence[Tensor]) -> Tensor:
    """Of several scalars, such as the losses of several layers."""
    return torch.stack(list(terms)).mean()
