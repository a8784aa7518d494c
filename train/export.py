"""Publish a run: python -m train.export RUN WEIGHTS, the four .pth files, config.json and how it learned."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from pathlib import Path

from PIL import Image

from cyclegan.config import ConfigError, TrainConfig, WeightsConfig
from cyclegan.training.checkpoint import load_ema
from cyclegan.training.loop import CONFIG
from cyclegan.weights import WeightsError, save_weights

log = logging.getLogger("train.export")

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
    config = TrainConfig.model_validate_json(settings)
    steps, networks = load_ema(run / "checkpoint.pt", config)
    description = WeightsConfig(
        generator=config.generator,
        discriminator=config.discriminator,
        image_size=config.data.size,
        colour_hints=config.data.hint_prob > 0,
        training={
            "steps": steps,
            "images": steps * config.data.batch,
            "loss": config.loss.model_dump(mode="json", exclude={"perceptual_weights"}),
            "data": config.data.model_dump(mode="json", exclude={"photos", "sketches", "workers"}),
        },
    )
    described = save_weights(folder, networks, description)
    _show_learning(run, folder, config.data.batch)
    return described


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 written, 2 nothing to write."""
    parser = argparse.ArgumentParser(prog="python -m train.export", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder, as runs/objects")
    parser.add_argument("weights", type=Path, help="the folder to write, as weights")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        config = export(options.run, options.weights)
    except (ConfigError, WeightsError) as error:
        log.error("%s", error)
        return 2
    for name in config.sha256:
        log.info("%s  %.2f MB", options.weights / name, (options.weights / name).stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
