"""Pictures through the translator: sizes, modes, both directions, many threads, the first call like the rest."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import nn

from cyclegan import inference
from cyclegan.colour.colour_map import colour_maps
from cyclegan.drawing.normalise import normalise
from cyclegan.images import ImageError, fit_square, to_image, to_tensor
from cyclegan.inference import Translator
from cyclegan.models import Generator, fold_batch_norms
from cyclegan.weights import StateDict, Weights, WeightsError
from tests.conftest import TINY, make_networks

Make = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def weights(states: dict[str, StateDict]) -> Weights:
    return Weights(TINY, {name: states[name] for name in "GF"}, "tests/")


@pytest.fixture(scope="module")
def translator(weights: Weights) -> Translator:
    return Translator(weights, "cpu", torch.float32)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and first.tobytes() == second.tobytes()


def by_hand(network: nn.Module, sheet: Image.Image) -> np.ndarray:
    """The network's answer to a sheet of its own size, without the translator."""
    with torch.no_grad():
        image = to_tensor(sheet)[None]
        condition = () if network.condition_channels == 0 else (colour_maps(image),)
        return np.asarray(to_image(network.eval()(image, *condition)[0]), dtype=int)


def test_each_direction_is_its_own_generator(translator: Translator, make_drawing: Make, make_photo: Make) -> None:
    networks, drawing, photo = make_networks(), make_drawing(), make_photo()
    for network, result in (
        (networks["G"], translator.sketch_to_photo(drawing, normalise=False)),
        (networks["F"], translator.photo_to_sketch(photo)),
    ):
        source = drawing if network is networks["G"] else photo
        assert np.abs(by_hand(network, source) - np.asarray(result, dtype=int)).max() <= 1  # rounding to 8 bits
    assert not same(translator.sketch_to_photo(drawing), translator.photo_to_sketch(drawing))


@pytest.mark.parametrize("size", [(64, 64), (200, 100), (33, 97), (500, 25), (16, 16), (24, 48), (1, 1), (1000, 3)])
def test_result_has_the_size_that_came_in_or_the_sheets(
    translator: Translator, make_photo: Make, size: tuple[int, int]
) -> None:
    picture, larger = make_photo(size), {(16, 16): (64, 64), (24, 48): (32, 64), (1, 1): (64, 64)}
    results = [translator.sketch_to_photo(picture, normalise=False), translator.photo_to_sketch(picture)]
    if max(size) > 1:
        results += [translator.sketch_to_photo(picture), *translator.round_trip(picture, "photo_to_sketch")]
    for result in results:
        assert (result.size, result.mode) == (larger.get(size, size), "RGB")


def test_a_drawing_is_normalised_first(translator: Translator, make_drawing: Make) -> None:
    """Light lines on dark are black lines on white, and bold ones are thin."""
    drawing = make_drawing((256, 256))
    night = ImageOps.invert(drawing)
    sheet = normalise(night, 64)
    expected = sheet.put_back(translator.sketch_to_photo(sheet.sheet, normalise=False))
    assert same(translator.sketch_to_photo(night), expected)
    assert not same(translator.sketch_to_photo(night, normalise=False), expected)


def test_colours_lie_where_the_sketch_is(translator: Translator, make_drawing: Make) -> None:
    """A small sketch with a photo's colours is not enlarged away from them."""
    drawing = Image.new("RGB", (256, 256), "white")
    drawing.paste(make_drawing((90, 90)), (10, 10))
    photo = Image.linear_gradient("L").convert("RGB")
    raw = translator.sketch_to_photo(drawing, colours=photo, normalise=False)
    normalised = translator.sketch_to_photo(drawing, colours=photo)
    assert normalised.size == raw.size
    assert np.abs(np.asarray(normalised, int) - np.asarray(raw, int))[:, 128:].mean() < 2


@pytest.mark.parametrize("colour", ["white", "black", "gray"])
def test_a_page_without_lines_is_one_sentence(translator: Translator, colour: str) -> None:
    with pytest.raises(ImageError, match=r"^There are no lines in this picture; .*\.$"):
        translator.sketch_to_photo(Image.new("RGB", (300, 200), colour))


