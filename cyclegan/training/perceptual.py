"""Features of an ImageNet network, for the perceptual loss and for KID and FID."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
from torchvision.models.feature_extraction import create_feature_extractor

from cyclegan.config import ConfigError
from cyclegan.models import fold_batch_norms

TAPS = ("features.0", "features.3.conv.0", "features.5.conv.0", "features.8.conv.0", "features.11.conv.0")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PerceptualFeatures(nn.Module):
    """Feature maps of a fixed MobileNetV2 (Sandler et al., CVPR 2018): five by default (strides 2, 4, 8, 16, 16).

    Small on purpose: 0.2 GMAC for a 224×224 image. ``weights`` is a file with the state dict of torchvision's
    ``mobilenet_v2`` (layers after the last tap may be missing); None has torchvision download its own. Raises
    ConfigError, naming ``setting``, if it cannot be downloaded, the file is not there or is not such a state dict.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Path | None, taps: Sequence[str] = TAPS, setting: str = "loss.perceptual_weights"):
        super().__init__()
        try:
            network = mobilenet_v2(weights=None if weights else MobileNet_V2_Weights.IMAGENET1K_V2)
        except (OSError, RuntimeError) as error:  # no internet; cut short, which its hash tells
            raise ConfigError(
                f"torchvision's mobilenet_v2 cannot be downloaded ({error}): give it as a file, "
                f"{setting}=mobilenet_v2.pth."
            ) from None
        self.network = create_feature_extractor(network, list(taps))
        if weights:
            try:
                given = torch.load(weights, map_location="cpu", weights_only=True)
                self.network.load_state_dict({name: given[name] for name in self.network.state_dict()})
            except Exception as error:
                raise ConfigError(f"{setting}: {weights} does not hold torchvision's mobilenet_v2 ({error}).") from None
        fold_batch_norms(self.network.eval())
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()
        self.channels = [len(one[0]) for one in self(torch.zeros(1, 3, 32, 32))]

    def train(self, mode: bool = True) -> PerceptualFeatures:
        return super().train(False)  # the running statistics of its normalisation stay as they are

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of ``images`` (B×3×H×W in [-1, 1]), shallow to deep, float32; gradients reach the images only.

        In bfloat16 the gradient would be rough (cosine 0.92 with the exact one) and, on CPUs, slower to compute.
        """
        with torch.autocast(images.device.type, enabled=False):
            return list(self.network(((images.float() + 1) / 2 - self.mean) / self.deviation).values())
