"""The discriminators' opinion of a picture: which parts D_X takes for a real photo, or D_Y for a real drawing."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cyclegan.config import WeightsConfig
from cyclegan.hub import DEFAULT_FOLDER, load_weights
from cyclegan.images import fit_square, square_box, to_tensor
from cyclegan.models import Discriminator
from cyclegan.weights import THREE_WAYS, StateDict, Weights, WeightsError

LEGEND = "Yellow looks real to the critic, blue does not."
HEAT = 0.55  # share of the heat in the overlay; the rest is the picture in grey

Domain = Literal["photo", "sketch"]
DISCRIMINATORS: dict[Domain, str] = {"photo": "D_X", "sketch": "D_Y"}


@dataclass(frozen=True)
class Opinion:
    """What a discriminator says of a picture."""

    score: float
    """Mean probability, 0 to 1, that a patch is real."""
    overlay: Image.Image
    """The picture in grey under each patch's probability, blue (0) to yellow (1); RGB, as large as the picture."""
    sentence: str


class Discriminators:
    """Both discriminators, loaded when first asked (then once, also if that fails); safe to call from many threads."""

    def __init__(self, source: str | Path | Weights = DEFAULT_FOLDER) -> None:
        """``source``: a folder or a Hub id (see `load_weights`), or weights that hold "D_X" and "D_Y"."""
        self._source = source
        self._lock = threading.Lock()
        self._loaded: tuple[WeightsConfig, dict[str, Discriminator]] | WeightsError | None = None

    def opinion(self, image: Image.Image, of: Domain) -> Opinion:
        """What the discriminator of photos (D_X) or of sketches (D_Y) says of an RGB picture of any size.

        Raises:
            WeightsError: the weights come without discriminators, or with broken ones; one sentence.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self._source)
            if isinstance(self._loaded, WeightsError):
                raise WeightsError(str(self._loaded))
            config, networks = self._loaded
            with torch.inference_mode():
                sheet = to_tensor(fit_square(image, config.image_size)).unsqueeze(0)
                patches = networks[DISCRIMINATORS[of]](sheet)[0, 0].numpy()
        score = float(patches.mean())
        heat = spread(patches, 2 ** len(config.discriminator.channels), image.size, config.image_size)
        sentence = (
            f"The critic takes {100 * score:.0f} % of this {of} for real. That is its opinion, not a measurement."
        )
        return Opinion(score, _overlay(image, heat), sentence)


def spread(patches: NDArray, stride: int, size: tuple[int, int], sheet: int) -> NDArray:
    """h×w patches of a picture of ``size`` (width, height) fitted on a ``sheet`` → height×width float32 in [0, 1],
    smooth, each value over the middle of its patch.

    The strided layers halve exactly; the two last, kernels of 4 with padding 1, move the middle by half a cell each:
    patch j lies at stride·(j + 3/2), counted from the sheet's edge.
    """
    left, top, right, _ = square_box(*size, sheet)
    scale = (right - left) / size[0] / stride  # pixels of the picture → cells of the patches' map
    back = np.array(
        [[scale, 0, scale / 2 + left / stride - 1.5], [0, scale, scale / 2 + top / stride - 1.5]], np.float32
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.clip(cv2.warpAffine(patches, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), 0, 1)


def _overlay(image: Image.Image, heat: NDArray) -> Image.Image:
    colours = cv2.applyColorMap(np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_CIVIDIS)[..., ::-1]
    return Image.blend(image.convert("L").convert("RGB"), Image.fromarray(np.ascontiguousarray(colours)), HEAT)


def _load(source: str | Path | Weights) -> tuple[WeightsConfig, dict[str, Discriminator]] | WeightsError:
    try:
        weights = source if isinstance(source, Weights) else load_weights(source, discriminators=True)
        if weights.config.image_size < 3 * 2 ** len(weights.config.discriminator.channels):
            raise WeightsError("config.json describes discriminators whose patches are larger than the picture.")
        return weights.config, {
            name: _ready(weights.config, weights.networks[name]) for name in DISCRIMINATORS.values()
        }
    except WeightsError as error:
        return WeightsError(f"The critics cannot be asked: {str(error).removesuffix(THREE_WAYS).rstrip()}")


def _ready(config: WeightsConfig, state: StateDict) -> Discriminator:
    network = Discriminator(config.discriminator)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)
