"""How far pictures lie apart in the features of a network that knows photos: KID and FID of two sets, by torchmetrics,
and the cosine of pairs.

The packages are needed for these numbers alone, so they are asked for here when they are used.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cyclegan.config import ConfigError

SUBSETS, SUBSET_SIZE = 100, 100
MOBILENET_SIDE = 224
LAST_FEATURES = "features.18"


class FeaturesError(RuntimeError):
    """There is no feature extractor; the message says why and what to do."""


def load_extractor(weights: Path | None) -> nn.Module:
    """A network that makes B×D features of B×3×H×W uint8 RGB images.

    ``weights``: a file with the state dict of torchvision's ``mobilenet_v2``; None takes the Inception of the papers,
    which torchmetrics downloads once.

    Raises:
        FeaturesError: a package is missing, the file is not such a one, or the download fails.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance

        return PooledMobileNet(weights) if weights else FrechetInceptionDistance().inception
    except ModuleNotFoundError:
        reason = "a package is missing: pip install 'cyclegan[train]', or -e '.[train]' in a checkout"
    except ConfigError as error:
        reason = str(error)
    except Exception as error:  # a download fails in many ways
        reason = f"torchmetrics cannot download its Inception network ({error}); give a file with --features"
    raise FeaturesError(f"No KID and FID: {reason}")


class PooledMobileNet(nn.Module):
    """The last feature map of MobileNetV2, averaged over the picture: 1280 numbers."""

    def __init__(self, weights: Path):
        from cyclegan.training.perceptual import PerceptualFeatures

        super().__init__()
        self.network = PerceptualFeatures(weights, taps=(LAST_FEATURES,), setting="--features")

    def forward(self, images: Tensor) -> Tensor:
        side = (MOBILENET_SIDE, MOBILENET_SIDE)
        sized = functional.interpolate(images / 127.5 - 1, side, mode="bilinear", antialias=True)
        return self.network(sized)[0].mean(dim=(2, 3))


def kid(features: Tensor, reference: Tensor) -> float:
    """Kernel Inception Distance × 1000 of N×D and M×D features (Bińkowski et al., "Demystifying MMD GANs", ICLR 2018).

    Squared maximum mean discrepancy with the kernel (x·y/D + 1)³, the mean of 100 random subsets of at most 100
    pictures: unbiased, so that also small sets can be compared, and about 0, or just below, for the same distribution.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(features), len(reference), SUBSET_SIZE)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # that it keeps all features is no concern here
        torch.manual_seed(0)
        metric = KernelInceptionDistance(feature=_Given(features), subsets=SUBSETS, subset_size=size)
        metric.update(reference, real=True)
        metric.update(features, real=False)
        return 1000 * float(metric.compute()[0])


def fid(features: Tensor, reference: Tensor) -> float:
    """Fréchet Inception Distance of N×D and M×D features (Heusel et al., "GANs Trained by a Two Time-Scale Update
    Rule", NIPS 2017): |μ − ν|² + tr(Σ + T − 2√(ΣT)). Grows as sets shrink: compare it at equal counts only.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Given(features))
    metric.update(reference, real=True)
    metric.update(features, real=False)
    return float(metric.compute())


@torch.inference_mode()
def feature_distance(extractor: nn.Module, pictures: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Mean of 1 − cosine of the features of N×H×W×3 uint8 pictures, picture by picture: 0 for the same, at most 2."""
    both = (extractor(torch.from_numpy(some).permute(0, 3, 1, 2)) for some in (pictures, others))
    return 1 - float(functional.cosine_similarity(*both).mean())


class _Given(nn.Identity):
    """Features in the place of the network that makes them: each set is put through that only once."""

    def __init__(self, features: Tensor):
        super().__init__()
        self.num_features = features.shape[1]
