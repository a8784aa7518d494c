"""The networks: shapes, ranges, sizes, and no checkerboard."""

from itertools import product

import pytest
import torch
from torch import nn

from cyclegan import models
from cyclegan.config import DiscriminatorConfig, GeneratorConfig
from cyclegan.models import Discriminator, Generator, NoiseInput, Residual

TINY = GeneratorConfig(channels=(4, 8, 8), top_channels=4, bottleneck_blocks=1, decoder_blocks=(1, 0))


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(TINY).eval()
    for module in generator.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # lively: with untrained statistics 0.02 would fade to nothing
    return generator


def translated(generator: Generator, image: torch.Tensor) -> torch.Tensor:
    """Under a white colour map."""
    with torch.no_grad():
        return generator(image, torch.ones_like(image))


@pytest.mark.parametrize(("height", "width"), list(product((32, 33, 47, 64), (32, 39, 256))))
def test_any_size_comes_back_as_it_went_in(generator: Generator, height: int, width: int) -> None:
    image = torch.rand(2, 3, height, width) * 2 - 1
    picture = translated(generator, image)
    assert picture.shape == image.shape
    assert picture.abs().max() <= 1


def test_padding_does_not_change_sizes_that_fit(generator: Generator) -> None:
    """A picture whose padding is cut off again agrees with the padded one, seen whole."""
    image = torch.rand(1, 3, 60, 64) * 2 - 1
    padded = nn.functional.pad(image, (0, 0, 0, 4), mode="replicate")
    with torch.no_grad():
        whole = generator(padded, torch.zeros_like(padded))
        assert torch.equal(generator(image, torch.zeros_like(image)), whole[..., :60, :])


def test_an_image_that_is_too_small_is_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match="32×32 pixels, not 31×40"):
        translated(generator, torch.zeros(1, 3, 31, 40))


def test_a_condition_is_required_where_there_is_one_and_of_the_images_size(generator: Generator) -> None:
    image = torch.zeros(1, 3, 32, 32)
    for condition in (None, torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 32, 32)):
        with pytest.raises(ValueError, match="the condition must be 1×3×32×32"):
            generator(image, condition)
    with pytest.raises(ValueError, match="the condition must be 1×0×32×32"):
        Generator(TINY.of("F"))(image, image)


def test_the_generator_fits_its_file() -> None:
    """In half precision below 10 MB: larger files need LFS on a Space."""
    assert sum(tensor.numel() for tensor in Generator(GeneratorConfig()).state_dict().values()) * 2 < 9_900_000


def test_the_generator_makes_no_checkerboard() -> None:
    """Even when all weights are equal and positive, where a strided transposed convolution paints a grid.

    The step between neighbours must not depend on whether their coordinates are odd or even.
    """
    generator = Generator(TINY.model_copy(update={"noise_input": False})).eval()
    for module in generator.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    picture = translated(generator, torch.full((1, 3, 256, 256), 0.5))[0, :, 120:136, 120:136]
    assert picture.std(dim=(1, 2)).max() < 1e-6
    transposed = nn.ConvTranspose2d(1, 1, 3, stride=2, bias=False)
    nn.init.constant_(transposed.weight, 1 / 9)
    assert transposed(torch.ones(1, 1, 16, 16))[..., 8:-8, 8:-8].std() > 0.05  # the test can see a checkerboard


def test_the_sketch_reaches_every_pixel_of_the_picture(generator: Generator) -> None:
    """The bottleneck sees the whole sheet: a change in one corner changes the other."""
    image = torch.rand(1, 3, 32, 32)
    changed = image.clone()
    changed[..., :4, :4] = 1 - changed[..., :4, :4]
    difference = (translated(generator, image) - translated(generator, changed)).abs()
    assert difference[..., -4:, -4:].max() > 0


def test_the_discriminator_judges_70_pixel_patches() -> None:
    """Three halvings and two more layers: each score depends on a patch of 70×70 pixels and on nothing outside."""
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(channels=(4, 4, 4))).eval()
    image = (torch.rand(1, 3, 160, 160)).requires_grad_()
    scores = discriminator.logits(image)
    assert scores.shape == (1, 1, 18, 18)
    (gradient,) = torch.autograd.grad(scores[0, 0, 9, 9], image)
    rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_the_discriminator_ends_in_a_probability() -> None:
    discriminator = Discriminator(DiscriminatorConfig(channels=(4, 8))).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(discriminator(image), discriminator.logits(image).sigmoid())
        maps = discriminator.features(image)
        assert torch.equal(maps[-1], discriminator.logits(image))
    assert [m.shape[1] for m in maps] == [4, 8, 16, 1]


