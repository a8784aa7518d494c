"""What several test modules share: tiny seeded networks with their folder of weights, and pictures made on the spot."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from cyclegan.config import DiscriminatorConfig, GeneratorConfig, WeightsConfig
from cyclegan.models import Discriminator, Generator
from cyclegan.weights import FILES, StateDict, save_weights

torch.set_num_threads(1)  # tests run side by side, and networks this small gain nothing from more

TINY = WeightsConfig(
    generator=GeneratorConfig(channels=(4, 8), top_channels=4, bottleneck_blocks=1, decoder_blocks=(0,)),
    discriminator=DiscriminatorConfig(channels=(4,)),
    image_size=64,
    colour_hints=True,
)


def make_networks(config: WeightsConfig = TINY, seed: int = 0) -> dict[str, nn.Module]:
    """All four networks, lively enough that their pictures are not one greyscale: large weights, uneven statistics."""
    generator = torch.Generator().manual_seed(seed)
    networks: dict[str, nn.Module] = {
        name: Discriminator(config.discriminator) if name.startswith("D") else Generator(config.generator.of(name))
        for name in FILES
    }
    for network in networks.values():
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.ndim == 4:
                tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.2, generator=generator).add_(float(key.endswith("weight")))
    return networks


@pytest.fixture(scope="session")
def states() -> dict[str, StateDict]:
    """State dicts of the four tiny networks."""
    return {name: network.state_dict() for name, network in make_networks().items()}


@pytest.fixture
def weights_folder(tmp_path: Path, states: dict[str, StateDict]) -> Path:
    """A complete folder of weights of the tiny networks; each test has its own to spoil."""
    folder = tmp_path / "weights"
    save_weights(folder, states, TINY)
    return folder


@pytest.fixture
def make_photo() -> Callable[..., Image.Image]:
    """make_photo(size=(64, 64), seed=0): a coloured object with a gradient on white, RGB."""

    def photo(size: tuple[int, int] = (64, 64), seed: int = 0) -> Image.Image:
        width, height = size
        colour = tuple(int(c) for c in torch.randint(30, 200, (3,), generator=torch.Generator().manual_seed(seed)))
        body = Image.composite(
            Image.new("RGB", size, colour), Image.new("RGB", size, "orange"), Image.linear_gradient("L").resize(size)
        )
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).ellipse((width // 6, height // 4, width * 5 // 6, height * 3 // 4), fill=255)
        return Image.composite(body, Image.new("RGB", size, "white"), mask)

    return photo


@pytest.fixture
def make_drawing() -> Callable[..., Image.Image]:
    """make_drawing(size=(64, 64)): black lines on white, RGB."""

    def drawing(size: tuple[int, int] = (64, 64)) -> Image.Image:
        width, height = size
        sheet = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(sheet)
        pen.ellipse((width // 6, height // 4, width * 5 // 6, height * 3 // 4), outline="black", width=2)
        pen.line((width // 4, height // 2, width * 3 // 4, height // 2), fill="black", width=2)
        return sheet

    return drawing
