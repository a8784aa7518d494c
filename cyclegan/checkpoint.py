"""A training run's private state: complete, so that a resumed run equals one never stopped, and written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import torch

from cyclegan.config import ConfigError


class Resumable(Protocol):
    """What can be saved and continued: ``training.CycleGAN``."""

    device: torch.device

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def save_checkpoint(path: Path, model: Resumable) -> None:
    """Write the whole state to ``path``; whenever the process dies, ``path`` holds the old state or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(model.state_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, model: Resumable) -> None:
    """Continue from ``path``; raises ConfigError if it is missing or of other networks than the config's."""
    try:
        state = torch.load(path, map_location=model.device, weights_only=True)
    except FileNotFoundError:
        raise ConfigError(f"There is no run to resume in {path.parent}: start it without --resume.") from None
    try:
        model.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"{path} does not fit the config's networks: {error}") from None
