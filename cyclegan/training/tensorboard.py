"""What a run shows in TensorBoard, if that package is installed: ``tensorboard --logdir runs``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image


class TensorBoard:
    """Writes to ``tensorboard/`` in the run's folder; without the package it does nothing."""

    def __init__(self, run: Path, step: int, wanted: bool = True):
        """``step``: where the run goes on; what was written of later ones is dropped."""
        self.writer = None
        if wanted:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self.writer = SummaryWriter(run / "tensorboard", purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.writer:
            self.writer.close()

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """``scalars``: by kind and name, as ``cycle/photo``."""
        if self.writer:
            for name, value in scalars.items():
                self.writer.add_scalar(name, value, step)

    def add_sheet(self, step: int, path: Path) -> None:
        if self.writer:
            with Image.open(path) as sheet:
                self.writer.add_image("samples", np.asarray(sheet.convert("RGB")), step, dataformats="HWC")
