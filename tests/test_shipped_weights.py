"""The weights in this repository paint and draw: a ruined network would pass every test of the code."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.colour.colour_map import outside, regions
from cyclegan.colour.hints import with_colour_stroke
from cyclegan.colour.palettes import COLOURWAYS, PALETTE
from cyclegan.evaluation.metrics import foreground
from cyclegan.hub import load_weights
from cyclegan.images import RGBArray, fit_square, open_image, to_rgb
from cyclegan.inference import Translator
from cyclegan.weights import Weights

ROOT = Path(__file__).parents[1]
NAVY = [way.name for way in COLOURWAYS].index("navy")  # a white object would not look filled


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights(ROOT / "weights")


@pytest.fixture(scope="module")
def translator(weights: Weights) -> Translator:
    return Translator(weights, "cpu", torch.float32)


def sheets(pattern: str, side: int) -> RGBArray:
    paths = sorted((ROOT / "examples").glob(pattern))
    return np.stack([np.asarray(fit_square(to_rgb(open_image(path)), side)) for path in paths])


def object_masks(drawings: RGBArray) -> np.ndarray:
    """N×S×S booleans: what the lines enclose, a little within them."""
    side = drawings.shape[1]
    masks = [(~outside(regions(one), one)).astype(np.uint8) for one in drawings]
    full = [cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST) for mask in masks]
    return np.stack(full) > 0


def filled_and_clean(translator: Translator, drawings: RGBArray) -> tuple[np.ndarray, np.ndarray]:
    """Of each closed drawing: share of the object that is painted, and share of the rest that stayed white."""
    photos = translator.translate_batch(drawings, "sketch_to_photo", [NAVY] * len(drawings))
    inside = object_masks(drawings)
    closed = ~inside.all(axis=(1, 2))
    around = ~np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) for mask in inside]).astype(bool)
    painted = foreground(photos)
    filled = [(painted & mask).sum() / mask.sum() for painted, mask in zip(painted, inside, strict=True)]
    clean = [(~painted & mask).sum() / max(mask.sum(), 1) for painted, mask in zip(painted, around, strict=True)]
    return np.array(filled)[closed], np.array(clean)[closed]


def test_drawn_objects_are_filled_on_clean_paper(translator: Translator) -> None:
    filled, clean = filled_and_clean(translator, sheets("sketches/*.png", translator.config.image_size))
    assert len(filled) >= 8
    assert filled.mean() > 0.9
    assert clean.mean() > 0.98


def test_a_ruined_generator_is_noticed(weights: Weights) -> None:
    random = torch.Generator().manual_seed(0)
    ruined = {
        key: tensor + tensor.std() * torch.randn(tensor.shape, generator=random) if tensor.ndim == 4 else tensor
        for key, tensor in weights.networks["G"].items()
    }
    broken = Translator(Weights(weights.config, weights.networks | {"G": ruined}, "ruined/"), "cpu", torch.float32)
    filled, clean = filled_and_clean(broken, sheets("sketches/*.png", broken.config.image_size))
    assert filled.mean() < 0.9 or clean.mean() < 0.98


def test_a_red_stroke_gives_a_red_part(translator: Translator) -> None:
    drawings = sheets("sketches/*.png", translator.config.image_size)
    stroked = np.stack([with_colour_stroke(drawing, PALETTE["red"]) for drawing in drawings])
    photos = translator.translate_batch(stroked, "sketch_to_photo", [NAVY] * len(stroked)).astype(int)
    red = (photos[..., 0] > photos[..., 1:].max(axis=-1) + 40).mean(axis=(1, 2))
    assert (red > 0.02).all()
    plain = translator.translate_batch(drawings, "sketch_to_photo", [NAVY] * len(drawings)).astype(int)
    assert (plain[..., 0] > plain[..., 1:].max(axis=-1) + 40).mean() < 0.02


def test_photos_become_lines(translator: Translator) -> None:
    for path in sorted((ROOT / "examples" / "photos").glob("*.jpg")):
        drawing = np.asarray(translator.photo_to_sketch(Image.open(path)).convert("L"))
        assert 0.01 < (drawing < 128).mean() < 0.2, path.name
        assert ((drawing > 50) & (drawing < 205)).mean() < 0.08, path.name
