"""A run's private state → a public folder of weights: the four .pth files, config.json, and how it learned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from cyclegan.config import ConfigError, TrainConfig, WeightsConfig, parse
from cyclegan.training.checkpoint import load_ema
from cyclegan.training.loop import CONFIG, START
from cyclegan.weights import save_weights

SHEETS = 6  # of half the size, some 100 kB each


def export(run: Path, folder: Path) -> WeightsConfig:
    """Write the averaged generators and the discriminators of ``run``, its curves and some of its sample sheets.

    Raises:
        ConfigError: there is no run, or not a whole one.
        WeightsError: the folder cannot be written.
    """
    try:
        settings = (run / CONFIG).read_text(encoding="utf-8")
    except OSError:
        raise ConfigError(f"There is no run in {run}: {CONFIG} is missing.") from None
    try:
        config = parse(TrainConfig, json.loads(settings), f"{run.name}/{CONFIG}")
    except ValueError as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"{run.name}/{CONFIG} is damaged.") from None
    steps, networks = load_ema(run / "checkpoint.pt", config)
    before = _started_from(run)
    description = WeightsConfig(
        generator=config.generator,
        discriminator=config.discriminator,
        image_size=config.data.size // (2 if config.super_resolution_only else 1),
        colour_hints=config.data.hint_prob > 0,
        training={
            "steps": steps,
            "images": steps * config.data.batch,
            "total_images": steps * config.data.batch + before.get("total_images", before.get("images", 0)),
            "started_from": before.get("origin"),
            "loss": config.loss.model_dump(mode="json", exclude={"perceptual_weights"}),
            "data": config.data.model_dump(mode="json", exclude={"photos", "sketches", "scenes", "workers"}),
        },
    )
    described = save_weights(folder, networks, description)
    _show_learning(run, folder, config.data.batch)
    return described


def _started_from(run: Path) -> dict[str, Any]:
    """What trained the weights that the run started from, and their origin; empty for a run from scratch."""
    try:
        return json.loads((run / START).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _show_learning(run: Path, folder: Path, batch: int) -> None:
    """``losses.png``, and in ``learning/`` some sample sheets from first to last, named by the pictures seen."""
    if (curves := run / "losses.png").exists():
        shutil.copy(curves, folder)
    shown = folder / "learning"
    shutil.rmtree(shown, ignore_errors=True)
    shown.mkdir()
    sheets = sorted((run / "samples").glob("*.jpg"))
    for place in sorted({round(share * (len(sheets) - 1) / (SHEETS - 1)) for share in range(SHEETS)} if sheets else ()):
        with Image.open(sheets[place]) as sheet:
            sheet.reduce(2).save(shown / f"{int(sheets[place].stem) * batch:07d}.jpg", quality=85)
