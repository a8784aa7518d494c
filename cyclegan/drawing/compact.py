"""Drawings as bytes: some 800 of a photo's traced lines, 13,000 of a scene's of 1,024 pixels."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np

from cyclegan.drawing.inking import GRID, KINDS, Drawing, Stroke

ALL_KINDS = KINDS["detailed"]
CLOSED = 128  # in a stroke's byte, beside the number of its kind


def to_bytes(drawing: Drawing) -> bytes:
    """``drawing`` with its points rounded to 1/16 pixel, which those of tracers already are.

    zlib's stream of little-endian integers: width, height and number of strokes (uint32); each stroke's number of
    points (uint32), and kind (uint8); then all x, and all y, in 1/16 pixel, each as the step from the one before
    (int16, which may wrap around: sheets have up to 2,048 pixels).
    """
    counts = np.array([len(stroke.points) for stroke in drawing.strokes], "<u4")
    kinds = np.array([ALL_KINDS.index(s.kind) + CLOSED * s.closed for s in drawing.strokes], np.uint8)
    points = np.concatenate([np.zeros((1, 2)), *(stroke.points for stroke in drawing.strokes)])
    steps = np.diff(np.rint(points * GRID).astype(int), axis=0).astype("<i2")
    head = np.array([*drawing.size, len(drawing.strokes)], "<u4")
    return zlib.compress(b"".join(part.tobytes() for part in (head, counts, kinds, steps.T)), 9)


def from_bytes(data: bytes) -> Drawing:
    """The drawing that `to_bytes` made ``data`` of.

    Raises:
        ValueError: it did not.
    """
    try:
        raw = zlib.decompress(data)
        width, height, count = np.frombuffer(raw, "<u4", 3).tolist()
        counts = np.frombuffer(raw, "<u4", count, 12)
        kinds = np.frombuffer(raw, np.uint8, count, 12 + 4 * count)
        steps = np.frombuffer(raw, "<i2", -1, 12 + 5 * count).reshape(2, int(counts.sum()))
        points = (steps.cumsum(axis=1, dtype=np.int16) / np.float32(GRID)).T.astype(np.float32, order="C")
        places = pairwise([0, *counts.cumsum().tolist()])
        strokes = (
            Stroke(points[start:end], ALL_KINDS[kind % CLOSED], kind >= CLOSED)
            for (start, end), kind in zip(places, kinds.tolist(), strict=True)
        )
        return Drawing((width, height), tuple(strokes))
    except (zlib.error, ValueError, IndexError) as error:
        raise ValueError(f"no drawing: {error}") from error
