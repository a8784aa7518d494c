"""The four networks of a sketch ↔ photo CycleGAN.

=========  ==================================================  ========================
document   what it is                                          here
=========  ==================================================  ========================
X, Y       domain of sketches, domain of real images           ``sketch``, ``photo``
G, F       generators sketch → photo, photo → sketch           ``G``, ``F``
D_X        discriminator of **real images** (judges G)         ``D_X`` (critic of photos)
D_Y        discriminator of **sketches** (judges F)            ``D_Y`` (critic of sketches)
=========  ==================================================  ========================

The CycleGAN paper calls the critic of photos (its domain Y) D_Y: the subscripts here are the other way round.

Images are B×3×H×W float tensors in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cyclegan.colour_field import colour_fields
from cyclegan.config import DiscriminatorConfig, GeneratorConfig

MIN_SIDE = 32
Padding = Literal["zeros", "replicate"]


class Generator(nn.Module):
    """U-Net that turns an image of one domain into one of the other.

    An encoder of strided convolutions, residual blocks at the bottleneck and, if asked for, on the way up, a decoder
    of bilinear resizing and convolution (free of the checkerboard of transposed convolutions: Odena et al.,
    "Deconvolution and Checkerboard Artifacts", Distill 2016; with nearest neighbours a faint weave stayed in smooth
    surfaces), skip connections at every scale, the image itself at the last one. The image comes with its colour field,
    and every place of the bottleneck is told what the whole image shows: a colour belongs to an object more than to its
    outlines. Encoder and skips after Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks",
    CVPR 2017, appendix 6.1; residual blocks after Zhu et al., "Unpaired Image-to-Image Translation using
    Cycle-Consistent Adversarial Networks", ICCV 2017, appendix 7.2.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        widths, top = config.widths, config.top_width
        self.stride, self.grey = 2 ** (len(widths) + config.refined), config.grey
        self.told_colour = config.colour_field
        self.grain = Grain() if config.grain else None
        seen = 3 + 3 * config.colour_field + config.grain
        self.encoder = nn.ModuleList(
            _down(below, width, norm=level > 0) for level, (below, width) in enumerate(pairwise((seen, *widths)))
        )
        self.context = GlobalContext(widths[-1])
        self.bottleneck = nn.Sequential(*(Residual(widths[-1], "replicate") for _ in range(config.bottleneck_blocks)))
        self.decoder = nn.ModuleList(
            _up(widths[level + 1] + widths[level], widths[level], config.decoder_blocks[level])
            for level in reversed(range(len(widths) - 1))
        )
        self.last = nn.Sequential(*_conv(widths[0] + seen, top), nn.Conv2d(top, 3, 3, padding=1))
        self.apply(_initialise)
        self.refinement = Refinement(top, seen) if config.refined else None

    def forward(self, image: Tensor, field: Tensor | None = None) -> Tensor:
        """Translate ``image`` (B×3×H×W in [-1, 1], H and W ≥ 32) into the other domain, same shape and range.

        ``field``: the colour to take at every place, same shape and range; None asks the image (`colour_fields`).
        """
        height, width = image.shape[-2:]
        if min(height, width) < MIN_SIDE:
            raise ValueError(f"images must be at least {MIN_SIDE}×{MIN_SIDE} pixels, not {height}×{width}")
        right, below = -width % self.stride, -height % self.stride
        if self.told_colour:
            image = torch.cat((image, colour_fields(image) if field is None else field), dim=1)
        if right or below:
            image = functional.pad(image, (0, right, 0, below), mode="replicate")
        if self.refinement:
            picture = self.refinement(self._grained(image), *self._drawn(functional.avg_pool2d(image, 2)))
        else:
            _, picture = self._drawn(image)
        if self.grey:
            picture = picture.mean(dim=1, keepdim=True).expand_as(picture)
        return torch.tanh(picture)[..., :height, :width]

    def _drawn(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The last features of the U-Net and what becomes of them: the picture before its tanh."""
        features = self._grained(image)
        skips = [features]
        for down in self.encoder:
            features = down(features)
            skips.append(features)
        features = self.bottleneck(self.context(skips.pop()))
        for up in self.decoder:
            features = up(_beside(_double(features), skips.pop()))
        features = self.last[:-1](_beside(_double(features), skips.pop()))
        return features, self.last[-1](features)

    def _grained(self, image: Tensor) -> Tensor:
        return torch.cat((image, self.grain(image)), dim=1) if self.grain else image


class Discriminator(nn.Module):
    """PatchGAN: judges every patch of an image by itself (Isola et al., CVPR 2017, section 3.2 and appendix 6.1.2).

    ``forward`` gives the probability that each patch is real, as the document asks; ``logits`` the same before the
    sigmoid, for losses that are stable there; ``features`` the maps on the way, for feature matching.
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        widths = config.widths
        self.layers = nn.ModuleList(
            _down(below, width, norm=level > 0) for level, (below, width) in enumerate(pairwise((3, *widths)))
        )
        self.layers.append(nn.Sequential(*_conv(widths[-1], 2 * widths[-1], kernel=4, slope=0.2)))
        self.score = nn.Conv2d(2 * widths[-1], 1, kernel_size=4, padding=1)
        self.apply(_initialise)

    def features(self, image: Tensor) -> list[Tensor]:
        """Feature maps of ``image`` (B×3×H×W in [-1, 1]), shallow to deep; the last entry is the B×1×h×w logits."""
        maps = []
        for layer in self.layers:
            image = layer(image)
            maps.append(image)
        return [*maps, self.score(image)]

    def logits(self, image: Tensor) -> Tensor:
        """B×1×h×w real-valued scores of ``image``'s patches; above 0 means "real"."""
        return self.features(image)[-1]

    def forward(self, image: Tensor) -> Tensor:
        """B×1×h×w probabilities in (0, 1) that ``image``'s patches are real."""
        return torch.sigmoid(self.logits(image))


class Residual(nn.Module):
    """x + conv-norm-ReLU-conv-norm(x) (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016).

    Where a few places make up the whole image, as at the bottleneck, most of what zeros around it tell is how far off
    the border is, and smooth surfaces show bands along it; repeating the outermost places tells nothing. Alsallakh et
    al., "Mind the Pad: CNNs can Develop Blind Spots", ICLR 2021.
    """

    def __init__(self, width: int, padding: Padding = "zeros"):
        super().__init__()
        second = nn.Conv2d(width, width, 3, padding=1, padding_mode=padding, bias=False)
        self.body = nn.Sequential(*_conv(width, width, padding=padding), second, nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)


class Refinement(nn.Module):
    """From a picture and its features at half the resolution, and the whole image, the whole picture.

    Generators from coarse to fine: Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with
    Conditional GANs" (pix2pixHD), CVPR 2018, section 3.1; as a difference to the enlarged picture: Denton et al., "Deep
    Generative Image Models using a Laplacian Pyramid of Adversarial Networks", NeurIPS 2015, section 2.2.
    """

    def __init__(self, width: int, seen: int):
        super().__init__()
        last = nn.Conv2d(width, 3, 3, padding=1)
        self.body = nn.Sequential(*_conv(width + seen, width), *_conv(width, width), last)
        self.apply(_initialise)
        nn.init.zeros_(last.weight)  # at first, the picture that is to be refined

    def forward(self, image: Tensor, features: Tensor, picture: Tensor) -> Tensor:
        return _double(picture) + self.body(_beside(_double(features), image))


class Grain(nn.Module):
    """Fixed normal noise, to make textures of: inside an outline a drawing is blank, and from nothing convolutions make
    smooth surfaces or repeating patterns only.

    Noise inputs after Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR
    2019, section 3.2. A picture shall not flicker while it is drawn, so eval mode always gives the same noise; a
    network in training finds it `shift`ed, or it would learn what to paint at which place.
    """

    SIDE = 256
    tile: Tensor

    def __init__(self) -> None:
        super().__init__()
        tile = torch.randn(1, 1, self.SIDE, self.SIDE, generator=torch.Generator("cpu").manual_seed(0), device="cpu")
        self.register_buffer("tile", tile, persistent=False)
        self.offset = (0, 0)

    def shift(self, random: torch.Generator) -> None:
        """Until the next call, training mode gives the noise rolled around by ``random`` pixels down and right."""
        down, right = torch.randint(self.SIDE, (2,), generator=random, device=random.device).tolist()
        self.offset = (down, right)

    def forward(self, image: Tensor) -> Tensor:
        """B×1×H×W noise for B×C×H×W images."""
        count, _, height, width = image.shape
        tile = self.tile.roll(self.offset, (2, 3)) if self.training else self.tile
        tiles = tile.repeat(1, 1, -(-height // self.SIDE), -(-width // self.SIDE))
        return tiles[..., :height, :width].expand(count, -1, -1, -1).to(image.dtype)


class GlobalContext(nn.Module):
    """x + body(mean and maximum of x over all places), the same everywhere.

    Global features beside local ones decide colours in Iizuka et al., "Let there be Color!", SIGGRAPH 2016, section
    3.3; pooled both ways, as in Woo et al., "CBAM", ECCV 2018, section 3.1. No normalisation: one place is no sample.
    """

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2 * width, width // 4, 1), nn.ReLU(inplace=True), nn.Conv2d(width // 4, width, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        pooled = features.mean((2, 3), keepdim=True), features.amax((2, 3), keepdim=True)
        return features + self.body(torch.cat(pooled, dim=1))


def _down(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    """Halve the resolution; the first layer goes without normalisation so that it sees the colours as they are."""
    conv = nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=not norm)
    return nn.Sequential(conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.LeakyReLU(0.2, inplace=True))


def _up(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*_conv(inputs, outputs), *(Residual(outputs) for _ in range(blocks)))


def _conv(
    inputs: int, outputs: int, kernel: int = 3, slope: float = 0.0, padding: Padding = "zeros"
) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=1, padding_mode=padding, bias=False)
    activation = nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
    return [conv, nn.BatchNorm2d(outputs), activation]


def _beside(features: Tensor, others: Tensor) -> Tensor:
    """Both in the type of the first: autocast would widen them to float32."""
    return torch.cat((features, others.to(features.dtype)), dim=1)


def _double(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="bilinear")


def _initialise(module: nn.Module) -> None:
    """Normal(0, 0.02) weights, as in both papers."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
