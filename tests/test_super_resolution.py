"""The last step of coarse to fine, from the network to the page: full size, previews, and how it is trained."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from cyclegan.config import ConfigError, GeneratorConfig, TrainConfig, parse
from cyclegan.demo.draw import answer_drawn_back, answer_frame
from cyclegan.demo.sheets import Drawing as CanvasDrawing
from cyclegan.drawing.inking import Drawing, Stroke
from cyclegan.drawing.normalise import normalise
from cyclegan.evaluation import metrics
from cyclegan.evaluation.full_size import with_full_size
from cyclegan.evaluation.held_out import HeldOut
from cyclegan.evaluation.report import Report
from cyclegan.images import sharpened, to_arrays
from cyclegan.inference import Translator
from cyclegan.models import Generator
from cyclegan.training.trainer import CycleGAN
from cyclegan.training.windows import corners_about
from cyclegan.weights import Weights
from tests.browser import decode
from tests.conftest import TINY, make_networks
from tests.test_trainer import random_batch
from tests.training_fixtures import CPU, same

pytest_plugins = ["tests.training_fixtures"]

SMALL = GeneratorConfig(channels=(4, 8), top_channels=4, bottleneck_blocks=1, decoder_blocks=(0,))
DOUBLED = SMALL.model_copy(update={"super_resolution": True})
LARGE = TINY.model_copy(update={"generator": DOUBLED})


@pytest.fixture(scope="module")
def translator() -> Translator:
    networks = make_networks(LARGE)
    return Translator(Weights(LARGE, {name: networks[name].state_dict() for name in "GF"}, "tests/"), "cpu")


@pytest.fixture
def config(config: TrainConfig) -> TrainConfig:
    """For super-resolution alone, of windows of 16 on sheets of 64."""
    loss = {"sketch_every": 0, "cycle_sketch": 0.0, "cycle_photo": 0.0, "identity": 0.0, "paired_photo": 1.0}
    settings = config.model_dump(mode="json")
    settings["loss"] |= loss
    settings["generator"] |= {"super_resolution": True}
    settings["data"] |= {"size": 64}
    return parse(TrainConfig, settings | {"super_resolution_only": True, "windows": 2, "window": 32}, "test")


def images(side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(2, 1, side, side).expand(-1, 3, -1, -1) * 2 - 1, torch.rand(2, 3, side, side) * 2 - 1


# --- the network ----------------------------------------------------------------------------------------------------


def test_it_starts_as_plain_upsampling_of_the_preview() -> None:
    generator = Generator(DOUBLED.model_copy(update={"noise_input": False})).eval()
    image, colours = images()
    small = [nn.functional.avg_pool2d(one, 2) for one in (image, colours)]
    with torch.no_grad():
        preview = generator(*small, preview=True)
        assert preview.shape == (2, 3, 32, 32)
        enlarged = nn.functional.interpolate(preview.atanh(), scale_factor=2, mode="bilinear").tanh()
        assert torch.allclose(generator(image, colours), enlarged, atol=1e-5)


def test_a_preview_is_the_photo_of_a_generator_without_it() -> None:
    with_, without = Generator(DOUBLED).eval(), Generator(SMALL).eval()
    without.load_state_dict({key: with_.state_dict()[key] for key in without.state_dict()})
    with torch.no_grad():
        assert torch.equal(with_(*images(), preview=True), without(*images()))


def test_windows_are_parts_of_the_whole() -> None:
    """But for their rims, whose neighbours are not computed."""
    generator = make_networks(LARGE)["G"].eval()
    windows = [[(slice(0, 32), slice(8, 40))], [(slice(30, 62), slice(32, 64))]]
    with torch.no_grad():
        whole, parts = generator(*images()), generator(*images(), windows=windows)
    assert parts.shape == (2, 3, 32, 32)
    inner = slice(8, -8)
    for part, full, (window,) in zip(parts, whole, windows, strict=True):
        assert torch.allclose(part[:, inner, inner], full[:, *window][:, inner, inner], atol=1e-5)


def test_F_has_none() -> None:  # noqa: N802
    assert Generator(DOUBLED.of("F")).super_resolution is None


# --- the translator and the page ------------------------------------------------------------------------------------


def test_photos_are_twice_as_large_as_a_sheet_and_previews_are_not(
    translator: Translator, make_drawing: Callable[..., Image.Image], make_photo: Callable[..., Image.Image]
) -> None:
    drawing = make_drawing((64, 32))
    assert translator.sketch_to_photo(drawing, normalise=False).size == (128, 64)
    assert translator.sketch_to_photo(drawing, normalise=False, preview=True).size == (64, 32)
    assert translator.sketch_to_photo(make_drawing((300, 200))).size == (300, 200)
    assert translator.sketch_to_photo(make_drawing((64, 32))).size == (128, 64)
    assert translator.photo_to_sketch(make_photo((64, 32))).size == (64, 32)
    assert [one.size for one in translator.round_trip(make_photo(), "photo_to_sketch")] == [(64, 64), (128, 128)]
    sheets = np.stack([np.asarray(make_drawing((side, side))) for side in (128, 128)])
    assert translator.translate_batch(sheets, "sketch_to_photo").shape == (2, 128, 128, 3)
    assert translator.translate_batch(sheets[:, ::2, ::2], "sketch_to_photo").shape == (2, 64, 64, 3)


def test_photos_are_sharpened_and_previews_are_not(
    translator: Translator, make_drawing: Callable[..., Image.Image]
) -> None:
    sheet = np.asarray(make_drawing((128, 128)))[None]
    for given, end in ((sheet, sharpened), (sheet[:, ::2, ::2], np.asarray)):
        inputs = translator._for_g([translator._prepared(given[0], "sketch_to_photo", 1)])
        painted = to_arrays(translator.generators.translate("sketch_to_photo", *inputs))
        photo = translator.translate_batch(given, "sketch_to_photo", [1])
        assert (photo[0] == end(painted[0])).all()
        assert (photo != painted).any() == (end is sharpened)


@pytest.mark.parametrize(("seconds", "others", "live"), [(0.05, 0, 128), (0.07, 0, 64), (0.05, 1, 64)])
def test_the_canvas_gets_previews_while_the_pen_moves_if_all_of_it_would_lag_behind(
    translator: Translator, monkeypatch: pytest.MonkeyPatch, seconds: float, others: int, live: int
) -> None:
    """At full size, or because others wait, too."""
    monkeypatch.setattr(translator.generators, "_full_seconds", seconds)
    monkeypatch.setattr(translator.generators._waiting, "empty", lambda: not others)
    sheet = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(sheet).ellipse((40, 60, 470, 450), outline="black", width=5)
    drawing, frame = CanvasDrawing.of(sheet), {"tidy": True, "seed": 1}
    assert decode(answer_frame(translator, drawing, frame)["photo"]).shape == (live, live, 3)
    final = answer_frame(translator, drawing, frame | {"final": True})
    final |= answer_drawn_back(translator, None, drawing, frame)
    assert {decode(final[name]).shape for name in ("photo", "returned", "sheet")} == {(128, 128, 3)}


def test_a_sheet_of_another_side_has_the_same_drawing_on_it() -> None:
    paper = Image.new("RGB", (512, 512), (226, 224, 215))
    ImageDraw.Draw(paper).ellipse((90, 60, 420, 450), outline=(40, 40, 60), width=9)
    small, large = normalise(paper, 128), normalise(paper, 128, sheet_side=256)
    assert (small.sheet.size, large.sheet.size) == ((128, 128), (256, 256))
    assert (small.region, small.remark) == (large.region, large.remark)
    reduced = np.asarray(large.sheet.reduce(2), np.float32)
    assert np.abs(reduced - np.asarray(small.sheet)).mean() < 2
    back = large.put_back(large.sheet)
    assert back.size == (512, 512)


# --- training -------------------------------------------------------------------------------------------------------


def test_of_G_it_alone_learns(config: TrainConfig) -> None:  # noqa: N802
    model = CycleGAN(config, CPU)
    before = {key: tensor.clone() for key, tensor in model.G.state_dict().items()}
    others = {name: [t.clone() for t in model.networks[name].state_dict().values()] for name in ("F", "D_Y")}
    for _ in range(2):
        losses = model.step(random_batch(side=64))
    assert {"adversarial/photo", "paired/photo", "discriminator/photo"} <= set(losses)
    changed = {key for key, tensor in model.G.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed
    assert all(key.startswith("super_resolution.") for key in changed)
    assert all(same(others[name], list(model.networks[name].state_dict().values())) for name in others)


def test_otherwise_all_but_it_learns(config: TrainConfig, tmp_path: Path) -> None:
    """At the size of previews: weights that have it can be fine-tuned, and keep it."""
    settings = config.model_dump(mode="json") | {"super_resolution_only": False, "steps": 2}
    settings["loss"] |= {"cycle_sketch": 1.0, "cycle_photo": 1.0, "identity": 1.0, "sketch_every": 1}
    settings["data"] |= {"size": 32}
    model = CycleGAN(parse(TrainConfig, settings, "test"), CPU)
    before = {key: tensor.clone() for key, tensor in model.G.state_dict().items()}
    for _ in range(2):
        losses = model.step(random_batch())
    assert {"cycle/photo", "identity/photo"} & set(losses)
    changed = {key for key, tensor in model.G.state_dict().items() if not torch.equal(tensor, before[key])}
    assert any(key.startswith("local_enhancer.") for key in changed)
    assert not any(key.startswith("super_resolution.") for key in changed)


def test_windows_lie_about_the_lines() -> None:
    lines = torch.ones(2, 3, 64, 64)
    lines[0, :, 60, 4] = -1  # the other is blank
    corners = corners_about(lines, 2, 32, seed=0)
    assert corners.shape == (2, 2, 2)
    assert (corners % 2 == 0).all()
    assert (corners >= 0).all()
    assert (corners <= 32).all()
    assert ((corners[0] <= torch.tensor([60, 4])) & (corners[0] + 32 > torch.tensor([60, 4]))).all()
    assert torch.equal(corners, corners_about(lines, 2, 32, seed=0))
    assert not torch.equal(corners, corners_about(lines, 2, 32, seed=1))


def test_it_can_be_added_to_a_trained_generator(config: TrainConfig) -> None:
    settings = config.model_dump(mode="json")
    settings |= {"super_resolution_only": False}
    settings["generator"] |= {"super_resolution": False}
    before = CycleGAN(parse(TrainConfig, settings, "test"), CPU)
    model = CycleGAN(config.model_copy(update={"seed": 9}), CPU)
    model.start_from({name: network.state_dict() for name, network in before.networks.items()})
    given = before.G.state_dict()
    assert same(dict(given), {key: model.G.state_dict()[key] for key in given})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"generator": {"super_resolution": False}}, "needs generator.super_resolution"),
        ({"loss": {"cycle_sketch": 1.0}}, "no cycle, identity or sketch_every"),
        ({"window": 96}, "window is 96, larger than data.size, 64"),
        ({"data": {"min_scale": 0.6, "max_scale": 0.5}}, "min_scale is 0.6, larger than max_scale, 0.5"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(config: TrainConfig, change: dict, sentence: str) -> None:
    settings = config.model_dump(mode="json")
    for key, value in change.items():
        settings[key] = settings[key] | value if isinstance(value, dict) else value
    with pytest.raises(ConfigError, match=sentence):
        parse(TrainConfig, settings, "test")


# --- the evaluation -------------------------------------------------------------------------------------------------


def disc(blur: float, side: int = 128, angle: float = 0.0) -> tuple[np.ndarray, Drawing]:
    """A dark disc on white, blurred by a Gaussian, and its outline."""
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False) + angle
    points = np.column_stack((side / 2 + 40 * np.cos(turn), side / 2 + 40 * np.sin(turn))).astype(np.float32)
    drawing = Drawing((side, side), (Stroke(points, "outline", closed=True),))
    picture = np.where(drawing.mask() > 0, 60, 255).astype(np.float32)
    soft = cv2.GaussianBlur(picture, (0, 0), blur)
    return cv2.cvtColor(soft.astype(np.uint8), cv2.COLOR_GRAY2RGB), drawing


@pytest.mark.parametrize("blur", [1.0, 2.0, 3.0])
def test_the_rise_of_a_blurred_outline_is_that_of_the_gaussian(blur: float) -> None:
    """From 10% to 90% a Gaussian's step takes 2.563 of its deviation."""
    photo, drawing = disc(blur)
    assert metrics.outline_rise(photo, drawing) == pytest.approx(2.563 * blur, abs=0.8)
    assert metrics.outline_rise(255 - photo, drawing) == pytest.approx(2.563 * blur, abs=0.8)


