"""The only place where pixels change form: untrusted file → PIL → square sheet → tensor, and back again.

Inside the project a picture is an upright RGB `PIL.Image` on white, or a float32 tensor in [-1, 1].
"""

import logging
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps, ImageStat, JpegImagePlugin, UnidentifiedImageError
from torch import Tensor

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 40_000_000
MAX_PIXELS = 16_000_000  # decoded, which takes up to 16 bytes each; a larger baseline JPEG is shrunk as it is decoded
MIN_SIDE = 16
MAX_ASPECT = 20  # longer side : shorter side
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")  # never EPS & co., which start other programs
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm")
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
ORIENTATION = 0x0112  # EXIF's tag
PALE = 200  # lightness, of 255, from which on art hardly shows on white
PALE_ART = 0.999  # share of art's pixels that are pale; a page with thin lines has fewer
MAX_FRAMES = 24  # of an animation, looked at for one that is not blank; of large ones fewer
DEPTHS = (10, 12, 14, 16)  # bits that cameras and scanners write into 16
FLAT = 8  # difference, of 255, up to which all pixels are one colour

RGBArray = NDArray[np.uint8]  # H×W×3, or N×H×W×3 where it says so
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, as PIL's crop takes it


class ImageError(ValueError):
    """A picture that cannot be used; the message is one sentence for the user."""


# --- opening files of strangers -------------------------------------------------------------------------------------


