"""The fixed network of features: what it gives is what torchvision's gives."""

from pathlib import Path

import torch
from torch import nn
from torchvision.models import mobilenet_v2

from cyclegan.training.perceptual import DEVIATION, MEAN, PerceptualFeatures


def test_folded_norms_change_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = mobilenet_v2(weights=None).eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for statistic in norm.state_dict().values():
                statistic.copy_(torch.rand(statistic.shape) + 0.5)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    features = PerceptualFeatures(tmp_path / "weights.pth", taps=("features.0", "features.3.conv.0"))

    with torch.autocast("cpu", torch.bfloat16):
        first, later = features(2 * images - 1)

    assert not any(isinstance(module, nn.BatchNorm2d) for module in features.modules())
    normalised = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
    torch.testing.assert_close(first, network.features[0](normalised), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        later, network.features[3].conv[0](network.features[:3](normalised)), rtol=1e-4, atol=1e-4
    )
    later.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in features.parameters())
