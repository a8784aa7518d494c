"""Strangers' files are opened or refused in one sentence; every mode comes out as the same upright picture on white."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cyclegan import images
from cyclegan.images import ImageError, open_image, to_rgb

SIZE = (60, 40)


def ramp(top: int = 255) -> np.ndarray:
    """40×60 values from 0 to `top`, left to right."""
    return np.tile(np.linspace(0, top, SIZE[0]), (SIZE[1], 1)).round()


def colourful() -> Image.Image:
    """Red, green, blue and white quarters: wrong channel orders, turns and mirrors all show."""
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    for box, colour in (((0, 0, 29, 19), "red"), ((30, 0, 59, 19), "lime"), ((0, 20, 29, 39), "blue")):
        pen.rectangle(box, fill=colour)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> BytesIO:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def far(first: Image.Image, second: Image.Image) -> float:
    """Largest difference of two pictures of one size, averaged over blocks (codecs ring at edges)."""
    assert first.size == second.size
    assert first.mode == second.mode == "RGB"
    small = [np.asarray(image.reduce(10), dtype=float) for image in (first, second)]
    return float(np.abs(small[0] - small[1]).max())


def empty_png(width: int, height: int) -> bytes:
    """A valid grey PNG of any dimensions in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# --- opening --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "MPO"])
def test_usual_formats_open(kind: str) -> None:
    assert far(to_rgb(open_image(encoded(colourful(), kind))), colourful()) < 30


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "empty (0 bytes)"),
        ("note.png", b"this is no picture", "not an image"),
        ("drawing.svg", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n", "not an image"),
        ("cut.png", encoded(colourful()).getvalue()[:90], "damaged or cut short"),
        ("cut.jpg", encoded(colourful(), "JPEG").getvalue()[:-200], "damaged or cut short"),
        ("cut.gif", encoded(colourful(), "GIF").getvalue()[:-60], "damaged or cut short"),
        ("dot.png", encoded(Image.new("RGB", (1, 1))).getvalue(), "only 1×1 pixels"),
        ("thread.png", encoded(Image.new("RGB", (5000, 20))).getvalue(), "too narrow"),
        ("large.png", empty_png(4001, 4000), "limit is 16 megapixels"),
        ("bomb.png", empty_png(20000, 20000), "limit is 16 megapixels"),
    ],
)
def test_bad_files_get_one_sentence_with_their_name_but_no_path(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError) as caught:
        open_image(tmp_path / name)
    message = str(caught.value)
    assert reason in message
    assert name in message
    assert str(tmp_path) not in message
    assert message.endswith(".")
    assert "\n" not in message


def test_folders_missing_files_and_pipes(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="not found"):
        open_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="not an ordinary file"):
        open_image("/dev/zero")


def test_too_many_bytes_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 1000)
    stream = BytesIO(bytes(5000))
    with pytest.raises(ImageError, match="larger than"):
        open_image(stream)
    assert stream.tell() == 1001


@pytest.mark.parametrize("side", [4600, 13000])  # above our limit, and just below Pillow's own
def test_a_decompression_bomb_costs_no_memory_and_no_warning(tmp_path: Path, side: int) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(empty_png(side, side))
    code = f"""if True:
        import resource
        from cyclegan.images import ImageError, open_image
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            open_image({str(bomb)!r})
        except ImageError:
            raise SystemExit(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > 4 * 1024)
        raise SystemExit("opened")
    """
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


LARGEST = (4000, 4000)


def test_the_largest_pictures_cost_less_than_300_mb(tmp_path: Path) -> None:
    for mode, kind in (("RGBA", "PNG"), ("I;16", "PNG"), ("I", "TIFF"), ("RGB", "WEBP"), ("CMYK", "JPEG")):
        options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
        Image.new(mode, LARGEST).save(tmp_path / f"{mode}.{kind}", kind, **options)
    code = f"""if True:
        import resource
        from pathlib import Path
        from cyclegan.images import open_image, to_rgb
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in Path({str(tmp_path)!r}).iterdir():
            assert to_rgb(open_image(path)).size == {LARGEST}
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 300


@pytest.mark.parametrize(("limit", "expected"), [(2400, SIZE), (2399, (30, 20)), (599, (15, 10)), (149, (8, 5))])
def test_large_jpeg_is_shrunk_while_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, limit: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", limit)
    monkeypatch.setattr(images, "MIN_SIDE", 5)
    assert open_image(encoded(colourful(), "JPEG", quality=95)).size == expected


def test_large_progressive_jpeg_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 1200)
    with pytest.raises(ImageError, match="limit is"):
        open_image(encoded(colourful(), "JPEG", progressive=True))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        film = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert far(to_rgb(open_image(film)), frames[0]) < 5, kind


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
