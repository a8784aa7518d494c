"""A training run's private state: complete, so that a resumed run equals one never stopped, and written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from cyclegan.config import ConfigError, TrainConfig
from cyclegan.models import Discriminator, Generator


class Resumable(Protocol):
    """What can be saved and continued: ``training.CycleGAN``."""

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
        state = _read(path)
    except FileNotFoundError:
        raise ConfigError(f"There is no run to resume in {path.parent}: start it without --resume.") from None
    try:
        model.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"{path} does not fit the config's networks: {error}") from None


def load_ema(path: Path, config: TrainConfig) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """The step, and the state dicts of "G" and "F", averaged, "D_X" and "D_Y".

    Raises ConfigError if ``path`` is missing or of other networks than the config's.
    """
    averages = {name: AveragedModel(Generator(config.generator.of(name))) for name in "GF"}
    discriminators = {name: Discriminator(config.discriminator) for name in ("D_X", "D_Y")}
    try:
        state = _read(path)
    except FileNotFoundError:
        raise ConfigError(f"There is no {path.name} in {path.parent} yet.") from None
    try:
        for name, average in averages.items():
            average.load_state_dict(state[f"{name}_ema"])
        for name, discriminator in discriminators.items():
            discriminator.load_state_dict(state[name])
        networks = {name: average.module for name, average in averages.items()} | discriminators
        return state["global_step"], {name: network.state_dict() for name, network in networks.items()}
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"{path} does not fit the config's networks: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    """To the CPU, where states of random generators have to be; networks and optimizers copy to their own device."""
    return torch.load(path, map_location="cpu", weights_only=True)
