"""The windows of sheets that super-resolution learns from: most of a sheet is paper, and has nothing to teach."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cyclegan.models import Window, cut
from cyclegan.training.data import Batch

COMPARED = ("photo", "lines", "traced")
"""Images of a batch that photos in the windows are compared with."""


def corners_about(lines: Tensor, count: int, side: int, seed: int) -> Tensor:
    """B×count×2: upper left corners, on even pixels, of windows about random points of the B×3×H×H ``lines``."""
    random = torch.Generator().manual_seed(seed)
    centres = []
    for drawing in lines[:, 0]:
        inked = (drawing < 0).nonzero()
        points = inked if len(inked) else (drawing <= 1).nonzero()
        centres.append(points[torch.randint(len(points), (count,), generator=random)])
    away = torch.randint(-side // 4, side // 4, (len(lines), count, 2), generator=random)
    corners = torch.stack(centres) + away - side // 2
    return corners.clamp(min=0, max=lines.shape[-1] - side) // 2 * 2


def windows_at(corners: Tensor, side: int) -> list[list[Window]]:
    """The windows of side×side at B×N×2 ``corners``."""
    return [[(slice(y, y + side), slice(x, x + side)) for y, x in one] for one in corners.tolist()]


def cut_to_windows(batch: Batch, windows: Sequence[Sequence[Window]], flags: Sequence[str]) -> Batch:
    """``batch`` with what the photos in its ``windows`` are compared with, and their ``flags``, a window at a time.

    G's inputs stay whole, for all of it but the super-resolution.
    """
    images = {name: cut(batch[name], windows) for name in COMPARED}
    return batch | images | {name: batch[name].repeat_interleave(len(windows[0])) for name in flags}
