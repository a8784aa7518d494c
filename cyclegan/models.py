"""The four networks of a sketch ↔ photo CycleGAN.

=========  ==================================================  ======================
specified  what it is                                          in code
=========  ==================================================  ======================
X, Y       domain of sketches, domain of real images           ``sketch``, ``photo``
G, F       generators sketch → photo, photo → sketch           ``G``, ``F``
D_X        discriminator of **real images** (judges G)         ``D_X``
D_Y        discriminator of **sketches** (judges F)            ``D_Y``
=========  ==================================================  ======================

The CycleGAN paper calls the discriminator of photos (its domain Y) D_Y: the subscripts here are the other way round.

Images are B×3×H×W float tensors in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cyclegan.config import DiscriminatorConfig, GeneratorConfig

MIN_INPUT_SIDE = 32
Padding = Literal["zeros", "replicate"]
Window = tuple[slice, slice]
"""Rows and columns of an image, from one even number to another."""


class Generator(nn.Module):
    """U-Net that translates an image of one domain into the other, given a condition: G's is a colour map, F's a plane
    of one number, the amount of detail.

    An encoder of strided convolutions, residual blocks at the bottleneck and optionally in the decoder, a decoder of
    bilinear upsampling and convolution (no checkerboard, unlike transposed convolution: Odena et al., "Deconvolution
    and Checkerboard Artifacts", Distill 2016; nearest-neighbour upsampling left a faint weave in smooth surfaces), and
    skip connections at every scale, the last one carrying the input itself. `GlobalContext` shows every position of the
    bottleneck a summary of the whole image, because colour belongs to an object rather than to its outlines. Encoder
    and skips follow Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
    appendix 6.1; residual blocks Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", ICCV 2017, appendix 7.2.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        channels, top = config.channels, config.top_channels
        self.stride = 2 ** (len(channels) + config.coarse_to_fine + config.super_resolution)
        self.greyscale = config.greyscale
        self.condition_channels = config.condition_channels
        self.noise_input = NoiseInput() if config.noise_input else None
        inputs = 3 + config.condition_channels + config.noise_input
        self.encoder = nn.ModuleList(
            _down(below, width, norm=level > 0) for level, (below, width) in enumerate(pairwise((inputs, *channels)))
        )
        self.context = GlobalContext(channels[-1])
        self.bottleneck = nn.Sequential(*(Residual(channels[-1], "replicate") for _ in range(config.bottleneck_blocks)))
        self.decoder = nn.ModuleList(
            _up(channels[level + 1] + channels[level], channels[level], config.decoder_blocks[level])
            for level in reversed(range(len(channels) - 1))
        )
        self.last = nn.Sequential(*_conv(channels[0] + inputs, top), nn.Conv2d(top, 3, 3, padding=1))
        self.apply(_initialise)
        self.local_enhancer = LocalEnhancer(top, inputs) if config.coarse_to_fine else None
        self.super_resolution = SubpixelEnhancer(top, inputs) if config.super_resolution else None

    def forward(
        self,
        image: Tensor,
        condition: Tensor | None = None,
        preview: bool = False,
        windows: Sequence[Sequence[Window]] | None = None,
    ) -> Tensor:
        """Translate ``image`` (B×3×H×W in [-1, 1], H and W ≥ 32) into the other domain, same shape and range.

        ``condition``: B×C×H×W in [-1, 1] with C = `GeneratorConfig.condition_channels`; required unless C is 0.
        ``preview``: leave the super-resolution out, for an ``image`` and a ``condition`` of half its resolution.
        ``windows``: of each image, all of one size; the output is of them alone, one after the other.

        Raises:
            ValueError: the image is too small, or the condition is missing or has other dimensions.
        """
        height, width = image.shape[-2:]
        if min(height, width) < MIN_INPUT_SIDE:
            raise ValueError(f"images must be at least {MIN_INPUT_SIDE}×{MIN_INPUT_SIDE} pixels, not {height}×{width}")
        expected = (len(image), self.condition_channels, height, width)
        if (condition is None and self.condition_channels) or (condition is not None and condition.shape != expected):
            given = "none" if condition is None else "×".join(map(str, condition.shape))
            raise ValueError(f"the condition must be {'×'.join(map(str, expected))}, got {given}")
        if condition is not None:
            image = torch.cat((image, condition), dim=1)
        right, below = -width % self.stride, -height % self.stride
        if right or below:
            image = functional.pad(image, (0, right, 0, below), mode="replicate")
        if self.super_resolution and not preview:
            features, output = self._coarse_to_fine(functional.avg_pool2d(image, 2))
            image = self._with_noise(image)
            if windows is not None:
                image, features, output = cut(image, windows), cut(features, windows, 2), cut(output, windows, 2)
                height, width = image.shape[-2:]
            output = self.super_resolution(image, features, output)
        else:
            _, output = self._coarse_to_fine(image)
        if self.greyscale:
            output = output.mean(dim=1, keepdim=True).expand_as(output)
        return torch.tanh(output)[..., :height, :width]

    def _coarse_to_fine(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature map before the super-resolution and the output computed from it, before its tanh."""
        if not self.local_enhancer:
            return self._unet(image)
        return self.local_enhancer(self._with_noise(image), *self._unet(functional.avg_pool2d(image, 2)))

    def _unet(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The U-Net's last feature map and the output computed from it, before its tanh."""
        features = self._with_noise(image)
        skips = [features]
        for down in self.encoder:
            features = down(features)
            skips.append(features)
        features = self.bottleneck(self.context(skips.pop()))
        for up in self.decoder:
            features = up(_beside(_double(features), skips.pop()))
        features = self.last[:-1](_beside(_double(features), skips.pop()))
        return features, self.last[-1](features)

    def _with_noise(self, image: Tensor) -> Tensor:
        return torch.cat((image, self.noise_input(image)), dim=1) if self.noise_input else image


class Discriminator(nn.Module):
    """PatchGAN: judges every patch of an image by itself (Isola et al., CVPR 2017, section 3.2 and appendix 6.1.2).

    ``forward`` gives the probability that each patch is real, as specified; ``logits`` the same before the
    sigmoid, for losses that are stable there; ``features`` the maps on the way, for feature matching.
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        channels = config.channels
        self.layers = nn.ModuleList(
            _down(below, width, norm=level > 0) for level, (below, width) in enumerate(pairwise((3, *channels)))
        )
        self.layers.append(nn.Sequential(*_conv(channels[-1], 2 * channels[-1], kernel=4, slope=0.2)))
        self.score = nn.Conv2d(2 * channels[-1], 1, kernel_size=4, padding=1)
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

    At the bottleneck, where the whole image is a few positions wide, zero padding mostly encodes the distance to the
    border, which shows as bands along the edges of smooth surfaces; replication padding does not. Alsallakh et al.,
    "Mind the Pad: CNNs can Develop Blind Spots", ICLR 2021.
    """

    def __init__(self, width: int, padding: Padding = "zeros"):
        super().__init__()
        first, second = (_conv(width, width, padding=padding) for _ in range(2))
        self.body = nn.Sequential(*first, *second[:-1])

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)


class ReplicatePaddedConv(nn.Conv2d):
    """A convolution with ``padding_mode="replicate"``, padded by one, that `torch.compile` can differentiate.

    For the gradient of PyTorch's own padding the compiler expects another memory format than it has (2.14: "expected
    size …, stride …" in replication_pad2d_backward). Concatenation, which it knows, is slower without it.
    """

    def forward(self, features: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            wide = torch.cat((features[..., :1], features, features[..., -1:]), dim=3)
            padded = torch.cat((wide[..., :1, :], wide, wide[..., -1:, :]), dim=2)
        else:
            padded = functional.pad(features, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, self.weight, self.bias)


class LocalEnhancer(nn.Module):
    """The features and the output at twice the resolution of the U-Net's.

    Coarse-to-fine generator: Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional
    GANs" (pix2pixHD), CVPR 2018, section 3.1. It predicts the residual to the upsampled output: Denton et al., "Deep
    Generative Image Models using a Laplacian Pyramid of Adversarial Networks", NeurIPS 2015, section 2.2.
    """

    def __init__(self, channels: int, inputs: int):
        """``channels``: of the U-Net's features; ``inputs``: of the image with its condition and noise."""
        super().__init__()
        last = nn.Conv2d(channels, 3, 3, padding=1)
        self.body = nn.Sequential(*_conv(channels + inputs, channels), *_conv(channels, channels), last)
        self.apply(_initialise)
        nn.init.zeros_(last.weight)  # starts as plain upsampling

    def forward(self, image: Tensor, features: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body[:-1](_beside(_double(features), image))
        return features, _double(output) + self.body[-1](features)


class SubpixelEnhancer(nn.Module):
    """The output at twice the resolution of the features, at a cost that grows with their resolution alone.

    All of it is computed at that resolution, with four pixels of the image and of the residual side by side as
    channels: the efficient sub-pixel convolution of Shi et al., "Real-Time Single Image and Video Super-Resolution
    Using an Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016, section 3.2. The drawing at full resolution,
    an input beside the features, says where exactly an edge is.
    """

    WIDTH = 32

    def __init__(self, channels: int, inputs: int):
        """``channels``: of the features; ``inputs``: of the image with its condition and noise."""
        super().__init__()
        last = nn.Conv2d(self.WIDTH, 4 * 3, 3, padding=1)
        self.body = nn.Sequential(*_conv(channels + 4 * inputs, self.WIDTH), *_conv(self.WIDTH, self.WIDTH), last)
        self.apply(_initialise)
        nn.init.zeros_(last.weight)  # starts as plain upsampling

    def forward(self, image: Tensor, features: Tensor, output: Tensor) -> Tensor:
        residual = self.body(_beside(features, functional.pixel_unshuffle(image, 2)))
        return _double(output) + functional.pixel_shuffle(residual, 2)


class NoiseInput(nn.Module):
    """Fixed Gaussian noise as an input channel, to make textures of: inside an outline a drawing is blank, and from a
    constant input convolutions can only make smooth surfaces or repeating patterns.

    Noise inputs after Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR
    2019, section 3.2. In eval mode the noise is always the same, so that a photo does not flicker while it is drawn; in
    training it is shifted at every step (`shift`), or the network would learn what to paint at which position.
    """

    SIDE = 256
    tile: Tensor

    def __init__(self) -> None:
        super().__init__()
        tile = torch.randn(1, 1, self.SIDE, self.SIDE, generator=torch.Generator("cpu").manual_seed(0), device="cpu")
        self.register_buffer("tile", tile, persistent=False)
        self.shifted: Tensor | None = None

    def shift(self, random: torch.Generator) -> None:
        """Draw from ``random`` how far the noise is rolled in training mode until the next call."""
        down, right = torch.randint(self.SIDE, (2,), generator=random, device=random.device).tolist()
        self.shifted = self.tile.roll((down, right), (2, 3))

    def forward(self, image: Tensor) -> Tensor:
        """B×1×H×W noise for B×C×H×W images."""
        count, _, height, width = image.shape
        tile = self.shifted if self.training and self.shifted is not None else self.tile
        tiles = tile.repeat(1, 1, -(-height // self.SIDE), -(-width // self.SIDE))
        return tiles[..., :height, :width].expand(count, -1, -1, -1).to(image.dtype)


class GlobalContext(nn.Module):
    """x + body(mean and maximum of x over all positions), the same everywhere.

    Global features beside local ones decide colours in Iizuka et al., "Let there be Color!", SIGGRAPH 2016, section
    3.3; pooled both ways, as in Woo et al., "CBAM", ECCV 2018, section 3.1. No normalisation: a single position has no
    statistics.
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
    kind = ReplicatePaddedConv if padding == "replicate" else nn.Conv2d
    conv = kind(inputs, outputs, kernel, padding=1, padding_mode=padding, bias=False)
    activation = nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
    return [conv, nn.BatchNorm2d(outputs), activation]


def _beside(features: Tensor, others: Tensor) -> Tensor:
    """Both in the type of the first: autocast would widen them to float32."""
    return torch.cat((features, others.to(features.dtype)), dim=1)


def cut(images: Tensor, windows: Sequence[Sequence[Window]], stride: int = 1) -> Tensor:
    """B×C×H×W → each image's ``windows`` of it, one after the other; ``stride``: how much smaller the images are."""
    return torch.stack(
        [
            image[:, rows.start // stride : rows.stop // stride, columns.start // stride : columns.stop // stride]
            for image, several in zip(images, windows, strict=True)
            for rows, columns in several
        ]
    )


def _double(features: Tensor) -> Tensor:
    doubled = functional.interpolate(features, scale_factor=2, mode="bilinear")
    if doubled.requires_grad and doubled.is_contiguous(memory_format=torch.channels_last):
        # What comes back is a part of a concatenation's gradient, for which PyTorch has a loop ten times as slow.
        doubled.register_hook(_channels_last)
    return doubled


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def _initialise(module: nn.Module) -> None:
    """Normal(0, 0.02) weights, as in both papers."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm (eval mode) into the convolution before it, in place: same function, less memory traffic."""
    for parent in list(network.modules()):
        for (first, conv), (second, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(conv, norm))
                setattr(parent, second, nn.Identity())
    return network
