"""Train a CycleGAN: python -m train train/configs/objects.toml --set data.photos=MY_PHOTOS"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from cyclegan.config import ConfigError, load_train_config
from cyclegan.devices import pick_device
from cyclegan.hub import load_weights
from cyclegan.training.data import UnpairedImages
from cyclegan.training.loop import train
from cyclegan.training.trainer import CycleGAN, NonFiniteLossError
from cyclegan.weights import FILES, WeightsError

log = logging.getLogger("train")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done or stopped politely, 1 diverged, 2 bad settings."""
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    parser.add_argument("config", type=Path, help="a TOML file, as in train/configs")
    parser.add_argument("--resume", action="store_true", help="continue from the run folder's checkpoint")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as data.photos=my_photos")
    parser.add_argument("--dry-run", action="store_true", help="check settings and folders, count parameters, and stop")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        config = load_train_config(options.config, options.set)
        start = None
        if config.start_from and not options.resume:
            start = load_weights(config.start_from, discriminators=True).networks
        if options.dry_run:
            data = UnpairedImages(config.data, config.seed)
            log.info("%d photos and %d sketches to train on.", len(data.photos), len(data.sketches))
            for name, network in CycleGAN(config, pick_device()).networks.items():
                log.info("%-22s %.2f M parameters", FILES[name], sum(p.numel() for p in network.parameters()) / 1e6)
            return 0
        train(config, options.resume, start)
    except (ConfigError, WeightsError) as error:
        log.error("%s", error)
        return 2
    except NonFiniteLossError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