def test_beyond_the_pixel_budget_the_shape_stays(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "MAX_RESULT_PIXELS", 5000)
    assert translator.sketch_to_photo(Image.new("RGB", (400, 200)), normalise=False).size == (100, 50)


def test_narrow_image_is_the_middle_of_its_sheet(translator: Translator, make_drawing: Make) -> None:
    drawing = make_drawing((64, 32))
    whole = translator.sketch_to_photo(fit_square(drawing, 64))
    assert same(translator.sketch_to_photo(drawing), whole.crop((0, 16, 64, 48)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I", "F"])
def test_any_mode(translator: Translator, make_drawing: Make, mode: str) -> None:
    drawing = make_drawing()
    difference = np.subtract(
        np.asarray(translator.sketch_to_photo(drawing.convert(mode)), dtype=int),
        np.asarray(translator.sketch_to_photo(drawing), dtype=int),
    )
    assert np.abs(difference).max() <= 2  # a black and white drawing is the same in all of them


def test_transparent_paper_is_white_and_exif_turns(translator: Translator, make_drawing: Make) -> None:
    drawing = make_drawing((64, 40))
    clear = drawing.convert("RGBA")
    clear.putalpha(drawing.convert("L").point(lambda value: 255 - value))
    assert same(translator.sketch_to_photo(clear), translator.sketch_to_photo(drawing))
    turned = drawing.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    assert same(translator.sketch_to_photo(turned), translator.sketch_to_photo(drawing))


def test_round_trip_goes_there_and_back(translator: Translator, make_drawing: Make, make_photo: Make) -> None:
    photo, returned = translator.round_trip(make_drawing((90, 50)), "sketch_to_photo")
    assert same(photo, translator.sketch_to_photo(make_drawing((90, 50)), normalise=False))
    assert same(returned, translator.photo_to_sketch(photo))
    drawing, returned = translator.round_trip(make_photo(), "photo_to_sketch")
    assert same(drawing, translator.photo_to_sketch(make_photo()))
    assert returned.size == drawing.size


def test_a_photo_comes_back_in_its_own_colours(translator: Translator, make_drawing: Make, monkeypatch) -> None:
    lines = to_tensor(fit_square(make_drawing((64, 64)), 64)).unsqueeze(0)
    one_drawing_of_all = {"photo_to_sketch": lambda sheets: lines}
    monkeypatch.setattr(translator.generators, "_networks", translator.generators._networks | one_drawing_of_all)
    red, again, blue = (
        translator.round_trip(Image.new("RGB", (90, 90), colour), "photo_to_sketch")
        for colour in ("red", "red", "blue")
    )
    assert same(red[0], blue[0])
    assert same(red[1], again[1])
    assert not same(red[1], blue[1])


def test_a_bold_stroke_is_told_and_not_shown_and_a_photo_stays_whole(
    translator: Translator, make_drawing: Make, monkeypatch
) -> None:
    shown = []

    def generator(sheets: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
        shown.append(sheets)
        return sheets

    monkeypatch.setitem(translator.generators._networks, "sketch_to_photo", generator)
    drawing = make_drawing((64, 64))
    ImageDraw.Draw(drawing).line((26, 32, 38, 32), fill="red", width=8)
    shades = np.tile(np.linspace(20, 250, 48), (48, 1))
    thing = np.full((64, 64, 3), 255)
    thing[8:56, 8:56] = np.stack((shades, 0.6 * shades, 0.6 * shades), axis=2)
    thing[8:12, 8:56] = 0
    for sheet in (drawing, Image.fromarray(thing.astype(np.uint8))):
        translator.sketch_to_photo(sheet, normalise=False)
    (lines, photo) = ((one[0].permute(1, 2, 0).float().numpy() + 1) * 127.5 for one in shown)
    assert np.ptp(lines, axis=2).max() < 2
    assert np.ptp(np.asarray(drawing).astype(int), axis=2).max() > 200
    assert np.abs(photo - thing).max() < 2


def test_the_seed_chooses_colours_and_each_drawing_has_its_own(translator: Translator, make_drawing: Make) -> None:
    drawing = make_drawing()
    photos = [translator.sketch_to_photo(drawing, seed, normalise=False) for seed in (1, 1, 2)]
    assert same(photos[0], photos[1])
    assert not same(photos[0], photos[2])
    assert same(translator.sketch_to_photo(drawing), translator.sketch_to_photo(drawing))
    sheets = np.stack([np.asarray(fit_square(drawing, 64))] * 2)
    batch = translator.translate_batch(sheets, "sketch_to_photo", [1, 2])
    assert np.array_equal(batch[1], np.asarray(photos[2]))


def test_eight_threads_give_what_one_gives(translator: Translator, make_photo: Make) -> None:
    photos = [make_photo((64 + seed, 64), seed) for seed in range(16)]
    jobs = [(method, photo) for photo in photos for method in (translator.sketch_to_photo, translator.photo_to_sketch)]
    one_by_one = [method(photo) for method, photo in jobs]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda job: job[0](job[1]), jobs))
    assert all(same(first, second) for first, second in zip(one_by_one, together, strict=True))


def test_what_is_begun_does_not_wait_in_line_once_more(translator: Translator) -> None:
    """While one job runs, ten come, then the second half of a round trip: it is next."""
    started, go, done = threading.Event(), threading.Event(), []

    def blocks(image: torch.Tensor) -> torch.Tensor:
        started.set()
        assert go.wait(30)
        return image

    def notes(image: torch.Tensor) -> torch.Tensor:
        done.append(int(image))
        return image

    with ThreadPoolExecutor(12) as threads:
        jobs = [threads.submit(translator.generators._in_turn, False, cast(nn.Module, blocks), torch.ones(1, 1, 1, 1))]
        assert started.wait(30)
        for number in [*range(1, 11), 99]:
            image = torch.full((1, 1, 1, 1), number)
            jobs.append(threads.submit(translator.generators._in_turn, number == 99, cast(nn.Module, notes), image))
            while translator.generators._waiting.qsize() < len(jobs) - 1:
                time.sleep(0.001)
        go.set()
        for job in jobs:
            job.result()
    assert done == [99, *range(1, 11)]


def test_both_networks_ran_at_the_real_shape_before_the_first_call(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    forward = Generator.forward

    def watched(self: Generator, images: torch.Tensor, *others: Any, **options: Any) -> torch.Tensor:
        shapes.append(tuple(images.shape))
        return forward(self, images, *others, **options)

    monkeypatch.setattr(Generator, "forward", watched)
    Translator(weights, "cpu")
    assert shapes == [(1, 3, 64, 64)] * 4


def test_no_gradient_and_no_trace_of_earlier_pictures(
    translator: Translator, make_drawing: Make, make_photo: Make
) -> None:
    first = translator.sketch_to_photo(make_drawing())
    translator.sketch_to_photo(make_photo((300, 90)))
    assert same(first, translator.sketch_to_photo(make_drawing()))
    assert not any(
        parameter.requires_grad for parameter in translator.generators._networks["sketch_to_photo"].parameters()
    )
    assert not translator.generators._networks["sketch_to_photo"].training


def test_bfloat16_is_close_to_float32(weights: Weights, translator: Translator, make_photo: Make) -> None:
    quick = Translator(weights, "cpu", torch.bfloat16)
    for method in ("sketch_to_photo", "photo_to_sketch"):
        exact, rounded = (np.asarray(getattr(t, method)(make_photo()), dtype=int) for t in (translator, quick))
        assert np.abs(exact - rounded).mean() < 2


def test_folded_norms_compute_the_same() -> None:
    network, inputs = make_networks()["G"].eval(), torch.rand(2, 2, 3, 48, 40) * 2 - 1
    with torch.no_grad():
        before = network(*inputs)
        after = fold_batch_norms(network)(*inputs)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    assert before.std() > 0.1


def test_from_pretrained_describes_itself(weights_folder: Path) -> None:
    translator = Translator.from_pretrained(weights_folder, "cpu", torch.float32)
    version = translator.config.sha256["generator_G.pth"][:8]
    assert translator.description == f"weights/ ({version}), 64×64 pixels, cpu in float32"
    assert str(weights_folder.parent) not in translator.description


def test_weights_that_give_nan_are_refused(weights: Weights) -> None:
    broken = {key: tensor - 10 if "running_var" in key else tensor for key, tensor in weights.networks["F"].items()}
    with pytest.raises(WeightsError, match="generator_F computes values that are not finite"):
        Translator(Weights(TINY, {"G": weights.networks["G"], "F": broken}, "tests/"), "cpu")


def test_a_photo_can_give_its_colours(translator: Translator, make_drawing: Make) -> None:
    drawing = make_drawing((90, 60))
    red, large, blue = (
        translator.sketch_to_photo(drawing, colours=Image.new("RGB", size, colour))
        for size, colour in (((90, 60), "red"), ((300, 200), "red"), ((90, 60), "blue"))
    )
    assert red.size == (90, 60)
    assert same(red, large)
    assert not same(red, blue)
    assert not same(red, translator.sketch_to_photo(drawing))


def test_g_may_be_told_of_a_background(weights: Weights, make_drawing: Make, make_photo: Make) -> None:
    config = TINY.model_copy(update={"generator": TINY.generator.model_copy(update={"background": True})})
    networks = make_networks(config)
    states = {name: networks[name].state_dict() for name in "GF"}
    translator = Translator(Weights(config, states, "tests/"), "cpu", torch.float32)
    asked = []
    translator.generators._networks["sketch_to_photo"].register_forward_pre_hook(
        lambda _, inputs: asked.append(inputs[1][:, 3].unique().tolist())
    )
    translator.sketch_to_photo(make_drawing())
    translator.sketch_to_photo(make_drawing(), colours=make_photo())
    translator.round_trip(make_photo(), "photo_to_sketch")
    assert asked == [[-1], [1], [1]]


def test_empty_parts_are_paper_in_the_colour_map(translator: Translator, make_drawing: Make) -> None:
    """On a sketch half as high as its sheet, which is as wide."""
    told: list[torch.Tensor] = []
    translator.generators._networks["sketch_to_photo"].register_forward_pre_hook(
        lambda _, inputs: told.append(inputs[1][0, :3])
    )
    drawing, empty = make_drawing((128, 64)), np.zeros((64, 128), bool)
    empty[:, :64] = True
    for colours in (None, Image.new("RGB", (128, 64), "red")):
        translator.sketch_to_photo(drawing, 1, colours, normalise=False)
        translator.sketch_to_photo(drawing, 1, colours, normalise=False, empty=empty)
        before, after = told[-2:]
        assert (before[:, 16:48, :32] < 1).any()
        assert (after[:, 16:48, :32] == 1).all()
        assert torch.equal(after[:, :, 33:], before[:, :, 33:])
    with pytest.raises(ValueError, match="normalise=False"):
        translator.sketch_to_photo(drawing, empty=empty)


def test_the_margins_of_the_sheet_take_no_colour_of_the_photo(translator: Translator, make_drawing: Make) -> None:
    sheet = translator._sheet(make_drawing((90, 45)), 64, colours=Image.new("RGB", (90, 45), "red"))
    assert sheet.colour_map is not None
    assert (sheet.colour_map[:16] == 255).all()
    assert (sheet.colour_map[48:] == 255).all()
    assert (sheet.colour_map[16:48] == (255, 0, 0)).all()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory_is_one_sentence(weights: Weights, make_photo: Make, monkeypatch, error: Exception) -> None:
    def fails(*_: torch.Tensor) -> torch.Tensor:
        raise error

    translator = Translator(weights, "cpu", torch.float32)
    monkeypatch.setitem(translator.generators._networks, "photo_to_sketch", fails)
    with pytest.raises(ImageError, match=r"There is not enough memory for this picture; use a smaller one\.$"):
        translator.photo_to_sketch(make_photo())
    monkeypatch.setattr("cyclegan.generators.Generator.forward", fails)
    with pytest.raises(WeightsError, match="There is not enough memory for generator_G at 64 pixels"):
        Translator(weights, "cpu", torch.float32)
    monkeypatch.setitem(
        translator.generators._networks, "photo_to_sketch", lambda *_: torch.ones(2, 3) @ torch.ones(2, 3)
    )
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        translator.photo_to_sketch(make_photo())
