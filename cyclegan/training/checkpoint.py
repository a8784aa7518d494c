"""A training run's private state: complete, so that a resumed run equals one never stopped, and written atomically.

A checkpoint is a ZIP archive, as `torch.save` writes it, which has a CRC-32 of every tensor. The newest is
``checkpoint.pt``, the one before it ``checkpoint.1.pt``, and so on.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from cyclegan.config import ConfigError, TrainConfig
from cyclegan.models import Discriminator, Generator

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"


class SaveError(RuntimeError):
    """A checkpoint could not be written, and those before it are kept; the message is one sentence that says why."""


class Resumable(Protocol):
    """What can be continued: ``training.CycleGAN``."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def checkpoints(path: Path) -> list[Path]:
    """Those that are there, newest first; ``path`` is the newest one's."""
    older = path.parent.glob(f"{path.stem}.*{path.suffix}")
    numbered = {int(file.suffixes[0][1:]): file for file in older if file.suffixes[0][1:].isdecimal()}
    return [path] * path.exists() + [numbered[number] for number in sorted(numbered)]


def save_checkpoint(path: Path, state: Mapping[str, Any], keep: int = 2) -> None:
    """Write ``state`` to ``path`` and keep the ``keep`` - 1 checkpoints before it.

    Whenever the process dies, the newest whole checkpoint is the old state or the new one.

    Raises:
        SaveError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        for number, older in reversed(list(enumerate(checkpoints(path), start=1))):
            if number < keep:
                older.replace(path.with_suffix(f".{number}{path.suffix}"))
            elif older != path:
                older.unlink()
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer makes a RuntimeError of a full disk
        temporary.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else error.__context__
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else "is the disk full?"
        raise SaveError(
            f"No checkpoint could be written to {path.parent} ({reason}); the one before it is kept."
        ) from None


def load_checkpoint(path: Path, model: Resumable) -> dict[str, Any]:
    """Continue from ``path`` or, with a warning, from the newest older one that is whole; returns all of its state.

    Raises:
        ConfigError: there is none, none is whole, or it is of other networks than the config's.
    """
    file, state = _newest_whole(path, f"There is no run to resume in {path.parent}: start it without --resume.")
    try:
        model.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{file} does not fit the config's networks: {error}") from None
    if file != path:
        file.replace(path)  # over the damaged one, which must not push out a whole one at the next save
    return state


def load_ema(path: Path, config: TrainConfig) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """The step, and the state dicts of "G" and "F", averaged, "D_X" and "D_Y".

    Raises:
        ConfigError: there is none, none is whole, or it is of other networks than the config's.
    """
    averages = {name: AveragedModel(Generator(config.generator.of(name))) for name in "GF"}
    discriminators = {name: Discriminator(config.discriminator) for name in ("D_X", "D_Y")}
    file, state = _newest_whole(path, f"There is no {path.name} in {path.parent} yet.")
    try:
        for name, average in averages.items():
            average.load_state_dict(state[f"{name}_ema"])
        for name, discriminator in discriminators.items():
            discriminator.load_state_dict(state[name])
        networks = {name: average.module for name, average in averages.items()} | discriminators
        return state["global_step"], {name: network.state_dict() for name, network in networks.items()}
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"{file} does not fit the config's networks: {error}") from None


def _newest_whole(path: Path, none: str) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint that is not damaged, and its state; ``none``: what to say where there is no checkpoint."""
    files = checkpoints(path)
    for file in files:
        if (state := _read(file)) is not None:
            if file != path:
                step = state.get("global_step")
                log.warning("%s is damaged; the one before it is used (%s, step %s).", path, file.name, step)
            return file, state
    names = ", ".join(file.name for file in files)
    raise ConfigError(
        f"No checkpoint in {path.parent} is whole ({names}): start again in another folder." if files else none
    )


def _read(file: Path) -> dict[str, Any] | None:
    """None if it is damaged. To the CPU, where states of random generators have to be; networks and optimizers copy to
    their own device."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip():  # torch.load itself does not look at the checksums
                return None
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes may raise anything at all
        log.debug("%s: %r", file, error)
        return None
    return state if isinstance(state, dict) else None