def test_no_step_has_no_rise() -> None:
    photo, drawing = disc(1.0)
    assert np.isnan(metrics.outline_rise(np.full_like(photo, 250), drawing))
    assert np.isnan(metrics.outline_rise(photo, Drawing((128, 128), ())))


def test_full_size_adds_its_rows_and_a_sheet(translator: Translator) -> None:
    picture, drawing = disc(1.0, 64)
    drawing = drawing.transformed(np.array([[0.6, 0, 0], [0, 0.6, 0]]), (64, 64))
    pictures = np.stack([picture] * 2)
    held_out = HeldOut(
        pictures, [drawing] * 2, np.zeros((2, 64, 64), bool), pictures, pictures, pictures, pictures, None
    )
    before = Report("tests/", 2, 0, {"sketch_to_photo": [], "photo_to_sketch": []}, {})
    scene = np.random.default_rng(0).integers(0, 255, (140, 180, 3), dtype=np.uint8)
    report = with_full_size(before, translator, held_out, [scene])
    rows = {row.name: row.columns for row in report.numbers["sketch_to_photo"]}
    assert set(rows) == {
        "full size: outline rise",
        *(f"full size, scenes: {name}" for name in ("colour distance", "texture distance", "high-frequency ratio")),
    }
    assert all(set(columns) == {"photos", "preview", "floor"} for columns in rows.values())
    assert rows["full size, scenes: colour distance"]["floor"] == 0
    assert rows["full size, scenes: high-frequency ratio"]["floor"] == 1
    assert set(report.sheets) == {"full-size.jpg"}


def test_nothing_is_added_without_super_resolution(tmp_path: Path) -> None:
    networks = make_networks()
    plain = Translator(Weights(TINY, {name: networks[name].state_dict() for name in "GF"}, "tests/"), "cpu")
    report = Report("tests/", 0, 0, {"sketch_to_photo": [], "photo_to_sketch": []}, {})
    assert with_full_size(report, plain, None, []) is report  # type: ignore[arg-type]
