"""Train a CycleGAN, or export what was trained.

    sketch-photo-train finetune --set data.photos=MY_PHOTOS
    sketch-photo-export runs/finetune my_weights
    torchrun --nproc-per-node 8 -m train finetune --set data.photos=MY_PHOTOS

In a checkout also ``python -m train train/configs/finetune.toml`` and ``python -m train.export``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# Read once, when torch loads OpenMP. Training has the cores to itself, and with threads that spin while they wait for
# each other a step takes a quarter less time.
os.environ.setdefault("OMP_WAIT_POLICY", "active")

from cyclegan.config import ConfigError, TrainConfig, load_train_config

log = logging.getLogger(__name__)

CONFIGS = (Path(__file__).parent / "configs", Path(__file__).parents[2] / "train" / "configs")
"""Where named configs lie: in an installed package, in a checkout."""
EXTRA = ("filelock", "matplotlib", "torchmetrics", "torchvision")
"""What only the extra "train" installs: imported late, as PyTorch is, so that --help works without and at once."""

STOPPED, LOST = 3, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; returns the exit code: 0 finished, 1 diverged, 2 bad settings or a full disk, 3 stopped and saved (go on
    with --resume), 4 another process of the run was lost, 130 interrupted before there was anything to save."""
    named = sorted({path.stem for folder in CONFIGS for path in folder.glob("*.toml")})
    parser = argparse.ArgumentParser(description="Train a CycleGAN on your own pictures.")
    parser.add_argument("config", help=f"a TOML file, or one of {', '.join(named)}")
    parser.add_argument("--resume", action="store_true", help="continue from the run folder's checkpoint")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as data.photos=my_photos")
    parser.add_argument(
        "--dry-run", action="store_true", help="check settings and folders, write a sheet of samples, and stop"
    )
    parser.add_argument("--keep", type=int, metavar="N", help="keep the newest N checkpoints (default 2)")
    options = parser.parse_args(arguments)
    return _exit_code(lambda: _train(options))


def export_main(arguments: Sequence[str] | None = None) -> int:
    """Export a run; returns the exit code: 0 written, 2 nothing to write."""
    parser = argparse.ArgumentParser(description="Write a run's .pth files, config.json and how it learned.")
    parser.add_argument("run", type=Path, help="the run's folder, as runs/finetune")
    parser.add_argument("weights", type=Path, help="the folder to write, as weights")
    options = parser.parse_args(arguments)
    return _exit_code(lambda: _export(options))


def report_main(arguments: Sequence[str] | None = None) -> int:
    """Write a run's page; returns the exit code: 0 written, 2 no such run."""
    parser = argparse.ArgumentParser(description="A run as one HTML page: curves, samples, scores, settings.")
    parser.add_argument("run", type=Path, help="the run's folder, as runs/finetune")
    parser.add_argument("--out", type=Path, help="the file to write (default: report.html in the run's folder)")
    options = parser.parse_args(arguments)
    return _exit_code(lambda: _report(options))


def _report(options: argparse.Namespace) -> int:
    from cyclegan.training.report import write_report

    file = options.out or options.run / "report.html"
    write_report(options.run, file)
    log.info("%s  %.2f MB", file, file.stat().st_size / 1e6)
    return 0


def pack_main(arguments: Sequence[str] | None = None) -> int:
    """Pack folders; returns the exit code: 0 written, 2 nothing to pack or a full disk, 130 interrupted."""
    parser = argparse.ArgumentParser(description="Decode, resize and trace pictures once, for many runs.")
    parser.add_argument("photos", type=Path, help="photos, in any layout that training reads")
    parser.add_argument("out", type=Path, help="the folder to write; train on it with --set data.photos=OUT")
    parser.add_argument("--sketches", type=Path, help="a folder of drawings, which takes the place of data.sketches")
    parser.add_argument("--scenes", type=Path, help="a folder of photos of any kind, instead of data.scenes")
    parser.add_argument("--size", type=int, default=256, help="pixels of the longer side (default 256, the least)")
    parser.add_argument("--lossless", action="store_true", help="keep every pixel: some two to eight times as large")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: as many as there are cores)")
    options = parser.parse_args(arguments)
    return _exit_code(lambda: _pack(options), interrupted="Interrupted; no pack was written.")


def _pack(options: argparse.Namespace) -> int:
    from cyclegan.training.packing import pack

    pack(**vars(options))
    return 0


def _exit_code(
    work: Callable[[], int], interrupted: str = "Interrupted before the first step; nothing was saved."
) -> int:
    rank = int(os.environ.get("RANK", 0))  # torchrun's: the first process speaks for all
    logging.basicConfig(
        level=logging.WARNING if rank else logging.INFO,
        format=f"[process {rank}] %(message)s" if rank else "%(message)s",
    )
    from cyclegan.training.checkpoint import SaveError
    from cyclegan.training.log import NonFiniteLossError
    from cyclegan.training.processes import ProcessLostError
    from cyclegan.weights import WeightsError

    try:
        return work()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRA:
            raise
        log.error('Training needs %s, which is not installed: pip install ".[train]" in the project.', missing)
        return 2
    except (ConfigError, WeightsError, SaveError) as error:
        log.error("%s", error)
        return 2
    except NonFiniteLossError as error:  # of all processes alike
        log.log(logging.INFO if rank else logging.ERROR, "%s", error)
        return 1
    except ProcessLostError as error:
        log.error("%s", error)
        return LOST
    except KeyboardInterrupt:
        log.error("%s", interrupted)
        return 130


def _train(options: argparse.Namespace) -> int:
    from cyclegan.hub import load_weights
    from cyclegan.training.loop import train

    kept = [] if options.keep is None else [f"keep_checkpoints={options.keep}"]
    config = load_train_config(_config_file(options.config), options.set + kept)
    start = None
    if config.start_from and not options.resume:
        start = load_weights(config.start_from, discriminators=True)
    if options.dry_run:
        return _dry_run(config)
    model = train(config, options.resume, start)
    return 0 if model.global_step >= config.steps else STOPPED


def _dry_run(config: TrainConfig) -> int:
    """Say what there is, and show some of it as the networks would see it."""
    from cyclegan.devices import pick_device
    from cyclegan.training.data import samples
    from cyclegan.training.files import find_images
    from cyclegan.training.log import data_sheet
    from cyclegan.training.trainer import CycleGAN
    from cyclegan.weights import FILES

    found = find_images(config.data)
    log.info("%s", found)
    for name, network in CycleGAN(config, pick_device()).networks.items():
        log.info("%-22s %.2f M parameters", FILES[name], sum(p.numel() for p in network.parameters()) / 1e6)
    sheet = config.run.with_name(f"{config.run.name}-samples.jpg")
    sheet.parent.mkdir(parents=True, exist_ok=True)
    data_sheet(samples(config.data, config.seed, found), sheet)
    log.info("Eight samples as the networks would see them: %s", sheet)
    return 0


def _config_file(name: str) -> Path:
    """The file called ``name``, or the config of that name that comes with the package."""
    files = [Path(name), *(folder / f"{name}.toml" for folder in CONFIGS)]
    return next((file for file in files if file.is_file()), files[0])


def _export(options: argparse.Namespace) -> int:
    from cyclegan.training.export import export

    config = export(options.run, options.weights)
    for name in config.sha256:
        log.info("%s  %.2f MB", options.weights / name, (options.weights / name).stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
