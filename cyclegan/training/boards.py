"""Where else a run is shown: TensorBoard, if it is installed, and Weights & Biases, if that is asked for."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)

RUN_ID = "wandb-id.txt"


class Board:
    """Shows scalars and sheets; this one nowhere."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """``scalars``: by kind and name, as ``cycle/photo``."""

    def add_sheet(self, step: int, path: Path) -> None:
        """A sample sheet, an image file."""

    def close(self) -> None:
        """Write what is not written yet."""


class Boards(Board):
    """All that there are for a run, in the process that speaks for it."""

    def __init__(self, run: Path, step: int, project: str | None, settings: Mapping[str, Any], wanted: bool = True):
        """``step``: where the run goes on; ``project``, ``settings``: for Weights & Biases, which None leaves out."""
        self.boards: list[Board] = []
        if wanted:
            self.boards.append(TensorBoard(run, step))
        if wanted and project:
            self.boards.append(WeightsAndBiases(run, project, settings))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        for board in self.boards:
            board.add(step, scalars)

    def add_sheet(self, step: int, path: Path) -> None:
        for board in self.boards:
            board.add_sheet(step, path)

    def close(self) -> None:
        for board in self.boards:
            board.close()


class TensorBoard(Board):
    """Writes to ``tensorboard/`` in the run's folder, for ``tensorboard --logdir runs``; without the package it does
    nothing."""

    def __init__(self, run: Path, step: int):
        """``step``: where the run goes on; what was written of later ones is dropped."""
        self.writer = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.writer = SummaryWriter(run / "tensorboard", purge_step=step + 1)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        if self.writer:
            for name, value in scalars.items():
                self.writer.add_scalar(name, value, step)

    def add_sheet(self, step: int, path: Path) -> None:
        if self.writer:
            with Image.open(path) as sheet:
                self.writer.add_image("samples", np.asarray(sheet.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        if self.writer:
            self.writer.close()


class WeightsAndBiases(Board):
    """Sends to a project of Weights & Biases or, with ``WANDB_MODE=offline``, writes to ``wandb/`` in the run's folder.

    A run that cannot be shown there is trained all the same, after a warning.
    """

    def __init__(self, run: Path, project: str, settings: Mapping[str, Any]):
        self.run = None
        try:
            import wandb
        except ImportError:
            log.warning("wandb: the package is not installed (pip install wandb), so the run is not shown there.")
            return
        try:
            self.run = wandb.init(
                project=project,
                name=run.name,
                id=_run_id(run),
                resume="allow",
                dir=run,
                config=dict(settings),
                settings=wandb.Settings(console="off"),  # the log is this program's own
            )
        except wandb.errors.Error as error:
            log.warning("wandb: the run is not shown there (%s).", error)
            return
        self.run.define_metric("*", step_metric="step")  # its own steps never go back, as a run does after a kill
        self.image = wandb.Image

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        if self.run:
            self.run.log({"step": step, **scalars})

    def add_sheet(self, step: int, path: Path) -> None:
        if self.run:
            self.run.log({"step": step, "samples": self.image(str(path))})

    def close(self) -> None:
        if self.run:
            self.run.finish()


def _run_id(run: Path) -> str:
    """The name under which the run goes on there, kept in its folder."""
    file = run / RUN_ID
    if not file.exists():
        file.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
