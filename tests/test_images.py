"""Strangers' files are opened or refused in one sentence; every mode comes out as the same upright picture on white."""

from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cyclegan import images
from cyclegan.images import ImageError, open_image, to_rgb
from tests.pictures import SIZE, colourful, encoded, far, ramp

# --- modes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["P", "PA", "RGBA", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_colour_modes(mode: str) -> None:
    image = colourful().convert("RGBA").convert("P").convert("PA") if mode == "PA" else colourful().convert(mode)
    assert far(to_rgb(image), colourful()) <= 3


@pytest.mark.parametrize("mode", ["L", "LA", "I", "F"])
def test_grey_modes(mode: str) -> None:
    grey = Image.fromarray(ramp().astype(np.uint8))
    assert far(to_rgb(grey.convert(mode)), grey.convert("RGB")) <= 1


def test_one_bit() -> None:
    bits = colourful().convert("1", dither=Image.Dither.NONE)
    assert far(to_rgb(bits), bits.convert("L").convert("RGB")) == 0


@pytest.mark.parametrize(
    "values",
    [
        ramp(65535).astype(np.uint16),  # I;16
        ramp(65535).astype(np.int32),  # I
        (ramp(65535) / 65535).astype(np.float32),  # F, 0 to 1
        ramp(65535).astype(np.float32),  # F, 16-bit numbers
        ramp(1000000).astype(np.float32),  # F, no usual scale
    ],
)
def test_deep_grey_is_scaled_not_clipped(values: np.ndarray) -> None:
    expected = Image.fromarray(ramp().astype(np.uint8)).convert("RGB")
    assert far(to_rgb(Image.fromarray(values)), expected) <= 1


def test_16_bit_files() -> None:
    grey = Image.fromarray(ramp(65535).astype(np.uint16))
    for kind in ("PNG", "TIFF"):
        assert far(to_rgb(open_image(encoded(grey, kind))), to_rgb(grey)) == 0


@pytest.mark.parametrize("top", [1023, 4095, 16383])
def test_fewer_bits_in_a_16_bit_file(top: int) -> None:
    """Scanners write 12 bits, and white is not to come out as a sixteenth of it."""
    grey = Image.fromarray(ramp(top).astype(np.uint16))
    expected = Image.fromarray(ramp().astype(np.uint8)).convert("RGB")
    for kind in ("PNG", "TIFF"):
        assert far(to_rgb(open_image(encoded(grey, kind))), expected) <= 1


@pytest.mark.parametrize("top", [1023, 4095, 16383, 65535])
@pytest.mark.parametrize("alpha", [False, True])
def test_fewer_bits_in_a_16_bit_colour_file(top: int, alpha: bool) -> None:
    """Pillow keeps the upper eight bits of 16, which of twelve are four."""
    deep = np.stack([ramp(top), ramp(top)[:, ::-1], np.full_like(ramp(), top)], axis=2).astype(np.uint16)
    layers = [*np.moveaxis(deep[..., ::-1], 2, 0), *([np.full(deep.shape[:2], 65535, np.uint16)] if alpha else [])]
    file = cv2.imencode(".png", np.dstack(layers))[1].tobytes()
    expected = np.stack([ramp(), ramp()[:, ::-1], np.full_like(ramp(), 255)], axis=2).astype(np.uint8)
    opened = open_image(BytesIO(file))
    assert (opened.format, opened.mode) == ("PNG", "RGBA" if alpha else "RGB")
    assert far(to_rgb(opened), Image.fromarray(expected)) <= 1


def test_float_image_with_nan_and_infinity() -> None:
    values = ramp().astype(np.float32) / 255
    values[0, 0], values[0, 1] = np.nan, np.inf
    assert to_rgb(Image.fromarray(values)).getpixel((59, 39)) == (255, 255, 255)


