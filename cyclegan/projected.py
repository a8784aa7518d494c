"""A second critic of photos, which sees them with the eyes of a network that knows photos already."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

MIXED, JUDGED = 32, 64  # channels of each head


class ProjectedDiscriminator(nn.Module):
    """Judges feature maps of a fixed, pretrained network: a head of its own for each.

    Sauer et al., "Projected GANs Converge Faster", NeurIPS 2021, section 3: what takes a critic of pixels hundreds of
    thousands of pictures to see, it need not learn. Of the paper's projections there is a learnt mixing of channels;
    the heads judge patches.
    """

    def __init__(self, channels: Sequence[int]):
        """``channels``: of each feature map."""
        super().__init__()
        self.heads = nn.ModuleList(_head(count) for count in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """B×C×h×w feature maps → B×1×⌊h/2⌋×⌊w/2⌋ logits each; above 0 means "real"."""
        return [head(one) for head, one in zip(self.heads, maps, strict=True)]


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, MIXED, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(MIXED, JUDGED, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(JUDGED),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(JUDGED, 1, 3, padding=1),
    )
