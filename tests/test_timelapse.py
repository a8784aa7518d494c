"""The time-lapse's GIF."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageSequence

from cyclegan.demo import timelapse
from cyclegan.demo.timelapse import GAP, SIDE, gif
from cyclegan.images import resize


def film(data: bytes) -> tuple[list[np.ndarray], list[int], int]:
    """(frames, their durations in ms, how often it loops)."""
    image = Image.open(BytesIO(data))
    frames = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
    return [frame for frame, _ in frames], [duration for _, duration in frames], image.info["loop"]


def test_drawing_and_photo_grow_side_by_side(
    make_photo: Callable[..., Image.Image], make_drawing: Callable[..., Image.Image]
) -> None:
    photos = [make_photo((128, 128), seed) for seed in range(3)]
    drawings = [make_drawing((512, 512)).rotate(90 * number) for number in range(3)]
    frames, durations, loop = film(gif(list(zip(drawings, photos, strict=True))))
    assert durations == [timelapse.FRAME_MS] * 2 + [timelapse.HOLD_MS]
    assert loop == 0
    for frame, drawing, photo in zip(frames, drawings, photos, strict=True):
        assert frame.shape == (SIDE, 2 * SIDE + GAP, 3)
        assert np.abs(frame[:, :SIDE].astype(int) - np.asarray(resize(drawing, (SIDE, SIDE)))).mean() < 4
        assert np.abs(frame[:, SIDE + GAP :].astype(int) - np.asarray(resize(photo, (SIDE, SIDE)))).mean() < 6


def test_paper_stays_white_and_one_colour_is_kept() -> None:
    paper = Image.new("RGB", (64, 64), "white")
    red = Image.new("RGB", (64, 64), (214, 40, 40))
    ((frame,), durations, _) = film(gif([(paper, red)]))
    assert durations == [timelapse.HOLD_MS]
    assert (frame[:, : SIDE + GAP] == 255).all()
    assert np.abs(frame[:, SIDE + GAP :].astype(int) - (214, 40, 40)).max() <= 4
    ((frame,), _, _) = film(gif([(paper, paper)]))
    assert (frame == 255).all()
