"""The discriminators' opinion: the right one, over the right place, loaded late and once, or one clear sentence."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.demo import realism
from cyclegan.demo.realism import Discriminators, spread
from cyclegan.images import to_tensor
from cyclegan.models import Discriminator
from cyclegan.weights import FILES, StateDict, Weights, WeightsError
from tests.conftest import TINY, make_networks

Make = Callable[..., Image.Image]


@pytest.fixture
def discriminators(states: dict[str, StateDict]) -> Discriminators:
    return Discriminators(Weights(TINY, states, "tests/"))


def test_each_discriminator_judges_its_own_domain(discriminators: Discriminators, make_photo: Make) -> None:
    networks, photo = make_networks(), make_photo()
    for of, name in realism.DISCRIMINATORS.items():
        network = networks[name].eval()
        with torch.no_grad():
            expected = network(to_tensor(photo)[None]).mean().item()
        opinion = discriminators.opinion(photo, of)
        assert opinion.score == pytest.approx(expected, abs=1e-6)
        assert opinion.sentence.startswith(f"The critic takes {100 * expected:.0f} % of this {of} for real. ")
    of_photo, of_sketch = discriminators.opinion(photo, "photo"), discriminators.opinion(photo, "sketch")
    assert of_photo.score != pytest.approx(of_sketch.score, abs=1e-4)


def test_a_discriminator_judges_by_the_statistics_of_its_training(
    discriminators: Discriminators, states: dict[str, StateDict], make_photo: Make
) -> None:
    moved = {key: tensor * 9 + 4 if "running" in key else tensor for key, tensor in states["D_X"].items()}
    others = Discriminators(Weights(TINY, {**states, "D_X": moved}, "tests/"))
    assert abs(discriminators.opinion(make_photo(), "photo").score - others.opinion(make_photo(), "photo").score) > 1e-3


@pytest.mark.parametrize("size", [(64, 64), (200, 100), (33, 97), (512, 512), (1, 1), (500, 25)])
def test_the_overlay_is_as_large_as_the_picture(
    discriminators: Discriminators, make_photo: Make, size: tuple[int, int]
) -> None:
    opinion = discriminators.opinion(make_photo(size), "photo")
    assert (opinion.overlay.size, opinion.overlay.mode) == (size, "RGB")
    assert 0 < opinion.score < 1


@pytest.mark.parametrize(("channels", "side"), [((4, 4, 4), 256), ((4, 4, 4), 100), ((4,), 64)])
def test_a_patch_lies_over_the_middle_of_its_receptive_field(channels: tuple[int, ...], side: int) -> None:
    network = Discriminator(TINY.discriminator.model_copy(update={"channels": channels})).eval()
    sheet = torch.zeros(1, 3, side, side, requires_grad=True)
    patches = network.logits(sheet)
    height, width = patches.shape[-2:]
    row, column = height // 2 + 1, width // 3
    patches[0, 0, row, column].backward()
    assert sheet.grad is not None
    y, x = np.nonzero(sheet.grad[0].abs().sum(0).numpy())
    lone = np.zeros((height, width), np.float32)
    lone[row, column] = 1
    heat = spread(lone, 2 ** len(channels), (side, side), side)
    weights = heat / heat.sum()
    centre = (weights.sum(0) @ np.arange(side), weights.sum(1) @ np.arange(side))
    assert centre == pytest.approx(((x.min() + x.max()) / 2, (y.min() + y.max()) / 2), abs=0.2)


def test_the_heat_of_a_wide_picture_is_the_sheets_without_its_margin() -> None:
    patches = np.random.default_rng(0).random((30, 30), np.float32)
    whole, wide = spread(patches, 8, (256, 256), 256), spread(patches, 8, (256, 128), 256)
    assert np.allclose(wide, whole[64:192], atol=1e-3)
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_real_is_yellow_and_generated_is_blue() -> None:
    greyscale = Image.new("RGB", (8, 8), (128, 128, 128))
    for value, yellow in ((0.0, False), (1.0, True)):
        red, _, blue = realism._overlay(greyscale, np.full((8, 8), value, np.float32)).getpixel((4, 4))  # type: ignore[misc]
        assert (red > blue + 40) if yellow else (blue > red + 40)


def test_the_picture_shows_through(discriminators: Discriminators, make_drawing: Make) -> None:
    drawing = make_drawing()
    lines = np.asarray(drawing.convert("L")) < 128
    overlay = np.asarray(discriminators.opinion(drawing, "sketch").overlay.convert("L"), dtype=int)
    assert overlay[lines].mean() < overlay[~lines].mean() - 60


def test_a_blank_sheet_has_an_opinion_too(discriminators: Discriminators) -> None:
    assert 0 <= discriminators.opinion(Image.new("RGB", (64, 64), "white"), "photo").score <= 1


def test_nothing_is_loaded_before_the_first_question_and_then_once(
    weights_folder: Path, make_photo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    load = realism.load_weights

    def counted(source: str | Path, discriminators: bool = False) -> Weights:
        loads.append(source)
        return load(source, discriminators)

    monkeypatch.setattr(realism, "load_weights", counted)
    discriminators = Discriminators(weights_folder)
    assert not loads
    with ThreadPoolExecutor(4) as threads:
        scores = set(threads.map(lambda _: discriminators.opinion(make_photo(), "photo").score, range(8)))
    assert len(loads) == len(scores) == 1


def test_without_discriminators_one_sentence(weights_folder: Path, make_photo: Make) -> None:
    for name in ("D_X", "D_Y"):
        (weights_folder / FILES[name]).unlink()
    discriminators = Discriminators(weights_folder)
    for of in realism.DISCRIMINATORS:
        with pytest.raises(WeightsError) as caught:
            discriminators.opinion(make_photo(), of)
        assert str(caught.value) == (
            "The critics cannot be asked: discriminator_D_X.pth cannot be read: No such file or directory."
        )


def test_discriminators_larger_than_the_picture_are_refused(states: dict[str, StateDict], make_photo: Make) -> None:
    config = TINY.model_copy(
        update={"image_size": 32, "discriminator": TINY.discriminator.model_copy(update={"channels": (4, 4, 4, 4)})}
    )
    with pytest.raises(WeightsError, match="patches are larger than the picture"):
        Discriminators(Weights(config, states, "tests/")).opinion(make_photo(), "photo")
