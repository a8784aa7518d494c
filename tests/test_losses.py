"""Every loss against numbers worked by hand."""

from math import log

import pytest
import torch
from torch import Tensor

from cyclegan import losses


def image(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("gan_mode", "real", "expected"),
    [
        # logits 0 and log 3: σ = 1/2 and 3/4
        ("vanilla", True, (log(2) + log(4 / 3)) / 2),
        ("vanilla", False, (log(2) + log(4)) / 2),
        # s = (1 + l) / 2: 1/2 and (1 + log 3) / 2
        ("lsgan", True, (0.25 + ((log(3) - 1) / 2) ** 2) / 2),
        ("lsgan", False, (0.25 + ((log(3) + 1) / 2) ** 2) / 2),
    ],
)
def test_adversarial(gan_mode: losses.GANMode, real: bool, expected: float) -> None:
    assert losses.adversarial(image(0.0, log(3)), real, gan_mode).item() == pytest.approx(expected)


def test_vanilla_is_the_binary_cross_entropy_of_the_probability() -> None:
    logits = torch.tensor([[-3.0, 0.5, 2.0]])
    expected = torch.nn.functional.binary_cross_entropy(logits.sigmoid(), torch.ones(1, 3))
    assert losses.adversarial(logits, True, "vanilla").item() == pytest.approx(expected.item(), rel=1e-5)


def test_vanilla_stays_finite_where_the_sigmoid_is_0() -> None:
    assert losses.adversarial(image(-200.0), True, "vanilla").item() == pytest.approx(200.0)


def test_critic_is_half_the_sum() -> None:
    # lsgan: real logit 1 → s = 1 → 0; fake logit 1 → s = 1 → 1
    assert losses.discriminator(image(1.0), image(1.0), "lsgan").item() == pytest.approx(0.5)


@pytest.mark.parametrize("loss", [losses.cycle, losses.identity, losses.paired])
def test_l1_terms(loss) -> None:
    assert loss(image(0.0, 1.0, -1.0, 0.5), image(0.5, 0.0, 1.0, 0.5)).item() == pytest.approx((0.5 + 1 + 2 + 0) / 4)


def test_colour_compares_means_of_squares() -> None:
    fake, real = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2, 4)
    fake[..., :2] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # mean 0: a pattern, but no other colour
    real[..., 2:] = 0.5
    assert losses.colour(fake, real, pool=2).item() == pytest.approx((0 + 0.5) / 2)


def test_feature_matching_is_the_mean_over_layers_with_the_reals_fixed() -> None:
    fake, real = [image(1.0, 3.0), image(2.0)], [image(0.0, 0.0).requires_grad_(), image(6.0)]
    for tensor in fake:
        tensor.requires_grad_()
    loss = losses.feature_matching(fake, real)
    assert loss.item() == pytest.approx((2 + 4) / 2)
    loss.backward()
    assert fake[0].grad is not None
    assert real[0].grad is None


def test_perceptual_counts_each_layer_relative_to_its_size() -> None:
    # layer 1: mean |a-b| = 1, mean |b| = 2; layer 2: 30 and 10
    loss = losses.perceptual([image(1.0, 3.0), image(40.0)], [image(2.0, 2.0), image(10.0)])
    assert loss.item() == pytest.approx((1 / 2 + 30 / 10) / 2)


def test_texture_compares_contrast_wherever_it_lies() -> None:
    stripes = torch.tensor([-1.0, 1.0]).repeat(16, 8)[None, None]  # 16×16, the deviation is 1
    assert losses.texture([stripes.roll(1, 3)], [stripes]).item() == pytest.approx(0, abs=1e-6)
    assert losses.texture([stripes / 4], [stripes]).item() == pytest.approx(0.75, abs=1e-3)
    half = stripes.clone()
    half[..., 8:] = 0  # as much in one place and none in the other
    assert losses.texture([half], [stripes]).item() == pytest.approx(0.5, abs=0.01)


def test_texture_of_a_blank_surface_has_a_gradient() -> None:
    blank = torch.zeros(1, 1, 16, 16, requires_grad=True)
    losses.texture([blank * 1.0], [torch.zeros(1, 1, 16, 16)]).backward()
    assert blank.grad is not None
    assert blank.grad.isfinite().all()


def test_luminance_compares_shade_and_highlights_wherever_they_lie_in_a_square() -> None:
    grey = torch.zeros(1, 3, 64, 64)
    spot = grey.clone()
    spot[..., 24:28, 24:28] = 1
    assert losses.luminance(spot, spot).item() == 0
    near, far = losses.luminance(spot.roll(2, 3), spot), losses.luminance(spot.roll(30, 3), spot)
    assert near < far / 2
    assert losses.luminance(spot / 2, spot) > losses.luminance(spot * 0.9, spot) > 0
    red, blue = (torch.eye(3)[channel][None, :, None, None] * spot for channel in (0, 2))
    assert losses.luminance(red * 0.114, blue * 0.299).item() == pytest.approx(0, abs=1e-6)


def test_luminance_of_a_blank_surface_has_a_gradient() -> None:
    blank = torch.zeros(1, 3, 16, 16, requires_grad=True)
    losses.luminance(blank, torch.ones(1, 3, 16, 16)).backward()
    assert blank.grad is not None
    assert blank.grad.isfinite().all()


def test_perceptual_of_a_dead_layer_is_finite() -> None:
    assert torch.isfinite(losses.perceptual([image(0.0)], [image(0.0)]))


def test_lines_weigh_ink_and_forgive_a_pixel() -> None:
    real = torch.ones(1, 1, 1, 7)
    real[..., 3] = -1
    white = torch.ones_like(real)
    # sharp: 1.8·2 at one of 7 pixels; blurred (means of 2 or 3): 2/3 at three, of which one weighs 1.8
    assert losses.lines(white, real).item() == pytest.approx((1.8 * 2 / 7 + (2 + 1.8) * 2 / 3 / 7) / 2)
    beside, far = (torch.roll(real, shift, -1) for shift in (1, 3))
    assert losses.lines(real, real).item() == 0
    assert losses.lines(beside, real) < losses.lines(far, real)


@pytest.mark.parametrize("gan_mode", ["lsgan", "vanilla"])
def test_adversarial_losses_are_precise_near_their_target(gan_mode: losses.GANMode) -> None:
    """Logits as autocast gives them: each that is not the target has a gradient."""
    logits = torch.linspace(0.99, 1.01, 50).bfloat16().requires_grad_()
    loss = losses.adversarial(logits, True, gan_mode)
    loss.backward()
    assert loss.dtype == torch.float32
    assert logits.grad is not None
    assert ((logits.grad != 0) | (logits == 1)).all()
