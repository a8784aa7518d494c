"""Opening untrusted files: every usual format, one sentence for the rest, little memory."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cyclegan import images
from cyclegan.images import ImageError, open_image, to_rgb
from tests.pictures import SIZE, colourful, encoded, far, white_png


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
        ("large.png", white_png(4001, 4000), "limit is 16 megapixels"),
        ("bomb.png", white_png(20000, 20000), "limit is 16 megapixels"),
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


def peak_growth(work: str) -> float:
    """The most MB that ``work`` costs in a process of its own (Linux); the peak that `resource` tells would begin with
    that of the process which started it."""
    code = f"""
from pathlib import Path
from cyclegan.images import ImageError, open_image, to_rgb

def held(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))

Path("/proc/self/clear_refs").write_text("5")  # forget the peak
before = held("VmRSS")
{work}
print(held("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.parametrize("side", [4600, 13000])  # above our limit, and just below Pillow's own
def test_a_decompression_bomb_costs_no_memory(tmp_path: Path, side: int) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(white_png(side, side))
    work = f"""
try:
    open_image({str(bomb)!r})
    raise SystemExit("opened")
except ImageError:
    pass
"""
    assert peak_growth(work) < 4


LARGEST = (4000, 4000)


def test_the_largest_pictures_cost_less_than_300_mb(tmp_path: Path) -> None:
    for mode, kind in (("RGBA", "PNG"), ("I;16", "PNG"), ("I", "TIFF"), ("RGB", "WEBP"), ("CMYK", "JPEG")):
        options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
        Image.new(mode, LARGEST).save(tmp_path / f"{mode}.{kind}", kind, **options)
    cv2.imwrite(str(tmp_path / "twelve bits.PNG"), np.full((*LARGEST, 3), 4095, np.uint16))
    work = f"""
for path in Path({str(tmp_path)!r}).iterdir():
    assert to_rgb(open_image(path)).size == {LARGEST}
"""
    assert 30 < peak_growth(work) < 300


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


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_blank_frames_are_passed_over(kind: str) -> None:
    blank, clear = Image.new("RGB", SIZE, "white"), Image.new("RGB", SIZE, "black")
    film = encoded(blank, kind, save_all=True, append_images=[clear, colourful(), blank])
    assert far(to_rgb(open_image(film)), colourful()) < 60, kind
    empty = encoded(blank, kind, save_all=True, append_images=[clear])
    assert far(to_rgb(open_image(empty)), blank) < 5, kind


def test_damage_behind_a_blank_frame_leaves_the_blank_frame() -> None:
    film = encoded(Image.new("RGB", SIZE, "white"), "GIF", save_all=True, append_images=[colourful()]).getvalue()
    assert far(to_rgb(open_image(BytesIO(film[:-60]))), Image.new("RGB", SIZE, "white")) == 0
