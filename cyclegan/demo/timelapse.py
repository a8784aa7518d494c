"""A time-lapse: a drawing and its photo growing together, as a GIF."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from cyclegan.images import WHITE, resize

FRAME_MS = 80
HOLD_MS = 1500  # the finished drawing
SIDE = 256  # pixels of each half
GAP = 8
NEARLY_WHITE = 250  # of 255: paper, whatever the model made of it
MAX_SAMPLE = 200_000  # pixels that the palette is made from


def gif(moments: Sequence[tuple[Image.Image, Image.Image]]) -> bytes:
    """Square drawings and their photos (RGB, any size), at least one → an endless GIF with one palette.

    A frame is 2·SIDE + GAP wide and SIDE high: the drawing so far, a gap, its photo. The last one stays a while.
    """
    frames = [_frame(drawing, photo) for drawing, photo in moments]
    palette = _palette(frames)
    first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    durations = [FRAME_MS] * len(rest) + [HOLD_MS]
    buffer = BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
    return buffer.getvalue()


def _frame(drawing: Image.Image, photo: Image.Image) -> Image.Image:
    frame = Image.new("RGB", (2 * SIDE + GAP, SIDE), WHITE)
    frame.paste(resize(drawing, (SIDE, SIDE)), (0, 0))
    frame.paste(resize(photo, (SIDE, SIDE)), (SIDE + GAP, 0))
    return frame


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """256 colours for all frames: white itself, and the others from a sample of whatever is not white in any."""
    pixels = np.concatenate([np.asarray(frame)[::2, ::2].reshape(-1, 3) for frame in frames])
    inked = pixels[pixels.min(1) < NEARLY_WHITE]
    palette = Image.new("P", (1, 1))
    colours = list(WHITE)
    if len(inked):
        sample = Image.fromarray(inked[None, :: len(inked) // MAX_SAMPLE + 1])
        colours += sample.quantize(255, Image.Quantize.MEDIANCUT, kmeans=1).getpalette() or []
    palette.putpalette(colours)
    return palette