def test_noise_reaches_the_picture_and_is_fixed_in_eval_mode() -> None:
    torch.manual_seed(0)
    generator = Generator(TINY).eval()
    image = torch.zeros(2, 3, 64, 64)
    picture = translated(generator, image)
    assert torch.equal(picture, translated(generator, image))
    assert torch.equal(picture[0], picture[1])
    assert generator.noise_input is not None
    generator.noise_input.tile.neg_()
    before = translated(generator, image)
    assert not torch.equal(picture, before)
    generator.noise_input.shift(torch.Generator().manual_seed(1))
    assert torch.equal(before, translated(generator, image))
    generator.train()
    moved = generator.noise_input(torch.zeros(1, 3, 256, 256))
    down, right = torch.randint(256, (2,), generator=torch.Generator().manual_seed(1)).tolist()
    assert (down, right) != (0, 0)
    assert torch.equal(moved.roll((-down, -right), (2, 3)), generator.noise_input.tile)
    large = NoiseInput().eval()(torch.zeros(1, 3, 300, 260))
    assert large.shape == (1, 1, 300, 260)
    assert torch.equal(large[..., 256:, :], large[..., :44, :])


def test_the_local_enhancer_starts_as_plain_upsampling() -> None:
    """Of what the U-Net makes of the image at half the resolution; it learns the residual."""
    torch.manual_seed(0)
    generator = Generator(TINY.model_copy(update={"noise_input": False})).eval()
    half = Generator(TINY.model_copy(update={"noise_input": False, "coarse_to_fine": False})).eval()
    half.load_state_dict({key: generator.state_dict()[key] for key in half.state_dict()})
    image = torch.rand(2, 1, 64, 64).expand(-1, 3, -1, -1) * 2 - 1
    colours = torch.rand(2, 3, 64, 64) * 2 - 1
    small = [nn.functional.avg_pool2d(both, 2) for both in (image, colours)]
    with torch.no_grad():
        enlarged = nn.functional.interpolate(half(*small).atanh(), scale_factor=2, mode="bilinear").tanh()
        assert torch.allclose(generator(image, colours), enlarged, atol=1e-5)
        assert generator.local_enhancer is not None
        nn.init.normal_(list(generator.local_enhancer.parameters())[-2])
        assert not torch.allclose(generator(image, colours), enlarged, atol=1e-2)


def test_F_draws_in_greys_without_condition_and_noise() -> None:  # noqa: N802
    torch.manual_seed(0)
    F = Generator(TINY.of("F"))
    assert F.noise_input is None
    assert F.local_enhancer is None
    assert F.condition_channels == 0
    drawing = F(torch.rand(2, 3, 32, 32))
    assert drawing.shape == (2, 3, 32, 32)
    assert torch.equal(drawing[:, 0], drawing[:, 1])
    assert torch.equal(drawing[:, 0], drawing[:, 2])
    assert drawing.std() > 0
    assert TINY.of("G") == TINY


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_the_layers_are_those_that_were_asked_for(network: str) -> None:
    model: nn.Module = Generator(TINY) if network == "generator" else Discriminator(DiscriminatorConfig())
    kinds = {type(module) for module in model.modules()}
    assert {nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU} <= kinds
    assert nn.ConvTranspose2d not in kinds


def test_the_bottleneck_does_not_know_where_the_border_is() -> None:
    torch.manual_seed(0)
    blank = torch.ones(2, 8, 4, 4) * torch.randn(1, 8, 1, 1)
    *_, block = Generator(TINY).bottleneck
    assert isinstance(block, Residual)
    assert Residual(8, "replicate").eval()(blank).std((2, 3)).max() < 1e-4
    assert Residual(8).eval()(blank).std((2, 3)).max() > 1e-3
    assert {conv.padding_mode for conv in block.modules() if isinstance(conv, nn.Conv2d)} == {"replicate"}


def test_upsampling_gets_its_gradient_in_the_layout_that_is_fast() -> None:
    """A part of a concatenation's gradient is in neither layout, and PyTorch would take the slow loop."""
    features, seen = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_(), []
    for upsample in (models._double, lambda x: nn.functional.interpolate(x, scale_factor=2, mode="bilinear")):
        doubled = upsample(features)
        doubled.register_hook(lambda gradient: seen.append(gradient.is_contiguous(memory_format=torch.channels_last)))
        both = torch.cat((doubled, torch.ones(2, 3, 16, 16)), dim=1)
        (gradient,) = torch.autograd.grad((both**2).sum(), features)
        seen.append(gradient)
    assert (seen[0], seen[2]) == (True, False)
    assert torch.allclose(seen[1], seen[3], atol=1e-5)