def open_image(source: str | Path | BinaryIO, max_pixels: int | None = None) -> Image.Image:
    """The first frame of an image file that is not blank, decoded, in its own mode (`to_rgb` makes it fit for use).

    Bytes, dimensions and aspect ratio are checked before anything is decoded, so a decompression bomb costs no memory.
    ``max_pixels``: MAX_PIXELS if not given.

    Raises:
        ImageError: missing, empty, too large, too small, too narrow, damaged or not an image. The message carries
            the file's name, never its folder.
    """
    name = _display_name(source)
    data = _read(source, name)
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(_why_not_an_image(data, name)) from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} has too many pixels; the limit is {MAX_PIXELS // 10**6} megapixels.") from None
    except Exception as error:
        raise _damaged(name, error) from error
    _draft(image)
    _check_dimensions(image, name, max_pixels or MAX_PIXELS)
    try:
        image.load()
    except Exception as error:  # a decoder may raise anything at all on damaged bytes
        raise _damaged(name, error) from error
    if image.format == "PNG" and image.mode in ("RGB", "RGBA") and data[24] == 16:  # the header's bits a channel
        return _true_range(image, data)
    if getattr(image, "is_animated", False) and is_flat(to_rgb(image)):
        _seek_content(image, name, max_pixels or MAX_PIXELS)
    return image


def _true_range(image: Image.Image, data: bytes) -> Image.Image:
    """A colour PNG of 16 bits a channel by the range that it uses; Pillow gives the upper eight of 16, which are nearly
    black where there are 10, 12 or 14 in them."""
    highest = max(high for _, high in ImageStat.Stat(image.convert("RGB")).extrema)
    bits = next(bits for bits in DEPTHS if highest < 2 ** (bits - 8))
    if bits == 16:
        return image
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if deep is None or deep.dtype != np.uint16:
        return image
    colours = cv2.convertScaleAbs(deep, alpha=255 / (2**bits - 1))  # as 8 bits at once: a picture may be large
    del deep
    bright = Image.fromarray(cv2.cvtColor(colours, cv2.COLOR_BGR2RGB))
    if image.mode == "RGBA":
        bright.putalpha(image.getchannel("A"))
    bright.format, bright.info = image.format, image.info
    return bright


def is_flat(image: Image.Image) -> bool:
    """Whether an RGB picture is nothing but one colour."""
    return all(high - low <= FLAT for low, high in ImageStat.Stat(image).extrema)


def _seek_content(image: Image.Image, name: str, max_pixels: int) -> None:
    """Turns to the first frame with something on it, among the first ones; to the very first if all are blank."""
    try:
        for number in range(1, min(MAX_FRAMES, 4 * MAX_PIXELS // (image.width * image.height))):
            image.seek(number)
            _check_dimensions(image, name, max_pixels)  # the pages of a TIFF file have sizes of their own
            if not is_flat(to_rgb(image)):
                return
    except Exception as error:  # the end of the file, or damage beyond a frame that is whole
        log.debug("%s has no frame but blank ones: %r", name, error)
    image.seek(0)
    image.load()


def _display_name(source: str | Path | BinaryIO) -> str:
    path = source if isinstance(source, str | Path) else getattr(source, "name", None)
    name = Path(path).name if isinstance(path, str | Path) else ""
    name = "".join(c for c in name if c.isprintable())
    return f"“{name[:60]}”" if name else "The image"


def _read(source: str | Path | BinaryIO, name: str) -> bytes:
    """The whole file, at most MAX_FILE_BYTES of it."""
    try:
        if isinstance(source, str | Path):
            path = Path(source)
            if path.is_dir():
                raise ImageError(f"{name} is a folder; an image file is needed.")
            if path.exists() and not path.is_file():  # a pipe or a device would block or never end
                raise ImageError(f"{name} is not an ordinary file.")
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        else:
            data = source.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(f"{name} was not found; check the name.") from None
    except OSError as error:
        raise ImageError(f"{name} cannot be read: {error.strerror or 'input error'}.") from None
    if not data:
        raise ImageError(f"{name} is empty (0 bytes); choose another file.")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name} is larger than {MAX_FILE_BYTES // 10**6} MB; choose a smaller file.")
    return data


def _why_not_an_image(data: bytes, name: str) -> str:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return f"{name} is an SVG drawing; export it as PNG first."
    if data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif", b"msf"):
        return f"{name} is a HEIC photo, which cannot be read here; save it as JPEG or PNG first."
    return f"{name} is not an image that can be read; use PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF."


def _damaged(name: str, error: Exception) -> ImageError:
    log.debug("%s cannot be decoded: %r", name, error)
    return ImageError(f"{name} is damaged or cut short and cannot be decoded.")


def _draft(image: Image.Image) -> None:
    """Has the JPEG decoder shrink a photo beyond MAX_PIXELS as it decodes, as phones make them of 50 megapixels.

    Progressive files are left alone: their decoder holds every coefficient, whatever size comes out.
    """
    if isinstance(image, JpegImagePlugin.JpegImageFile) and not image.info.get("progressive"):
        width, height = image.size
        scale = next((scale for scale in (1, 2, 4) if width * height <= MAX_PIXELS * scale**2), 8)
        image.draft(None, (width // scale, height // scale))  # once: Pillow ignores a second call


def _check_dimensions(image: Image.Image, name: str, max_pixels: int) -> None:
    short, long = sorted(image.size)
    size = f"{image.width}×{image.height} pixels"
    if short * long > max_pixels:
        limit = f"{max_pixels // 10**6} megapixels" if max_pixels >= 10**6 else f"{max_pixels} pixels in all"
        raise ImageError(f"{name} has {size}; the limit is {limit}.")
    if short < MIN_SIDE:
        raise ImageError(f"{name} has only {size}; each side needs at least {MIN_SIDE}.")
    if long > MAX_ASPECT * short:
        raise ImageError(f"{name} is too narrow ({size}); one side may be at most {MAX_ASPECT} times the other.")


# --- any PIL image → upright RGB on white ---------------------------------------------------------------------------


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode → 8-bit "RGB", upright by its EXIF orientation, transparency flattened on white; pale art on black.

    Raises:
        ImageError: the mode has no conversion to RGB, as premultiplied grey has none.
    """
    image = _upright(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            sheet = Image.new("RGB", image.size, _ground(image))
            sheet.paste(image, mask=image)
            return sheet
        return image.convert("RGB") if image.mode != "RGB" else image
    except ValueError:
        raise ImageError(f"The image's colour mode ({image.mode}) cannot be read; save it as RGB first.") from None


def _ground(art: Image.Image) -> tuple[int, int, int]:
    """White, or black where an RGBA picture would hardly show on white, as white lines do."""
    seen = art.getchannel("A").point(lambda alpha: 255 * (alpha >= 64))
    counts = np.array(art.convert("L").histogram(seen))
    return BLACK if counts.sum() and counts[PALE:].sum() >= PALE_ART * counts.sum() else WHITE


def _upright(image: Image.Image) -> Image.Image:
    try:
        return image if image.getexif().get(ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
    except Exception as error:  # a stranger's metadata may be broken in any way; the pixels are still good
        log.debug("EXIF orientation ignored: %r", error)
        return image


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Deep greyscale ("I;16", "I", "F") → "L"; white is the smallest usual full scale that holds every pixel."""
    values = np.array(image, dtype=np.float32)
    np.nan_to_num(values, copy=False, posinf=0.0, neginf=0.0)  # in place, as what follows: a picture may be large
    brightest = float(values.max(initial=0.0))
    scales: tuple[float, ...] = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    if image.mode.startswith("I;16"):
        scales = (255.0, *(2.0**bits - 1 for bits in DEPTHS))
    full_scale = next((scale for scale in scales if brightest <= scale), brightest)
    np.clip(values, 0, full_scale, out=values)
    values *= 255 / full_scale
    return Image.fromarray(np.round(values, out=values).astype(np.uint8))


# --- sizes ----------------------------------------------------------------------------------------------------------


def square_box(width: int, height: int, size: int, margin: int = 0) -> Box:
    """Where a width × height picture lies on a square sheet of `size`: centred, longer side = size - 2·margin."""
    scale = (size - 2 * margin) / max(width, height)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - w) // 2, (size - h) // 2
    return left, top, left + w, top + h


def fit_square(image: Image.Image, size: int, margin: int = 0, fill: tuple[int, int, int] = WHITE) -> Image.Image:
    """RGB of any size → RGB size × size: scaled to `square_box`, keeping its shape, the rest filled."""
    left, top, right, bottom = square_box(image.width, image.height, size, margin)
    sheet = Image.new("RGB", (size, size), fill)
    sheet.paste(resize(image, (right - left, bottom - top)), (left, top))
    return sheet


def size_within(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """(width, height), or the largest size of the same shape that has at most `max_pixels` pixels."""
    if width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def enlarged_size(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height), or the size of the same shape whose longer side has ``side`` pixels, if that is larger."""
    scale = side / max(width, height)
    return (width, height) if scale <= 1 else (max(round(width * scale), 1), max(round(height * scale), 1))


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`image` at `size` (width, height) by Lanczos; the very same picture when it has that size."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def resize_lines(drawing: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An RGB line drawing at `size` (width, height): as `resize`, but enlarged lines keep edges one pixel wide."""
    larger = size[0] / drawing.width
    image = resize(drawing, size)
    if larger <= 1:
        return image
    steeper = [round(min(max((value - 127.5) * larger + 127.5, 0), 255)) for value in range(256)]
    return image.point(steeper * 3)


# --- tensors --------------------------------------------------------------------------------------------------------


def to_tensor(image: Image.Image) -> Tensor:
    """RGB image → 3 × H × W float32 in [-1, 1]."""
    array = np.array(image, dtype=np.float32)
    return torch.from_numpy(array).permute(2, 0, 1).div_(127.5).sub_(1.0)


def to_batch(arrays: RGBArray) -> Tensor:
    """N×H×W×3 uint8 → N×3×H×W float32 in [-1, 1]."""
    return normalised(torch.from_numpy(arrays))


def normalised(pictures: Tensor) -> Tensor:
    """N×H×W×3 uint8 → N×3×H×W float32 in [-1, 1], on the same device, channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_arrays(batch: Tensor) -> RGBArray:
    """N×3×H×W of any float dtype and device, in [-1, 1] (values outside are clipped) → N×H×W×3 uint8."""
    rounded = batch.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to("cpu", torch.uint8)
    return rounded.permute(0, 2, 3, 1).contiguous().numpy()


def to_image(tensor: Tensor) -> Image.Image:
    """3 × H × W of any float dtype and device, in [-1, 1] (values outside are clipped) → RGB image."""
    array = tensor.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to("cpu", torch.uint8)
    return Image.fromarray(array.permute(1, 2, 0).contiguous().numpy())


# --- colours --------------------------------------------------------------------------------------------------------


def to_lab(rgb: NDArray) -> NDArray[np.float32]:
    """RGB of any shape ending in 3, uint8 or in [0, 1] → CIELAB of that shape, L from 0 to 100."""
    values = rgb / np.float32(255) if rgb.dtype == np.uint8 else rgb
    return _converted(values, cv2.COLOR_RGB2LAB)


def from_lab(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """CIELAB of any shape ending in 3 → RGB of that shape; beyond [0, 1] where a screen cannot show the colour."""
    return _converted(lab, cv2.COLOR_LAB2RGB)


def _converted(colours: NDArray, code: int) -> NDArray[np.float32]:
    """OpenCV's conversion, which takes H×W×3 alone."""
    rows = colours if colours.ndim == 3 else colours.reshape(1, -1, 3)
    converted = cv2.cvtColor(np.ascontiguousarray(rows, np.float32), code)
    return np.asarray(converted, np.float32).reshape(colours.shape)


def rotate_hues(lab: NDArray[np.float32], angle: float, strength: float = 1.0) -> NDArray[np.float32]:
    """CIELAB with every hue turned by ``angle`` (radians) and chroma times ``strength``; lightness stays."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = (strength * np.array([[cosine, sine], [-sine, cosine]])).astype(np.float32)
    return np.concatenate([lab[..., :1], lab[..., 1:] @ turn], axis=-1)


# --- sample sheets --------------------------------------------------------------------------------------------------


def grid(rows: Sequence[Sequence[Image.Image]], labels: Sequence[str] = (), gap: int = 6) -> Image.Image:
    """One sheet of `rows` of equally large images on white, a label above each column."""
    sizes = {image.size for row in rows for image in row}
    if len(sizes) != 1:
        raise ValueError(f"a grid needs images of one size, got {sorted(sizes)}")
    ((width, height),) = sizes
    columns = max(len(row) for row in rows)
    font = ImageFont.load_default(max(12, width // 12))
    head = math.ceil(font.getbbox("Ag")[3]) + gap if labels else 0
    sheet = Image.new("RGB", (columns * (width + gap) + gap, head + len(rows) * (height + gap) + gap), WHITE)
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(labels):
        draw.text((gap + column * (width + gap) + width / 2, gap), label, fill=(60, 60, 60), font=font, anchor="mt")
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            sheet.paste(image, (gap + c * (width + gap), head + gap + r * (height + gap)))
    return sheet


def sharpened(picture: RGBArray, amount: float = 0.5, threshold: int = 4) -> RGBArray:
    """H×W×3 by unsharp masking: each value ``amount`` times as far again from the mean around it (Gaussian, σ = 1 px),
    if it is ``threshold`` or more away: flat parts, and what grain or weave they have, stay as they are."""
    blurred = cv2.GaussianBlur(picture, (0, 0), 1)
    sharp = cv2.addWeighted(picture, 1 + amount, blurred, -amount, 0)
    return np.where(cv2.absdiff(picture, blurred) >= threshold, sharp, picture)


def largest_channel(picture: NDArray) -> NDArray:
    """H×W×3 → H×W, of the same type: the largest of each pixel's channels (NumPy is slow along a short axis)."""
    red, green, blue = cv2.split(picture)
    return cv2.max(cv2.max(red, green), blue)