def test_transparency_is_flattened_on_white() -> None:
    clear = {"RGBA": (0, 0, 0, 0), "LA": (0, 0)}
    for mode, nothing in clear.items():
        assert to_rgb(Image.new(mode, SIZE, nothing)).getpixel((5, 5)) == (255, 255, 255)
    assert to_rgb(Image.new("RGBA", SIZE, (0, 0, 0, 127))).getpixel((5, 5)) == (128, 128, 128)
    for image in (colourful().quantize(4), colourful(), colourful().convert("L")):
        ink = image.getpixel((0, 0))
        flattened = to_rgb(open_image(encoded(image, transparency=ink)))
        assert flattened.getpixel((0, 0)) == (255, 255, 255)
        assert flattened.getpixel((59, 0)) != (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_pale_art_is_laid_on_black(mode: str) -> None:
    """White lines on nothing would vanish on white; black ones, and a white page with lines, stay on white."""
    lines = Image.new("L", SIZE)
    ImageDraw.Draw(lines).line((10, 10, 50, 30), fill=255, width=2)
    for ink, ground in (("white", 0), ("black", 255), ("red", 255)):
        art = Image.new("RGB", SIZE, ink).convert("RGBA")
        art.putalpha(lines)
        shown = to_rgb(art.convert("P").convert("PA") if mode == "PA" else art.convert(mode))
        assert shown.getpixel((0, 0)) == (ground,) * 3
        assert shown.getpixel((30, 20)) != (ground,) * 3
    page = Image.composite(Image.new("RGB", SIZE, "black"), Image.new("RGB", SIZE, "white"), lines).convert("RGBA")
    page.putpixel((0, 0), (255, 255, 255, 0))  # a corner is cut off
    assert to_rgb(page).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    stored = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    image = colourful()
    for turn in stored:
        image = image.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = to_rgb(open_image(encoded(image, "JPEG", exif=exif, quality=95)))
    assert far(upright, colourful()) < 40


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_no_reason_to_refuse() -> None:
    photo = encoded(colourful(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert to_rgb(open_image(photo)).size == SIZE


def test_mode_without_conversion() -> None:
    with pytest.raises(ImageError, match=r"colour mode \(La\)"):
        to_rgb(Image.new("La", SIZE))


# --- fitting and tensors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(100, 50), (50, 100), (64, 64), (7, 7), (1000, 3), (1, 1)])
@pytest.mark.parametrize("margin", [0, 4])
def test_fit_square_centres_on_white_and_keeps_the_shape(size: tuple[int, int], margin: int) -> None:
    sheet = images.fit_square(Image.new("RGB", size, "black"), 64, margin)
    left, top, right, bottom = images.square_box(*size, 64, margin)
    assert sheet.size == (64, 64)
    assert max(right - left, bottom - top) == 64 - 2 * margin
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.05) or min(size) < 7
    assert abs(left - (64 - right)) <= 1
    assert abs(top - (64 - bottom)) <= 1
    dark = np.asarray(sheet).max(axis=2) == 0
    assert dark.sum() == (right - left) * (bottom - top)
    assert dark[top:bottom, left:right].all()


def test_size_within() -> None:
    assert images.size_within(100, 50, 5000) == (100, 50)
    assert images.size_within(200, 100, 5000) == (100, 50)
    width, height = images.size_within(4001, 2999, 1_000_000)
    assert width * height <= 1_000_000 < (width + 2) * (height + 2)
    assert width / height == pytest.approx(4001 / 2999, rel=0.01)


def test_tensors_hold_every_value_exactly() -> None:
    values = np.arange(256 * 3, dtype=np.uint16).reshape(16, 16, 3) % 256
    image = Image.fromarray(values.astype(np.uint8))
    tensor = images.to_tensor(image)
    assert tensor.shape == (3, 16, 16)
    assert tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert tensor[1, 0, 0] == pytest.approx(values[0, 0, 1] / 127.5 - 1)
    assert (np.asarray(images.to_image(tensor)) == values).all()


def test_to_image_clips_and_takes_any_float() -> None:
    image = images.to_image(torch.tensor([-3.0, 0.0, 3.0]).view(3, 1, 1).expand(3, 2, 2).bfloat16())
    assert image.getpixel((0, 0)) == (0, 128, 255)


def test_sharpening_steepens_edges_and_leaves_weave_alone() -> None:
    edge = np.full((40, 40, 3), 60, np.uint8)
    edge[:, 20:] = 190
    edge = np.asarray(cv2.GaussianBlur(edge, (0, 0), 1.2), np.uint8)
    sharp = images.sharpened(edge)
    steepest, before = (np.abs(np.diff(one[20, :, 0].astype(int))).max() for one in (sharp, edge))
    assert steepest > 1.1 * before
    assert (sharp[:, :10] == edge[:, :10]).all()
    weave = np.full((40, 40, 3), 128, np.uint8) + (np.indices((40, 40)).sum(0) % 2 * 4).astype(np.uint8)[..., None]
    assert (images.sharpened(weave) == weave).all()
    assert (images.sharpened(weave, threshold=1) != weave).any()


def test_grid_places_every_image_under_its_label() -> None:
    rows = [[Image.new("RGB", (30, 20), (r * 100, c * 100, 7)) for c in range(3)] for r in range(2)]
    sheet = images.grid(rows, gap=5)
    assert sheet.size == (3 * 35 + 5, 2 * 25 + 5)
    assert sheet.getpixel((5 + 2 * 35 + 15, 5 + 25 + 10)) == (100, 200, 7)
    labelled = images.grid(rows, ("sketch", "photo", "cycled"), gap=5)
    assert labelled.height > sheet.height
    head = np.asarray(labelled)[: labelled.height - sheet.height]
    assert all((head[:, c * 35 : c * 35 + 35] < 128).any() for c in range(3))
    with pytest.raises(ValueError, match="one size"):
        images.grid([[Image.new("RGB", (3, 3)), Image.new("RGB", (4, 4))]])
