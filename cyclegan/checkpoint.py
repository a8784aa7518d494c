"""A training run's private state: complete, so that a resumed run equals one never stopped, and written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

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
        state = _read(path, model.device)
    except FileNotFoundError:
        raise ConfigError(f"There is no run to resume in {path.parent}: start it without --resume.") from None
    try:
        model.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"{path} does not fit the config's networks: {error}") from None


def load_shown(path: Path) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """The step and the state dicts of "G" and "F", averaged, "D_X" and "D_Y"; raises ConfigError without ``path``."""
    try:
        state = _read(path, torch.device("cpu"))
    except FileNotFoundError:
        raise ConfigError(f"There is no {path.name} in {path.parent} yet.") from None
    averaged = {
        name: {
            key.removeprefix("module."): value for key, value in state[f"shown_{name}"].items() if key != "n_averaged"
        }
        for name in "GF"
    }
    return state["number"], averaged | {name: state[name] for name in ("D_X", "D_Y")}


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    return torch.load(path, map_location=device, weights_only=True)
