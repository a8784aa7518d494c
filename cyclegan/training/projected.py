"""A second discriminator of photos, which judges the features of a pretrained network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 64  # of each map once it is mixed


class ProjectedDiscriminator(nn.Module):
    """Judges feature maps of a fixed, pretrained network, with a head for each.

    Sauer et al., "Projected GANs Converge Faster", NeurIPS 2021: what a discriminator of pixels needs hundreds of
    thousands of images to learn to see, these features show from the start. As in section 3.2 there, maps are mixed
    across channels and then, from the deepest up, across scales: a head for textures knows what they are on. The
    heads judge patches. The paper's mixing is random; learnt, it discriminated sooner (docs/training-log.md).
    """

    def __init__(self, channels: Sequence[int]):
        """``channels``: of each feature map, shallow to deep."""
        super().__init__()
        self.across_channels = nn.ModuleList(nn.Conv2d(count, CHANNELS, 1, bias=False) for count in channels)
        self.across_scales = nn.ModuleList(_conv(3) for _ in channels[1:])
        self.heads = nn.ModuleList(_head() for _ in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """B×C×h×w feature maps → B×1×⌊h/2⌋×⌊w/2⌋ logits each; above 0 means "real"."""
        mixed = [mix(one) for mix, one in zip(self.across_channels, maps, strict=True)]
        for level in reversed(range(len(self.across_scales))):
            deeper = self.across_scales[level](mixed[level + 1])
            mixed[level] = mixed[level] + functional.interpolate(deeper, mixed[level].shape[-2:], mode="bilinear")
        return [head(one) for head, one in zip(self.heads, mixed, strict=True)]


def _head() -> nn.Sequential:
    return nn.Sequential(
        _conv(4, stride=2),
        nn.BatchNorm2d(CHANNELS),
        nn.LeakyReLU(0.2, inplace=True),
        _conv(3),
        nn.BatchNorm2d(CHANNELS),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(CHANNELS, 1, 3, padding=1),
    )


def _conv(kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, padding=1, bias=False)
